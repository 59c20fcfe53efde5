//! RSA private keys as other programs write them: PEM (RFC 7468) around PKCS#8 or PKCS#1.

use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The one key in `text` that tokens may be signed with. Otherwise what is wrong with it, to be
/// read after the file's name.
///
/// aws-lc-rs looks whether the numbers belong together: n = p × q, d inverse to e, and so on. It
/// does not look whether p and q are primes.
pub(crate) fn rsa_key_pair(text: &str) -> Result<RsaKeyPair, String> {
    let mut blocks = text.match_indices(BEGIN).filter_map(|(at, _)| Block::at(text, at));
    let Some(block) = blocks.find(|block| block.label.ends_with("PRIVATE KEY")) else {
        return Err(format!("holds no private key; {EXPECTED}"));
    };
    if blocks.any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err("holds more than one private key; give each a file of its own".to_owned());
    }
    // Also PKCS#1 can be encrypted (RFC 1421 §4.6.1.1).
    if block.label.starts_with("ENCRYPTED") || block.body.contains("Proc-Type") {
        return Err("is encrypted; take its passphrase off first: openssl pkey -in … -out …".into());
    }
    let broken = || "is damaged: the key's numbers do not belong together".to_owned();
    let pair = match block.label {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&block.der().ok_or_else(broken)?),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&block.der().ok_or_else(broken)?),
        _ => return Err(format!("holds no RSA key; {EXPECTED}")),
    };
    let pair = pair.map_err(|e| match e.description_() {
        "WrongAlgorithm" => format!("holds no RSA key; {EXPECTED}"),
        "TooSmall" => "holds a key of less than 2048 bits, which is not safe any more".to_owned(),
        "TooLarge" => TOO_LARGE.to_owned(),
        _ => broken(),
    })?;
    if pair.public_modulus_len() > 4096 / 8 {
        return Err(TOO_LARGE.to_owned());
    }
    if pair.public_key().exponent().big_endian_without_leading_zero() != [1, 0, 1] {
        return Err("holds a key with another exponent than 65537, which few make".to_owned());
    }
    Ok(pair)
}

const EXPECTED: &str = "expected PEM with BEGIN PRIVATE KEY (PKCS#8) or BEGIN RSA PRIVATE KEY \
                        (PKCS#1)";

const TOO_LARGE: &str = "holds a key of more than 4096 bits, which is slow for every verifier";

const BEGIN: &str = "-----BEGIN ";

struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

impl<'a> Block<'a> {
    fn at(text: &'a str, at: usize) -> Option<Self> {
        let (label, rest) = text.get(at + BEGIN.len()..)?.split_once("-----")?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        Some(Self { label, body })
    }

    fn der(&self) -> Option<Zeroizing<Vec<u8>>> {
        // At its final size at once: a vector that grows leaves copies behind.
        let mut base64 = Zeroizing::new(Vec::with_capacity(self.body.len()));
        base64.extend(self.body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        STANDARD.decode(&*base64).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;

    use super::*;

    /// A key as PKCS#8 and as the PKCS#1 in it.
    fn key() -> (Vec<u8>, Vec<u8>) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // After SEQUENCE, version, algorithm and the header of the octet string.
        (pkcs8.as_ref().to_vec(), pkcs8.as_ref()[26..].to_vec())
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let body = STANDARD.encode(der);
        let lines = body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap());
        let lines = lines.collect::<Vec<_>>().join("\n");
        format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
    }

    #[test]
    fn one_key_is_the_same_in_each_form() {
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
    fn what_is_no_key_for_tokens_is_refused_with_the_reason() {
        let (pkcs8, pkcs1) = key();
        let ec = rcgen::KeyPair::generate().unwrap();
        let good = pem("PRIVATE KEY", &pkcs8);
        let old_encryption = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA";
        let old_encryption = format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{old_encryption}\n-----END RSA PRIVATE KEY-----"
        );
        for (text, word) in [
            (String::new(), "holds no private key"),
            ("not PEM at all".to_owned(), "holds no private key"),
            (good.replace("END", "ENDE"), "holds no private key"),
            (pem("PUBLIC KEY", &pkcs8), "holds no private key"),
            (ec.public_key_pem(), "holds no private key"),
            (pem("CERTIFICATE", &pkcs8), "holds no private key"),
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
    fn a_key_with_any_of_its_numbers_changed_is_refused() {
        let (_, pkcs1) = key();
        for at in (7..pkcs1.len()).step_by(23) {
            let mut damaged = pkcs1.clone();
            damaged[at] ^= 4;
            assert!(rsa_key_pair(&pem("RSA PRIVATE KEY", &damaged)).is_err(), "byte {at}");
        }
    }
}
