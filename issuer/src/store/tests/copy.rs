//! A copy equals its source, from each kind of database to each.

use tokio::sync::mpsc;

use super::{
    BY, Database, KeyState, LIST_SIZE, NOW, attempt, cluster, key, numbered, one_time_token, open,
    open_in_list, refresh, session, user,
};
use crate::audit::Network;
use crate::clients::Client;
use crate::config::DatabaseUrl;
use crate::custom_claims::CustomClaims;
use crate::keys::Vault;
use crate::second_factor::{Changed, FactorChange, NewTotp};
use crate::session::Session;
use crate::store::Store;
use crate::store::copy::{Part, TABLES, Value, copy};

/// Returns all rows of a database, each with the index of its table.
async fn content(store: &dyn Store) -> Vec<(usize, Vec<Value>)> {
    let (sender, mut parts) = mpsc::channel(1);
    let collect = async {
        let (mut all, mut ended) = (Vec::new(), false);
        while let Some(part) = parts.recv().await {
            assert!(!ended);
            match part {
                Part::Rows { table, rows } => all.extend(rows.into_iter().map(|row| (table, row))),
                Part::End => ended = true,
            }
        }
        assert!(ended);
        all
    };
    let (exported, all) = tokio::join!(store.export(sender), collect);
    exported.unwrap();
    all
}

/// Fills each table, one of them with several parts, and uses unusual values.
async fn fill(store: &dyn Store) {
    assert!(store.add_user(user(), BY).await.unwrap());
    let client = Client {
        id: "client_x".to_owned(),
        name: "wörker".to_owned(),
        scope: String::new(),
        secret_hash: (0..=255).collect(),
        locked: true,
        created_at: 0,
        claims: CustomClaims::parse(r#"{"a":[1]}"#).unwrap(),
        audiences: "https://one.example".to_owned(),
    };
    assert!(store.add_client(client, BY).await.unwrap());
    for n in 0..2100 {
        let session = Session { id: numbered(n), created_at: NOW + u64::from(n), ..session(9) };
        // Only some sessions have a status index.
        if n % 3 == 0 {
            open_in_list(store, session, LIST_SIZE).await;
        } else {
            assert!(open(store, session, "hash").await);
        }
    }
    assert!(open(store, session(1), "hash").await);
    store.refresh(refresh(1, 0, 10)).await.unwrap();
    store.end_session([1; 16], Network::for_tests().into(), 7).await.unwrap();
    let keys = |_: &Vault| Vault {
        keys: vec![key("a", KeyState::Active), key("b", KeyState::Published)],
        secret: Some(vec![255, 0]),
        factor_key: Some(vec![254, 0]),
    };
    store.change_keys(Box::new(keys), BY, 8).await.unwrap();
    let sealed = vec![7, 0, 255];
    let begun = FactorChange::TotpBegun(sealed.clone());
    let codes = vec![[1; 32], [255; 32]];
    let confirmed = FactorChange::TotpConfirmed(NewTotp { sealed, step: 60_000_000, codes });
    for change in [begun, confirmed] {
        let by_session = Some(numbered(2000));
        let changed = store.change_factors("user_x".to_owned(), change, by_session, BY, NOW);
        assert_ne!(changed.await.unwrap(), Changed::Impossible);
    }
    store.add_one_time_token(one_time_token(1), BY).await.unwrap();
    store.remember_time(9).await.unwrap();
    store.attempt(attempt(1, 1, 255, NOW)).await.unwrap();
}

async fn check_copy(from: &Database, to: &Database) {
    let (source, target) = (from.open().await, to.open().await);
    fill(&*source).await;
    let counts = copy(&*source, &*target, |_| ()).await.unwrap().unwrap();
    let expected = content(&*source).await;
    assert_eq!(content(&*target).await, expected);
    // No method of the store fills them yet.
    let empty = ["passkeys", "idempotency"];
    for (index, (name, count)) in counts.iter().enumerate() {
        let rows = expected.iter().filter(|(table, _)| *table == index).count();
        assert!(
            (rows > 0 || empty.contains(name)) && *count == u64::try_from(rows).unwrap(),
            "{counts:?}"
        );
    }

    // A second copy is refused, because the target is not empty.
    assert_eq!(copy(&*source, &*target, |_| ()).await.unwrap(), None);
    assert_eq!(content(&*target).await, expected);

    // The copy is usable: its audit log continues after the last entry.
    target.end_session(numbered(2000), Network::for_tests().into(), 9).await.unwrap();
    assert_eq!(content(&*target).await.len(), expected.len() + 1);
    assert!(target.session(numbered(2000)).await.unwrap().unwrap().revoked);
    assert_eq!(target.keys().await.unwrap(), source.keys().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sqlite_to_sqlite() {
    check_copy(&Database::sqlite(), &Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_sqlite_and_postgres_both_ways() {
    if !cluster::is_left_out() {
        check_copy(&Database::sqlite(), &Database::postgres()).await;
        check_copy(&Database::postgres(), &Database::sqlite()).await;
        check_copy(&Database::postgres(), &Database::postgres()).await;
    }
}

async fn an_interrupted_copy_leaves_nothing(database: Database) {
    let store = database.open().await;
    let (sender, parts) = mpsc::channel(1);
    let row = vec![
        Value::Text("user_x".to_owned()),
        Value::Text("demo".to_owned()),
        Value::Text(String::new()),
        Value::Text("hash".to_owned()),
        Value::Integer(1),
        Value::Integer(0),
        Value::Integer(0),
        Value::Integer(0),
        Value::Text(String::new()),
    ];
    let send = async move {
        sender.send(Part::Rows { table: 0, rows: vec![row] }).await.unwrap();
    };
    let (imported, ()) = tokio::join!(store.import(parts), send);
    assert!(imported.unwrap_err().to_string().contains("interrupted"));
    assert!(content(&*store).await.is_empty());
    assert!(store.add_user(user(), BY).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_interrupted_leaves_an_empty_database() {
    an_interrupted_copy_leaves_nothing(Database::sqlite()).await;
    if !cluster::is_left_out() {
        an_interrupted_copy_leaves_nothing(Database::postgres()).await;
    }
}

/// Returns the columns that are copied, as `table.column`.
fn described() -> Vec<String> {
    let columns = TABLES.iter().flat_map(|table| {
        table.columns.iter().map(|column| format!("{}.{}", table.name, column.name))
    });
    let mut columns: Vec<_> = columns.collect();
    columns.sort();
    columns
}

#[tokio::test]
async fn every_column_is_copied() {
    let database = Database::sqlite();
    drop(database.open().await);
    let DatabaseUrl::Sqlite(path) = &database.url else { panic!() };
    let db = rusqlite::Connection::open(path).unwrap();
    let columns = "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
                   WHERE t.type = 'table' AND t.name NOT IN ('database', 'sqlite_sequence')
                   ORDER BY 1";
    let mut columns = db.prepare(columns).unwrap();
    let present: Vec<String> =
        columns.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(described(), present);

    if !cluster::is_left_out() {
        let database = cluster::new_database();
        let url = database.parse().unwrap();
        drop(crate::store::open(&url, super::Missing::Make, |_| Ok(())).await.unwrap());
        // `rotation` has a meaning only in the process that wrote it.
        let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns
                       WHERE table_schema = 'countersign' AND table_name <> 'database'
                       AND (table_name, column_name) <> ('sessions', 'rotation')";
        let mut present = cluster::execute(&database, columns);
        present.sort();
        assert_eq!(described(), present);
    }
}
