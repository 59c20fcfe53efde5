//! The rules of a login: throttling of failed ones, user names, passwords.

pub(crate) mod attempt;
pub(crate) mod counters;
pub(crate) mod password;
pub(crate) mod user_name;
