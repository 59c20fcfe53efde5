//! `user sessions`.

use clap::Args;
use serde_json::{Value, json};

use super::{change_user, known};
use crate::audit::Actor;
use crate::cli::output::Output;
use crate::session::{Cursor, MOST_OF_A_USER, Session, SessionPage};
use crate::users::UserChange;
use crate::{Clock, Config, Error};

#[derive(Args)]
pub(in crate::cli) struct Sessions {
    #[command(flatten)]
    name: super::Name,
    /// End the session with this id
    // One in 64 begins with a hyphen.
    #[arg(long, value_name = "ID", conflicts_with = "end_all", allow_hyphen_values = true)]
    end: Option<String>,
    /// End all sessions
    #[arg(long)]
    end_all: bool,
}

impl Sessions {
    /// Lists the sessions, or those that it ends.
    pub(super) async fn run(self, config: &Config, output: Output) -> Result<(), Error> {
        let (user, store) = known(config, &self.name.name).await?;
        let (name, user_id) = (&user.name, user.id.clone());
        let now = Clock::system().now();
        let page = SessionPage { user_id, now, after: Cursor::START, most: MOST_OF_A_USER };
        let mut sessions = store.live_sessions(page).await?;
        if let Some(sid) = &self.end {
            sessions.retain(|session| session.sid() == *sid);
            let session = sessions.first().ok_or_else(|| unknown(name, sid))?;
            store.end_session(session.id, Actor::default(), now).await?;
        }
        if self.end_all {
            change_user(&*store, &user, UserChange::SessionsEnded).await?;
        }
        let is_ending = self.end.is_some() || self.end_all;
        let text = if is_ending {
            format!("ended sessions of user {name}: {}\n", sessions.len())
        } else {
            sessions.iter().map(line).collect()
        };
        output.print(&text, &sessions.iter().map(object).collect())
    }
}

fn unknown(name: &str, sid: &str) -> Error {
    Error::Refused(format!("user {name} has no open session {sid:?}; see user sessions {name}"))
}

/// Returns id, time of the login, time of the last refresh, expiry, network and user agent, separated
/// by tabs.
fn line(session: &Session) -> String {
    let Session { created_at, rotated_at, expires_at, device, .. } = session;
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let (network, user_agent) = (shown(&device.network), shown(&device.user_agent));
    let sid = session.sid();
    format!("{sid}\t{created_at}\t{rotated_at}\t{expires_at}\t{network}\t{user_agent}\n")
}

fn object(session: &Session) -> Value {
    json!({
        "id": session.sid(), "created_at": session.created_at, "last_used_at": session.rotated_at,
        "expires_at": session.expires_at, "network": session.device.network,
        "user_agent": session.device.user_agent,
    })
}
