//! The only folder that knows the platform. It moves bytes between JavaScript and the core, and decides nothing.
//!
//! A request is a coroutine: [`begin`] runs it until it needs something from outside, hands that need to `entry.js` as
//! text, and [`resume`] goes on with what came back. So no promise and no callback crosses into wasm, every call returns,
//! and a panic in any of them is an exception that the entry catches.

mod object;
mod requests;
mod storage;
mod world;

use crate::{
    call::{
        config::Config,
        reply::{self, Reply},
        request::Request,
    },
    error::Reason,
    road::serve::serve,
    upstream::watch::{Ending, Watch},
    world::isolate::Isolate,
};
use js_sys::Reflect;
use requests::{Requests, Running, Watched};
use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use world::{Body, Edge, Exchange};

thread_local! {
    /// Leaked on purpose: it lives as long as the isolate.
    static CONFIG: OnceCell<&'static Result<Config, Reason>> = const { OnceCell::new() };
    static ISOLATE: OnceCell<&'static Isolate> = const { OnceCell::new() };
    static REQUESTS: RefCell<Requests> = RefCell::default();
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn log_error(line: &str);
}

/// Runs whenever an instance begins: a panic says where it stood. Never what it says: that may repeat what was sent.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            log_error(&format!("panic at {}:{}", place.file(), place.line()));
        }
    }));
}

/// Begins to answer a request: `!…`, the answer, or `?…`, what is needed first.
#[wasm_bindgen]
pub fn begin(
    env: &JsValue,
    headers: String,
    id: String,
    method: String,
    url: String,
    now: f64,
    has_body: bool,
) -> String {
    REQUESTS.with_borrow_mut(|requests| requests.sweep(now));
    let exchange = Rc::new(RefCell::new(Exchange::default()));
    let isolate = ISOLATE.with(|cell| *cell.get_or_init(|| Box::leak(Box::default())));
    let world = Rc::new(Edge::new(headers, now, Rc::clone(&exchange), isolate));
    #[cfg(feature = "faults")]
    world.fail_on_purpose();
    let request = Request { id, method, url, header_bytes: world.header_bytes(), has_body };
    let config = config(env);
    let walker = Rc::clone(&world);
    let future = Box::pin(async move { serve(&request, config.as_ref(), &*walker).await });
    run(None, Running { future, exchange, world })
}

/// The command for the hop `number` of those that the request `id` asks for, from 0.
#[wasm_bindgen]
pub fn command(id: u32, number: usize) -> Vec<u8> {
    REQUESTS.with_borrow(|requests| {
        let running = requests.running.get(&id);
        running.map(|running| running.exchange.borrow_mut().take_command(number)).unwrap_or_default()
    })
}

/// Keeps the reply of the hop `number`; empty where the object could not be reached.
#[wasm_bindgen]
pub fn supply(id: u32, number: usize, reply: Vec<u8>) {
    REQUESTS.with_borrow(|requests| {
        if let Some(running) = requests.running.get(&id) {
            running.exchange.borrow_mut().supply_reply(number, reply);
        }
    });
}

/// Goes on once every reply was supplied.
#[wasm_bindgen]
pub fn resume(id: u32) -> String {
    go_on(id, |_| {})
}

/// Goes on with the request's body, which came at `now`.
#[wasm_bindgen]
pub fn resume_with_body(id: u32, body: Vec<u8>, now: f64) -> String {
    go_on(id, |exchange| exchange.supply_body(Body::Whole(body), now))
}

/// Goes on without a body: it was longer than allowed, or broke off, or one of the entry's other words.
#[wasm_bindgen]
pub fn resume_without_body(id: u32, why: &str, now: f64) -> String {
    go_on(id, |exchange| exchange.supply_body(Body::missing(why), now))
}

/// So many bytes more of the request's body have come: whether there is room for them.
#[wasm_bindgen]
pub fn hold(id: u32, bytes: usize) -> bool {
    REQUESTS
        .with_borrow(|requests| requests.running.get(&id).is_some_and(|running| running.exchange.borrow().holds(bytes)))
}

/// Goes on with the head of what the upstream answered at `now`, or with one word that says why there is none.
#[wasm_bindgen]
pub fn resume_with_answer(id: u32, head: String, now: f64) -> String {
    go_on(id, |exchange| {
        exchange.supply_reply(0, head.into_bytes());
        exchange.goes_on_at(now);
    })
}

fn go_on(id: u32, supply: impl FnOnce(&mut Exchange)) -> String {
    let running = REQUESTS.with_borrow_mut(|requests| requests.running.remove(&id));
    match running {
        Some(running) => {
            supply(&mut running.exchange.borrow_mut());
            run(Some(id), running)
        }
        // Begun before a trap took the instance away: the entry answers in its stead.
        None => String::new(),
    }
}

fn run(id: Option<u32>, mut running: Running) -> String {
    let mut context = Context::from_waker(Waker::noop());
    match running.future.as_mut().poll(&mut context) {
        Poll::Ready(mut reply) => {
            let reply::Body::Upstream(passing) = &mut reply.body else { return answer(&reply, None) };
            let (kept, watch) = (passing.kept.take(), passing.watch.take());
            match kept {
                Some(body) => answer(&reply, Some(("kept", keep_body(body)))),
                None => answer(&reply, watch.map(|watch| ("upstream", keep(*watch, running)))),
            }
        }
        Poll::Pending => {
            let asks = running.exchange.borrow_mut().take_asks();
            let id = REQUESTS.with_borrow_mut(|requests| {
                let id = id.unwrap_or_else(|| requests.next());
                requests.running.insert(id, running);
                id
            });
            format!("?{id}{asks}")
        }
    }
}

fn keep(watch: Watch, Running { exchange, world, .. }: Running) -> u32 {
    REQUESTS.with_borrow_mut(|requests| {
        let id = requests.next();
        requests.watched.insert(id, Watched { watch, exchange, world });
        id
    })
}

fn keep_body(body: Vec<u8>) -> u32 {
    REQUESTS.with_borrow_mut(|requests| {
        let id = requests.next();
        requests.kept.insert(id, body);
        id
    })
}

/// The body under this number, once.
#[wasm_bindgen]
pub fn kept(id: u32) -> Vec<u8> {
    REQUESTS.with_borrow_mut(|requests| requests.kept.remove(&id)).unwrap_or_default()
}

/// A part of a watched body has come. Whether the rest is read to its end though the caller has gone.
#[wasm_bindgen]
pub fn watch(id: u32, part: &[u8]) -> bool {
    REQUESTS.with_borrow_mut(|requests| {
        requests.watched.get_mut(&id).is_some_and(|watched| {
            watched.watch.feed(part);
            watched.watch.goes_on()
        })
    })
}

/// A watched body has passed, whole or not: what is to be done of that, as [`begin`] says what it needs.
#[wasm_bindgen]
pub fn passed(id: u32, is_whole: bool, now: f64) -> String {
    let watched = REQUESTS.with_borrow_mut(|requests| requests.watched.remove(&id));
    let Some(Watched { watch, exchange, world }) = watched else { return String::new() };
    exchange.borrow_mut().goes_on_at(now);
    let (ending, walker) = (if is_whole { Ending::Whole } else { Ending::Cut }, Rc::clone(&world));
    let future = Box::pin(async move { ended(watch.end(ending, &*walker).await) });
    run(None, Running { future, exchange, world })
}

/// Nobody waits for an answer any more: what failed is only told to the log.
fn ended(outcome: Result<(), Reason>) -> Reply {
    if let Err(reason) = &outcome {
        log_error(&format!("after an answer: {}", reason.name()));
    }
    Reply::empty(204)
}

/// Read once per isolate.
pub(crate) fn config(env: &JsValue) -> &'static Result<Config, Reason> {
    CONFIG.with(|cell| {
        *cell.get_or_init(|| {
            let variable = |name: &str| Reflect::get(env, &JsValue::from_str(name)).ok()?.as_string();
            Box::leak(Box::new(Config::parse(variable)))
        })
    })
}

/// Status, log, kind of body, body, and headers: one a line. JSON has no line ends of its own, and HTTP lets none in.
/// The body of an answer that is watched, or that was kept, is the number under which it is.
fn answer(reply: &Reply, numbered: Option<(&str, u32)>) -> String {
    let joined;
    let (passing, number) = numbered.map_or(("upstream", String::new()), |(kind, number)| (kind, number.to_string()));
    let (kind, body) = match &reply.body {
        reply::Body::Empty => ("", ""),
        reply::Body::Json(text) => ("text", text.as_str()),
        // The entry turns the separator into line ends: JSON never holds one as it is.
        reply::Body::Lines(lines) => {
            joined = lines.iter().fold(String::new(), |text, line| text + line + "\u{1e}");
            ("lines", joined.as_str())
        }
        reply::Body::Asset(path) => ("asset", *path),
        reply::Body::Upstream(_) => (passing, number.as_str()),
    };
    // Room for the headers, or the text would move with every few of them.
    let mut text = String::with_capacity(reply.log.len() + body.len() + 1_024);
    for part in ["!", &reply.status.to_string(), "\n", &reply.log, "\n", kind, "\n", body] {
        text.push_str(part);
    }
    let theirs = if let reply::Body::Upstream(passing) = &reply.body { passing.headers.as_slice() } else { &[] };
    let theirs = theirs.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in reply.headers.iter().map(|(name, value)| (*name, value)).chain(theirs) {
        text.push('\n');
        text.push_str(name);
        text.push('\n');
        text.push_str(value);
    }
    text
}
