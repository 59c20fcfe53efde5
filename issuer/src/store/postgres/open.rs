//! Opening a database: checks that it is ours, and makes or migrates the schema.

use std::sync::{Mutex, PoisonError};

use tokio_postgres::types::Type;

use super::connection::{Connection, Connections};
use super::failure::Failure;
use super::{keys, rows};
use crate::Error;
use crate::config::PostgresUrl;
use crate::keys::Vault;
use crate::store::schema::Schema;
use crate::store::{Missing, StoreError};

/// One script for each schema version. `countersign.database` counts the scripts that have run.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];

/// The oldest version whose binaries can use the newest schema. It stays the same as long as new
/// scripts only add things that older binaries can ignore.
const COMPATIBLE: usize = 1;

/// Marks the database as ours, like SQLite's `application_id`.
const APPLICATION: &str = "countersign-issuer";

/// The advisory lock that is held while a database is opened: "`CSig`".
const LOCK: i64 = 0x4353_6967;

/// Opens the database and runs the migrations that it lacks, in one transaction. `admit` sees the
/// sealed secrets before the transaction commits.
///
/// # Errors
///
/// [`Error::Unavailable`] if the database cannot be reached or used now. [`Error::Database`] if it
/// cannot be written, is not ours, or is from a newer version; the error of `admit`. The database is
/// then as it was.
pub(super) async fn open<T>(
    connections: &Connections,
    address: &PostgresUrl,
    missing: Missing,
    admit: impl Fn(&Vault) -> Result<T, Error>,
) -> Result<T, Error> {
    try_open(connections, address, missing, Ending::Commit, admit).await
}

/// Does everything that [`open`] does, and leaves the database as it was.
///
/// # Errors
///
/// Those of [`open`].
pub(super) async fn check(
    connections: &Connections,
    address: &PostgresUrl,
    admit: impl Fn(&Vault) -> Result<(), Error>,
) -> Result<(), Error> {
    try_open(connections, address, Missing::Make, Ending::Undo, admit).await
}

/// The end of the transaction that prepares a database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Commit,
    Undo,
}

async fn try_open<T>(
    connections: &Connections,
    address: &PostgresUrl,
    missing: Missing,
    ending: Ending,
    admit: impl Fn(&Vault) -> Result<T, Error>,
) -> Result<T, Error> {
    let shown = &address.shown;
    let refusal = Mutex::new(None);
    let (refused, admit) = (&refusal, &admit);
    let opened = connections.transact_own(|db: Connection| async move {
        let admitted = match prepare(&db, shown, missing).await? {
            Ok(()) => admit(&keys::vault(&db).await?),
            Err(e) => Err(e),
        };
        if ending == Ending::Undo {
            db.batch_execute("ROLLBACK AND CHAIN").await?;
        }
        admitted.map_err(|e| {
            // A job that fails is rolled back.
            let failure = Failure::Permanent(e.to_string());
            *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
            failure
        })
    });
    let opened = opened.await;
    let refusal = refusal.into_inner().unwrap_or_else(PoisonError::into_inner);
    opened.map_err(|e| {
        refusal.unwrap_or_else(|| match e {
            StoreError::Failed(e) => Error::Database(format!(
                "cannot use the database {shown}: {e}; correct user, password, host and name in \
                 database, or let that user create a schema in it"
            )),
            StoreError::Unavailable(e) | StoreError::Unconfirmed(e) => Error::Unavailable(format!(
                "cannot use the database {shown} now: {e}; try again when it works, or set database \
                 to another database"
            )),
        })
    })
}

/// Runs the migrations that are missing. The inner error is a refusal.
async fn prepare(
    db: &Connection,
    shown: &str,
    missing: Missing,
) -> Result<Result<(), Error>, Failure> {
    db.query_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    let found = match look(db).await? {
        Found::Nothing { .. } if missing == Missing::Refuse => Err(format!(
            "there is no database in {shown}; make it with serve or user add, or set database"
        )),
        Found::Foreign => Err(format!(
            "{shown} has a schema countersign that is something else's; set database to another \
             database"
        )),
        Found::Nothing { sql_schema } => Ok((sql_schema, Schema::EMPTY)),
        Found::Ours(schema) => Ok((true, schema)),
    };
    let lacks = found.and_then(|(sql_schema, schema)| {
        let scripts = schema.missing(MIGRATIONS, shown)?;
        Ok((sql_schema, schema.version, scripts))
    });
    match lacks {
        Ok((sql_schema, version, scripts)) => {
            migrate(db, sql_schema, version, scripts).await.map(Ok)
        }
        Err(line) => Ok(Err(Error::Database(line))),
    }
}

/// The state of a database before it is opened.
enum Found {
    /// Nothing of the issuer's. The empty SQL schema may have been made by an administrator.
    Nothing {
        sql_schema: bool,
    },
    /// A schema `countersign` of another application.
    Foreign,
    Ours(Schema),
}

async fn look(db: &Connection) -> Result<Found, Failure> {
    let found = "SELECT to_regnamespace('countersign') IS NOT NULL,
                        to_regclass('countersign.database') IS NOT NULL,
                        EXISTS (SELECT FROM pg_catalog.pg_class
                                WHERE relnamespace = to_regnamespace('countersign'))";
    let found = db.query_typed_one(found, &[]).await?;
    let (sql_schema, marked, tables): (bool, bool, bool) =
        (found.try_get(0)?, found.try_get(1)?, found.try_get(2)?);
    if !marked {
        return Ok(if tables { Found::Foreign } else { Found::Nothing { sql_schema } });
    }
    let row = db.query_typed_opt("SELECT * FROM countersign.database", &[]).await?;
    let is_ours = |row: &tokio_postgres::Row| {
        row.try_get("application").is_ok_and(|name: &str| name == APPLICATION)
    };
    let Some(row) = row.filter(is_ours) else { return Ok(Found::Foreign) };
    let count = |name| -> Result<usize, Failure> {
        Ok(usize::try_from(rows::number(&row, name)?).unwrap_or(usize::MAX))
    };
    let (version, compatible) = (count("schema_version")?, count("compatible_version")?);
    Ok(Found::Ours(Schema { version, compatible }))
}

async fn migrate(
    db: &Connection,
    sql_schema: bool,
    from: usize,
    scripts: &[&str],
) -> Result<(), Failure> {
    if scripts.is_empty() {
        return Ok(());
    }
    if from > 0 {
        tracing::info!(from, to = MIGRATIONS.len(), "migrating the database");
    }
    // Not IF NOT EXISTS: that would need the right to create one even if it exists.
    let create = (!sql_schema).then_some("CREATE SCHEMA countersign;");
    let scripts: Vec<_> = create.into_iter().chain(scripts.iter().copied()).collect();
    // In one round trip: a far server has little time for all that opens a database.
    db.batch_execute(&scripts.join("\n")).await?;
    let [version, compatible] = [MIGRATIONS.len(), COMPATIBLE].map(|n| n as i64);
    let update = "UPDATE countersign.database SET schema_version = $1, compatible_version = $2";
    db.execute_typed(update, &[(&version, Type::INT8), (&compatible, Type::INT8)]).await?;
    Ok(())
}
