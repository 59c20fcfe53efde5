//! Reads RSA private keys that other programs wrote: PEM (RFC 7468) around PKCS#8 or PKCS#1.

use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// Reads the only private key in `text`. An error continues a sentence that begins with the name
/// of the file.
///
/// aws-lc-rs checks that the numbers of the key belong together: n = p × q, d inverse to e, and so
/// on. It does not check that p and q are prime.
///
/// The PEM parser leaves copies of the key in freed memory. Only `keys import` calls this function,
/// and its process ends soon after.
pub(crate) fn rsa_key_pair(text: &str) -> Result<RsaKeyPair, String> {
    let mut labels = private_key_labels(text);
    let Some(label) = labels.next() else {
        return Err(format!("contains no private key; {EXPECTED}"));
    };
    if labels.next().is_some() {
        return Err("contains more than one private key; put each into its own file".to_owned());
    }
    // PKCS#1 can be encrypted too (RFC 1421 §4.6.1.1).
    if label.starts_with("ENCRYPTED") || text.contains("Proc-Type") {
        return Err("is encrypted; remove its passphrase first: openssl pkey -in … -out …".into());
    }
    let no_rsa = || format!("contains no RSA key; {EXPECTED}");
    if !["PRIVATE KEY", "RSA PRIVATE KEY"].contains(&label) {
        return Err(no_rsa());
    }
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "is damaged: its PEM text cannot be read; copy the key again".to_owned())?;
    let key = Zeroizing::new(key);
    let pair = match &*key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(no_rsa()),
    };
    let pair = pair.map_err(|e| match e.description_() {
        "WrongAlgorithm" => no_rsa(),
        "TooSmall" => "contains a key of less than 2048 bits, which is no longer safe".to_owned(),
        "TooLarge" => TOO_LARGE.to_owned(),
        _ => "is damaged: the numbers of the key do not belong together".to_owned(),
    })?;
    if pair.public_modulus_len() > 4096 / 8 {
        return Err(TOO_LARGE.to_owned());
    }
    if pair.public_key().exponent().big_endian_without_leading_zero() != [1, 0, 1] {
        return Err("contains a key with a rare exponent; expected 65537".to_owned());
    }
    Ok(pair)
}

const EXPECTED: &str = "expected PEM with BEGIN PRIVATE KEY (PKCS#8) or BEGIN RSA PRIVATE KEY \
                        (PKCS#1)";

const TOO_LARGE: &str = "contains a key of more than 4096 bits, which every verifier checks \
                         slowly; expected 2048 to 4096";

/// Returns the labels of the private keys in `text`, also of kinds that the parser skips.
fn private_key_labels(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .filter(|label| label.ends_with("PRIVATE KEY"))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Returns a key as PKCS#8, and the PKCS#1 inside it.
    fn key() -> (Vec<u8>, Vec<u8>) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // PKCS#1 begins after SEQUENCE, version, algorithm and the header of the octet string.
        (pkcs8.as_ref().to_vec(), pkcs8.as_ref()[26..].to_vec())
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let body = STANDARD.encode(der);
        let lines = body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap());
        let lines = lines.collect::<Vec<_>>().join("\n");
        format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
    }

    #[test]
    fn a_key_is_read_from_each_form() {
        let (pkcs8, pkcs1) = key();
        let certificate = pem("CERTIFICATE", b"whatever");
        let plain = pem("PRIVATE KEY", &pkcs8);
        let public = |text: &str| {
            let pair = rsa_key_pair(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
            pair.public_key().as_ref().to_vec()
        };
        let expected = public(&plain);
        for text in [
            pem("RSA PRIVATE KEY", &pkcs1),
            format!("{certificate}{plain}"),
            format!("{plain}{certificate}"),
            format!("Bag Attributes\n  friendlyName: x\n{plain}"),
            plain.replace('\n', "\r\n"),
        ] {
            assert_eq!(public(&text), expected);
        }
    }

    #[test]
    fn an_unusable_key_is_refused_with_the_reason() {
        let (pkcs8, pkcs1) = key();
        let ec = rcgen::KeyPair::generate().unwrap();
        let good = pem("PRIVATE KEY", &pkcs8);
        let old_encryption = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA";
        let old_encryption = format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{old_encryption}\n-----END RSA PRIVATE KEY-----"
        );
        for (text, word) in [
            (String::new(), "contains no private key"),
            ("not PEM at all".to_owned(), "contains no private key"),
            (good.replace("END", "ENDE"), "damaged"),
            (pem("PUBLIC KEY", &pkcs8), "contains no private key"),
            (ec.public_key_pem(), "contains no private key"),
            (pem("CERTIFICATE", &pkcs8), "contains no private key"),
            (format!("{good}{good}"), "more than one"),
            (pem("ENCRYPTED PRIVATE KEY", &pkcs8), "is encrypted"),
            (old_encryption, "is encrypted"),
            (ec.serialize_pem(), "no RSA key"),
            (pem("EC PRIVATE KEY", &pkcs8), "no RSA key"),
            (pem("OPENSSH PRIVATE KEY", &pkcs8), "no RSA key"),
            (pem("RSA PRIVATE KEY", &pkcs8), "damaged"),
            (pem("PRIVATE KEY", &pkcs1), "damaged"),
            (pem("PRIVATE KEY", &pkcs8[..900]), "damaged"),
            (pem("PRIVATE KEY", b""), "damaged"),
            (good.replace("MII", "M!I"), "damaged"),
            (include_str!("../tests/keys/rsa-1024.pem").to_owned(), "less than 2048 bits"),
            (include_str!("../tests/keys/rsa-5120.pem").to_owned(), "more than 4096 bits"),
            (include_str!("../tests/keys/exponent-3.pem").to_owned(), "exponent"),
        ] {
            let refused = rsa_key_pair(&text).err().unwrap_or_else(|| panic!("accepted: {text}"));
            assert!(refused.contains(word), "{refused}: {text}");
        }
    }

    #[test]
    fn a_key_with_one_changed_number_is_refused() {
        let (_, pkcs1) = key();
        for at in (7..pkcs1.len()).step_by(23) {
            let mut damaged = pkcs1.clone();
            damaged[at] ^= 4;
            assert!(rsa_key_pair(&pem("RSA PRIVATE KEY", &damaged)).is_err(), "byte {at}");
        }
    }
}
