//! `store copy`: copies a database into an empty one. Both stores read and write the tables by the
//! description in this file, so that neither store knows the other.

pub(super) mod postgres;
pub(super) mod sqlite;

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{Store, StoreError};

/// The tables to copy. Each table comes after the tables that its rows refer to. The table `database`
/// is left out: each database has its own version.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "users",
        columns: &[
            text("id"),
            text("name"),
            text("scope"),
            text("password_hash"),
            integer("created_at"),
            boolean("locked"),
            integer("password_version"),
            integer("unlocked_at"),
            text("claims"),
        ],
    },
    Table {
        name: "clients",
        columns: &[
            text("id"),
            text("name"),
            text("scope"),
            bytes("secret_hash"),
            boolean("locked"),
            integer("created_at"),
            text("claims"),
            text("audiences"),
        ],
    },
    Table {
        name: "sessions",
        columns: &[
            bytes("id"),
            text("user_id"),
            text("client_id"),
            text("scope"),
            integer("counter"),
            integer("created_at"),
            integer("rotated_at"),
            integer("expires_at"),
            boolean("revoked"),
            integer("status_list"),
            integer("status_index"),
            integer("repeat_audited"),
            integer("authenticated_at"),
            text("methods"),
            text("network"),
            text("user_agent"),
        ],
    },
    Table {
        name: "one_time_tokens",
        columns: &[
            bytes("hash"),
            text("purpose"),
            text("user_id"),
            bytes("data"),
            integer("created_at"),
            integer("expires_at"),
            bytes("used_by"),
        ],
    },
    Table {
        name: "totps",
        columns: &[
            text("user_id"),
            bytes("sealed"),
            integer("created_at"),
            integer("confirmed_at"),
            integer("last_step"),
        ],
    },
    Table { name: "recovery_codes", columns: &[bytes("hash"), text("user_id"), bytes("used_by")] },
    Table {
        name: "passkeys",
        columns: &[
            bytes("id"),
            text("user_id"),
            text("name"),
            bytes("credential"),
            integer("created_at"),
            integer("used_at"),
        ],
    },
    Table {
        name: "idempotency",
        columns: &[bytes("key"), bytes("request"), bytes("answer"), integer("created_at")],
    },
    Table {
        name: "login_failures",
        columns: &[
            bytes("counter"),
            integer("failures"),
            integer("blocked_until"),
            integer("last_at"),
            bytes("attempt"),
        ],
    },
    Table {
        name: "keys",
        columns: &[
            text("kid"),
            small("bits"),
            text("n"),
            text("e"),
            bytes("sealed"),
            text("state"),
            integer("published_at"),
            integer("activates_at"),
            integer("retired_at"),
            integer("drops_at"),
        ],
    },
    Table { name: "secrets", columns: &[text("name"), bytes("sealed")] },
    Table { name: "clock", columns: &[small("id"), integer("latest")] },
    Table {
        name: "audit",
        columns: &[
            integer("id"),
            integer("at"),
            text("event"),
            text("subject"),
            text("user_id"),
            text("network"),
            integer("count"),
            text("actor"),
        ],
    },
];

/// A table of both stores.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Rows are copied in the order of the first column.
    pub(super) columns: &'static [Column],
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Integer,
    /// An integer of 32 bits in PostgreSQL.
    SmallInteger,
    /// 0 or 1 in SQLite.
    Boolean,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes }
}

const fn integer(name: &'static str) -> Column {
    Column { name, kind: Kind::Integer }
}

const fn small(name: &'static str) -> Column {
    Column { name, kind: Kind::SmallInteger }
}

const fn boolean(name: &'static str) -> Column {
    Column { name, kind: Kind::Boolean }
}

impl Table {
    /// Returns the names of the columns, separated by commas.
    pub(super) fn list(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    /// Returns the statement that reads the table.
    pub(super) fn select(&self, schema: &str) -> String {
        format!("SELECT {} FROM {schema}{} ORDER BY 1", self.list(), self.name)
    }
}

/// A value in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A message from one store to the other.
#[derive(Debug)]
pub(crate) enum Part {
    /// Rows of the table with that index in [`TABLES`].
    Rows { table: usize, rows: Vec<Vec<Value>> },
    /// Marks a complete copy. Without it, the copy was interrupted.
    End,
}

/// The most rows in one part.
pub(super) const ROWS: usize = 1000;

/// The most parts that wait for the slower store.
const WAITING: usize = 4;

pub(crate) type Parts = Receiver<Part>;
pub(crate) type PartsOut = Sender<Part>;

/// The number of rows that were copied of each table.
pub(crate) type Counts = Vec<(&'static str, u64)>;

/// Copies the present content of `from` to `to`, in one transaction. Calls `progress` after each part.
/// Returns `None` and changes nothing if `to` is not empty.
pub(crate) async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    progress: impl Fn(&Counts),
) -> Result<Option<Counts>, StoreError> {
    let mut counts: Counts = TABLES.iter().map(|table| (table.name, 0)).collect();
    let (read, mut parts) = mpsc::channel(WAITING);
    let (write, written) = mpsc::channel(WAITING);
    let forward = async move {
        while let Some(part) = parts.recv().await {
            if let Part::Rows { table, rows } = &part
                && let Some((_, count)) = counts.get_mut(*table)
            {
                *count += rows.len() as u64;
                progress(&counts);
            }
            // The import has stopped, and returns the reason.
            if write.send(part).await.is_err() {
                break;
            }
        }
        counts
    };
    let (exported, imported, counts) = tokio::join!(from.export(read), to.import(written), forward);
    exported?;
    Ok(imported?.then_some(counts))
}
