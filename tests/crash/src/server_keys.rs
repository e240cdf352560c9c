//! Workload: server keys. Limits, ends and usage hold across kills, whichever secret of a key is used.

use crate::{
    admin::is_ended,
    audit::{self, Act},
    client::{Call, Client, Moment},
    http::Request,
    limits::{Admission, NAMES, most},
    report::Violation,
    revocation::{Life, Use, uses_after_an_end, verdict},
    team::Workload,
};
use serde_json::json;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

/// The tier of the policy.
pub const LIMIT: usize = 40;
pub const WINDOW_SECONDS: u64 = 5;
/// Calls that a block admits from memory: a twentieth of the limit. A kill forgets the usage of so many at most.
const BLOCK: u64 = 2;

/// Long enough that a window ends and fills again.
const LIFE: Duration = Duration::from_secs(12);
/// Between two acts of the administrator.
const ACTS_EVERY: Duration = Duration::from_millis(1_200);
/// After a refusal.
const PAUSE: Duration = Duration::from_millis(10);
/// Uses by each member after the key's end.
const USES_AFTER: usize = 5;

/// See the module.
pub struct ServerKeys;

/// One server key.
pub struct ServerKey {
    workspace: String,
    id: String,
    /// Oldest first.
    secrets: Mutex<Vec<Secret>>,
    seen: Mutex<Seen>,
    acts: Mutex<Vec<Act>>,
    ended: AtomicBool,
    began: Instant,
    kills_before: u64,
}

struct Secret {
    text: String,
    life: Life,
    /// Whether a call with it was answered as admitted: from then on no kill lets it be taken for one that nobody got.
    used: bool,
}

impl Secret {
    fn new(text: String, born: Moment) -> Self {
        Self { text, life: Life { born, doomed: None, ended: None }, used: false }
    }
}

#[derive(Default)]
struct Seen {
    uses: Vec<Use>,
    admissions: Vec<Admission>,
    /// Calls that may have been admitted.
    unknown: u64,
}

impl ServerKey {
    /// A call with any of its secrets, mostly the newest.
    fn call(&self, client: &mut Client) {
        let (number, secret) = {
            let secrets = self.secrets.lock().expect("no client panics");
            let newest = secrets.len() - 1;
            let number = if client.dice.u8(..3) > 0 { newest } else { client.dice.usize(..secrets.len()) };
            (number, secrets[number].text.clone())
        };
        let request = Request::get("/v1/whoami");
        let request = if client.dice.bool() {
            request.with("X-API-Key", secret)
        } else {
            request.with("Authorization", format!("Bearer {secret}"))
        };
        let Call { invoked, returned, answer, .. } = client.call(&request);
        let mut seen = self.seen.lock().expect("no client panics");
        let Some(answer) = answer else {
            seen.unknown += 1;
            return;
        };
        // Whoever is told to wait was believed.
        let admitted = match answer.status {
            200 => {
                seen.admissions.push((invoked, returned));
                self.secrets.lock().expect("no client panics")[number].used = true;
                true
            }
            429 => true,
            // Only the last few secrets that ended are known as such.
            _ if is_ended(&answer) || answer.body["code"] == "invalid_credential" => false,
            _ => return client.surprise(&request, &answer.body),
        };
        seen.uses.push(Use { secret: number, invoked, returned, admitted });
        drop(seen);
        if answer.status == 429 {
            *client.world.report.tally().saturated.entry(NAMES[3]).or_default() += 1;
            sleep(PAUSE);
        }
    }

    /// An act on the key, repeated until it is answered: it may end the secrets before the place `doomed`, and has ended those
    /// before `ended` when it is answered.
    fn act(&self, client: &mut Client, what: &str, action: &'static str, [doomed, ended]: [usize; 2]) {
        let body = if what == "rotate" { json!({"overlap_seconds": 3_600}) } else { json!({}) };
        let request = client.as_operator(Request::post(format!("/v1/credentials/{}/{what}", self.id), &body));
        let now = client.world.now();
        let doom = |before: usize| {
            for secret in self.secrets.lock().expect("no client panics").iter_mut().take(before) {
                secret.life.doomed.get_or_insert(now);
            }
        };
        doom(doomed);
        let first = client.call(&request);
        let (mut returned, mut answer, mut attempts) = (first.returned, first.answer, 1);
        if answer.is_none() {
            // A rotation that has to be repeated may have been several: then only its last secret is sure to live.
            doom(if what == "rotate" { usize::MAX } else { doomed });
            let calls = client.calls();
            let Some((_, later, resolved)) = client.resolve(&request) else { return };
            (returned, answer) = (later, Some(resolved));
            attempts += client.calls() - calls;
        }
        let Some(answer) = answer.filter(|answer| matches!(answer.status, 200 | 201)) else {
            return client.surprise(&request, &json!("an act on a living key"));
        };
        let mut secrets = self.secrets.lock().expect("no client panics");
        for secret in secrets.iter_mut().take(ended).filter(|secret| secret.life.ended.is_none()) {
            secret.life.ended = Some(returned);
            client.world.report.tally().revocations += 1;
        }
        if what == "rotate" {
            secrets.push(Secret::new(answer.text("secret"), returned));
        }
        let most = if what == "rotate" { attempts } else { 1 };
        self.acts.lock().expect("no client panics").push(Act::times(action, &self.id, most));
    }

    /// At most two secrets live: a third one ends all before the newest, where that was used. Where nobody used it, it ends itself
    /// or one of those before, and which of them nobody here can tell.
    fn rotate(&self, client: &mut Client) {
        let (count, is_used) = {
            let secrets = self.secrets.lock().expect("no client panics");
            (secrets.len(), secrets.last().is_some_and(|newest| newest.used))
        };
        let [doomed, ended] = if is_used { [count - 1; 2] } else { [count, 0] };
        self.act(client, "rotate", "credential.rotate", [doomed, ended]);
    }

    fn finish(&self, client: &mut Client) {
        let older = self.count() - 1;
        self.act(client, "rotate/finish", "credential.rotate_finish", [older, older]);
    }

    fn revoke(&self, client: &mut Client) {
        let all = self.count();
        self.act(client, "revoke", "credential.revoke", [all, all]);
    }

    fn count(&self) -> usize {
        self.secrets.lock().expect("no client panics").len()
    }

    fn administer(&self, client: &mut Client) {
        let (mut acted, mut overlaps) = (Instant::now(), false);
        while self.began.elapsed() < LIFE && !client.world.is_over() {
            self.call(client);
            if acted.elapsed() < ACTS_EVERY {
                continue;
            }
            acted = Instant::now();
            if overlaps && client.dice.bool() {
                self.finish(client);
                overlaps = false;
            } else {
                self.rotate(client);
                overlaps = true;
            }
        }
        self.revoke(client);
    }

    /// What is wrong with the usage that it tells of itself.
    fn judge_usage(&self, client: &mut Client, seen: &Seen) -> Option<String> {
        let request = client.as_operator(Request::get(format!("/v1/credentials/{}/usage", self.id)));
        let (.., answer) = client.resolve(&request)?;
        let kills = client.world.report.tally().kills - self.kills_before;
        usage_verdict(answer.body["total"].as_u64()?, seen.admissions.len() as u64, seen.unknown, kills)
    }
}

/// Never more than was admitted; and a kill forgets what a block admitted from memory, and no more.
fn usage_verdict(total: u64, admitted: u64, unknown: u64, kills: u64) -> Option<String> {
    // One kill may not be counted yet.
    let least = admitted.saturating_sub(BLOCK * (kills + 1)).max(admitted.min(1));
    let fits = (least..=admitted + unknown).contains(&total);
    (!fits).then(|| format!("{total} counted of {admitted} admitted and {unknown} unknown, after {kills} kills"))
}

impl Workload for ServerKeys {
    type Object = ServerKey;

    fn prepare(&self, client: &mut Client) -> Option<ServerKey> {
        let workspace = client.fresh("server-keys");
        client.workspace(&workspace)?;
        let kills_before = client.world.report.tally().kills;
        let body = json!({
            "kind": "server_key", "workspace": workspace, "environment": "live", "name": "backend", "tier": "calls",
        });
        let request = client.as_operator(Request::post("/v1/credentials", &body));
        let (_, born, answer) = client.resolve(&request)?;
        if answer.status != 201 {
            client.surprise(&request, &answer.body);
            return None;
        }
        let id = answer.text("id");
        Some(ServerKey {
            workspace,
            acts: Mutex::new(vec![Act::once("credential.create", &id)]),
            id,
            secrets: Mutex::new(vec![Secret::new(answer.text("secret"), born)]),
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
            began: Instant::now(),
            kills_before,
        })
    }

    fn play(&self, key: &ServerKey, member: usize, client: &mut Client) {
        if member == 0 {
            key.administer(client);
            key.ended.store(true, Ordering::Relaxed);
        }
        while !key.ended.load(Ordering::Relaxed) {
            key.call(client);
        }
        (0..USES_AFTER).for_each(|_| key.call(client));
    }

    fn check(&self, key: &ServerKey, client: &mut Client) {
        let seen = std::mem::take(&mut *key.seen.lock().expect("no client panics"));
        let lives: Vec<Life> =
            key.secrets.lock().expect("no client panics").iter().map(|secret| secret.life.clone()).collect();
        let report = &client.world.report;
        report.tally().uses_after_an_end += uses_after_an_end(&lives, &seen.uses);
        if let Some((kind, what)) = verdict(&lives, &seen.uses) {
            report.violation(kind, format!("{}: {what}", key.id));
        }
        let most = most(&seen.admissions, WINDOW_SECONDS * 1_000_000_000);
        if most > LIMIT {
            let what = format!("{}: {most} admitted in a window of {LIMIT}", key.id);
            report.violation(Violation::Overshoot, what);
        }
        if let Some(what) = key.judge_usage(client, &seen) {
            client.world.report.violation(Violation::Usage, format!("{}: {what}", key.id));
        }
        audit::check(client, &key.workspace, &key.acts.lock().expect("no client panics"));
    }
}

#[cfg(test)]
mod tests {
    use super::usage_verdict;

    #[test]
    fn usage_is_what_was_admitted_but_for_a_block_for_each_kill() {
        assert_eq!(usage_verdict(100, 100, 0, 0), None);
        assert_eq!(usage_verdict(90, 100, 0, 4), None);
        assert_eq!(usage_verdict(103, 100, 3, 4), None);
        assert!(usage_verdict(89, 100, 0, 4).is_some());
        assert!(usage_verdict(104, 100, 3, 4).is_some());
        assert!(usage_verdict(0, 1, 0, 50).is_some(), "whatever was stored before the first answer is there");
        assert_eq!(usage_verdict(0, 0, 0, 0), None);
    }
}
