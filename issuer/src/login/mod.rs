//! The rules of a login: throttling after failures, user names, new passwords.

pub(crate) mod counters;
pub(crate) mod password;
pub(crate) mod throttle;
pub(crate) mod user_name;
