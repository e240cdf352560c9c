//! Workload: widget keys end. After a revocation or a rotation without overlap was answered, no later call is admitted.

use crate::{
    admin::{Key, Visitor, is_ended, opening},
    audit::{self, Act},
    client::{Call, Client, Moment},
    http::Request,
    report::Violation,
    team::Workload,
};
use serde_json::json;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

/// Uses by each member after the key's end.
const USES_AFTER: usize = 5;
/// Rotations before the revocation, at most.
const ROTATIONS: usize = 3;

/// The life of one secret of a key, as its administrator saw it.
#[derive(Clone, Debug)]
pub struct Life {
    /// It was handed out.
    pub born: Moment,
    /// The first call that may have ended it began.
    pub doomed: Option<Moment>,
    /// The call that ended it was answered.
    pub ended: Option<Moment>,
}

/// One use of a secret.
#[derive(Clone, Debug)]
pub struct Use {
    pub secret: usize,
    pub invoked: Moment,
    pub returned: Moment,
    pub admitted: bool,
}

/// What is wrong with the uses of a key.
pub fn verdict(lives: &[Life], uses: &[Use]) -> Option<(Violation, String)> {
    for seen in uses {
        let life = &lives[seen.secret];
        if seen.admitted && life.ended.is_some_and(|ended| ended < seen.invoked) {
            return Some((Violation::LateUse, format!("{seen:?} of {life:?}")));
        }
        let lives_still = life.born < seen.invoked && life.doomed.is_none_or(|doomed| seen.returned < doomed);
        if !seen.admitted && lives_still {
            return Some((Violation::Lost, format!("a living key was refused: {seen:?} of {life:?}")));
        }
    }
    None
}

/// Uses that began after their secret's end was answered.
pub fn uses_after_an_end(lives: &[Life], uses: &[Use]) -> u64 {
    uses.iter().filter(|seen| lives[seen.secret].ended.is_some_and(|ended| ended < seen.invoked)).count() as u64
}

/// See the module.
pub struct Revocation;

/// One widget key with a conversation that was opened while it lived.
pub struct Subject {
    workspace: String,
    id: String,
    visitor: Visitor,
    secrets: Mutex<Vec<(String, Life)>>,
    uses: Mutex<Vec<Use>>,
    acts: Mutex<Vec<Act>>,
    ended: AtomicBool,
}

impl Subject {
    /// A new key and its first conversation.
    pub fn make(client: &mut Client, workspace: &str) -> Option<Self> {
        let (key, born) = client.key(workspace)?;
        let Key { id, secret } = key.clone();
        Some(Self {
            workspace: workspace.to_owned(),
            visitor: client.conversation(&key)?,
            acts: Mutex::new(vec![Act::once("credential.create", &id)]),
            id,
            secrets: Mutex::new(vec![(secret, Life { born, doomed: None, ended: None })]),
            uses: Mutex::default(),
            ended: AtomicBool::new(false),
        })
    }

    /// Opens a conversation or reads one, from anywhere, with any of the secrets.
    pub fn visit(&self, client: &mut Client) {
        let (number, secret) = {
            let secrets = self.secrets.lock().expect("no client panics");
            let number = if client.dice.bool() { secrets.len() - 1 } else { client.dice.usize(..secrets.len()) };
            (number, secrets[number].0.clone())
        };
        let network = client.network();
        let request = if client.dice.bool() {
            opening(&secret, &network)
        } else {
            Visitor { key: secret, network, ..self.visitor.clone() }.reading()
        };
        let Call { invoked, returned, answer: Some(answer), .. } = client.call(&request) else {
            return;
        };
        let admitted = matches!(answer.status, 200 | 201);
        if !admitted && !is_ended(&answer) && answer.body["code"] != "invalid_credential" {
            return client.surprise(&request, &answer.body);
        }
        self.uses.lock().expect("no client panics").push(Use { secret: number, invoked, returned, admitted });
    }

    /// Ends the newest secret with this call, which is repeated until it is answered.
    fn end(&self, client: &mut Client, what: &str, action: &'static str) {
        let body = if what == "rotate" { json!({"overlap_seconds": 0}) } else { json!({}) };
        let request = Request::post(format!("/v1/credentials/{}/{what}", self.id), &body);
        let request = client.as_operator(request);
        let doomed = client.world.now();
        if let Some((_, life)) = self.secrets.lock().expect("no client panics").last_mut() {
            life.doomed = Some(doomed);
        }
        let calls = client.calls();
        let Some((_, returned, answer)) = client.resolve(&request) else {
            return;
        };
        let mut secrets = self.secrets.lock().expect("no client panics");
        let Some((_, life)) = secrets.last_mut().filter(|_| matches!(answer.status, 200 | 201)) else {
            return client.surprise(&request, &answer.body);
        };
        life.ended = Some(returned);
        client.world.report.tally().revocations += 1;
        let attempts = client.calls() - calls;
        let act = if what == "rotate" { Act::times(action, &self.id, attempts) } else { Act::once(action, &self.id) };
        self.acts.lock().expect("no client panics").push(act);
        if what == "rotate" {
            secrets.push((answer.text("secret"), Life { born: returned, doomed: None, ended: None }));
        }
    }

    /// Ends the key for good.
    pub fn revoke(&self, client: &mut Client) {
        self.end(client, "revoke", "credential.revoke");
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Looks at all uses.
    pub fn judge(&self, client: &Client) {
        let secrets = self.secrets.lock().expect("no client panics");
        let uses = self.uses.lock().expect("no client panics");
        let lives: Vec<Life> = secrets.iter().map(|(_, life)| life.clone()).collect();
        client.world.report.tally().uses_after_an_end += uses_after_an_end(&lives, &uses);
        if let Some((kind, what)) = verdict(&lives, &uses) {
            client.world.report.violation(kind, format!("{}: {what}", self.id));
        }
    }
}

impl Workload for Revocation {
    type Object = Subject;

    fn prepare(&self, client: &mut Client) -> Option<Subject> {
        let workspace = client.fresh("revocation");
        client.workspace(&workspace)?;
        Subject::make(client, &workspace)
    }

    fn play(&self, subject: &Subject, member: usize, client: &mut Client) {
        if member == 0 {
            for _ in 0..client.dice.usize(..=ROTATIONS) {
                sleep(Duration::from_millis(client.dice.u64(..40)));
                subject.end(client, "rotate", "credential.rotate");
            }
            sleep(Duration::from_millis(client.dice.u64(..40)));
            subject.revoke(client);
        }
        while !subject.ended.load(Ordering::Relaxed) {
            subject.visit(client);
        }
        (0..USES_AFTER).for_each(|_| subject.visit(client));
    }

    fn check(&self, subject: &Subject, client: &mut Client) {
        subject.judge(client);
        audit::check(client, &subject.workspace, &subject.acts.lock().expect("no client panics"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(born: Moment, doomed: Option<Moment>, ended: Option<Moment>) -> Life {
        Life { born, doomed, ended }
    }

    fn kind(life: Life, invoked: Moment, returned: Moment, admitted: bool) -> Option<Violation> {
        verdict(&[life], &[Use { secret: 0, invoked, returned, admitted }]).map(|(kind, _)| kind)
    }

    #[test]
    fn a_use_after_the_answer_to_the_revocation_is_late_and_one_meanwhile_is_not() {
        let ended = life(0, Some(10), Some(20));
        assert_eq!(kind(ended.clone(), 21, 22, true), Some(Violation::LateUse));
        assert_eq!(kind(ended.clone(), 21, 22, false), None);
        for admitted in [true, false] {
            assert_eq!(kind(ended.clone(), 15, 22, admitted), None);
            assert_eq!(kind(life(0, Some(10), None), 50, 60, admitted), None, "never answered");
        }
    }

    #[test]
    fn a_living_key_that_is_refused_is_lost() {
        assert_eq!(kind(life(0, None, None), 5, 6, false), Some(Violation::Lost));
        assert_eq!(kind(life(0, Some(10), Some(20)), 5, 9, false), Some(Violation::Lost));
        assert_eq!(kind(life(0, Some(10), Some(20)), 5, 11, false), None);
    }
}
