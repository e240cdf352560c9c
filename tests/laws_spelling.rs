//! Laws of spelling: every credential has one, and no text at all breaks a parser.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod lawful;

use base64ct::Encoding as _;
use claviger::{
    codec::time::Timestamp,
    credential::{DeployKey, HistorySecret, Kind as _, WidgetKey},
    value::id::{ConversationId, CredentialId, Environment, Stage},
};
use lawful::*;
use proptest::prelude::*;

#[test]
fn b11_there_is_one_spelling_only() {
    let (mut spare, mut signs) = (0, 0);
    for_every_kind(|text, _| {
        let (prefix, bytes) = open(text);
        let body = &text[prefix.len()..];
        for padding in ["=", "==", "===", ".", "\n", "\r\n", " ", "\t", "\0", "%3D", "%0a"] {
            refused(&format!("{text}{padding}"));
            refused(&format!("{prefix}{padding}{body}"));
            refused(&format!("{prefix}{}{padding}{}", &body[..8], &body[8..]));
        }
        let padded = format!("{prefix}{}", base64ct::Base64::encode_string(&bytes));
        assert!(padded == text || !believed(&padded, BRAND, &ring()), "{padded}");
    });
    for name in NAMES {
        for text in [
            text_of(&WidgetKey::sample(name)),
            text_of(&HistorySecret::sample(name)),
            text_of(&DeployKey::sample(name)),
        ] {
            // A lax decoder ignores the last character's spare bits: every other spelling of the same bytes.
            let (prefix, bytes) = open(&text);
            for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
                let other = format!("{}{last}", &text[..text.len() - 1]);
                if other != text {
                    spare += usize::from(!bytes.len().is_multiple_of(3));
                    refused(&other);
                }
            }
            let body = &text[prefix.len()..];
            for (url, plain) in [('-', '+'), ('_', '/')] {
                signs += body.matches(url).count();
                for (at, _) in body.match_indices(url) {
                    refused(&format!("{prefix}{}{plain}{}", &body[..at], &body[at + 1..]));
                }
            }
        }
    }
    assert!(spare > 0 && signs > 0, "the law would hold of nothing: {spare} {signs}");
}

#[test]
fn b12_no_other_case_and_no_look_alike_is_read() {
    for_every_kind(|text, _| {
        refused(&text.to_uppercase());
        refused(&text.to_lowercase());
        for (at, character) in text.char_indices() {
            let look_alikes = [
                if character.is_ascii_uppercase() {
                    character.to_ascii_lowercase()
                } else {
                    character.to_ascii_uppercase()
                },
                // Full width, which NFKC would fold.
                char::from_u32(u32::from(character) + 0xFEE0).unwrap(),
                match character {
                    'a' => 'а',
                    'e' => 'е',
                    'c' => 'с',
                    'o' => 'о',
                    other => other,
                },
            ];
            for other in look_alikes.into_iter().filter(|other| *other != character) {
                refused(&format!("{}{other}{}", &text[..at], &text[at + 1..]));
            }
            refused(&format!("{}\u{301}{}", &text[..=at], &text[at + 1..]));
        }
        refused(&format!("0x{text}"));
    });
}

proptest! {
    #[test]
    fn whatever_is_issued_is_read_back(
        name in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}", at: u64, random: [u8; 16], number: u64, end: u64, live: bool, stage in 0usize..3,
    ) {
        let environment = if live { Environment::Live } else { Environment::Test };
        let (at, expires_at, workspace) = (Timestamp(at), Timestamp(end), workspace(&name));
        let key = WidgetKey { id: CredentialId::issue_widget_key(&workspace, at, random), environment, serial: number };
        prop_assert_eq!(WidgetKey::verify(&text_of(&key), BRAND, &ring()), Some(Ok(key)));
        let conversation = ConversationId::issue(&workspace, at, random);
        let secret = HistorySecret { conversation, environment, generation: number, expires_at };
        prop_assert_eq!(HistorySecret::verify(&text_of(&secret), BRAND, &ring()), Some(Ok(secret)));
        let (id, stage) = (CredentialId::issue_deploy_key(at, random), [Stage::Dev, Stage::Staging, Stage::Prod][stage]);
        let key = DeployKey { id, stage, deployment: name, issued_at: at, expires_at };
        prop_assert_eq!(DeployKey::verify(&text_of(&key), BRAND, &ring()), Some(Ok(key)));
    }

    #[test]
    fn no_text_breaks_a_parser_or_is_believed(text in "\\PC*", bytes: Vec<u8>) {
        for prefix in ["", "clv_", "clv_wk_", "clv_wk_live_", "clv_hs_test_", "dev:a|clv_dk_", "dev:", "|", "_", "clv_wk__"] {
            refused(&format!("{prefix}{text}"));
            refused(&format!("{text}{prefix}"));
            refused(&close(prefix, &bytes));
            refused(&close(prefix, &[&[1, 90], bytes.as_slice(), &[0; 32]].concat()));
        }
    }
}
