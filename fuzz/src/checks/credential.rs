//! Texts in the place of a credential: nothing that was not issued is believed, and what was issued has one spelling.

use super::{Dice, opaque, text};
use crate::lawful::{BRAND, Lawful, NAMES, believed, ring, signed, text_of};
use claviger::{
    credential::{DeployKey, Door, HistorySecret, Verified, WidgetKey},
    crypto::keyring::KeyRing,
};
use std::sync::LazyLock;

/// Every credential that was ever issued in this world.
pub static ISSUED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let of = |name| {
        [text_of(&WidgetKey::sample(name)), text_of(&HistorySecret::sample(name)), text_of(&DeployKey::sample(name))]
    };
    NAMES.into_iter().flat_map(of).collect()
});

pub static RING: LazyLock<KeyRing> = LazyLock::new(ring);

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    assert_eq!(believed(&text, BRAND, &RING), is_issued(&text), "{text}");
    let door = Door { ring: &RING, brand: BRAND, deploy_schemes: &[] };
    let opens = !matches!(door.in_path(&text), Err(_) | Ok(Verified::DeployKey(..)));
    // A deploy key and a service token have a header each, and no path takes them.
    assert_eq!(opens, is_issued(&text) && !text.contains('|') && !text.contains("_st_"), "{text}");
    edited(bytes);
    genuine(bytes);
}

/// Signed or opaque.
fn is_issued(text: &str) -> bool {
    ISSUED.iter().chain(opaque::ISSUED.iter()).any(|issued| issued == text)
}

/// An issued text with one piece of it replaced by something else.
fn edited(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let issued = &ISSUED[usize::from(dice.byte()) % ISSUED.len()];
    let start = usize::from(dice.byte()) % (issued.len() + 1);
    let end = (start + usize::from(dice.byte() % 8)).min(issued.len());
    let changed = format!("{}{}{}", &issued[..start], text(dice.0), &issued[end..]);
    assert_eq!(believed(&changed, BRAND, &RING), is_issued(&changed), "{changed}");
}

/// A text whose tag is genuine, whatever it covers: what is read of it is written as the same text again.
fn genuine(bytes: &[u8]) {
    fn law<K: Lawful>(prefix: &str, bytes: &[u8]) {
        let text = signed(K::PURPOSE, prefix, |key_id| [&[1, key_id], bytes].concat());
        if let Some(Ok(read)) = K::verify(&text, BRAND, &RING) {
            assert_eq!(text_of(&read), text, "{read:?} has two spellings");
        }
    }
    if bytes.len() < 512 {
        law::<WidgetKey>("clv_wk_live_", bytes);
        law::<HistorySecret>("clv_hs_test_", bytes);
        law::<DeployKey>("dev:local|clv_dk_", bytes);
    }
}
