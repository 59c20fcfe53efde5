//! The master key, the secrets that are encrypted under it, and the keys that are derived from them.
//!
//! The database holds private keys and the deployment secret only in sealed form: AES-256-GCM under
//! a key that HKDF derives from the master key. The master key itself never is in the database.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::config::{DatabaseUrl, master_key_beside};
use crate::crypto::{broken, random, random_id};
use crate::{Config, Error, files};

/// The 32 bytes that private keys and the deployment secret are encrypted under.
#[derive(Clone)]
pub(crate) struct MasterKey(Zeroizing<[u8; 32]>);

/// The source of the master key. It is known before anything is written to the disk.
pub(crate) enum MasterKeySource {
    /// The configuration or an existing file contains the key.
    Given(MasterKey),
    /// The key is created in this file, together with the database beside it.
    Made(PathBuf),
}

impl MasterKeySource {
    /// Reads the configured key, or the file that an earlier start created beside the database.
    /// With `may_make`, a missing file beside an SQLite database is no error: it is created later.
    pub(crate) fn find(
        config: &Config,
        database: &DatabaseUrl,
        may_make: bool,
    ) -> Result<Self, Error> {
        if let Some(key) = &config.master_key {
            return MasterKey::decode(key.expose(), "master_key").map(Self::Given);
        }
        if let Some(path) = &config.master_key_file {
            return read_key(path).map(Self::Given);
        }
        let DatabaseUrl::Sqlite(database) = database else {
            return Err(Error::MasterKey(
                "no master key, and beside a PostgreSQL database no file is made for one; set \
                 master_key or master_key_file (make a key with: openssl rand -base64 32)"
                    .to_owned(),
            ));
        };
        let beside = master_key_beside(database);
        if beside.exists() {
            return read_key(&beside).map(Self::Given);
        }
        if !may_make {
            return Err(Error::MasterKey(
                "no master key; set master_key or master_key_file (make a key with: openssl rand \
                 -base64 32)"
                    .to_owned(),
            ));
        }
        Ok(Self::Made(beside))
    }

    /// Returns the key, and creates its file if needed. `has_keys` means that the database already
    /// contains keys, which a new master key could not open.
    pub(crate) fn resolve(&self, has_keys: bool) -> Result<MasterKey, Error> {
        match self {
            Self::Given(key) => Ok(key.clone()),
            Self::Made(path) => {
                self.existing(has_keys)?;
                make_key(path)
            }
        }
    }

    /// Returns the key, or `None` if [`Self::resolve`] would create it.
    pub(crate) fn existing(&self, has_keys: bool) -> Result<Option<&MasterKey>, Error> {
        match self {
            Self::Given(key) => Ok(Some(key)),
            Self::Made(path) if has_keys && !path.exists() => Err(Error::MasterKey(format!(
                "the database contains keys, but the master key file {} is missing; restore it, or \
                 set master_key",
                path.display()
            ))),
            Self::Made(_) => Ok(None),
        }
    }
}

fn read_key(path: &Path) -> Result<MasterKey, Error> {
    let shown = path.display();
    let text = files::read_text(path).map_err(|e| {
        let advice = match e.kind() {
            ErrorKind::NotFound => "restore it, or make a new key with: openssl rand -base64 32",
            ErrorKind::PermissionDenied => "let the issuer's user read it: chgrp and chmod 0640",
            _ => "name the file with the key in master_key_file",
        };
        Error::MasterKey(format!("cannot read the master key file {shown}: {e}; {advice}"))
    })?;
    MasterKey::decode(text.trim_ascii(), &format!("master key file {shown}"))
}

/// Creates the key file with mode 0600. It is complete and on the disk before its name is visible,
/// because keys are sealed under it a moment later.
fn make_key(path: &Path) -> Result<MasterKey, Error> {
    let key = MasterKey(Zeroizing::new(random()?));
    let draft_id = random_id()?;
    let write = || -> std::io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let mut draft = path.as_os_str().to_owned();
        // A process id would not do: in a container it is the same after each start, and the draft
        // of a killed process would block every later one.
        draft.push(format!(".{draft_id}"));
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{}", *Zeroizing::new(STANDARD.encode(*key.0)))?;
        file.sync_all()?;
        // Unlike a rename, a hard link fails if another process has just created its key.
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        linked?;
        std::fs::File::open(folder)?.sync_all()
    };
    match write() {
        Ok(()) => Ok(key),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => read_key(path),
        Err(e) => Err(Error::MasterKey(format!(
            "cannot write the master key file {}: {e}; make its folder writable, or set master_key",
            path.display()
        ))),
    }
}

impl MasterKey {
    /// Reads the key from a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        read_key(path)
    }

    fn decode(text: &str, place: &str) -> Result<Self, Error> {
        let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
        let bytes = engines.iter().find_map(|engine| engine.decode(text).ok().map(Zeroizing::new));
        let bytes = bytes.as_deref().and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        bytes.map(|bytes| Self(Zeroizing::new(bytes))).ok_or_else(|| {
            Error::MasterKey(format!(
                "{place} is not 32 bytes in base64; make one with: openssl rand -base64 32"
            ))
        })
    }

    #[cfg(test)]
    pub(crate) fn of(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the cipher for private keys at rest.
    pub(crate) fn sealer(&self) -> Result<Sealer, Error> {
        let key = self.derive(b"countersign private keys v1")?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map(Sealer).map_err(|_| broken())
    }

    fn derive(&self, purpose: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
        derive(&self.0, purpose)
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_ref(), other.0.as_ref()).is_ok()
    }
}

/// The 32 bytes that all HMAC keys of this deployment are derived from, such as those of refresh
/// tokens and cookies. The database holds them sealed, so that they survive a change of master key.
pub(crate) struct DeploymentSecret(Zeroizing<[u8; 32]>);

impl DeploymentSecret {
    /// Its name in the database and its sealing context. No `kid` is equal to it.
    pub(crate) const NAME: &str = "deployment";

    /// Returns the secret of a new database.
    pub(crate) fn random() -> Result<Self, Error> {
        random().map(Zeroizing::new).map(Self)
    }

    pub(crate) fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, Error> {
        sealer.seal(self.0.as_ref(), Self::NAME)
    }

    /// Opens a sealed secret. Returns `None` if it was sealed under another master key.
    pub(crate) fn open(sealed: &[u8], sealer: &Sealer) -> Option<Self> {
        let plain = sealer.open(sealed, Self::NAME)?;
        <[u8; 32]>::try_from(plain.as_slice()).ok().map(Zeroizing::new).map(Self)
    }

    /// Returns the key that authenticates refresh tokens.
    pub(crate) fn refresh_key(&self) -> Result<hmac::Key, Error> {
        self.derive("countersign refresh tokens v1")
    }

    /// Derives the key for one purpose. It reveals nothing about the keys for other purposes.
    pub(crate) fn derive(&self, purpose: &str) -> Result<hmac::Key, Error> {
        let key = derive(&self.0, purpose.as_bytes())?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }
}

/// The key that TOTP secrets are encrypted under. The database holds it sealed under the master key, so
/// that a change of the master key seals one secret anew, and no issuer has to stop for it.
pub(crate) struct FactorKey(Zeroizing<[u8; 32]>);

impl FactorKey {
    /// Its name in the database and its sealing context. No `kid` is equal to it.
    pub(crate) const NAME: &str = "second factors";

    /// Returns the key of a new database.
    pub(crate) fn random() -> Result<Self, Error> {
        random().map(Zeroizing::new).map(Self)
    }

    pub(crate) fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, Error> {
        sealer.seal(self.0.as_ref(), Self::NAME)
    }

    /// Opens a sealed key. Returns `None` if it was sealed under another master key.
    pub(crate) fn open(sealed: &[u8], sealer: &Sealer) -> Option<Self> {
        let plain = sealer.open(sealed, Self::NAME)?;
        <[u8; 32]>::try_from(plain.as_slice()).ok().map(Zeroizing::new).map(Self)
    }

    /// Returns the cipher for TOTP secrets.
    pub(crate) fn sealer(&self) -> Result<Sealer, Error> {
        let key = derive(&self.0, b"countersign TOTP secrets v1")?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map(Sealer).map_err(|_| broken())
    }
}

/// Derives a key by HKDF-SHA256 without a salt (RFC 5869). The purpose is the `info`.
fn derive(secret: &[u8; 32], purpose: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut out = Zeroizing::new([0; 32]);
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    let info = [purpose];
    let okm = secret.expand(&info, hkdf::HKDF_SHA256).map_err(|_| broken())?;
    okm.fill(out.as_mut()).map_err(|_| broken())?;
    Ok(out)
}

/// Encrypts secrets with AES-256-GCM. The context of a secret, such as its `kid`, is associated data:
/// no sealed secret can take the place of another.
pub(crate) struct Sealer(RandomizedNonceKey);

impl Sealer {
    /// Returns nonce, ciphertext and tag of `plain`, bound to `context`.
    pub(crate) fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Error> {
        let mut body = plain.to_vec();
        let aad = Aad::from(context.as_bytes());
        let nonce = self.0.seal_in_place_append_tag(aad, &mut body).map_err(|_| broken())?;
        Ok([nonce.as_ref().as_slice(), &body].concat())
    }

    /// Decrypts a secret. Returns `None` if it was sealed under another key or context.
    pub(crate) fn open(&self, sealed: &[u8], context: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = Zeroizing::new(body.to_vec());
        let aad = Aad::from(context.as_bytes());
        let length = self.0.open_in_place(nonce, aad, &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_under_its_own_master_key_and_context() {
        let sealer = MasterKey(Zeroizing::new([1; 32])).sealer().unwrap();
        let sealed = sealer.seal(b"plain", "kid").unwrap();
        assert_eq!(sealer.open(&sealed, "kid").unwrap().as_slice(), b"plain");
        assert!(sealer.open(&sealed, "other").is_none());
        assert!(sealer.open(&sealed[..20], "kid").is_none());
        assert!(sealer.open(&[], "kid").is_none());
        let other = MasterKey(Zeroizing::new([2; 32])).sealer().unwrap();
        assert!(other.open(&sealed, "kid").is_none());
    }

    #[test]
    fn a_stored_secret_yields_the_same_keys_and_each_purpose_has_its_own() {
        let sealer = MasterKey(Zeroizing::new([7; 32])).sealer().unwrap();
        let secret = DeploymentSecret::random().unwrap();
        let stored = secret.seal(&sealer).unwrap();
        let opened = DeploymentSecret::open(&stored, &sealer).unwrap();
        let tag = hmac::sign(&secret.refresh_key().unwrap(), b"token");
        hmac::verify(&opened.refresh_key().unwrap(), b"token", tag.as_ref()).unwrap();
        for purpose in ["device cookies", "another"] {
            let key = secret.derive(purpose).unwrap();
            assert!(hmac::verify(&key, b"token", tag.as_ref()).is_err());
            let same = hmac::sign(&opened.derive(purpose).unwrap(), b"x");
            hmac::verify(&key, b"x", same.as_ref()).unwrap();
            let other = hmac::sign(&secret.derive("something else").unwrap(), b"x");
            assert!(hmac::verify(&key, b"x", other.as_ref()).is_err());
        }
    }

    #[test]
    fn the_draft_of_a_killed_process_does_not_block_a_new_key() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("master-key");
        let left = folder.path().join(format!("master-key.{}", std::process::id()));
        std::fs::write(left, "half a ke").unwrap();
        let made = make_key(&path).unwrap();
        assert_eq!(read_key(&path).unwrap().0, made.0);
        // A second process uses the key of the first one.
        assert_eq!(make_key(&path).unwrap().0, made.0);
    }

    #[test]
    fn a_master_key_is_32_bytes_in_any_base64() {
        for text in [STANDARD.encode([255; 32]), URL_SAFE_NO_PAD.encode([255; 32])] {
            assert!(MasterKey::decode(&text, "here").is_ok());
        }
        for text in [STANDARD.encode([255; 31]), "secret".to_owned(), String::new()] {
            let error = MasterKey::decode(&text, "here").err().unwrap().to_string();
            assert!(error.starts_with("here is not 32 bytes"), "{error}");
            assert!(text.is_empty() || !error.contains(&text));
        }
    }
}
