//! Server-sent events (WHATWG HTML §9.2.6), as far as their data matters: it is handed on as it comes, and nothing of it is kept.

/// What comes out of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<'a> {
    /// The next bytes of an event's data.
    Data(&'a [u8]),
    /// The event is complete.
    End,
}

/// A stream of events that is being read.
#[derive(Debug, Default)]
pub struct Events {
    place: Place,
    /// Whether the event that has begun has data.
    has_data: bool,
    /// A line feed that comes now belongs to the line end before it.
    is_after_return: bool,
}

/// Where in a line the stream is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// At the beginning of the stream, so far into the byte order mark.
    Mark(usize),
    /// So far into the name of a field that is called `data`.
    Name(usize),
    /// After its colon, where one space says nothing.
    Colon,
    Data,
    /// In a line that is no data.
    Other,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DATA: &[u8] = b"data";

impl Default for Place {
    fn default() -> Self {
        Self::Mark(0)
    }
}

impl Events {
    /// Takes in the next bytes.
    pub fn feed(&mut self, part: &[u8], out: &mut dyn FnMut(Piece)) {
        let mut rest = part;
        while let Some((byte, after)) = rest.split_first() {
            let is_line_feed_after_return = std::mem::take(&mut self.is_after_return) && *byte == b'\n';
            if is_line_feed_after_return {
                rest = after;
            } else if matches!(byte, b'\r' | b'\n') {
                self.end_line(out);
                self.is_after_return = *byte == b'\r';
                rest = after;
            } else if matches!(self.place, Place::Data | Place::Other) {
                let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
                let (line, more) = rest.split_at(end);
                if self.place == Place::Data {
                    out(Piece::Data(line));
                }
                rest = more;
            } else {
                let is_taken = self.begin_line(*byte, out);
                rest = if is_taken { after } else { rest };
            }
        }
    }

    /// The stream is whole: an event that nothing follows is complete too, though a browser would drop it.
    pub fn end(&mut self, out: &mut dyn FnMut(Piece)) {
        if !matches!(self.place, Place::Mark(0) | Place::Name(0)) {
            self.end_line(out);
        }
        self.end_line(out);
    }

    /// A byte before it is known what the line is. Answers whether it is taken, or belongs to what follows.
    fn begin_line(&mut self, byte: u8, out: &mut dyn FnMut(Piece)) -> bool {
        let (place, is_taken) = match self.place {
            Place::Mark(at) if BYTE_ORDER_MARK.get(at) == Some(&byte) => {
                let is_over = at + 1 == BYTE_ORDER_MARK.len();
                (if is_over { Place::Name(0) } else { Place::Mark(at + 1) }, true)
            }
            Place::Mark(0) => (Place::Name(0), false),
            Place::Name(at) if DATA.get(at) == Some(&byte) => (Place::Name(at + 1), true),
            Place::Name(at) if at == DATA.len() && byte == b':' => {
                self.begin_data(out);
                (Place::Colon, true)
            }
            Place::Colon => (Place::Data, byte == b' '),
            _ => (Place::Other, true),
        };
        self.place = place;
        is_taken
    }

    fn begin_data(&mut self, out: &mut dyn FnMut(Piece)) {
        if std::mem::replace(&mut self.has_data, true) {
            out(Piece::Data(b"\n"));
        }
    }

    fn end_line(&mut self, out: &mut dyn FnMut(Piece)) {
        match std::mem::replace(&mut self.place, Place::Name(0)) {
            // An empty line.
            Place::Mark(0) | Place::Name(0) if std::mem::take(&mut self.has_data) => out(Piece::End),
            Place::Name(at) if at == DATA.len() => self.begin_data(out),
            _ => {}
        }
    }
}
