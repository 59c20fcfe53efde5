//! The vector format: what a file in `tests/vectors/` holds.

use std::{path::PathBuf, time::Duration};

use countersign_verifier::{Error, KeySet, Policy, Verifier};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One token, and the verdict it gets.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// A sentence that says what happens; unique over all files.
    pub name: String,
    /// The token, as a caller would pass it.
    pub token: String,
    /// The npm package's options. `jwks` is a JWK Set, or absent: then no keys are loaded.
    pub options: Map<String, Value>,
    /// Seconds since 1970-01-01T00:00:00Z, possibly fractional.
    pub now: Value,
    /// `ok`, or the code of the error.
    pub expect: String,
}

impl Vector {
    /// What the Rust verifier says.
    ///
    /// # Errors
    /// Those of the options, of the key set, and of the token.
    ///
    /// # Panics
    /// Where `now` is no number.
    pub fn verify(&self) -> Result<(), Error> {
        let mut options = self.options.clone();
        let jwks = options.remove("jwks");
        let mut verifier = Verifier::new(Policy::from_json(&Value::Object(options).to_string())?);
        if let Some(jwks) = jwks {
            verifier.set_keys(KeySet::from_json(&jwks.to_string())?);
        }
        let now = self.now.as_f64().expect("now is a number");
        verifier.verify(&self.token, Duration::from_secs_f64(now)).map(drop)
    }

    /// Puts `value` under the option `name`.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Takes the option `name` away.
    #[must_use]
    pub fn without_option(mut self, name: &str) -> Self {
        self.options.remove(name);
        self
    }

    /// Verifies with these keys.
    #[must_use]
    pub fn keys(self, keys: &[Value]) -> Self {
        self.option("jwks", serde_json::json!({ "keys": keys }))
    }

    /// Verifies at this time, in seconds since the UNIX epoch.
    #[must_use]
    pub fn at(mut self, now: impl Into<Value>) -> Self {
        self.now = now.into();
        self
    }
}

/// The folder of the vector files.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Every vector file's name and vectors, in the order of the names.
///
/// # Panics
/// Where a file can't be read, or is not an array of vectors.
#[must_use]
pub fn read_all() -> Vec<(String, Vec<Vector>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("tests/vectors is a folder")
        .map(|entry| entry.expect("tests/vectors can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a vector file is UTF-8 text");
            let vectors = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{name} is not an array of vectors: {error}"));
            (name, vectors)
        })
        .collect()
}

/// The text of a vector file.
///
/// Members of options stand in alphabetical order whatever features `serde_json` was built with,
/// so that a build of the whole workspace writes the same bytes as a build of this crate.
///
/// # Panics
/// Never for vectors that this crate made.
#[must_use]
pub fn to_text(vectors: &[Vector]) -> String {
    let vectors: Vec<Vector> = vectors
        .iter()
        .map(|vector| Vector { options: sorted(&vector.options), ..vector.clone() })
        .collect();
    let mut text = serde_json::to_string_pretty(&vectors).expect("a vector is JSON");
    text.push('\n');
    text
}

fn sorted(object: &Map<String, Value>) -> Map<String, Value> {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    members.into_iter().map(|(name, value)| (name.clone(), sorted_value(value))).collect()
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted(object)),
        Value::Array(items) => Value::Array(items.iter().map(sorted_value).collect()),
        _ => value.clone(),
    }
}
