//! `claviger doctor`: what a credential is and what is wrong with it, judged offline. It is sent nowhere, and not shown.

use crate::{
    Answer, Failure,
    commands::{now, policy, variable},
    form::{Opened, Reading},
    misused,
    paste::{Pasted, decoded, mistaken},
    refused,
    table::table,
    without_secrets,
};
use claviger::{
    codec::time::Timestamp,
    crypto::keyring::KeyRing,
    value::id::{ConversationId, CredentialId, Environment, Stage},
};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use zeroize::Zeroizing;

/// Whose the credential should be, as far as that is known.
pub struct Expected {
    /// `ROOT_SECRETS`.
    pub ring: Option<KeyRing>,
    /// The brand of the policy; none where neither that nor root secrets are given.
    pub brand: Option<String>,
    /// What deploy keys are sent under; the first is the usual one.
    pub deploy_schemes: Vec<String>,
    /// `STAGE`.
    pub stage: Option<String>,
    /// `DEPLOYMENT`.
    pub deployment: Option<String>,
    /// This moment.
    pub at: Timestamp,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Diagnosis {
    /// Nothing is wrong, as far as could be judged.
    pub sound: bool,
    /// Its name on the wire; none of what is no credential.
    pub kind: Option<&'static str>,
    /// What it begins with.
    pub brand: Option<String>,
    /// `live` or `test`.
    pub environment: Option<&'static str>,
    /// Of a deploy key.
    pub stage: Option<&'static str>,
    /// Of a deploy key.
    pub deployment: Option<String>,
    /// The id inside, believed or not.
    pub id: Option<String>,
    /// The public part of an opaque credential.
    pub locator: Option<String>,
    /// When it says that it ends.
    pub expires_at: Option<String>,
    /// Whether its check or tag is; `null` where that could not be judged.
    pub genuine: Option<bool>,
    /// Where it stands in a request.
    pub sent_as: Option<String>,
    /// What is wrong, and what to do.
    pub problems: Vec<String>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// A longer text holds no credential that anybody meant.
const MAX_BYTES: u64 = 65_536;

/// Judges standard input, or `CLAVIGER_KEY`.
pub fn run(json: bool) -> Answer {
    let (text, is_utf16) = input()?;
    let ring = variable("ROOT_SECRETS")?.map(|roots| KeyRing::parse(&roots)).transpose()?;
    let policy = policy()?;
    let text_of = |name| variable(name).map(|value| value.map(|value| (*value).clone()));
    let is_told = ring.is_some() || variable("POLICY")?.is_some() || variable("POLICY_TOML")?.is_some();
    let expected = Expected {
        ring,
        brand: is_told.then_some(policy.brand),
        deploy_schemes: policy.deploy_schemes,
        stage: text_of("STAGE")?.map(|text| Stage::parse(&text).map_or(text, |stage| stage.as_str().to_owned())),
        deployment: text_of("DEPLOYMENT")?,
        at: now()?,
    };
    let mut found = diagnose(&text, &expected);
    if is_utf16 {
        found.problems.insert(0, "It is written in UTF-16, as PowerShell writes files. Save it as UTF-8.".to_owned());
        found.sound = false;
    }
    let text = if json { serde_json::to_string(&found).map_err(refused)? } else { found.for_people() };
    if found.sound {
        return Ok(text.into());
    }
    // The answer is an answer, also where it is no.
    let _ = writeln!(io::stdout(), "{text}");
    let (count, verb) = (found.problems.len(), if found.problems.len() == 1 { "thing is" } else { "things are" });
    Err(Failure::unsound(format!("claviger: {count} {verb} wrong with it.")))
}

/// What is to be judged, and whether it came in UTF-16.
fn input() -> Answer<(Zeroizing<String>, bool)> {
    let key = variable("CLAVIGER_KEY")?;
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal()
        && let Some(key) = key
    {
        return Ok((key, false));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let read = stdin.by_ref().take(MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| misused(format!("Standard input cannot be read: {error}. Pipe the credential in.")))?;
    let (text, is_utf16) = decoded(&bytes);
    if !text.trim().is_empty() {
        // One line's end is what every pipe has.
        return Ok((Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned()), is_utf16));
    }
    key.map(|key| (key, false))
        .ok_or_else(|| misused("There is nothing to look at. Pipe a credential in, or set CLAVIGER_KEY."))
}

/// Judges a text that should be a credential. What is said of it holds none of its secret.
pub fn diagnose(text: &str, expected: &Expected) -> Diagnosis {
    let Pasted { text, problems, carrier } = Pasted::parse(text, &expected.deploy_schemes);
    let mut found = Diagnosis { problems: problems.into_iter().map(str::to_owned).collect(), ..Diagnosis::default() };
    match (mistaken(&text), Reading::parse(&text)) {
        (None, Some(reading)) => found.judge(&text, &reading, carrier.as_deref(), expected),
        (mistake, _) => {
            let stranger = "This has the form of no credential: <brand>_<live or test>_…, <brand>_wk_…, <stage>:<deployment>|<brand>_dk_….";
            found.problems.push(mistake.unwrap_or(stranger).to_owned());
        }
    }
    found.sound = found.problems.is_empty();
    found
}

impl Diagnosis {
    fn judge(&mut self, text: &str, reading: &Reading, carrier: Option<&str>, expected: &Expected) {
        let Reading { form, brand, environment, .. } = reading;
        let opened = reading.open();
        self.kind = Some(form.kind);
        self.brand = Some((*brand).to_owned());
        self.environment = environment.map(Environment::as_str);
        self.locator.clone_from(&opened.locator);
        // What is no id may be anything.
        self.id = opened.id.clone().filter(|id| is_id(id));
        self.expires_at = opened.expires_at.map(|millis| Timestamp(millis).rfc3339()).filter(|at| !at.is_empty());
        self.belongs(reading, expected);
        self.carried(reading, carrier, expected);
        let is_cut = opened.flaw.is_some();
        self.problems.extend(opened.flaw.clone());
        self.prove(text, reading, &opened, is_cut, expected.ring.as_ref());
        if opened.expires_at.is_some_and(|end| end <= expected.at.0) && !is_cut {
            self.problems.push("It has expired. Get a new one.".to_owned());
        }
        if *environment == Some(Environment::Test) {
            self.notes.push("A test credential: it opens test data, and is refused at live data.".to_owned());
        }
        if self.problems.is_empty() {
            self.notes.push("Whether it was revoked, only the worker knows.".to_owned());
        }
    }

    /// Whether it is of this brand, stage and deployment.
    fn belongs(&mut self, reading: &Reading, expected: &Expected) {
        let brand = reading.brand;
        if let Some(ours) = expected.brand.as_deref().filter(|ours| *ours != brand) {
            let is_case = ours.eq_ignore_ascii_case(brand);
            let why = if is_case {
                "it was written in another case"
            } else {
                "it is another product's, or POLICY is not the worker's"
            };
            self.problems.push(format!("Its brand is {brand}, and the policy's is {ours}: {why}."));
        } else if brand.bytes().any(|b| b.is_ascii_uppercase()) {
            self.problems.push("Its brand has capital letters: it was written in another case.".to_owned());
        }
        if reading.form.kind != "deploy_key" {
            if reading.place.is_some() {
                self.problems.push("Something stands before it, up to a `|`. Only deploy keys have that.".to_owned());
            }
            return;
        }
        let Some((stage, deployment)) = reading.stage() else {
            let fix = "Copy it whole, and put it in quotes where a shell reads it.";
            self.problems.push(format!("What stands before its `|` is missing or wrong: <stage>:<deployment>. {fix}"));
            return;
        };
        self.stage = Some(stage.as_str());
        self.deployment = Some(deployment.to_owned()).filter(|name| without_secrets(name) == name);
        let others = [("stage", stage.as_str(), &expected.stage), ("deployment", deployment, &expected.deployment)];
        for (what, _, ours) in others.iter().filter(|(_, is, ours)| ours.as_ref().is_some_and(|ours| ours != is)) {
            let ours = ours.as_deref().map(without_secrets).unwrap_or_default();
            self.problems.push(format!("It is of another {what} than {ours}, which is in the environment."));
        }
        if stage != Stage::Prod {
            self.notes.push(format!("A key for {}: it opens nothing in prod.", stage.as_str()));
        }
    }

    /// Whether it was pasted with the header that it belongs into.
    fn carried(&mut self, reading: &Reading, carrier: Option<&str>, expected: &Expected) {
        let form = reading.form;
        let is_deploy_key = form.kind == "deploy_key";
        let usual = expected.deploy_schemes.first().filter(|_| is_deploy_key);
        let sent_as = usual.map_or_else(|| form.sent_as.to_owned(), |scheme| format!("Authorization: {scheme} <key>"));
        let is_right = |carrier: &str| {
            let of_policy = expected.deploy_schemes.iter().any(|known| known.eq_ignore_ascii_case(carrier));
            form.carriers.contains(&carrier) || (is_deploy_key && of_policy)
        };
        if let Some(carrier) = carrier.filter(|carrier| !is_right(carrier)) {
            let what = if carrier == "authorization" { "without a scheme" } else { "like that" };
            self.problems.push(format!("A {} is not sent {what}. It goes into {sent_as}.", form.kind));
        }
        self.sent_as = Some(sent_as);
    }

    /// Whether it is genuine.
    fn prove(&mut self, text: &str, reading: &Reading, opened: &Opened, is_cut: bool, ring: Option<&KeyRing>) {
        let Some(ring) = ring else {
            let what =
                "Whether it is genuine could not be judged, only its shape: ROOT_SECRETS is not in the environment.";
            self.notes.push(what.to_owned());
            return;
        };
        let Some(verified) = reading.form.verify.and_then(|verify| verify(text, reading.brand, ring)) else {
            self.notes.push("Whether it is genuine cannot be judged offline, only its shape.".to_owned());
            return;
        };
        self.genuine = Some(verified.is_ok());
        if verified.is_err() && !is_cut && (reading.form.kind != "deploy_key" || self.stage.is_some()) {
            let is_foreign = opened.key_id.is_some_and(|key_id| !ring.can_verify(key_id));
            self.problems.push(if is_foreign {
                "It was made under a root secret that is not in ROOT_SECRETS, or may no longer sign.".to_owned()
            } else {
                "It is not genuine: something in it was changed, or it was made under other root secrets.".to_owned()
            });
        }
    }

    fn for_people(&self) -> String {
        let genuine = self.genuine.map(|genuine| if genuine { "yes" } else { "no" }.to_owned());
        let text = |text: Option<&'static str>| text.map(str::to_owned);
        let facts = [
            ("kind", text(self.kind)),
            ("brand", self.brand.clone()),
            ("environment", text(self.environment)),
            ("stage", text(self.stage)),
            ("deployment", self.deployment.clone()),
            ("id", self.id.clone()),
            ("locator", self.locator.clone()),
            ("expires", self.expires_at.clone()),
            ("genuine", genuine),
            ("sent as", self.sent_as.clone()),
        ];
        let facts = facts.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
        let told = |name: &'static str, lines: &[String]| {
            lines.iter().map(|line| vec![name.to_owned(), line.clone()]).collect::<Vec<_>>()
        };
        let told = [told("problem", &self.problems), told("note", &self.notes)].concat();
        table(&facts.chain(told).collect::<Vec<_>>())
    }
}

fn is_id(text: &str) -> bool {
    CredentialId::try_from(text.to_owned()).is_ok() || ConversationId::try_from(text.to_owned()).is_ok()
}
