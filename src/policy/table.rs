//! Reading TOML member by member: what nobody asked for is refused, with the place where it stands.

use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A reason, and where in the text it stands.
pub type Fault = (Range<usize>, String);

/// A value, and where it stands.
pub type Place<T> = (T, Range<usize>);

/// A list of numbers, and where the list stands.
pub type Numbers = (Vec<Place<u32>>, Range<usize>);

/// A text, and where it stands.
#[derive(Clone)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where.
    pub span: Range<usize>,
}

/// A table whose members are asked for by name.
pub struct Table<'a> {
    members: &'a DeTable<'a>,
    /// Where it stands.
    pub span: Range<usize>,
}

impl<'a> Table<'a> {
    /// The table at `span`.
    pub fn new(members: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self { members, span }
    }

    /// Every member, in order of their names.
    pub fn members(&self) -> impl Iterator<Item = (Text, &'a Spanned<DeValue<'a>>)> {
        self.members.iter().map(|(name, value)| (Text { text: name.get_ref().to_string(), span: name.span() }, value))
    }

    /// A text that may be missing.
    pub fn text(&self, name: &str) -> Result<Option<Text>, Fault> {
        self.get(name).map(|value| text(name, value)).transpose()
    }

    /// A text that must be there.
    pub fn required_text(&self, name: &str) -> Result<Text, Fault> {
        let found = self.text(name)?;
        found.ok_or_else(|| (self.span.clone(), format!("`{name}` is missing")))
    }

    /// A list of texts that may be missing.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<Text>>, Fault> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let items = value.get_ref().as_array().ok_or_else(|| (value.span(), format!("`{name}` is a list of texts")))?;
        items.iter().map(|item| text(name, item)).collect::<Result<_, _>>().map(Some)
    }

    /// One text or a list of them that may be missing.
    pub fn one_or_more_texts(&self, name: &str) -> Result<Option<Vec<Text>>, Fault> {
        let is_one = self.get(name).is_some_and(|value| value.get_ref().as_array().is_none());
        if is_one { Ok(self.text(name)?.map(|text| vec![text])) } else { self.texts(name) }
    }

    /// A whole number within bounds that may be missing.
    pub fn number(&self, name: &str, bounds: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, Fault> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        whole(value.get_ref()).filter(|number| bounds.contains(number)).map(Some).ok_or_else(|| {
            (value.span(), format!("`{name}` is a whole number from {} to {}", bounds.start(), bounds.end()))
        })
    }

    /// A list of whole numbers within bounds, each with its place, and the place of the list; may be missing.
    pub fn numbers(&self, name: &str, bounds: std::ops::RangeInclusive<u32>) -> Result<Option<Numbers>, Fault> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let why = format!("`{name}` is a list of whole numbers from {} to {}", bounds.start(), bounds.end());
        let items = value.get_ref().as_array().ok_or_else(|| (value.span(), why.clone()))?;
        let read = |item: &Spanned<DeValue>| {
            let number = whole(item.get_ref()).filter(|number| bounds.contains(number));
            number.map(|number| (number, item.span())).ok_or_else(|| (item.span(), why.clone()))
        };
        let numbers = items.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Some((numbers, value.span())))
    }

    /// A yes or no, and where it stands; no, where it is missing.
    pub fn flag(&self, name: &str) -> Result<(bool, Range<usize>), Fault> {
        let Some(value) = self.get(name) else {
            return Ok((false, self.span.clone()));
        };
        let flag = value.get_ref().as_bool().ok_or_else(|| (value.span(), format!("`{name}` is true or false")))?;
        Ok((flag, value.span()))
    }

    /// A table that may be missing.
    pub fn table(&self, name: &str) -> Result<Option<Table<'a>>, Fault> {
        self.get(name).map(|value| table(name, value)).transpose()
    }

    /// One table or a list of them; none where it is missing.
    pub fn tables(&self, name: &str) -> Result<Vec<Table<'a>>, Fault> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(value) => match value.get_ref().as_array() {
                Some(items) => items.iter().map(|item| table(name, item)).collect(),
                None => table(name, value).map(|table| vec![table]),
            },
        }
    }

    /// The member `name`, whatever it is.
    pub fn get(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.members.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    /// This table, if it has no members but these.
    pub fn only(self, known: &[&str]) -> Result<Self, Fault> {
        let unknown = self.members.iter().find(|(key, _)| !known.iter().any(|known| key.get_ref() == known));
        match unknown {
            None => Ok(self),
            Some((key, _)) => {
                Err((key.span(), format!("unknown key `{}`, expected one of {}", key.get_ref(), known.join(", "))))
            }
        }
    }
}

fn whole(value: &DeValue) -> Option<u32> {
    let integer = value.as_integer()?;
    u32::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

/// The table that `value` must be.
pub fn table<'a>(name: &str, value: &'a Spanned<DeValue<'a>>) -> Result<Table<'a>, Fault> {
    let members = value.get_ref().as_table().ok_or_else(|| (value.span(), format!("`{name}` is a table")))?;
    Ok(Table::new(members, value.span()))
}

fn text(name: &str, value: &Spanned<DeValue>) -> Result<Text, Fault> {
    let text = value.get_ref().as_str().ok_or_else(|| (value.span(), format!("`{name}` is a text")))?;
    Ok(Text { text: text.to_owned(), span: value.span() })
}
