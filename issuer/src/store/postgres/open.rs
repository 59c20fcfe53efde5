//! How a PostgreSQL database becomes the issuer's: looked at, migrated.

use std::sync::{Mutex, PoisonError};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::{Connections, Failure};
use super::rows::{self, number};
use crate::Error;
use crate::config::PostgresUrl;
use crate::keys::Vault;
use crate::store::Missing;
use crate::store::schema::Schema;

/// One script for each schema version; the database says how many have run. They go by names in the
/// SQL schema `countersign`, where nothing of anybody else's is in the way.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("versions.sql"),
    include_str!("secrets.sql"),
    include_str!("clock.sql"),
    include_str!("status.sql"),
    include_str!("login_failures.sql"),
];

/// The oldest version whose binaries work on the newest schema. It stays what it is as long as
/// scripts only add what those need not know.
const COMPATIBLE: usize = 6;

/// What the row that marks the database as ours says, as SQLite's `application_id` does.
const APPLICATION: &str = "countersign-issuer";

/// Held while a database is looked at and migrated: "`CSig`".
const LOCK: i64 = 0x4353_6967;

/// Looks at the database, and runs the migrations that it lacks, alone on it. `admit` sees what
/// is sealed under the master key before any of that is kept; what it answers comes along.
///
/// # Errors
///
/// [`Error::Database`] when it can't be reached or written, is not ours, or is from a newer
/// version, and what `admit` refuses with; the database is then as it was.
pub(super) async fn open<T>(
    connections: &Connections,
    address: &PostgresUrl,
    missing: Missing,
    admit: impl Fn(&Vault) -> Result<T, Error>,
) -> Result<T, Error> {
    let shown = &address.shown;
    let refused = Mutex::new(None);
    let (refusal, admit) = (&refused, &admit);
    let opened = connections.transact(|db| async move {
        let admitted = match migrate(&db, shown, missing).await? {
            Ok(()) => admit(&rows::vault(&db).await?),
            Err(e) => Err(e),
        };
        admitted.map_err(|e| {
            // A job that fails is undone.
            let failure = Failure::Lasting(e.to_string());
            *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
            failure
        })
    });
    let opened = opened.await;
    let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
    opened.map_err(|e| {
        refused.unwrap_or_else(|| {
            Error::Database(format!(
                "cannot use the database {shown}: {e}; make it reachable, let its user create a \
                 schema in it, or set database to another place"
            ))
        })
    })
}

async fn migrate(db: &Client, shown: &str, missing: Missing) -> Result<Result<(), Error>, Failure> {
    let refuse = |line: String| Ok(Err(Error::Database(line)));
    db.query_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    let found = "SELECT to_regnamespace('countersign') IS NOT NULL,
                        to_regclass('countersign.database') IS NOT NULL,
                        EXISTS (SELECT FROM pg_catalog.pg_class
                                WHERE relnamespace = to_regnamespace('countersign'))";
    let found = db.query_typed_one(found, &[]).await?;
    let (schema, marked, tables): (bool, bool, bool) =
        (found.try_get(0)?, found.try_get(1)?, found.try_get(2)?);
    let mut has = Schema::EMPTY;
    if marked {
        let row = db.query_typed_opt("SELECT * FROM countersign.database", &[]).await?;
        let application = row.as_ref().and_then(|row| row.try_get("application").ok());
        if application != Some(APPLICATION) {
            return refuse(not_ours(shown));
        }
        if let Some(row) = row {
            let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
            let version = count(number(&row, "schema_version")?);
            // The first version did not have the column.
            let compatible = number(&row, "compatible_version").map_or(version, count);
            has = Schema { version, compatible };
        }
    } else if tables {
        return refuse(not_ours(shown));
    } else if missing == Missing::Refuse {
        return refuse(format!(
            "there is no database in {shown}; make it with serve or user add, or set database"
        ));
    }
    let missing = match has.missing(MIGRATIONS, shown) {
        Ok(missing) => missing,
        Err(line) => return refuse(line),
    };
    if !schema {
        db.batch_execute("CREATE SCHEMA countersign").await?;
    }
    if !marked {
        let table = "CREATE TABLE countersign.database (
                       application text NOT NULL,
                       schema_version bigint NOT NULL
                     )";
        db.batch_execute(table).await?;
        let row = "INSERT INTO countersign.database VALUES ($1, 0)";
        db.execute_typed(row, &[(&APPLICATION, Type::TEXT)]).await?;
    }
    for script in missing {
        db.batch_execute(script).await?;
    }
    if !missing.is_empty() {
        let [version, compatible] = [MIGRATIONS.len(), COMPATIBLE].map(|n| n as i64);
        let update = "UPDATE countersign.database SET schema_version = $1, compatible_version = $2";
        db.execute_typed(update, &[(&version, Type::INT8), (&compatible, Type::INT8)]).await?;
        if has.version > 0 {
            tracing::info!(from = has.version, to = MIGRATIONS.len(), "migrating the database");
        }
    }
    Ok(Ok(()))
}

fn not_ours(shown: &str) -> String {
    format!(
        "{shown} has a schema countersign that is something else's; set database to another place"
    )
}
