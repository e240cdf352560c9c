//! Server-sent events (WHATWG HTML §9.2.6), as far as their data matters: one event after the other, however their bytes arrive.

/// The data of one event; a longer one is skipped. Nothing that tells how much was used comes near it.
pub const MAX_EVENT_BYTES: usize = 256 << 10;

/// A line of which no more is kept: then a field called `data` is longer than an event may be.
const MAX_LINE_BYTES: usize = MAX_EVENT_BYTES + "data: ".len();

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A stream of events that is being read.
#[derive(Debug, Default)]
pub struct Events {
    /// The line that has begun.
    line: Vec<u8>,
    is_long: bool,
    /// The lines of data of the event that has begun.
    data: Option<Vec<u8>>,
    is_skipped: bool,
    /// A line feed that comes now belongs to the line end before it.
    is_after_return: bool,
    has_begun: bool,
}

impl Events {
    /// Takes in the next bytes: `event` gets the data of every event that is complete with them.
    pub fn feed(&mut self, part: &[u8], event: &mut impl FnMut(&[u8])) {
        let mut rest = part;
        if let Some((first, after)) = part.split_first()
            && std::mem::take(&mut self.is_after_return)
            && *first == b'\n'
        {
            rest = after;
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (line, ended) = rest.split_at(end);
            self.extend(line);
            self.end_line(event);
            rest = match ended {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.is_after_return = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.extend(rest);
    }

    /// Bytes that are held of what has not ended yet.
    pub fn held_bytes(&self) -> usize {
        self.line.len() + self.data.as_ref().map_or(0, Vec::len)
    }

    /// The stream is whole: an event that nothing follows is complete too, though a browser would drop it.
    pub fn end(&mut self, event: &mut impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.end_line(event);
        }
        self.end_line(event);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
        self.is_long |= bytes.len() > room;
        self.line.extend(bytes.iter().take(room));
    }

    fn end_line(&mut self, event: &mut impl FnMut(&[u8])) {
        let mut line = self.line.as_slice();
        if !std::mem::replace(&mut self.has_begun, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            let data = self.data.take();
            if let Some(data) = data.filter(|_| !std::mem::take(&mut self.is_skipped)) {
                event(&data);
            }
        } else if let Some(value) = data_of(line) {
            let data = match &mut self.data {
                None => self.data.insert(Vec::new()),
                Some(data) => {
                    data.push(b'\n');
                    data
                }
            };
            self.is_skipped |= self.is_long || data.len() + value.len() > MAX_EVENT_BYTES;
            if self.is_skipped { data.clear() } else { data.extend_from_slice(value) }
        }
        self.line.clear();
        self.is_long = false;
    }
}

/// The value of a line that is a field of data.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}
