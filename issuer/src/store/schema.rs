//! Which schemas a binary works on: its own, older ones, which it migrates, and newer ones whose
//! migrations only added what it need not know. So the release before can be put back.

/// What a database says of its schema.
pub(super) struct Schema {
    /// How many migrations it has had.
    pub(super) version: usize,
    /// The oldest version whose binaries work on it.
    pub(super) compatible: usize,
}

impl Schema {
    /// A database that has had no migration.
    pub(super) const EMPTY: Self = Self { version: 0, compatible: 0 };

    /// The migrations that the database lacks; none if it is a newer version's.
    ///
    /// # Errors
    ///
    /// Says so where this binary does not work on it.
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
                "the database {shown} is from a newer version (schema {}, this one knows {known}); \
                 use a newer countersign-issuer",
                self.version
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_used_as_long_as_it_says_that_this_version_may() {
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
