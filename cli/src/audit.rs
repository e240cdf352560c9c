//! Verifies an exported audit, offline: that it is whole and unchanged, and that checkpoints which were kept lie on it.

use crate::{Answer, Failure, commands::variable, misused, without_secrets};
use claviger::{
    audit::{Checkpoint, Event, Head, Signature, Walk},
    crypto::keyring::KeyRing,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write as _},
    path::Path,
};
use zeroize::Zeroizing;

/// A line of an export.
enum Line {
    Event(Box<Event>),
    Checkpoint(Checkpoint),
    End(End),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    checkpoint: Checkpoint,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    head: Option<Head>,
    next_after: Option<u64>,
}

/// What was found.
#[derive(Serialize)]
struct Found<'a> {
    valid: bool,
    count: u64,
    head: Place<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    checkpoints: Checkpoints,
    /// When the final head was signed; none where nobody proves that nothing was cut off.
    end_signed_at: Option<&'a str>,
    next_after: Option<u64>,
}

#[derive(Serialize)]
struct Place<'a> {
    seq: u64,
    hash: &'a str,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Checkpoints {
    /// Their signatures hold.
    sound: u64,
    /// Their signatures were not verified: without the root secret, nobody can.
    unsigned: u64,
    /// Those that were kept, and lie on the chain.
    kept: u64,
}

/// A walk along an export.
struct Verification<'a> {
    walk: Walk,
    ring: Option<&'a KeyRing>,
    kept: Vec<Checkpoint>,
    chain: Option<String>,
    /// When the last event happened; none where none was read.
    at: Option<String>,
    checkpoints: Checkpoints,
    /// Where the last part ended, and what it says comes next; none where the last line is no end.
    end: Option<Option<u64>>,
    /// When the event that was come to was signed last, by signatures that hold.
    sealed_at: Option<String>,
    why: &'a str,
}

/// Verifies an export.
pub fn verify(file: &Path, from: Option<(String, u64)>, kept: Option<&Path>, json: bool) -> Answer {
    let ring = variable("ROOT_SECRETS")?.map(|roots| KeyRing::parse(&roots)).transpose()?;
    let kept = kept.map(|kept| checkpoints(BufReader::new(open(kept)?))).transpose()?.unwrap_or_default();
    let is_piped = file == Path::new("-");
    let reader: Box<dyn BufRead> =
        if is_piped { Box::new(io::stdin().lock()) } else { Box::new(BufReader::new(open(file)?)) };
    let walk = from.map_or_else(Walk::begin, |(hash, seq)| Walk::after(seq, hash));
    let mut verification = Verification::begin(walk, ring.as_ref(), kept);
    let bad = verification.run(reader)?;
    let name = if is_piped { "<stdin>".to_owned() } else { file.display().to_string() };
    verification.answer(bad, without_secrets(&name), json)
}

/// The first line of an export that is not sound, from 1. `kept` is a file of `--checkpoint`, or empty where there is none.
pub fn inspect(export: &[u8], kept: &[u8], ring: Option<&KeyRing>) -> Answer<Option<usize>> {
    let kept = if kept.is_empty() { Vec::new() } else { checkpoints(kept)? };
    Verification::begin(Walk::begin(), ring, kept).run(export)
}

impl<'a> Verification<'a> {
    fn begin(walk: Walk, ring: Option<&'a KeyRing>, kept: Vec<Checkpoint>) -> Self {
        let checkpoints = Checkpoints::default();
        Self { walk, ring, kept, chain: None, at: None, checkpoints, end: None, sealed_at: None, why: "" }
    }

    /// The first line that is not sound, from 1; `why` says what is wrong with it.
    fn run(&mut self, reader: impl BufRead) -> Answer<Option<usize>> {
        if let Err(why) = self.meet() {
            self.why = why;
            return Ok(Some(1));
        }
        let mut number = 0;
        for line in reader.lines() {
            number += 1;
            let sound = match line {
                Ok(line) => parse(&line).and_then(|line| self.step(line)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err("it is not UTF-8"),
                Err(error) => return Err(misused(format!("The export cannot be read: {error}. Name another."))),
            };
            if let Err(why) = sound {
                self.why = why;
                return Ok(Some(number));
            }
        }
        let (line, why) = if self.end.is_none() {
            (number + 1, "the export was cut off: its last line, with `head`, is missing")
        } else if !self.kept.is_empty() {
            (number + 1, "a checkpoint that was kept is not on this chain")
        } else if self.ring.is_some() && self.end == Some(None) && self.sealed_at.is_none() {
            // This line is signed by nobody: whoever cut the export could write it.
            (number, "no checkpoint before it is signed for this head: events may have been cut off")
        } else if self.walk.seq == 0 {
            // Anybody can write the last line of a chain without events.
            (number, "there is no event before it: nothing was verified")
        } else {
            return Ok(None);
        };
        self.why = why;
        Ok(Some(line))
    }

    fn step(&mut self, line: Line) -> Result<(), &'static str> {
        match line {
            Line::Event(event) => {
                (self.end, self.sealed_at) = (None, None);
                self.walk.step(&event)?;
                self.at = Some(event.at);
                self.meet()
            }
            Line::Checkpoint(checkpoint) => {
                self.end = None;
                self.walk.check(&checkpoint)?;
                self.belongs(&checkpoint.chain)?;
                self.signed(&checkpoint)
            }
            Line::End(End { head, next_after }) => {
                let (seq, hash) = (self.walk.seq, &self.walk.hash);
                match (&head, next_after) {
                    (None, None) if seq == 0 => {}
                    (Some(head), None) if head.seq == seq && head.hash == *hash => {}
                    (Some(head), Some(next)) if next == seq && head.seq > seq => {}
                    _ => return Err("events are missing before it: the chain goes on beyond what stands here"),
                }
                if let Some(head) = head {
                    self.belongs(&head.chain)?;
                    let is_last = head.seq == self.walk.seq;
                    if is_last && self.at.as_ref().is_some_and(|at| *at != head.at) {
                        return Err("its `at` is not that of the last event");
                    }
                }
                self.end = Some(next_after);
                Ok(())
            }
        }
    }

    /// Crosses off the checkpoints that were kept of the event that was come to.
    fn meet(&mut self) -> Result<(), &'static str> {
        let (here, others) = std::mem::take(&mut self.kept).into_iter().partition(|kept| kept.seq == self.walk.seq);
        self.kept = others;
        let here: Vec<Checkpoint> = here;
        for checkpoint in &here {
            self.walk.check(checkpoint).map_err(|_| "a checkpoint that was kept is of another event than this one")?;
            self.belongs(&checkpoint.chain)?;
            self.signed(checkpoint)?;
            self.checkpoints.kept += 1;
        }
        Ok(())
    }

    fn belongs(&mut self, chain: &str) -> Result<(), &'static str> {
        let known = self.chain.get_or_insert_with(|| chain.to_owned());
        if known == chain { Ok(()) } else { Err("it is of another chain") }
    }

    fn signed(&mut self, checkpoint: &Checkpoint) -> Result<(), &'static str> {
        match self.ring.map(|ring| checkpoint.signature(ring)) {
            Some(Signature::Sound) => {
                self.checkpoints.sound += 1;
                let at = Some(&checkpoint.at).max(self.sealed_at.as_ref());
                self.sealed_at = at.cloned();
            }
            Some(Signature::Unknown) | None => self.checkpoints.unsigned += 1,
            Some(Signature::Forged) => return Err("the signature of the checkpoint does not hold"),
        }
        Ok(())
    }

    fn answer(&self, bad: Option<usize>, name: &str, json: bool) -> Answer {
        let Walk { seq, hash, count } = &self.walk;
        let Checkpoints { sound, unsigned, kept } = self.checkpoints;
        let next_after = self.end.flatten();
        let signed_at = self.sealed_at.as_deref().filter(|_| bad.is_none() && next_after.is_none());
        if json {
            let found = Found {
                valid: bad.is_none(),
                count: *count,
                head: Place { seq: *seq, hash },
                first_bad_line: bad,
                why: bad.map(|_| self.why),
                checkpoints: self.checkpoints,
                end_signed_at: signed_at,
                next_after,
            };
            let text = serde_json::to_string(&found).map_err(|error| misused(error.to_string()))?;
            let Some(line) = bad else { return Ok(Zeroizing::new(text)) };
            // The answer is an answer, also where it is no.
            let _ = writeln!(io::stdout(), "{text}");
            return Err(Failure::unsound(format!("{name}:{line}: {}", self.why)));
        }
        if let Some(line) = bad {
            return Err(Failure::unsound(format!("{name}:{line}: {}", self.why)));
        }
        let more = match (next_after, signed_at) {
            (Some(next), _) => format!(", and there is more: export with after={next}"),
            (None, Some(at)) => format!("; its end was signed at {at}"),
            (None, None) => "; that nothing was cut off its end is not proven without ROOT_SECRETS".to_owned(),
        };
        let checkpoints = format!("checkpoints {sound} signed, {unsigned} not verified, {kept} kept");
        Ok(Zeroizing::new(format!("{name} is sound: events {count}, head {hash}/{seq}, {checkpoints}{more}")))
    }
}

fn parse(line: &str) -> Result<Line, &'static str> {
    // Strictly: a member that is unknown, doubled or of another form is in no hash.
    let parsed = if line.starts_with("{\"checkpoint\"") {
        serde_json::from_str::<Signed>(line).map(|signed| Line::Checkpoint(signed.checkpoint))
    } else if line.starts_with("{\"head\"") {
        serde_json::from_str(line).map(Line::End)
    } else {
        serde_json::from_str(line).map(Line::Event)
    };
    parsed.map_err(|_| "it is no event, no checkpoint and no end of an export")
}

/// Checkpoints that were kept: as they stand in an export, or bare.
fn checkpoints(reader: impl BufRead) -> Answer<Vec<Checkpoint>> {
    let unfit = || misused("The file of --checkpoint holds no checkpoint a line. Keep lines of an export.");
    let mut found = Vec::new();
    for line in reader.lines() {
        let line = line.map_err(|_| unfit())?;
        let bare = || serde_json::from_str::<Checkpoint>(&line).ok();
        match serde_json::from_str::<Signed>(&line).ok().map(|signed| signed.checkpoint).or_else(bare) {
            Some(checkpoint) => found.push(checkpoint),
            // A whole export may be kept: only its checkpoints matter here.
            None if parse(&line).is_ok() => {}
            None => return Err(unfit()),
        }
    }
    if found.is_empty() { Err(unfit()) } else { Ok(found) }
}

fn open(file: &Path) -> Answer<File> {
    let name = file.display().to_string();
    File::open(file)
        .map_err(|error| misused(format!("{} cannot be read: {error}. Name an export.", without_secrets(&name))))
}
