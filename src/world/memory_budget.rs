//! Memory of this isolate that bodies and answers take, by the kind of caller that it is held for: what one kind takes is not
//! missing to another, and no caller takes more than half of what its kind may have. Its `test` credentials have a room of their own
//! beside that, so that they take none of `live`.

use super::isolate::Isolate;
use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, rc::Rc};

const MEBIBYTE: usize = 1 << 20;

/// For whom memory is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// Callers of whom nobody was asked yet: small bodies, for a moment.
    Stranger,
    /// Reports of leaks, which are believed by a signature over the whole body.
    Report,
    /// Callers of the widget who would be admitted.
    Widget,
    /// Servers that would be admitted, or were.
    Server,
    /// Answers of the upstream that are read as they pass.
    Answer,
}

impl Holder {
    /// All of this kind together. An isolate has 128 MiB.
    pub fn most(self) -> usize {
        match self {
            Self::Stranger | Self::Widget => 16 * MEBIBYTE,
            Self::Report => 8 * MEBIBYTE,
            Self::Server | Self::Answer => 32 * MEBIBYTE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Report => "report",
            Self::Widget => "widget",
            Self::Server => "server",
            Self::Answer => "answer",
        }
    }

    /// One caller of this kind. Those whom nobody knows are all one.
    pub fn most_of_one(self) -> usize {
        match self {
            Self::Stranger | Self::Report => self.most(),
            Self::Widget | Self::Server | Self::Answer => self.most() / 2,
        }
    }
}

/// What is held, of each kind and by each caller.
#[derive(Debug, Default)]
struct HeldBytes(BTreeMap<String, usize>);

impl HeldBytes {
    fn fits(&self, of: &Of, bytes: usize) -> bool {
        let fits = |name: &str, most: usize| self.0.get(name).unwrap_or(&0).saturating_add(bytes) <= most;
        fits(of.holder.name(), of.holder.most()) && fits(&of.name, of.most)
    }

    /// `more` bytes more are held, and `less` less.
    fn change(&mut self, of: &Of, more: usize, less: usize) {
        for name in [of.holder.name(), of.name.as_str()] {
            let held = self.0.get(name).unwrap_or(&0).saturating_add(more).saturating_sub(less);
            if held == 0 {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), held);
            }
        }
    }
}

/// A kind, and one caller of it.
#[derive(Debug)]
struct Of {
    holder: Holder,
    name: String,
    most: usize,
}

impl Of {
    fn new(holder: Holder, who: &str) -> Self {
        let most = if who.starts_with(OF_TEST) { holder.most_of_one() / 4 } else { holder.most_of_one() };
        Self { holder, name: format!("{}/{who}", holder.name()), most }
    }
}

/// What the `test` credentials of a caller are called. No workspace, credential or network has such a name.
const OF_TEST: &str = "test/";

/// The name of a caller in one environment.
pub fn caller(name: &str, is_test: bool) -> Cow<'_, str> {
    if is_test { Cow::Owned(format!("{OF_TEST}{name}")) } else { Cow::Borrowed(name) }
}

/// What one request or answer holds. It is given back with the last of its clones.
#[derive(Clone, Debug)]
pub struct Share(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    held: Rc<RefCell<HeldBytes>>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    of: Of,
    /// What is counted.
    bytes: usize,
    /// What has come: more may be counted, where it was reserved before.
    came: usize,
}

impl Share {
    /// Nothing yet, for this caller.
    pub fn new(isolate: &Isolate, holder: Holder, who: &str) -> Self {
        let held = isolate.with(|held: &mut Rc<RefCell<HeldBytes>>| Rc::clone(held));
        let state = RefCell::new(State { of: Of::new(holder, who), bytes: 0, came: 0 });
        Self(Rc::new(Inner { held, state }))
    }

    /// Holds so many bytes from now on; false where there is no room for more than before, and then nothing changes.
    #[must_use]
    pub fn holds(&self, bytes: usize) -> bool {
        let (mut held, mut state) = (self.0.held.borrow_mut(), self.0.state.borrow_mut());
        let more = bytes.saturating_sub(state.bytes);
        if more > 0 && !held.fits(&state.of, more) {
            return false;
        }
        held.change(&state.of, more, state.bytes.saturating_sub(bytes));
        state.bytes = bytes;
        true
    }

    /// So many bytes more have come; false where there is no room for them.
    #[must_use]
    pub fn come(&self, bytes: usize) -> bool {
        let wanted = {
            let mut state = self.0.state.borrow_mut();
            state.came = state.came.saturating_add(bytes);
            state.came.max(state.bytes)
        };
        self.holds(wanted)
    }

    /// What has come is held for this caller from now on: also where that leaves no room, since it is here.
    pub fn moves_to(&self, holder: Holder, who: &str) {
        let (mut held, mut state) = (self.0.held.borrow_mut(), self.0.state.borrow_mut());
        held.change(&state.of, 0, state.bytes);
        (state.of, state.bytes) = (Of::new(holder, who), state.came);
        held.change(&state.of, state.bytes, 0);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.held.borrow_mut().change(&state.of, 0, state.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Holder, MEBIBYTE, Share, caller};
    use crate::world::isolate::Isolate;

    #[test]
    fn each_kind_has_its_own_room_and_nobody_takes_more_than_half_of_it() {
        let isolate = Isolate::default();
        let [one, two, three] = ["a", "b", "c"].map(|who| Share::new(&isolate, Holder::Server, who));
        assert!(one.holds(16 * MEBIBYTE) && !one.holds(16 * MEBIBYTE + 1));
        assert!(!Share::new(&isolate, Holder::Server, "a").holds(1), "another call of the same caller");
        assert!(two.holds(16 * MEBIBYTE) && !three.holds(1), "all of a kind together");
        assert!(Share::new(&isolate, Holder::Widget, "a").holds(8 * MEBIBYTE), "another kind");
        drop(one);
        assert!(three.holds(MEBIBYTE) && two.holds(0) && three.holds(16 * MEBIBYTE));
    }

    #[test]
    fn a4_what_test_credentials_hold_is_no_room_of_live_ones() {
        let isolate = Isolate::default();
        let of = |is_test| Share::new(&isolate, Holder::Server, &caller("a", is_test));
        let (test, live) = (of(true), of(false));
        assert!(test.holds(4 * MEBIBYTE) && !test.holds(4 * MEBIBYTE + 1));
        assert!(live.holds(16 * MEBIBYTE), "all of its own");
        let isolate = Isolate::default();
        let of = |is_test| Share::new(&isolate, Holder::Server, &caller("a", is_test));
        let (test, live) = (of(true), of(false));
        assert!(live.holds(16 * MEBIBYTE) && test.holds(4 * MEBIBYTE), "and the other way round");
    }

    #[test]
    fn what_comes_is_counted_beyond_what_was_reserved_and_moves_with_its_caller() {
        let isolate = Isolate::default();
        let strangers = |bytes: usize| Share::new(&isolate, Holder::Stranger, "").holds(bytes);
        let share = Share::new(&isolate, Holder::Stranger, "");
        assert!(share.holds(16 * MEBIBYTE) && !strangers(1) && share.come(MEBIBYTE) && !strangers(1));
        share.moves_to(Holder::Server, "a");
        assert!(strangers(16 * MEBIBYTE));
        assert!(share.come(15 * MEBIBYTE) && !share.come(1));
        let clone = share.clone();
        drop(share);
        assert!(!Share::new(&isolate, Holder::Server, "a").holds(1), "a clone holds it");
        drop(clone);
        assert!(Share::new(&isolate, Holder::Server, "a").holds(16 * MEBIBYTE));
    }
}
