use std::io::{BufRead as _, IsTerminal as _, Read as _};

use countersign_claims::scope;
use zeroize::Zeroizing;

use super::{existing, print};
use crate::config::DatabaseUrl;
use crate::login::password::{self, Cost};
use crate::login::user_name;
use crate::store::{self, Missing};
use crate::users::User;
use crate::{Clock, Config, Error, crypto};

/// `user add NAME [--scope SCOPE]`.
pub(super) async fn add(config: &Config, name: &str, scope: &str) -> Result<(), Error> {
    let name = user_name(name)?;
    check_scope(scope)?;
    let (store, ()) =
        store::open(&DatabaseUrl::parse(&config.database)?, Missing::Make, |_| Ok(())).await?;
    let taken = || Error::Refused(format!("user {name} exists; use user passwd to set a password"));
    if store.user(name.clone()).await?.is_some() {
        return Err(taken());
    }
    let password_hash = new_password(config, &name)?;
    let user = User {
        id: format!("user_{}", crypto::random_id()?),
        name: name.clone(),
        scope: scope.to_owned(),
        password_hash,
        created_at: Clock::system().now(),
        locked: false,
    };
    if !store.add_user(user).await? {
        return Err(taken());
    }
    print(&format!("added user {name}\n"))
}

/// `user passwd NAME`: also ends the user's sessions.
pub(super) async fn passwd(config: &Config, name: &str) -> Result<(), Error> {
    let name = user_name(name)?;
    let store = existing(config).await?;
    let unknown = || Error::Refused(format!("there is no user {name}; add it with user add"));
    if store.user(name.clone()).await?.is_none() {
        return Err(unknown());
    }
    let hash = new_password(config, &name)?;
    if !store.set_password(name.clone(), hash, Clock::system().now()).await? {
        return Err(unknown());
    }
    print(&format!("set the password of user {name} and ended their sessions\n"))
}

/// `user lock NAME`, which also ends the user's sessions, and `user unlock NAME`.
pub(super) async fn lock(config: &Config, name: &str, locked: bool) -> Result<(), Error> {
    let name = user_name(name)?;
    let store = existing(config).await?;
    if !store.lock_user(name.clone(), locked, Clock::system().now()).await? {
        return Err(Error::Refused(format!("there is no user {name}; see user list")));
    }
    print(&if locked {
        format!("locked user {name} and ended their sessions\n")
    } else {
        format!("unlocked user {name}\n")
    })
}

/// `user delete NAME`: also ends the user's sessions.
pub(super) async fn delete(config: &Config, name: &str) -> Result<(), Error> {
    let name = user_name(name)?;
    let store = existing(config).await?;
    if !store.delete_user(name.clone(), Clock::system().now()).await? {
        return Err(Error::Refused(format!("there is no user {name}; see user list")));
    }
    print(&format!("deleted user {name} and ended their sessions\n"))
}

/// `user list`: name, `sub`, scope of each, and whether it is locked, separated by tabs.
pub(super) async fn list(config: &Config) -> Result<(), Error> {
    let users = existing(config).await?.users().await?;
    let line = |user: &User| {
        let locked = if user.locked { "\tlocked" } else { "" };
        format!("{}\t{}\t{}{locked}\n", user.name, user.id, user.scope)
    };
    print(&users.iter().map(line).collect::<String>())
}

pub(super) fn check_scope(scope: &str) -> Result<(), Error> {
    if scope.is_empty() || scope::is_well_formed(scope) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{scope:?} is not a scope; expected words with single spaces between, such as \"read \
         write\""
    )))
}

fn user_name(name: &str) -> Result<String, Error> {
    user_name::normalise(name).ok_or_else(|| {
        Error::Refused(format!(
            "{name:?} is not a user name; use 1 to {} characters",
            user_name::MAX_CHARACTERS
        ))
    })
}

/// The hash of a password from the terminal, without echo and typed twice, or from a line of stdin.
fn new_password(config: &Config, name: &str) -> Result<String, Error> {
    let unread = |e| Error::Refused(format!("the password can't be read: {e}"));
    let password = if std::io::stdin().is_terminal() {
        let ask = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
        let first = ask(format!("Password for {name}: ")).map_err(unread)?;
        password::check_new(&first, name, config)?;
        if *first != *ask("Once more: ".to_owned()).map_err(unread)? {
            return Err(Error::Refused("the two passwords differ; nothing was changed".to_owned()));
        }
        first
    } else {
        let mut line = Zeroizing::new(String::with_capacity(4 * password::MAX_BYTES));
        let most = 2 * password::MAX_BYTES as u64;
        std::io::stdin().lock().take(most).read_line(&mut line).map_err(unread)?;
        let end = line.trim_end_matches('\n').trim_end_matches('\r').len();
        line.truncate(end);
        line
    };
    password::check_new(&password, name, config)?;
    Cost::configured(config).hash(&password, &mut Vec::new())
}
