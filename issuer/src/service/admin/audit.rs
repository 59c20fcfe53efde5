use super::Admin;
use crate::audit::{AuditEntry, AuditFilter};
use crate::service::ServiceError;
use crate::service::accounts::find_user_id;
use crate::service::page::Page;

impl Admin<'_> {
    /// Returns the last entries that meet the conditions, newest first. `user` is a name or a `sub`.
    pub(crate) async fn audit(
        &self,
        user: Option<&str>,
        filter: AuditFilter,
    ) -> Result<Page<AuditEntry>, ServiceError> {
        let store = &*self.issuer.store;
        let user_id = match user {
            Some(user) => {
                Some(find_user_id(store, user).await?.ok_or(ServiceError::NoSuch("user"))?)
            }
            None => None,
        };
        let most = filter.most;
        let mut entries = store.audit(AuditFilter { user_id, most: most + 1, ..filter }).await?;
        entries.reverse();
        Ok(Page::of(entries, most))
    }
}
