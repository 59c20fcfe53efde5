use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};
use tokio::sync::mpsc::{Receiver, Sender};

use super::{Part, ROWS, TABLES, Table, Value};

/// Sends the content of one snapshot.
pub(in crate::store) fn export(
    connection: &mut Connection,
    parts: &Sender<Part>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for (index, table) in TABLES.iter().enumerate() {
        let mut statement = transaction.prepare(&table.select(""))?;
        let mut found = statement.query_map([], |row| values(row, table))?;
        loop {
            let rows: Vec<_> = found.by_ref().take(ROWS).collect::<rusqlite::Result<_>>()?;
            // Sending fails if the import has stopped, which returns the reason.
            if rows.is_empty() || parts.blocking_send(Part::Rows { table: index, rows }).is_err() {
                break;
            }
        }
    }
    // Fails for the same reason.
    let _ = parts.blocking_send(Part::End);
    Ok(())
}

/// Writes the parts. Returns `false` if the database is not empty.
pub(in crate::store) fn import(
    db: &Connection,
    parts: &mut Receiver<Part>,
) -> rusqlite::Result<bool> {
    for table in TABLES {
        let some = format!("SELECT EXISTS (SELECT * FROM {})", table.name);
        if db.query_row(&some, [], |row| row.get(0))? {
            return Ok(false);
        }
    }
    loop {
        match parts.blocking_recv() {
            Some(Part::Rows { table, rows }) => {
                let Some(table) = TABLES.get(table) else { continue };
                let values = vec!["?"; table.columns.len()].join(", ");
                let insert =
                    format!("INSERT INTO {} ({}) VALUES ({values})", table.name, table.list());
                let mut insert = db.prepare_cached(&insert)?;
                for row in rows {
                    insert.execute(params_from_iter(row.into_iter().map(sql)))?;
                }
            }
            Some(Part::End) => return Ok(true),
            None => {
                return Err(rusqlite::Error::ToSqlConversionFailure(
                    "the copy was interrupted".into(),
                ));
            }
        }
    }
}

fn values(row: &Row<'_>, table: &Table) -> rusqlite::Result<Vec<Value>> {
    let value = |index| {
        Ok(match row.get_ref(index)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
            // STRICT tables have no other types, and the schema has no REAL column.
            ValueRef::Text(_) | ValueRef::Real(_) => Value::Text(row.get(index)?),
        })
    };
    (0..table.columns.len()).map(value).collect()
}

fn sql(value: Value) -> Sql {
    match value {
        Value::Null => Sql::Null,
        Value::Integer(number) => Sql::Integer(number),
        Value::Text(text) => Sql::Text(text),
        Value::Bytes(bytes) => Sql::Blob(bytes),
    }
}
