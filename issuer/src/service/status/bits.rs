//! The compressed bits of a status list (draft-ietf-oauth-status-list §4).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec_zlib;

/// Packs one bit for each index, least significant bit first. Returns at least `size` bits.
pub(super) fn pack(size: u32, set: &[u32]) -> Vec<u8> {
    // An index beyond the end must not be lost: nobody would see that session end.
    let last = set.iter().max().map_or(0, |index| index / 8 + 1);
    let mut bytes = vec![0; size.div_ceil(8).max(last) as usize];
    for index in set {
        if let Some(byte) = bytes.get_mut((index / 8) as usize) {
            *byte |= 1 << (index % 8);
        }
    }
    bytes
}

/// Returns the member `lst`: zlib at its best compression, in base64url.
pub(super) fn compress(bits: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(bits, 9))
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec_zlib;

    use super::*;

    /// The examples of the draft: §4.1 and appendix C.1.
    const EXAMPLES: [(u32, &[u32], &str); 2] = [
        (16, &[0, 3, 4, 5, 7, 8, 9, 13, 15], "eNrbuRgAAhcBXQ"),
        (
            1 << 20,
            &[
                0, 1993, 25460, 159_495, 495_669, 554_353, 645_645, 723_232, 854_545, 934_534,
                1_000_345,
            ],
            "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAA\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7\
             KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb",
        ),
    ];

    fn decompress(lst: &str) -> Vec<u8> {
        decompress_to_vec_zlib(&URL_SAFE_NO_PAD.decode(lst).unwrap()).unwrap()
    }

    #[test]
    fn the_lists_of_the_draft_are_packed_as_it_has_them() {
        for (size, set, lst) in EXAMPLES {
            let bits = pack(size, set);
            assert_eq!(bits.len(), size as usize / 8);
            assert!(bits == decompress(lst), "{size}");
            // Compression may differ between libraries. The decompressed bits may not.
            assert!(decompress(&compress(&bits)) == bits, "{size}");
        }
        assert_eq!(compress(&[0xb9, 0xa3]), EXAMPLES[0].2);
    }

    #[test]
    fn an_index_beyond_the_list_makes_it_longer() {
        assert_eq!(pack(16, &[]), [0, 0]);
        assert_eq!(pack(16, &[16]), [0, 0, 1]);
        assert_eq!(pack(9, &[8]), [0, 1]);
    }
}
