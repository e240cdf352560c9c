//! Base62: numbers as digits and letters, of one length, in the order of ASCII.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The last `length` digits of `number`.
pub fn encode(mut number: u128, length: usize) -> String {
    let mut digits: Vec<char> = (0..length)
        .map(|_| {
            let digit = usize::try_from(number % 62).unwrap_or_default();
            number /= 62;
            char::from(DIGITS.get(digit).copied().unwrap_or(b'0'))
        })
        .collect();
    digits.reverse();
    digits.into_iter().collect()
}

/// Whether `text` is `length` digits and nothing else.
pub fn is_base62(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::{encode, is_base62};

    #[test]
    fn numbers_keep_their_order_and_their_length() {
        assert_eq!((encode(0, 3).as_str(), encode(61, 3).as_str(), encode(62, 3).as_str()), ("000", "00z", "010"));
        assert_eq!(encode(u128::MAX, 2).len(), 2);
        assert!(encode(61, 3) < encode(62, 3) && encode(9, 1) < encode(10, 1) && encode(35, 1) < encode(36, 1));
        assert!(is_base62("aZ9", 3) && !is_base62("aZ9", 2) && !is_base62("a-9", 3) && !is_base62("ä", 2));
    }
}
