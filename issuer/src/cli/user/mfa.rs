//! `user mfa`.

use clap::Subcommand;
use serde_json::json;

use super::{Name, known, unknown};
use crate::audit::Actor;
use crate::cli::output::Output;
use crate::second_factor::{Changed, FactorChange};
use crate::{Clock, Config, Error};

#[derive(Subcommand)]
pub(in crate::cli) enum Mfa {
    /// Remove a user's authenticator app, recovery codes and passkeys; ends the user's sessions
    Reset(Name),
}

impl Mfa {
    pub(super) async fn run(self, config: &Config, output: Output) -> Result<(), Error> {
        let Self::Reset(Name { name }) = self;
        let (user, store) = known(config, &name).await?;
        let (name, now) = (user.name, Clock::system().now());
        let reset = FactorChange::Reset;
        let changed = store.change_factors(user.id, reset, None, Actor::default(), now).await?;
        if changed == Changed::Impossible {
            return Err(unknown(&name));
        }
        let text = if user.factors.is_empty() {
            format!("user {name} has no second factor\n")
        } else {
            format!("removed the second factors of user {name} and ended their sessions\n")
        };
        let removed: Vec<_> = user.factors.names().collect();
        output.print(&text, &json!({ "name": name, "removed": removed }))
    }
}
