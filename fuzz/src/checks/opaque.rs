//! Opaque credentials: what was not issued has no genuine check, and what was drawn is read back, by its kind alone.
//!
//! The input is a text, and at once an edit of one that was issued, and dice for a new one.

use super::{Dice, credential::RING, text};
use crate::{
    lawful::BRAND,
    opaque::{DIGITS, SHAPES, read, write},
};
use std::sync::LazyLock;

/// Every opaque credential that was ever issued in this world: of each shape, one.
pub static ISSUED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let dice = |number: u8| (std::array::from_fn(|at| number ^ at as u8), [number; 16]);
    (1..).zip(SHAPES).map(|(number, shape)| write(shape, dice(number), BRAND, &RING)).collect()
});

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    same(&text);
    edited(bytes);
    drawn(bytes);
}

/// It is believed if it was issued, as what it was issued.
fn same(text: &str) {
    let shape = ISSUED.iter().position(|issued| issued == text).map(|place| SHAPES[place]);
    let read = read(text, BRAND, &RING).map(|(kind, environment, _)| (kind, environment));
    assert_eq!(read, shape.map(|(kind, environment, _)| (kind, environment)), "{text}");
}

/// An issued text with one piece of it replaced by something else.
fn edited(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let issued = &ISSUED[usize::from(dice.byte()) % ISSUED.len()];
    let start = usize::from(dice.byte()) % (issued.len() + 1);
    let end = (start + usize::from(dice.byte() % 8)).min(issued.len());
    same(&format!("{}{}{}", &issued[..start], text(dice.0), &issued[end..]));
}

/// A new one, of any dice.
fn drawn(bytes: &[u8]) {
    let mut dice = Dice(bytes);
    let shape = SHAPES[usize::from(dice.byte()) % SHAPES.len()];
    let mut sixteen = || std::array::from_fn(|_| dice.byte());
    let text = write(shape, (sixteen(), sixteen()), BRAND, &RING);
    let body = text.strip_prefix(shape.2).expect("its prefix");
    assert!(body.len() == 32 && body.chars().all(|c| DIGITS.contains(c)), "{text}");
    assert_eq!(read(&text, BRAND, &RING), Some((shape.0, shape.1, body[..8].to_owned())));
}
