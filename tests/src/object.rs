//! JSON objects as text, so that a vector can contain text that no JSON library writes.

/// A JSON object: names in order, values as raw JSON text.
#[derive(Clone, Debug)]
pub struct Object(Vec<(String, String)>);

impl Object {
    /// Returns the header of the issuer's access tokens (RFC 9068 §2.1), with the key id `main`.
    #[must_use]
    pub fn header() -> Self {
        Self::default().set("alg", r#""RS256""#).set("typ", r#""at+jwt""#).set("kid", r#""main""#)
    }

    /// Returns claims of an access token (RFC 9068 §2.2) that the default options accept at
    /// [`crate::token::NOW`].
    #[must_use]
    pub fn claims() -> Self {
        Self::default()
            .set("iss", r#""https://auth.example""#)
            .set("sub", r#""user-1""#)
            .set("aud", r#""api""#)
            .set("client_id", r#""web""#)
            .set("scope", r#""read write""#)
            .set("iat", "1700000000")
            .set("exp", "1700000900")
            .set("jti", r#""1""#)
    }

    /// Sets the member `name` to the JSON text `raw`. A new member is added at the end.
    #[must_use]
    pub fn set(mut self, name: &str, raw: &str) -> Self {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = raw.into(),
            None => self.0.push((name.into(), raw.into())),
        }
        self
    }

    /// Adds a member at the end, even if one of that name exists.
    #[must_use]
    pub fn add(mut self, name: &str, raw: &str) -> Self {
        self.0.push((name.into(), raw.into()));
        self
    }

    /// Adds a member at the start, even if one of that name exists.
    #[must_use]
    pub fn add_first(mut self, name: &str, raw: &str) -> Self {
        self.0.insert(0, (name.into(), raw.into()));
        self
    }

    /// Removes the member `name`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// Returns the JSON text. Names are written between quotes as they are, with their escapes.
    #[must_use]
    pub fn text(&self) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

impl Default for Object {
    /// Returns `{}`.
    fn default() -> Self {
        Self(Vec::new())
    }
}
