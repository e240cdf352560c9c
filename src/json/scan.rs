//! JSON read as its bytes come, for the values at a few paths: nothing else of it is kept, and each byte is looked at once.
//!
//! It says what is no JSON. Its parts are kept apart (`inline(never)`), since size counts here and they are not what takes time.
//! A body of any length takes no more memory than its depth, and that has an end.

use super::{
    number::{Progress, whole},
    text::{Kept, unescaped},
    trail::{Paths, Told, Trail},
};
use crate::codec::work;
use std::borrow::Cow;

/// Names of members with dots between them, from the object that is the document.
pub type Path = Cow<'static, str>;

/// What is nested deeper is not read on.
pub const MAX_DEPTH: usize = 1 << 17;

/// What stands at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// A whole number, not negative, however it is spelled.
    Number(u64),
    /// A text.
    Text(&'a str),
    /// A list with so many items beside numbers.
    Items(u64),
    /// Anything else.
    Unfit,
    /// A name of the path stands twice in one object: nobody knows which of them another reader takes.
    Twice,
}

/// What is told while a text is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// This stands at the path of this number.
    Found {
        /// The number of the path.
        path: usize,
        /// Whether every name is spelled as in the path. Else it is only alike: see [`Shape::One`].
        is_exact: bool,
        /// What.
        value: Value<'a>,
    },
    /// An object that is a document is over.
    End,
}

/// What the bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// One document. Names are also found in other letter case, and with other `_` and `-`.
    One,
    /// Documents one after the other.
    Many,
    /// The same; and the items of a list are documents too.
    Lists,
}

/// A text that is being read.
#[derive(Debug)]
pub struct Scanner {
    shape: Shape,
    state: State,
    /// The lists (`false`) and objects (`true`) that are open, the innermost last.
    open: Vec<bool>,
    trail: Trail,
    counted: Option<Counted>,
    kept: Kept,
    is_name: bool,
    has_begun: bool,
    read: usize,
    numbers: usize,
}

/// A list whose items are counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    paths: Paths,
    depth: usize,
    items: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Between documents.
    Root,
    /// A value must come.
    Item,
    /// A value or the end of the list.
    FirstItem,
    /// A name must come.
    Name,
    /// A name or the end of the object.
    FirstName,
    Colon,
    /// After a value: a comma or an end.
    Comma,
    Text,
    Escape,
    /// Digits of an escaped character that are still to come, and what those before them say.
    Hex(u8, u32),
    Number(Progress),
    /// What is left of `true`, `false` or `null`, and whether it is `null`.
    Word(&'static [u8], bool),
    Broken,
}

impl Scanner {
    /// Reads for so many paths, 32 at most.
    pub fn new(shape: Shape, paths: usize) -> Self {
        Self {
            shape,
            state: State::Root,
            open: Vec::new(),
            trail: Trail::new(paths.min(32)),
            counted: None,
            kept: Kept::default(),
            is_name: false,
            has_begun: false,
            read: 0,
            numbers: 0,
        }
    }

    /// Takes in the next bytes.
    #[inline(never)]
    pub fn feed(&mut self, paths: &[Path], bytes: &[u8], told: Told) {
        work::charge(bytes.len());
        let mut rest = bytes;
        while self.state != State::Broken
            && let Some((byte, after)) = rest.split_first()
        {
            if self.state != State::Text {
                self.step(*byte, paths, told);
                rest = after;
                continue;
            }
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
            let (text, more) = rest.split_at(plain);
            self.kept.extend(text);
            rest = more;
            if let Some((byte, more)) = more.split_first() {
                match byte {
                    b'"' => self.end_text(paths, told),
                    b'\\' => self.state = State::Escape,
                    _ => self.state = State::Broken,
                }
                rest = more;
            }
        }
        self.read = self.read.saturating_add(bytes.len() - rest.len());
    }

    /// Nothing follows. Answers whether all of it was JSON, and none of it is missing.
    pub fn end(&mut self, paths: &[Path], told: Told) -> bool {
        if let State::Number(progress) = self.state
            && progress.may_end()
        {
            self.end_number(paths, told);
        }
        self.state == State::Root
    }

    /// How many bytes were read, up to the one that cannot stand where it does.
    pub fn read_bytes(&self) -> usize {
        self.read
    }

    /// How many numbers there were, wherever they stand.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// One byte that is no part of a text.
    fn step(&mut self, byte: u8, paths: &[Path], told: Told) {
        match self.state {
            State::Number(progress) => match progress.after(byte) {
                Some(progress) => {
                    self.kept.extend(&[byte]);
                    self.state = State::Number(progress);
                }
                None if progress.may_end() => {
                    self.end_number(paths, told);
                    self.step(byte, paths, told);
                }
                None => self.state = State::Broken,
            },
            State::Word([next, rest @ ..], is_null) if *next == byte => {
                self.state = State::Word(rest, is_null);
                if rest.is_empty() {
                    self.trail.scalar(if is_null { Value::Null } else { Value::Unfit }, paths, told);
                    self.end_value();
                }
            }
            State::Escape if byte == b'u' => self.state = State::Hex(4, 0),
            State::Escape => match unescaped(byte) {
                Some(byte) => {
                    self.kept.extend(&[byte]);
                    self.state = State::Text;
                }
                None => self.state = State::Broken,
            },
            State::Hex(left, value) => match char::from(byte).to_digit(16) {
                Some(digit) if left > 1 => self.state = State::Hex(left - 1, value << 4 | digit),
                Some(digit) => {
                    self.kept.push_escaped(value << 4 | digit);
                    self.state = State::Text;
                }
                None => self.state = State::Broken,
            },
            State::Word(..) | State::Text | State::Broken => self.state = State::Broken,
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {}
            State::Root if self.is_between_documents(byte) => {}
            State::Root if self.shape == Shape::One && self.has_begun => self.state = State::Broken,
            State::FirstItem if byte == b']' => self.close(false, told),
            State::FirstName if byte == b'}' => self.close(true, told),
            State::Root | State::Item | State::FirstItem => self.begin_value(byte, paths, told),
            State::Name | State::FirstName if byte == b'"' => {
                self.is_name = true;
                self.kept.begin(self.trail.is_on_any(self.open.len()));
                self.state = State::Text;
            }
            State::Colon if byte == b':' => self.state = State::Item,
            State::Comma => match (byte, self.open.last()) {
                (b',', Some(true)) => self.state = State::Name,
                (b',', Some(false)) => self.state = State::Item,
                (b'}', _) => self.close(true, told),
                (b']', _) => self.close(false, told),
                _ => self.state = State::Broken,
            },
            _ => self.state = State::Broken,
        }
    }

    /// A record separator (RFC 7464), or a part of the mark that some writers begin with.
    fn is_between_documents(&self, byte: u8) -> bool {
        self.shape != Shape::One && (byte == 0x1e || (!self.has_begun && matches!(byte, 0xef | 0xbb | 0xbf)))
    }

    #[inline(never)]
    fn begin_value(&mut self, byte: u8, paths: &[Path], told: Told) {
        self.has_begun = true;
        let number = Progress::begin(byte);
        self.numbers += usize::from(number.is_some());
        if let Some(counted) = &mut self.counted
            && counted.depth == self.open.len()
            && number.is_none()
        {
            counted.items += 1;
        }
        self.is_name = false;
        match (byte, number) {
            (b'{', _) => self.open(true, paths, told),
            (b'[', _) => self.open(false, paths, told),
            (b'"', _) => {
                self.kept.begin(self.trail.awaits_value());
                self.state = State::Text;
            }
            (b't', _) => self.state = State::Word(b"rue", false),
            (b'f', _) => self.state = State::Word(b"alse", false),
            (b'n', _) => self.state = State::Word(b"ull", true),
            (_, Some(progress)) => {
                self.kept.begin(self.trail.awaits_value());
                self.kept.extend(&[byte]);
                self.state = State::Number(progress);
            }
            _ => self.state = State::Broken,
        }
    }

    #[inline(never)]
    fn open(&mut self, is_object: bool, paths: &[Path], told: Told) {
        let is_document = self.open.is_empty() || (self.shape == Shape::Lists && self.open == [false]);
        if self.open.len() >= MAX_DEPTH {
            self.state = State::Broken;
            return;
        }
        self.open.push(is_object);
        self.state = if is_object { State::FirstName } else { State::FirstItem };
        let depth = self.open.len();
        if is_object && is_document {
            self.trail.begin(depth);
        } else if let Some(paths) = self.trail.open(is_object, paths, told) {
            self.counted = Some(Counted { paths, depth, items: 0 });
        }
    }

    #[inline(never)]
    fn close(&mut self, is_object: bool, told: Told) {
        let depth = self.open.len();
        if self.open.pop() != Some(is_object) {
            self.state = State::Broken;
            return;
        }
        if let Some(Counted { paths, items, .. }) = self.counted.take_if(|counted| counted.depth == depth) {
            self.trail.items(paths, items, told);
        }
        if self.trail.close(depth) {
            told(Event::End);
        }
        self.end_value();
    }

    #[inline(never)]
    fn end_text(&mut self, paths: &[Path], told: Told) {
        let kept = self.kept.end();
        if self.is_name {
            self.state = State::Colon;
            if let Some(name) = kept {
                self.trail.name(&name, self.shape == Shape::One, self.open.len(), paths, told);
            }
        } else {
            let text = kept.as_deref().and_then(|kept| std::str::from_utf8(kept).ok());
            self.trail.scalar(text.map_or(Value::Unfit, Value::Text), paths, told);
            self.end_value();
        }
    }

    #[inline(never)]
    fn end_number(&mut self, paths: &[Path], told: Told) {
        let kept = self.kept.end();
        let number = kept.as_deref().and_then(|kept| std::str::from_utf8(kept).ok()).and_then(whole);
        self.trail.scalar(number.map_or(Value::Unfit, Value::Number), paths, told);
        self.end_value();
    }

    fn end_value(&mut self) {
        self.state = if self.open.is_empty() { State::Root } else { State::Comma };
    }
}
