//! The probe of readiness: the writes of a login, undone.

/// The scope is longer than those of real sessions, so that a full disk is noticed before the last
/// page of the table is full. It is too short to be stored elsewhere.
pub(super) const WRITE: &str = "
    SET LOCAL statement_timeout = '1500ms';
    SAVEPOINT probe;
    INSERT INTO countersign.login_failures (counter, failures, blocked_until, last_at, attempt)
      VALUES (uuid_send(gen_random_uuid()), 0, 0, 0, '');
    INSERT INTO countersign.sessions (id, user_id, client_id, scope, counter, created_at, rotated_at,
                                      expires_at, revoked)
      SELECT uuid_send(gen_random_uuid()), id, '', repeat('x', 1800), 0, 0, 0, 0, false
      FROM countersign.users LIMIT 1;
    INSERT INTO countersign.audit (at, event, subject) VALUES (0, '', '');
    ROLLBACK TO SAVEPOINT probe";
