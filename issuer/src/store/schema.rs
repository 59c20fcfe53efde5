//! Schema versions. A binary works on its own schema, on older ones, which it migrates, and on newer
//! ones whose migrations only added things. The previous release can therefore be put back.

/// The versions that a database states about its schema.
pub(super) struct Schema {
    /// The number of migrations that have run.
    pub(super) version: usize,
    /// The oldest version whose binaries can use the schema.
    pub(super) compatible: usize,
}

impl Schema {
    /// An empty database.
    pub(super) const EMPTY: Self = Self { version: 0, compatible: 0 };

    /// Returns the migrations that the database lacks: none if its schema is newer than ours.
    /// `shown` names the database in the error.
    ///
    /// # Errors
    ///
    /// A message for the operator if the schema is newer and this version cannot use it.
    pub(super) fn missing<'a>(
        &self,
        migrations: &'a [&'static str],
        shown: &str,
    ) -> Result<&'a [&'static str], String> {
        let known = migrations.len();
        match migrations.get(self.version..) {
            Some(missing) => Ok(missing),
            None if self.compatible <= known => Ok(&[]),
            None => Err(format!(
                "the database {shown} is from a newer version: it has schema {}, and this version \
                 knows schemas up to {known}; use a newer countersign-issuer",
                self.version
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_used_if_it_is_compatible() {
        let cases = [
            (Schema::EMPTY, Some(2)),
            (Schema { version: 1, compatible: 1 }, Some(1)),
            (Schema { version: 2, compatible: 1 }, Some(0)),
            (Schema { version: 2, compatible: 2 }, Some(0)),
            (Schema { version: 3, compatible: 2 }, Some(0)),
            (Schema { version: 9, compatible: 1 }, Some(0)),
            (Schema { version: 3, compatible: 3 }, None),
            (Schema { version: usize::MAX, compatible: usize::MAX }, None),
        ];
        for (schema, expected) in cases {
            let Schema { version, compatible } = schema;
            let missing = schema.missing(&["one", "two"], "x").ok().map(<[_]>::len);
            assert_eq!(missing, expected, "{version}, {compatible}");
        }
    }
}
