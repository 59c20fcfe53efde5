//! The signature: its length, its value, and the only encoding that it may contain.

use num_bigint::BigUint;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::Keys;
use crate::object::Object;
use crate::rsa::{RsaKey, SHA256_PREFIX, block, pkcs1};
use crate::token::{base64url, first_signed, pss_signed, rs512, signed, signed_with};
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = lengths(keys);
    vectors.extend(values(keys));
    vectors.extend(encodings(keys));
    vectors.extend(mix_ups(keys));
    vectors.push(example(keys));
    vectors
}

fn with(keys: &Keys, name: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vector {
    let token = signed_with(Object::header().text(), Object::claims().text(), sign);
    keys.vector(name, token, "signature_invalid")
}

fn lengths(keys: &Keys) -> Vec<Vector> {
    let main = &keys.main;
    let zero_first = || {
        let token = first_signed(&Object::header(), |message| {
            Some(main.sign(message)).filter(|signature| signature[0] == 0)
        });
        let (input, signature) = token.rsplit_once('.').expect("a token has dots");
        (token.clone(), input.to_owned(), signature.to_owned())
    };
    let (good, input, _) = zero_first();
    let stripped = format!("{input}.{}", base64url(&main.sign(input.as_bytes())[1..]));
    vec![
        keys.vector("a signature that begins with a zero octet is accepted", good, "ok"),
        keys.vector(
            "a signature without its leading zero octet is invalid",
            stripped,
            "signature_invalid",
        ),
        with(keys, "a signature after a zero octet is invalid", |message| {
            [&[0][..], &main.sign(message)].concat()
        }),
        with(keys, "a signature after eight zero octets is invalid", |message| {
            [&[0; 8][..], &main.sign(message)].concat()
        }),
        with(keys, "a signature before a zero octet is invalid", |message| {
            [&main.sign(message)[..], &[0]].concat()
        }),
        with(keys, "a signature without its last octet is invalid", |message| {
            main.sign(message)[..255].to_vec()
        }),
        with(keys, "a signature written twice is invalid", |message| main.sign(message).repeat(2)),
        with(keys, "a signature of one octet is invalid", |_| vec![1]),
        with(keys, "a signature with its octets in reverse order is invalid", |message| {
            main.sign(message).into_iter().rev().collect()
        }),
        with(keys, "a signature in hexadecimal is invalid", |message| {
            let text: String =
                main.sign(message).iter().map(|octet| format!("{octet:02x}")).collect();
            text.into_bytes()
        }),
        with(keys, "a signature that is encoded twice is invalid", |message| {
            base64url(main.sign(message)).into_bytes()
        }),
        keys.vector(
            "a signature of 3072 bits under a key of 2048 is invalid",
            signed(
                &RsaKey::generate("3072", 3072, 65537),
                Object::header().text(),
                Object::claims().text(),
            ),
            "signature_invalid",
        ),
    ]
}

fn values(keys: &Keys) -> Vec<Vector> {
    let main = &keys.main;
    let value = |name: &str, number: &dyn Fn(BigUint) -> BigUint| {
        with(keys, name, |message| {
            main.octets(&number(BigUint::from_bytes_be(&main.sign(message))))
        })
    };
    let one = BigUint::from(1u8);
    let beyond = first_signed(&Object::header(), |message| {
        let sum = &main.n + BigUint::from_bytes_be(&main.sign(message));
        (sum.bits() == 2048).then(|| main.octets(&sum))
    });
    vec![
        value("a signature of value 0 is invalid", &|_| BigUint::default()),
        value("a signature of value 1 is invalid", &|_| one.clone()),
        value("a signature of value 2 is invalid", &|_| BigUint::from(2u8)),
        value("a signature of value n - 1 is invalid", &|_| &main.n - &one),
        value("a signature of value n is invalid", &|_| main.n.clone()),
        value("a signature of value n + 1 is invalid", &|_| &main.n + &one),
        value("a signature of all one-bits is invalid", &|_| (&one << 2048) - &one),
        value("a signature minus one is invalid", &|s| s - &one),
        value("a signature plus one is invalid", &|s| s + &one),
        value("n minus a signature is invalid", &|s| &main.n - s),
        value("a signature with its top bit flipped is invalid", &|s| s ^ (&one << 2047)),
        keys.vector("a signature plus n is invalid", beyond, "signature_invalid"),
        with(keys, "the encoded block itself as a signature is invalid", |message| {
            pkcs1(main.size(), &Sha256::digest(message))
        }),
        with(keys, "the hash as a signature is invalid", |message| {
            Sha256::digest(message).to_vec()
        }),
        with(keys, "the modulus as a signature is invalid", |_| main.n.to_bytes_be()),
    ]
}

/// Blocks with a good signature, but not encoded as in RFC 8017 §9.2.
fn encodings(keys: &Keys) -> Vec<Vector> {
    let main = &keys.main;
    let size = main.size();
    let prefix = |octets: &[u8]| octets.to_vec();
    let encoded = |name: &str, encode: &dyn Fn(&[u8]) -> Vec<u8>| {
        with(keys, &format!("{name} is invalid"), |message| {
            main.sign_block(&encode(&Sha256::digest(message)))
        })
    };
    let oid = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    let digest_info = |parts: &[&[u8]]| block(size, &parts.concat());
    let patched = |hash: &[u8], at: usize, octet: u8| {
        let mut block = pkcs1(size, hash);
        block[at] = octet;
        block
    };
    vec![
        encoded("a block without the NULL of the algorithm", &|hash| {
            digest_info(&[&[0x30, 0x2f, 0x30, 0x0b], &oid, &[0x04, 0x20], hash])
        }),
        encoded("a block with an empty octet string as the parameters", &|hash| {
            digest_info(&[&[0x30, 0x31, 0x30, 0x0d], &oid, &[0x04, 0x00, 0x04, 0x20], hash])
        }),
        encoded("a block with garbage in the NULL", &|hash| {
            let inner = [0x05, 0x02, 0xde, 0xad, 0x04, 0x20];
            digest_info(&[&[0x30, 0x33, 0x30, 0x0f], &oid, &inner, hash])
        }),
        encoded("a block with a BER length for the outer sequence", &|hash| {
            digest_info(&[&[0x30, 0x81, 0x31, 0x30, 0x0d], &oid, &[0x05, 0x00, 0x04, 0x20], hash])
        }),
        encoded("a block with a BER length for the inner sequence", &|hash| {
            digest_info(&[&[0x30, 0x32, 0x30, 0x81, 0x0d], &oid, &[0x05, 0x00, 0x04, 0x20], hash])
        }),
        encoded("a block with a BER length for the hash", &|hash| {
            digest_info(&[&[0x30, 0x32, 0x30, 0x0d], &oid, &[0x05, 0x00, 0x04, 0x81, 0x20], hash])
        }),
        encoded("a block with a BER length for the NULL", &|hash| {
            digest_info(&[&[0x30, 0x32, 0x30, 0x0e], &oid, &[0x05, 0x81, 0x00, 0x04, 0x20], hash])
        }),
        encoded("a block with an indefinite length", &|hash| {
            let inner = [0x05, 0x00, 0x04, 0x20];
            digest_info(&[&[0x30, 0x80, 0x30, 0x0d], &oid, &inner, hash, &[0x00, 0x00]])
        }),
        encoded("a block with the object identifier of SHA-1", &|hash| {
            let sha1 = [0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x20];
            digest_info(&[&[0x30, 0x2d, 0x30, 0x09], &sha1, hash])
        }),
        encoded("a block with the object identifier of SHA-512", &|hash| {
            let mut prefix = SHA256_PREFIX;
            prefix[14] = 0x03;
            digest_info(&[&prefix, hash])
        }),
        encoded("a block with the object identifier of SHA-224", &|hash| {
            let mut prefix = SHA256_PREFIX;
            prefix[14] = 0x04;
            digest_info(&[&prefix, hash])
        }),
        encoded("a block with the bare hash", &|hash| block(size, hash)),
        encoded("a block with the object identifier alone and no sequence", &|hash| {
            digest_info(&[&oid, &[0x04, 0x20], hash])
        }),
        encoded("a block with a short hash", &|hash| {
            digest_info(&[&[0x30, 0x30, 0x30, 0x0d], &oid, &[0x05, 0, 0x04, 0x1f], &hash[..31]])
        }),
        encoded("a block with the hash of the empty message", &|_| {
            pkcs1(size, &Sha256::digest([]))
        }),
        encoded("a block with the octets of the hash in reverse order", &|hash| {
            pkcs1(size, &hash.iter().rev().copied().collect::<Vec<_>>())
        }),
        encoded("a block with garbage after the hash, inside the sequence", &|hash| {
            let mut prefix = SHA256_PREFIX;
            prefix[1] += 2;
            digest_info(&[&prefix, hash, &[0x05, 0x00]])
        }),
        encoded("a block with one octet of garbage after the hash", &|hash| {
            digest_info(&[&SHA256_PREFIX, hash, &[0]])
        }),
        encoded("a block with eight octets of padding and garbage after the hash", &|hash| {
            let start = [&[0, 1][..], &[0xff; 8], &[0], &SHA256_PREFIX, hash].concat();
            [&start[..], &vec![0x5a; size - start.len()]].concat()
        }),
        encoded("a block with eight octets of padding at the end of the block", &|hash| {
            let end = [&[0, 1][..], &[0xff; 8], &[0], &SHA256_PREFIX, hash].concat();
            [&vec![0; size - end.len()][..], &end].concat()
        }),
        encoded("a block without padding", &|hash| {
            let end = [&[0, 1, 0][..], &SHA256_PREFIX, hash].concat();
            [&end[..], &vec![0; size - end.len()]].concat()
        }),
        encoded("a block without the zero before the content", &|hash| {
            let padding = size - 2 - SHA256_PREFIX.len() - hash.len();
            [&[0, 1][..], &vec![0xff; padding], &SHA256_PREFIX, hash].concat()
        }),
        encoded("a block of type 0", &|hash| patched(hash, 1, 0)),
        encoded("a block of type 2", &|hash| patched(hash, 1, 2)),
        encoded("a block with 1 as its first octet", &|hash| patched(hash, 0, 1)),
        encoded("a block with FE at the start of its padding", &|hash| patched(hash, 2, 0xfe)),
        encoded("a block with a zero inside its padding", &|hash| patched(hash, 100, 0)),
        encoded("a block with FE at the end of its padding", &|hash| {
            patched(hash, size - 53, 0xfe)
        }),
        encoded("a block with a 1 between padding and content", &|hash| {
            patched(hash, size - 52, 1)
        }),
        encoded("a block with its last bit flipped", &|hash| patched(hash, size - 1, hash[31] ^ 1)),
        encoded("a block of zeros", &|_| vec![0; size]),
        encoded("a block without content", &|_| block(size, &prefix(&[]))),
    ]
}

/// Good signatures of another text, or by another key.
fn mix_ups(keys: &Keys) -> Vec<Vector> {
    let main = &keys.main;
    let good = signed(main, Object::header().text(), Object::claims().text());
    let (_, signature) = good.rsplit_once('.').expect("a token has dots");
    let borrowed = |header: Object, claims: Object| {
        format!("{}.{}.{signature}", base64url(header.text()), base64url(claims.text()))
    };
    let header = Object::header;
    let claims = Object::claims;
    let hashed = |name: &str, hash: &dyn Fn(&[u8]) -> Vec<u8>| {
        with(keys, name, |message| main.sign_block(&pkcs1(main.size(), &hash(message)[..32])))
    };
    vec![
        keys.vector(
            "the signature of another payload is invalid",
            borrowed(header(), claims().set("sub", r#""admin""#)),
            "signature_invalid",
        ),
        keys.vector(
            "the signature of the same payload with white space is invalid",
            borrowed(header(), claims().set("jti", r#" "1""#)),
            "signature_invalid",
        ),
        keys.vector(
            "the signature of the same header in another order is invalid",
            borrowed(header().without("kid").add_first("kid", r#""main""#), claims()),
            "signature_invalid",
        ),
        keys.vector(
            "the signature of another key is invalid",
            signed(&keys.second, header().text(), claims().text()),
            "signature_invalid",
        ),
        keys.vector(
            "the signature of a key with e = 3 under e = 65537 is invalid",
            signed(&keys.e3, header().text(), claims().text()),
            "signature_invalid",
        ),
        keys.vector(
            "a PS256 signature under RS256 is invalid",
            pss_signed(main, &header()),
            "signature_invalid",
        ),
        with(keys, "an RS512 signature under RS256 is invalid", |message| rs512(main, message)),
        hashed("a truncated SHA-384 hash under RS256 is invalid", &|message| {
            Sha384::digest(message).to_vec()
        }),
        hashed("a truncated SHA-512 hash under RS256 is invalid", &|message| {
            Sha512::digest(message).to_vec()
        }),
        hashed("a doubled SHA-256 hash under RS256 is invalid", &|message| {
            Sha256::digest(Sha256::digest(message)).to_vec()
        }),
        with(keys, "the signature of the payload alone is invalid", |_| {
            main.sign(base64url(claims().text()).as_bytes())
        }),
        with(keys, "the signature of the decoded texts is invalid", |_| {
            main.sign(format!("{}.{}", header().text(), claims().text()).as_bytes())
        }),
        with(keys, "the signature of the signing input and a dot is invalid", |message| {
            main.sign(&[message, b"."].concat())
        }),
    ]
}

/// RFC 7515 §A.2. It has no `aud`, so its claims are refused, after its signature is accepted.
fn example(keys: &Keys) -> Vector {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0\
             Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXnd\
             S5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5Ihl\
             JH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                 cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3X\
                 OiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB-\
                 -f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j\
                 zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhW\
                 kWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let name = "the example of RFC 7515 A.2 has a good signature and lacks an audience";
    keys.vector(name, token.into(), "claim_missing")
        .option("type", Value::Null)
        .option("issuer", "joe")
        .keys(&[json!({ "kty": "RSA", "n": n, "e": "AQAB" })])
        .at(1_300_819_300)
}
