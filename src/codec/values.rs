//! The values that all others are made of.

use super::cbor::{Malformed, Reader, Wire, Writer};

impl Wire for u64 {
    fn put(&self, writer: &mut Writer) {
        writer.number(*self);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        reader.number()
    }
}

/// Smaller numbers, as numbers.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn put(&self, writer: &mut Writer) {
                writer.number(u64::try_from(*self).unwrap_or(u64::MAX));
            }

            fn take(reader: &mut Reader) -> Result<Self, Malformed> {
                Self::try_from(reader.number()?).map_err(|_| Malformed)
            }
        }
    )*};
}

numbers!(u8, u16, u32, usize);

impl Wire for bool {
    fn put(&self, writer: &mut Writer) {
        writer.number(u64::from(*self));
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        match reader.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl Wire for String {
    fn put(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        reader.text()
    }
}

impl Wire for [u8; 32] {
    fn put(&self, writer: &mut Writer) {
        writer.bytes(self);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        reader.digest()
    }
}

/// Bytes as they are: a `Vec<u8>` would be a list of numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bytes(pub Vec<u8>);

impl Wire for Bytes {
    fn put(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        reader.bytes().map(Self)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.put(writer),
            None => writer.null(),
        }
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        if reader.is_null() { reader.rest(1).map(|()| None) } else { T::take(reader).map(Some) }
    }

    fn missing() -> Result<Self, Malformed> {
        Ok(None)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, writer: &mut Writer) {
        writer.parts(u64::try_from(self.len()).unwrap_or(u64::MAX));
        self.iter().for_each(|item| item.put(writer));
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        (0..reader.parts()?).map(|_| T::take(reader)).collect()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, writer: &mut Writer) {
        T::put(self, writer);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        T::take(reader).map(Self::new)
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, writer: &mut Writer) {
        writer.parts(2);
        self.0.put(writer);
        self.1.put(writer);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut left = reader.parts()?;
        let value = (reader.part(&mut left)?, reader.part(&mut left)?);
        reader.rest(left)?;
        Ok(value)
    }
}

/// The same as an enum of two.
impl<A: Wire, B: Wire> Wire for Result<A, B> {
    fn put(&self, writer: &mut Writer) {
        writer.parts(2);
        match self {
            Ok(value) => {
                writer.number(0);
                value.put(writer);
            }
            Err(reason) => {
                writer.number(1);
                reason.put(writer);
            }
        }
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut left = reader.parts()?;
        let value = match reader.part::<u64>(&mut left)? {
            0 => Ok(reader.part(&mut left)?),
            1 => Err(reader.part(&mut left)?),
            _ => return Err(Malformed),
        };
        reader.rest(left)?;
        Ok(value)
    }
}
