//! A request's body on its way here: what can be refused on the head is refused before it is read.
//!
//! A small body that comes soon is read at once, and then one hop admits its caller: most calls are so. For any other the
//! credential's object is asked first whether the caller would be admitted, which counts nothing. Then the body is read, and then
//! the admission itself is asked: else whoever holds back its end would act with a credential that has ended since.

use super::{body, request::Request};
use crate::{
    error::Reason,
    object::machine::{Reading, World},
    principal::Principal,
    value::id::Environment,
    world::memory_budget::{self, Holder, Share},
};
use std::{borrow::Cow, future::Future, pin::Pin};

/// What is no longer may be read before anybody was asked: 16 KiB.
const EARLY_BYTES: usize = 16 << 10;

/// If it comes so soon. After that it is asked who sends it.
const EARLY_MILLIS: u32 = 500;

/// A body that the call takes; see the module.
pub struct Arrival {
    limit: usize,
    is_json: bool,
    state: State,
    share: Option<Share>,
}

enum State {
    Expected,
    Here(Vec<u8>),
    Refused(Reason),
}

impl Arrival {
    /// A call that takes no body.
    pub fn none() -> Self {
        Self { limit: 0, is_json: false, state: State::Here(Vec::new()), share: None }
    }

    /// Any bytes, at most `limit` of them.
    pub fn plain(limit: usize, request: &Request, world: &impl World) -> Self {
        let declared = declared(world);
        let state = match declared {
            Some(length) if length > limit => State::Refused(Reason::BodyTooLarge(limit)),
            _ if request.has_body => State::Expected,
            _ => State::Here(Vec::new()),
        };
        Self { limit, is_json: false, state, share: None }
    }

    /// JSON, by what its headers say; or no body.
    pub fn json(limit: usize, request: &Request, world: &impl World) -> Self {
        let arrival = Self { is_json: true, ..Self::plain(limit, request, world) };
        // A form of another site can send text/plain without asking (attack case A28).
        match arrival.state {
            State::Expected if body::is_other_than_json(declared(world), world) => {
                Self { state: State::Refused(Reason::UnsupportedMediaType), ..arrival }
            }
            _ => arrival,
        }
    }

    /// Reads a small body that comes soon.
    pub async fn early(&mut self, world: &impl World) {
        let declared = declared(world).unwrap_or(EARLY_BYTES);
        if !self.is_expected() || declared > EARLY_BYTES {
            return;
        }
        let share = Share::new(world.isolate(), Holder::Stranger, "");
        // Where callers whom nobody knows hold much already, it is asked first who this one is.
        if share.holds(declared) {
            self.share = Some(share);
            self.read(EARLY_BYTES, EARLY_MILLIS, world).await;
        }
    }

    /// Whether it is not here yet: its caller is asked about before it is read.
    pub fn is_expected(&self) -> bool {
        matches!(self.state, State::Expected)
    }

    /// Reads it for a caller who would be admitted, out of what callers of its kind may hold.
    pub async fn rest(&mut self, holder: Holder, who: &str, world: &impl World) -> Result<(), Reason> {
        if !self.is_expected() {
            return Ok(());
        }
        self.share.get_or_insert_with(|| Share::new(world.isolate(), holder, who)).moves_to(holder, who);
        self.read(usize::MAX, u32::MAX, world).await;
        match self.state {
            State::Refused(Reason::MemoryFull) => Err(Reason::MemoryFull),
            _ => Ok(()),
        }
    }

    /// The caller was admitted: what is held of the body is held for it.
    pub fn belongs_to(&self, holder: Holder, who: &str) {
        if let Some(share) = &self.share {
            share.moves_to(holder, who);
        }
    }

    /// The body, once; or why there is none. What is held for it is held until this value ends.
    pub fn take(&mut self) -> Result<Vec<u8>, Reason> {
        match std::mem::replace(&mut self.state, State::Here(Vec::new())) {
            State::Here(bytes) => Ok(bytes),
            State::Refused(reason) => Err(reason),
            State::Expected => Err(Reason::Unavailable),
        }
    }

    /// Boxed, so that the module holds it once and not for each caller.
    fn read<'a>(
        &'a mut self,
        enough: usize,
        soon_millis: u32,
        world: &'a impl World,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            let (limit, Some(share)) = (self.limit, &self.share) else { return };
            match world.body(Reading { limit, enough, soon_millis, share }).await {
                Ok(Some(bytes)) if self.is_json && !bytes.is_empty() && !body::says_json(world) => {
                    self.state = State::Refused(Reason::UnsupportedMediaType);
                }
                Ok(Some(bytes)) => self.state = State::Here(bytes),
                Ok(None) => {}
                Err(reason) => self.state = State::Refused(reason),
            }
        })
    }
}

/// The length that the head declares.
fn declared(world: &impl World) -> Option<usize> {
    world.header("content-length").and_then(|length| length.parse().ok())
}

/// For whom a server's body is held: its workspace, in its environment, or else its credential.
pub fn whose(principal: &Principal) -> Cow<'_, str> {
    let name = principal.workspace().map_or(principal.id().as_str(), |workspace| workspace.as_str());
    memory_budget::caller(name, principal.environment() == Some(Environment::Test))
}
