//! How values are stored and sent: CBOR (RFC 8949), each value an array of its parts in a fixed order.
//!
//! A later version appends parts: an older value, which lacks them, reads as `None` there, and what a newer value has in
//! addition is skipped. So parts are never reordered, removed or made compulsory afterwards.

pub use super::values::Bytes;

use minicbor::{Decoder, Encoder, data::Type};

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed;

/// What can be stored and sent.
pub trait Wire: Sized {
    /// Appends this value.
    fn put(&self, writer: &mut Writer);

    /// Reads a value.
    fn take(reader: &mut Reader) -> Result<Self, Malformed>;

    /// The value of a part that an older version did not have.
    fn missing() -> Result<Self, Malformed> {
        Err(Malformed)
    }
}

/// Bytes as they grow.
pub struct Writer(Encoder<Vec<u8>>);

/// Bytes as they are read.
pub struct Reader<'a>(Decoder<'a>);

/// The bytes of a value.
pub fn write(value: &impl Wire) -> Vec<u8> {
    let mut writer = Writer(Encoder::new(Vec::new()));
    value.put(&mut writer);
    writer.0.into_writer()
}

/// The value of these bytes, all of them.
pub fn read<T: Wire>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut reader = Reader(Decoder::new(bytes));
    let value = T::take(&mut reader)?;
    if reader.0.position() == bytes.len() { Ok(value) } else { Err(Malformed) }
}

// A `Vec` takes whatever it is given: writing cannot fail.
#[allow(clippy::let_underscore_must_use, reason = "writing to a Vec is infallible")]
impl Writer {
    /// So many parts follow.
    #[inline(never)]
    pub fn parts(&mut self, count: u64) {
        let _ = self.0.array(count);
    }

    /// A number.
    #[inline(never)]
    pub fn number(&mut self, number: u64) {
        let _ = self.0.u64(number);
    }

    /// A text.
    #[inline(never)]
    pub fn text(&mut self, text: &str) {
        let _ = self.0.str(text);
    }

    /// Bytes.
    #[inline(never)]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.0.bytes(bytes);
    }

    /// Nothing.
    #[inline(never)]
    pub fn null(&mut self) {
        let _ = self.0.null();
    }
}

impl Reader<'_> {
    /// How many parts follow.
    #[inline(never)]
    pub fn parts(&mut self) -> Result<u64, Malformed> {
        self.0.array().ok().flatten().ok_or(Malformed)
    }

    /// One part of those that `left` counts.
    pub fn part<T: Wire>(&mut self, left: &mut u64) -> Result<T, Malformed> {
        match left.checked_sub(1) {
            Some(rest) => {
                *left = rest;
                T::take(self)
            }
            None => T::missing(),
        }
    }

    /// Skips the parts that a newer version added.
    #[inline(never)]
    pub fn rest(&mut self, left: u64) -> Result<(), Malformed> {
        (0..left).try_for_each(|_| self.0.skip().map_err(|_| Malformed))
    }

    /// A number.
    #[inline(never)]
    pub fn number(&mut self) -> Result<u64, Malformed> {
        self.0.u64().map_err(|_| Malformed)
    }

    /// A text.
    #[inline(never)]
    pub fn text(&mut self) -> Result<String, Malformed> {
        self.0.str().map(str::to_owned).map_err(|_| Malformed)
    }

    /// Thirty-two bytes.
    #[inline(never)]
    pub fn digest(&mut self) -> Result<[u8; 32], Malformed> {
        self.0.bytes().ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed)
    }

    /// Bytes.
    #[inline(never)]
    pub fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        self.0.bytes().map(<[u8]>::to_vec).map_err(|_| Malformed)
    }

    /// Whether the next value is nothing.
    #[inline(never)]
    pub fn is_null(&mut self) -> bool {
        matches!(self.0.datatype(), Ok(Type::Null))
    }
}

/// `wire!(Name { part, part })` for structs, `wire!(Name(Inner))` for what is only a name around something else,
/// `wire!(enum Name { 0 Unit, 1 Tuple(a, b), 2 Struct { a, b } })` for enums.
#[macro_export]
macro_rules! wire {
    (enum $name:ident { $($number:literal $variant:ident $(($($item:ident),*))? $({$($field:ident),*})?),* $(,)? }) => {
        impl $crate::codec::cbor::Wire for $name {
            fn put(&self, writer: &mut $crate::codec::cbor::Writer) {
                match self {
                    $(Self::$variant $(($($item),*))? $({$($field),*})? => {
                        writer.parts(1 $($(+ $crate::wire!(@one $item))*)? $($(+ $crate::wire!(@one $field))*)?);
                        $crate::codec::cbor::Wire::put(&($number as u64), writer);
                        $($($crate::codec::cbor::Wire::put($item, writer);)*)?
                        $($($crate::codec::cbor::Wire::put($field, writer);)*)?
                    })*
                }
            }

            fn take(reader: &mut $crate::codec::cbor::Reader) -> Result<Self, $crate::codec::cbor::Malformed> {
                let mut left = reader.parts()?;
                let value = match reader.part::<u64>(&mut left)? {
                    $($number => {
                        $($(let $item = reader.part(&mut left)?;)*)?
                        $($(let $field = reader.part(&mut left)?;)*)?
                        Self::$variant $(($($item),*))? $({$($field),*})?
                    })*
                    _ => return Err($crate::codec::cbor::Malformed),
                };
                reader.rest(left)?;
                Ok(value)
            }
        }
    };
    (@one $part:ident) => { 1 };
    ($name:ident($inner:ty)) => {
        impl $crate::codec::cbor::Wire for $name {
            fn put(&self, writer: &mut $crate::codec::cbor::Writer) {
                $crate::codec::cbor::Wire::put(&self.0, writer);
            }

            fn take(reader: &mut $crate::codec::cbor::Reader) -> Result<Self, $crate::codec::cbor::Malformed> {
                <$inner as $crate::codec::cbor::Wire>::take(reader).map(Self)
            }
        }
    };
    ($name:ident { $($part:ident),* $(,)? }) => {
        impl $crate::codec::cbor::Wire for $name {
            fn put(&self, writer: &mut $crate::codec::cbor::Writer) {
                writer.parts(0 $(+ $crate::wire!(@one $part))*);
                $($crate::codec::cbor::Wire::put(&self.$part, writer);)*
            }

            fn take(reader: &mut $crate::codec::cbor::Reader) -> Result<Self, $crate::codec::cbor::Malformed> {
                let mut left = reader.parts()?;
                let value = Self { $($part: reader.part(&mut left)?),* };
                reader.rest(left)?;
                Ok(value)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Wire, read, write};

    #[derive(Debug, PartialEq)]
    enum Shape {
        Dot,
        Line(u64, Option<String>),
        Area { sides: Vec<u32> },
    }

    wire!(enum Shape { 0 Dot, 1 Line(length, name), 2 Area { sides } });

    #[derive(Debug, PartialEq)]
    struct Old {
        name: String,
    }

    #[derive(Debug, PartialEq)]
    struct New {
        name: String,
        note: Option<String>,
    }

    wire!(Old { name });
    wire!(New { name, note });

    #[test]
    fn what_is_written_is_read() {
        let shapes = [
            Shape::Dot,
            Shape::Line(u64::MAX, None),
            Shape::Line(1, Some("a".to_owned())),
            Shape::Area { sides: vec![1, 2, 3] },
        ];
        for shape in shapes {
            assert_eq!(read::<Shape>(&write(&shape)), Ok(shape));
        }
    }

    #[test]
    fn versions_read_each_other() {
        let old = write(&Old { name: "a".to_owned() });
        assert_eq!(read(&old), Ok(New { name: "a".to_owned(), note: None }));
        let new = write(&New { name: "a".to_owned(), note: Some("b".to_owned()) });
        assert_eq!(read(&new), Ok(Old { name: "a".to_owned() }));
    }

    #[test]
    fn i19_bytes_that_are_cut_changed_or_followed_by_more_are_malformed() {
        let bytes = write(&Shape::Line(700, Some("name".to_owned())));
        for end in 0..bytes.len() {
            assert_eq!(read::<Shape>(bytes.get(..end).unwrap_or_default()), Err(Malformed));
        }
        assert_eq!(read::<Shape>(&[bytes.as_slice(), &[0]].concat()), Err(Malformed));
        assert_eq!(read::<Shape>(&write(&vec![9_u64])), Err(Malformed));
        assert_eq!(Option::<u64>::missing(), Ok(None));
    }
}
