//! The format of the files in `tests/vectors/`.

use std::{path::PathBuf, time::Duration};

use countersign_verifier::{Error, KeySet, Policy, Verifier};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A token with the expected verdict.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// A sentence that states the fact; unique in all files.
    pub name: String,
    /// The token as a caller passes it.
    pub token: String,
    /// The options of the npm package. `jwks` is a JWK Set. Without it, no keys are loaded.
    pub options: Map<String, Value>,
    /// Seconds since 1970-01-01T00:00:00Z, possibly fractional.
    pub now: Value,
    /// `ok`, or the error code.
    pub expect: String,
}

impl Vector {
    /// Runs the Rust verifier.
    ///
    /// # Errors
    /// The errors of the options, of the key set, and of the token.
    ///
    /// # Panics
    /// If `now` is not a number.
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

    /// Sets the option `name` to `value`.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Removes the option `name`.
    #[must_use]
    pub fn without_option(mut self, name: &str) -> Self {
        self.options.remove(name);
        self
    }

    /// Sets the keys to verify with.
    #[must_use]
    pub fn keys(self, keys: &[Value]) -> Self {
        self.option("jwks", serde_json::json!({ "keys": keys }))
    }

    /// Sets the time, in seconds since the UNIX epoch.
    #[must_use]
    pub fn at(mut self, now: impl Into<Value>) -> Self {
        self.now = now.into();
        self
    }
}

/// Returns the folder of the vector files.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Reads the name and the vectors of every file, in the order of the names.
///
/// # Panics
/// If a file cannot be read, or is not an array of vectors.
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

/// Returns the text of a vector file.
///
/// The members of options are sorted here, because their order depends on the features of
/// `serde_json`. So a build of the whole workspace writes the same bytes as a build of this crate.
///
/// # Panics
/// Never for vectors made by this crate.
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

/// Returns the text of a value, with sorted members.
pub(crate) fn sorted_text(value: &Value) -> String {
    format!("{:#}\n", sorted_value(value))
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted(object)),
        Value::Array(items) => Value::Array(items.iter().map(sorted_value).collect()),
        _ => value.clone(),
    }
}
