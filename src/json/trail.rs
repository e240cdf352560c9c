//! How far paths lead to where the reader of a text stands, and whose value comes next.

use super::{
    scan::{Event, Path, Value},
    text::are_alike,
};

/// The places of all paths; each is known by its number.
#[derive(Debug)]
pub struct Trail {
    /// How many lists and objects are open in the document's own object, itself included; 0: there is no document.
    base: usize,
    places: Vec<Place>,
    next: Paths,
}

/// How far one path leads.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Names that led to the innermost object that the path leads through.
    matched: u8,
    /// How many of them are spelled as in the path, from the first.
    exact: u8,
    /// The names of the path that stood in the objects that are open, by bits.
    seen: u32,
}

/// Some paths, by bits: those whose last name is spelled as it is, and those where it is only alike.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Paths {
    exact: u32,
    alike: u32,
}

/// Whoever is told what was found.
pub type Told<'t> = &'t mut dyn FnMut(Event);

impl Trail {
    /// For so many paths.
    pub fn new(paths: usize) -> Self {
        Self { base: 0, places: vec![Place::default(); paths], next: Paths::default() }
    }

    /// A document begins: its object is the one that was opened last, of so many.
    pub fn begin(&mut self, depth: usize) {
        self.base = depth;
        self.places.fill(Place::default());
    }

    /// Whether any path leads through the object that is open.
    pub fn is_on_any(&self, depth: usize) -> bool {
        self.places.iter().any(|place| place.is_on(self.base, depth))
    }

    /// Whether any path names the value that comes next, or leads through it.
    pub fn awaits_value(&self) -> bool {
        self.next != Paths::default()
    }

    /// A name of the object that is open. `alike`: one that is only alike counts too.
    #[inline(never)]
    pub fn name(&mut self, name: &[u8], alike: bool, depth: usize, paths: &[Path], told: Told) {
        for (number, (path, place)) in paths.iter().zip(&mut self.places).enumerate() {
            if !place.is_on(self.base, depth) {
                continue;
            }
            let wanted = path.as_bytes().split(is_dot).nth(usize::from(place.matched)).unwrap_or_default();
            if wanted == name {
                let bit = 1 << place.matched;
                if place.seen & bit != 0 {
                    told(Event::Found { path: number, is_exact: place.is_exact(), value: Value::Twice });
                }
                place.seen |= bit;
                self.next.exact |= 1 << number;
            } else if alike && are_alike(wanted, name) {
                self.next.alike |= 1 << number;
            }
        }
    }

    /// The value that comes next is neither a list nor an object.
    #[inline(never)]
    pub fn scalar(&mut self, value: Value, paths: &[Path], told: Told) {
        for (number, is_exact) in std::mem::take(&mut self.next).numbers() {
            let named = self.is_last(number, paths) || value == Value::Null;
            self.found(number, is_exact, if named { value } else { Value::Unfit }, told);
        }
    }

    /// The value that comes next is an object or a list, which was opened. Answers the paths that name this list.
    #[inline(never)]
    pub fn open(&mut self, is_object: bool, paths: &[Path], told: Told) -> Option<Paths> {
        let mut lists = Paths::default();
        for (number, is_exact) in std::mem::take(&mut self.next).numbers() {
            match (is_object, self.is_last(number, paths), self.places.get_mut(number)) {
                (true, false, Some(place)) => {
                    place.exact += u8::from(is_exact && place.is_exact());
                    place.matched += 1;
                    // What stood in another object of this name stood there.
                    place.seen &= (1 << place.matched) - 1;
                }
                (false, true, _) if is_exact => lists.exact |= 1 << number,
                (false, true, _) => lists.alike |= 1 << number,
                _ => self.found(number, is_exact, Value::Unfit, told),
            }
        }
        (lists != Paths::default()).then_some(lists)
    }

    /// The object or list that was opened last, of so many, is closed. Answers whether it was a document.
    #[inline(never)]
    pub fn close(&mut self, depth: usize) -> bool {
        for place in &mut self.places {
            if place.matched > 0 && place.is_on(self.base, depth) {
                place.matched -= 1;
                place.exact = place.exact.min(place.matched);
            }
        }
        let is_document = self.base == depth;
        if is_document {
            self.base = 0;
        }
        is_document
    }

    /// These paths name a list of so many items beside numbers.
    pub fn items(&self, lists: Paths, items: u64, told: Told) {
        lists.numbers().for_each(|(number, is_exact)| self.found(number, is_exact, Value::Items(items), told));
    }

    fn is_last(&self, number: usize, paths: &[Path]) -> bool {
        let place = self.places.get(number).map(|place| usize::from(place.matched) + 1);
        paths.get(number).map(|path| path.bytes().filter(is_dot).count() + 1) == place
    }

    #[inline(never)]
    fn found(&self, number: usize, is_exact: bool, value: Value, told: Told) {
        let is_exact = is_exact && self.places.get(number).is_some_and(|place| place.is_exact());
        told(Event::Found { path: number, is_exact, value });
    }
}

/// Between the names of a path.
fn is_dot(byte: &u8) -> bool {
    *byte == b'.'
}

impl Place {
    /// Whether the object that was opened last, of so many, is the one that the path leads through.
    fn is_on(self, base: usize, depth: usize) -> bool {
        base > 0 && base + usize::from(self.matched) == depth
    }

    fn is_exact(self) -> bool {
        self.exact == self.matched
    }
}

impl Paths {
    /// Their numbers, and whether the last name is spelled as it is.
    fn numbers(self) -> impl Iterator<Item = (usize, bool)> {
        let set = |bits: u32| (0..32).filter(move |bit| bits >> bit & 1 == 1);
        let of = move |bits, is_exact| set(bits).map(move |bit| (bit, is_exact));
        of(self.exact, true).chain(of(self.alike, false))
    }
}
