//! Watches the old secret of a rotation until nobody uses it any more, and then ends it.

use crate::{
    Answer, Failure,
    commands::now,
    credential::{path, unfit},
    credential_arguments::Rotate,
    quantity::span,
    refused,
    table::plain,
    tell,
    worker::{Fault, Worker},
};
use claviger::codec::time::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::{
    process, thread,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// What 128 + SIGINT says to shells.
const BROKEN_OFF: i32 = 130;

/// The old secret of a rotation; all absent where there is none.
#[derive(Deserialize)]
pub struct Old {
    /// Its hint.
    pub replaces: Option<String>,
    /// When the overlap ends by itself.
    pub old_expires_at: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    by_secret: Vec<Used>,
}

/// How much one secret was used.
#[derive(Deserialize)]
struct Used {
    hint: String,
    last_used_at: Option<String>,
    total: u64,
}

/// How long a secret has been silent, by what its counters said each time.
///
/// It counts by our own clock from when we began to look: the worker's may differ from ours, and to end a secret too early
/// shuts out somebody who works.
#[derive(Default)]
struct Silence {
    seen: Option<(u64, Option<String>)>,
    since_millis: u64,
}

impl Silence {
    /// Milliseconds since it was last seen used. A total that shrinks is a window that moved on, and no use.
    fn observe(&mut self, total: u64, last_used_at: Option<String>, at_millis: u64) -> u64 {
        let is_same = self.seen.as_ref().is_some_and(|(seen, last)| total <= *seen && *last == last_used_at);
        if !is_same {
            self.since_millis = at_millis;
        }
        self.seen = Some((total, last_used_at));
        at_millis.saturating_sub(self.since_millis)
    }
}

/// Waits, and ends the old secret. Good only once that has ended unused.
pub fn watch(worker: &Worker, asked: &Rotate, old: &Old) -> Answer {
    let Old { replaces: Some(hint), old_expires_at: Some(end) } = old else {
        tell(&format!("{} has no old secret that still works: there is nothing to wait for", asked.id));
        return Ok(Zeroizing::default());
    };
    let end_at = Timestamp::parse_rfc3339(end).ok_or_else(unfit)?;
    let (hint, end) = (plain(hint), plain(end));
    let goes_on = format!("the old secret {hint} ends by itself at {end}");
    let again = format!("`claviger credentials rotate {} --only-watch` watches on", asked.id);
    let farewell = format!("broken off: {goes_on}; {again}");
    let handled = ctrlc::set_handler(move || {
        tell(&farewell);
        process::exit(BROKEN_OFF);
    });
    handled.map_err(|error| refused(format!("Ctrl-C cannot be heard: {error}. But {goes_on}.")))?;
    tell(&format!("waiting until {hint} has not been used for {}; {goes_on}", span(asked.silent)));
    let (began, mut silence) = (instant(), Silence::default());
    loop {
        let left = Duration::from_millis(end_at.millis_since(now()?));
        if left.is_zero() {
            let who = "Whoever still uses it is refused from now on";
            let fix = format!("{who}: `claviger credentials usage {}` shows how much that was.", asked.id);
            return Err(refused(format!("The old secret {hint} ended at {end}, before it was silent. {fix}")));
        }
        let every = Duration::from_secs(asked.every);
        let wait = match step(worker, asked, old, began, &mut silence) {
            Ok(Step::Ended(answer)) => return Ok(answer),
            Ok(Step::Wait(missing)) => every.min(missing),
            Err(Ended::Fault(fault)) if fault.is_passing() => {
                tell(&format!("{} Trying again.", fault.line()));
                every.max(fault.retry_after())
            }
            Err(Ended::Fault(fault)) => {
                return Err(refused(format!("{} The watch is over, and {goes_on}.", fault.line())));
            }
            Err(Ended::Failure(failure)) => return Err(failure),
        };
        thread::sleep(wait.min(left));
    }
}

/// What a look led to.
enum Step {
    /// So much of the silence is missing.
    Wait(Duration),
    /// The old secret has ended; what to print.
    Ended(Zeroizing<String>),
}

/// Why a look or an end did not come about.
enum Ended {
    Fault(Fault),
    Failure(Failure),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// One look and, if it was silent for long enough, its end.
fn step(worker: &Worker, asked: &Rotate, old: &Old, began: Instant, silence: &mut Silence) -> Result<Step, Ended> {
    let hint = plain(old.replaces.as_deref().unwrap_or_default());
    let (total, last_used_at) = look(worker, asked, &hint)?;
    let last = last_used_at.as_ref().map_or_else(|| "never used".to_owned(), |at| format!("last used {}", plain(at)));
    let at_millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let silent = silence.observe(total, last_used_at, at_millis);
    let (is, should) = (span(silent / 1_000), span(asked.silent));
    tell(&format!("{hint}: {last}, {total} in all; silent for {is} of {should}"));
    match (asked.silent * 1_000).saturating_sub(silent) {
        0 => finish(worker, asked, old).map(Step::Ended),
        missing => Ok(Step::Wait(Duration::from_millis(missing))),
    }
}

/// How much the old secret was used, and when last. Two with one hint count as one: rather too much than too little.
fn look(worker: &Worker, asked: &Rotate, hint: &str) -> Result<(u64, Option<String>), Ended> {
    let text = worker.get(&path(&asked.id, "/usage"), &[])?;
    let usage: Usage = serde_json::from_str(&text).map_err(|_| unfit())?;
    let of_old = usage.by_secret.into_iter().filter(|used| plain(&used.hint) == hint);
    Ok(of_old.fold((0, None), |(total, last), used| (total.saturating_add(used.total), last.max(used.last_used_at))))
}

/// Ends the old secret, if it is still the one that was watched.
fn finish(worker: &Worker, asked: &Rotate, old: &Old) -> Result<Zeroizing<String>, Ended> {
    let text = worker.get(&path(&asked.id, ""), &[])?;
    let present: Old = serde_json::from_str(&text).map_err(|_| unfit())?;
    if present.replaces.is_some()
        && (&present.replaces, &present.old_expires_at) != (&old.replaces, &old.old_expires_at)
    {
        let what = format!("{} was rotated again meanwhile, which ended the secret that was watched.", asked.id);
        let fix = "The one before the newest was not watched, and not ended: --only-watch does that.";
        return Err(Ended::Failure(refused(format!("{what} {fix}"))));
    }
    let answer = worker.post(&path(&asked.id, "/rotate/finish"), &json!({}), None)?;
    let hint = plain(old.replaces.as_deref().unwrap_or_default());
    tell(&format!("the old secret {hint} has ended, and nobody used it for {}", span(asked.silent)));
    Ok(if asked.json { answer } else { Zeroizing::default() })
}

#[allow(clippy::disallowed_methods, reason = "the one stopwatch here; what it says is handed on as an argument")]
fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::Silence;

    #[test]
    fn a_secret_is_silent_from_when_we_began_to_look_or_it_was_last_seen_used() {
        let mut silence = Silence::default();
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(silence.observe(7, at("t1"), 1_000), 0);
        assert_eq!(silence.observe(7, at("t1"), 5_000), 4_000);
        // Used: in number alone, or in time alone.
        assert_eq!(silence.observe(8, at("t1"), 6_000), 0);
        assert_eq!(silence.observe(8, at("t2"), 7_000), 0);
        // The window of the total moves on.
        assert_eq!(silence.observe(3, at("t2"), 9_000), 2_000);
        assert_eq!(silence.observe(4, at("t2"), 10_000), 0);
        assert_eq!(silence.observe(0, None, 11_000), 0);
        assert_eq!(silence.observe(0, None, 12_000), 1_000);
    }
}
