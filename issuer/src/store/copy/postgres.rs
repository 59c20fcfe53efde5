use tokio::sync::mpsc::{Receiver, Sender};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::{Kind, Part, ROWS, TABLES, Table, Value};
use crate::store::postgres::Failure;

/// All statements read one snapshot. A copy has no time limit.
pub(in crate::store) const BEGIN_EXPORT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

pub(in crate::store) const BEGIN_IMPORT: &str = "BEGIN; SET LOCAL statement_timeout = 0; \
     SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL synchronous_commit = on; \
     SET LOCAL client_min_messages = warning";

const SCHEMA: &str = "countersign.";

/// Sends the content of one snapshot.
pub(in crate::store) async fn export(db: &Client, parts: &Sender<Part>) -> Result<(), Failure> {
    for (index, table) in TABLES.iter().enumerate() {
        let cursor = format!("DECLARE copied NO SCROLL CURSOR FOR {}", table.select(SCHEMA));
        db.batch_execute(&cursor).await?;
        let fetch = format!("FETCH {ROWS} FROM copied");
        loop {
            let found = db.query_typed(&fetch, &[]).await?;
            let rows: Vec<_> =
                found.iter().map(|row| values(row, table)).collect::<Result<_, _>>()?;
            // Sending fails if the import has stopped, which returns the reason.
            if rows.is_empty() || parts.send(Part::Rows { table: index, rows }).await.is_err() {
                break;
            }
        }
        db.batch_execute("CLOSE copied").await?;
    }
    // Fails for the same reason.
    let _ = parts.send(Part::End).await;
    Ok(())
}

/// Writes the parts. Returns `false` if the database is not empty.
pub(in crate::store) async fn import(
    db: &Client,
    parts: &mut Receiver<Part>,
) -> Result<bool, Failure> {
    for table in TABLES {
        let lock = format!("LOCK TABLE {SCHEMA}{} IN SHARE ROW EXCLUSIVE MODE", table.name);
        db.batch_execute(&lock).await?;
        let some = format!("SELECT EXISTS (SELECT FROM {SCHEMA}{})", table.name);
        if db.query_typed_one(&some, &[]).await?.try_get(0)? {
            return Ok(false);
        }
    }
    loop {
        match parts.recv().await {
            Some(Part::Rows { table, rows }) => {
                let Some(table) = TABLES.get(table) else { continue };
                write(db, table, rows).await?;
            }
            Some(Part::End) => break,
            None => return Err(Failure::Permanent("the copy was interrupted".to_owned())),
        }
    }
    // The next entry of the log gets an id after the copied ones.
    let next = "SELECT setval(pg_get_serial_sequence('countersign.audit', 'id'), \
                (SELECT coalesce(max(id), 0) + 1 FROM countersign.audit), false)";
    db.query_typed(next, &[]).await?;
    Ok(true)
}

async fn write(db: &Client, table: &Table, rows: Vec<Vec<Value>>) -> Result<(), Failure> {
    let copy = format!("COPY {SCHEMA}{} ({}) FROM STDIN (FORMAT binary)", table.name, table.list());
    let types: Vec<_> = table.columns.iter().map(|column| type_of(column.kind)).collect();
    let writer = BinaryCopyInWriter::new(db.copy_in(&copy).await?, &types);
    let mut writer = std::pin::pin!(writer);
    for row in rows {
        let kinds = table.columns.iter().map(|column| column.kind);
        let row: Vec<_> =
            kinds.zip(row).map(|(kind, value)| sql(kind, value)).collect::<Result<_, _>>()?;
        let row: Vec<_> = row.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}

fn values(row: &Row, table: &Table) -> Result<Vec<Value>, Failure> {
    let value = |(index, kind)| {
        Ok(match kind {
            Kind::Text => row.try_get::<_, Option<_>>(index)?.map(Value::Text),
            Kind::Bytes => row.try_get::<_, Option<_>>(index)?.map(Value::Bytes),
            Kind::Integer => row.try_get::<_, Option<_>>(index)?.map(Value::Integer),
            Kind::SmallInteger => {
                row.try_get::<_, Option<i32>>(index)?.map(|n| Value::Integer(n.into()))
            }
            Kind::Boolean => {
                row.try_get::<_, Option<bool>>(index)?.map(|yes| Value::Integer(yes.into()))
            }
        }
        .unwrap_or(Value::Null))
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(value).collect()
}

fn sql(kind: Kind, value: Value) -> Result<Box<dyn ToSql + Sync + Send>, Failure> {
    let malformed = || Failure::Permanent("a row has a value that no issuer writes".to_owned());
    Ok(match (kind, value) {
        (Kind::Text, Value::Null) => Box::new(None::<String>),
        (Kind::Bytes, Value::Null) => Box::new(None::<Vec<u8>>),
        (Kind::Integer, Value::Null) => Box::new(None::<i64>),
        (Kind::SmallInteger, Value::Null) => Box::new(None::<i32>),
        (Kind::Boolean, Value::Null) => Box::new(None::<bool>),
        (Kind::Text, Value::Text(text)) => Box::new(text),
        (Kind::Bytes, Value::Bytes(bytes)) => Box::new(bytes),
        (Kind::Integer, Value::Integer(number)) => Box::new(number),
        (Kind::SmallInteger, Value::Integer(number)) => {
            Box::new(i32::try_from(number).map_err(|_| malformed())?)
        }
        (Kind::Boolean, Value::Integer(number)) => Box::new(number != 0),
        _ => return Err(malformed()),
    })
}

const fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Text => Type::TEXT,
        Kind::Bytes => Type::BYTEA,
        Kind::Integer => Type::INT8,
        Kind::SmallInteger => Type::INT4,
        Kind::Boolean => Type::BOOL,
    }
}
