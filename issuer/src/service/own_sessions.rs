//! The sessions of a user, as the user and operators see them.

use std::net::IpAddr;

use super::page::Page;
use super::{Issuer, ServiceError, SignedIn};
use crate::session::{Cursor, Session, SessionPage};

impl Issuer {
    /// Returns the user's live sessions after the cursor, newest first.
    pub(crate) async fn own_sessions(
        &self,
        signed_in: &SignedIn,
        after: Cursor,
        most: u32,
    ) -> Result<Page<Session>, ServiceError> {
        let (user_id, now) = (signed_in.user.id.clone(), self.clock_guard.latest_time());
        let page = SessionPage { user_id, now, after, most: most + 1 };
        Ok(Page::of(self.store.live_sessions(page).await?, most))
    }

    /// Ends a session of the user who is signed in. Others' sessions are as good as unknown.
    pub(crate) async fn end_own_session(
        &self,
        signed_in: &SignedIn,
        sid: &str,
        client: IpAddr,
    ) -> Result<(), ServiceError> {
        let id = Session::parse_sid(sid).ok_or(ServiceError::NoSuchSession)?;
        let session = self.live_session(id).await?;
        let own = session.filter(|session| session.user_id == signed_in.user.id);
        self.end_session(own.ok_or(ServiceError::NoSuchSession)?.id, client).await
    }
}
