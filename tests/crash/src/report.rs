//! What a run has seen so far: counts, and everything that must never happen.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    sync::{Mutex, MutexGuard},
};

/// What must never happen.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Violation {
    /// Something acknowledged is not there.
    Lost,
    /// Something asked for once is there twice.
    Doubled,
    /// Half of a change is there.
    Torn,
    /// No order of the operations explains the answers.
    Disorder,
    /// A window admitted more than its limit.
    Overshoot,
    /// Something ended was used afterwards.
    LateUse,
    /// What was counted for people is not what was admitted.
    Usage,
    /// An administrative act and the trail of such acts do not agree.
    Audit,
    /// An answer that nobody should get.
    Surprise,
}

impl Violation {
    /// All of them, with their names in a summary.
    const NAMES: [(&'static str, Self); 9] = [
        ("lost", Self::Lost),
        ("doubled", Self::Doubled),
        ("torn", Self::Torn),
        ("out of order", Self::Disorder),
        ("overshoot", Self::Overshoot),
        ("late uses", Self::LateUse),
        ("wrong usage", Self::Usage),
        ("against the audit", Self::Audit),
        ("surprises", Self::Surprise),
    ];
}

/// How many violations of one kind are told in full.
const TOLD: usize = 5;

/// Counts.
#[derive(Clone, Default)]
pub struct Tally {
    pub operations: u64,
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    pub lives: u64,
    pub revocations: u64,
    pub uses_after_an_end: u64,
    /// Refusals, by the name of the limit.
    pub saturated: BTreeMap<&'static str, u64>,
    pub audited: u64,
    pub kills: u64,
    pub recoveries_millis: Vec<u64>,
    pub violations: BTreeMap<Violation, Vec<String>>,
}

/// Shared by all threads of a run.
pub struct Report {
    tally: Mutex<Tally>,
    aloud: bool,
}

impl Report {
    /// Nothing was seen yet. Violations are told at once if `aloud`.
    pub fn new(aloud: bool) -> Self {
        Self { tally: Mutex::default(), aloud }
    }

    /// The counts, to change or to read.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().expect("no thread panics with the counts in its hands")
    }

    /// Something happened that must not.
    pub fn violation(&self, kind: Violation, what: impl Into<String>) {
        let what = what.into();
        if self.aloud {
            eprintln!("VIOLATION {kind:?}: {what}");
        }
        self.tally().violations.entry(kind).or_default().push(what);
    }
}

impl Tally {
    /// How often a violation was seen.
    pub fn count(&self, kind: Violation) -> usize {
        self.violations.get(&kind).map_or(0, Vec::len)
    }

    /// Whether one of these was seen; any, where none is named.
    pub fn has_seen(&self, wanted: &[Violation]) -> bool {
        self.violations.keys().any(|kind| wanted.is_empty() || wanted.contains(kind))
    }

    /// Adds what another run has seen.
    pub fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.lives += other.lives;
        self.revocations += other.revocations;
        self.uses_after_an_end += other.uses_after_an_end;
        for (name, refusals) in other.saturated {
            *self.saturated.entry(name).or_default() += refusals;
        }
        self.audited += other.audited;
        self.kills += other.kills;
        self.recoveries_millis.extend(other.recoveries_millis);
        for (kind, what) in other.violations {
            self.violations.entry(kind).or_default().extend(what);
        }
    }

    fn recovery(&self, percent: usize) -> u64 {
        let mut sorted = self.recoveries_millis.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(out, "  {name:<20} {value}");
        line("kills", self.kills.to_string())?;
        line("operations", self.operations.to_string())?;
        line("acknowledged", format!("{} ({} refused as they should be)", self.acknowledged, self.refused))?;
        line("unknown", self.unknown.to_string())?;
        line("objects checked", self.lives.to_string())?;
        line("ended", format!("{} keys and secrets, used {} times later", self.revocations, self.uses_after_an_end))?;
        line("refused for a limit", self.saturated.values().sum::<u64>().to_string())?;
        line("audited", self.audited.to_string())?;
        for (name, kind) in Violation::NAMES {
            line(name, self.count(kind).to_string())?;
        }
        if !self.recoveries_millis.is_empty() {
            let [p50, p99, max] = [50, 99, 100].map(|percent| self.recovery(percent));
            line("recovery", format!("p50 {p50} ms, p99 {p99} ms, max {max} ms"))?;
        }
        for (kind, what) in &self.violations {
            for what in what.iter().take(TOLD) {
                writeln!(out, "  {kind:?}: {what}")?;
            }
        }
        Ok(())
    }
}
