//! The rules of a login: the order of waiting logins, throttling after failures, user names, new
//! passwords.

pub(crate) mod counters;
pub(crate) mod fair_queue;
pub(crate) mod new_password;
pub(crate) mod password;
pub(crate) mod throttle;
pub(crate) mod user_name;
