//! Where a list goes on: the id of the last item that was shown, under a keyed tag. A caller can neither make a cursor nor use it for
//! another list, workspace, environment or filter, and it names nothing but what the caller was shown.

use crate::{
    crypto::keyring::{KeyRing, Purpose},
    error::Reason,
    workspaces::store_pages::stale_cursor,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};

/// What a cursor begins with: no id has a dot.
const PREFIX: &str = "c1.";
const TAG_BYTES: usize = 32;

/// What a caller sent.
#[derive(Debug, Eq, PartialEq)]
pub enum Cursor {
    /// A place that was told to a caller of this very list.
    Tagged(String),
    /// What earlier versions told: an id as it is, which the caller may have made up. Taken until a later version.
    Plain(String),
}

/// The list that a cursor is of: what it lists, whose, and by which filters.
pub type List<'a> = &'a [&'a str];

/// The cursor of a place in this list.
pub fn issue(place: &str, list: List, ring: &KeyRing) -> Result<String, Reason> {
    let (tag, message) = ring.sign(Purpose::Cursor, |key_id| message(key_id, place, list))?;
    let key_id = message.into_iter().take(1);
    let bytes: Vec<u8> = key_id.chain(tag).chain(place.bytes()).collect();
    Ok(format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&bytes)))
}

/// Reads what was sent as a cursor of this list.
pub fn read(text: Option<String>, list: List, ring: &KeyRing) -> Result<Option<Cursor>, Reason> {
    let Some(text) = text else { return Ok(None) };
    match text.strip_prefix(PREFIX) {
        Some(tagged) => place(tagged, list, ring).map(|place| Some(Cursor::Tagged(place))).ok_or_else(stale_cursor),
        None => Ok(Some(Cursor::Plain(text))),
    }
}

fn place(tagged: &str, list: List, ring: &KeyRing) -> Option<String> {
    let bytes = Base64UrlUnpadded::decode_vec(tagged).ok()?;
    let (key_id, rest) = bytes.split_first()?;
    let (tag, place) = rest.split_at_checked(TAG_BYTES)?;
    let place = std::str::from_utf8(place).ok()?;
    let is_ours = ring.verify(Purpose::Cursor, *key_id, &[&message(*key_id, place, list)], tag);
    is_ours.then(|| place.to_owned())
}

/// Each part behind its length, so that no two lists are written alike.
fn message(key_id: u8, place: &str, list: List) -> Vec<u8> {
    let mut bytes = vec![key_id];
    for part in [place].iter().chain(list) {
        bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(part.bytes());
    }
    bytes
}

impl Cursor {
    /// The place, and whether the caller may have made it up.
    pub fn parse<T: TryFrom<String>>(cursor: Option<Self>) -> Result<(Option<T>, bool), Reason> {
        let (text, is_plain) = match cursor {
            Some(Self::Tagged(text)) => (text, false),
            Some(Self::Plain(text)) => (text, true),
            None => return Ok((None, false)),
        };
        text.try_into().map(|place| (Some(place), is_plain)).map_err(|_| stale_cursor())
    }
}
