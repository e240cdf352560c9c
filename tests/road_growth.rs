//! Growth has an end: what a turn reads does not grow with what there is, what ended is forgotten, and what an object is told does not grow
//! with how many others are active.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod hosted;

use claviger::{
    admission::server_key::{AdmitKey, KeyRecord, KeySecret},
    audit::{By, Entry, Report},
    codec::{kind::CredentialKind, time::Timestamp},
    credentials::{store::MAX_KEPT, store_revoke_many::Which},
    error::Reason,
    machines::{
        credential::{self, Credential},
        deployment::WorkspaceRecord,
        workspace::{Change, Command, Expiry, ListCredentials, Reply, Workspace},
    },
    protocol::credential_record::{CredentialRecord, KeyPart, SecretRecord},
    value::id::{CredentialId, Environment, Locator, WorkspaceId},
};
use hosted::{Hosted, START};

const DAY: u64 = 86_400;
/// Rows that only this build writes.
const NEW_ROWS: [&str; 5] =
    ["credential-counts", "credential-made/", "credential-end/", "conversation-index", "record-use-test"];

fn acme() -> WorkspaceId {
    "acme".to_owned().try_into().unwrap()
}

fn by() -> By {
    By { actor: "deploy_key:dk_00000000000000000001".to_owned(), request_id: "req_1".to_owned(), network: None }
}

fn workspace() -> Hosted<Workspace> {
    let mut hosted = Hosted::<Workspace>::new();
    let record = WorkspaceRecord {
        id: acme(),
        name: "Acme".to_owned(),
        created_at: Timestamp(START),
        default_tier: None,
        version: None,
        plan: None,
    };
    hosted.tell(&Command::Create(record, "local".to_owned(), by())).unwrap();
    hosted
}

fn record(number: usize, environment: Environment, at: u64) -> CredentialRecord {
    let mut random = [0; 16];
    random[..8].copy_from_slice(&u64::try_from(number).unwrap().to_le_bytes());
    let digest = Some([u8::try_from(number % 251).unwrap(); 32]);
    CredentialRecord {
        id: CredentialId::issue_server_key(&acme(), Timestamp(at), random),
        environment,
        name: format!("key {number}"),
        origins: Vec::new(),
        current: SecretRecord { serial: 0, hint: "clv_…abcd".to_owned(), digest, until: None },
        previous: None,
        created_at: Timestamp(at),
        created_by: by().actor,
        expires_at: None,
        revoked_at: None,
        revoked_reason: None,
        last_used_at: None,
        version: 0,
        key: Some(KeyPart {
            kind: CredentialKind::ServerKey,
            locator: Locator::draw(random),
            scopes: Vec::new(),
            tier: None,
            numbers: None,
            addresses: Vec::new(),
            service: None,
            ended: Vec::new(),
            sighting: None,
        }),
    }
}

fn create(hosted: &mut Hosted<Workspace>, number: usize, environment: Environment) -> Result<CredentialId, Reason> {
    let record = record(number, environment, hosted.now);
    let id = record.id.clone();
    hosted.tell(&Command::CreateCredential(Box::new(record), None, by())).map(|_| id)
}

fn revoke(hosted: &mut Hosted<Workspace>, id: &CredentialId) {
    hosted.tell(&Command::RevokeCredential(id.clone(), None, by())).unwrap();
}

fn list(
    hosted: &mut Hosted<Workspace>,
    environment: Option<Environment>,
    after: Option<CredentialId>,
    limit: usize,
) -> (Vec<CredentialId>, Option<CredentialId>) {
    let list = ListCredentials { status: None, after, limit, kind: None, environment, is_plain: None };
    match hosted.tell(&Command::ListCredentials(list)).unwrap() {
        Reply::Credentials(records, next) => (records.into_iter().map(|record| record.id).collect(), next),
        _ => panic!("not a list"),
    }
}

fn end_all(hosted: &mut Hosted<Workspace>, environment: Option<Environment>, reason: &str) -> Result<usize, Reason> {
    let which = Which { environment, created_by: None, reason: Some(reason.to_owned()), until: None };
    match hosted.tell(&Command::RevokeMany(which, by()))? {
        Reply::Remaining(remaining, _) => Ok(remaining),
        _ => panic!("not a number"),
    }
}

/// Rows that are read to end so many keys: the most of one turn, and all.
fn bulk_costs(count: usize) -> (usize, usize) {
    let mut hosted = workspace();
    for number in 0..count {
        create(&mut hosted, number, Environment::Live).unwrap();
    }
    hosted.now += 1_000;
    hosted.settle();
    hosted.reset();
    assert_eq!(end_all(&mut hosted, None, "leaked"), Ok(count));
    hosted.settle();
    assert_eq!(end_all(&mut hosted, None, "leaked"), Ok(0));
    (hosted.most, hosted.all)
}

#[test]
fn a12_to_end_many_credentials_reads_so_many_rows_in_a_turn_and_no_row_again_and_again() {
    let ((most, all), (most_of_twice, all_of_twice)) = (bulk_costs(1_500), bulk_costs(3_000));
    assert!(most_of_twice <= most + 50 && most < 1_500, "of one turn: {most}, {most_of_twice}");
    assert!(all_of_twice * 10 <= all * 22, "in all: {all}, {all_of_twice}");
}

#[test]
fn a12_a_page_reads_as_many_rows_as_it_shows_however_many_there_are() {
    let mut hosted = workspace();
    for number in 0..3_000 {
        create(&mut hosted, number, if number % 2 == 0 { Environment::Live } else { Environment::Test }).unwrap();
    }
    for environment in [None, Some(Environment::Live), Some(Environment::Test)] {
        hosted.reset();
        let (shown, next) = list(&mut hosted, environment, None, 20);
        assert_eq!((shown.len(), next.as_ref()), (20, shown.last()));
        assert!(hosted.all <= 80, "{environment:?}: {}", hosted.all);
    }
}

#[test]
fn a9_a_page_of_test_keys_shows_its_own_behind_two_thousand_live_ones() {
    let mut hosted = workspace();
    let own = create(&mut hosted, 0, Environment::Test).unwrap();
    for number in 1..=2_000 {
        hosted.now += 1;
        create(&mut hosted, number, Environment::Live).unwrap();
    }
    assert_eq!(list(&mut hosted, Some(Environment::Test), None, 50), (vec![own.clone()], None));
    // Also where a build before this one made all of them, and kept no index.
    hosted.as_before(&NEW_ROWS);
    assert_eq!(list(&mut hosted, Some(Environment::Test), None, 50), (vec![own.clone()], None));
    hosted.alarm = Some(hosted.now);
    hosted.settle();
    assert_eq!(hosted.count("credential-made/"), 2_001);
    hosted.reset();
    assert_eq!(list(&mut hosted, Some(Environment::Test), None, 50), (vec![own], None));
    assert!(hosted.all < 20, "{}", hosted.all);
}

#[test]
fn a4_what_test_keys_take_is_no_room_of_live_ones_and_what_ended_gives_way() {
    let mut hosted = workspace();
    let ids: Vec<CredentialId> =
        (0..MAX_KEPT).map(|number| create(&mut hosted, number, Environment::Test).unwrap()).collect();
    assert!(matches!(create(&mut hosted, MAX_KEPT, Environment::Test), Err(Reason::Conflict(_))));
    create(&mut hosted, MAX_KEPT + 1, Environment::Live).unwrap();
    // One that ended makes room at once; it is forgotten then, and never comes back.
    hosted.now += 1_000;
    revoke(&mut hosted, &ids[7]);
    let new = create(&mut hosted, MAX_KEPT + 2, Environment::Test).unwrap();
    assert!(matches!(hosted.tell(&Command::ReadCredential(ids[7].clone())), Err(Reason::NotFound)));
    assert!(matches!(hosted.tell(&Command::ReadCredential(new)), Ok(Reply::Credential(_))));
    assert!(matches!(create(&mut hosted, MAX_KEPT + 3, Environment::Test), Err(Reason::Conflict(_))));
    revoke(&mut hosted, &ids[8]);
    let again = CredentialRecord { id: ids[7].clone(), ..record(7, Environment::Test, START) };
    let again = hosted.tell(&Command::CreateCredential(Box::new(again), None, by()));
    assert!(matches!(again, Err(Reason::Conflict(_))));
    // So does one that expired.
    create(&mut hosted, MAX_KEPT + 4, Environment::Test).unwrap();
    let change = Change { expires_at: Some(Expiry::At(Timestamp(hosted.now + 5_000))), ..Change::default() };
    hosted.tell(&Command::ChangeCredential(ids[9].clone(), change, by())).unwrap();
    assert!(matches!(create(&mut hosted, MAX_KEPT + 5, Environment::Test), Err(Reason::Conflict(_))));
    hosted.now += 5_000;
    create(&mut hosted, MAX_KEPT + 5, Environment::Test).unwrap();
    // All ended: all of the room is free.
    end_all(&mut hosted, Some(Environment::Test), "all").unwrap();
    hosted.settle();
    for number in 0..50 {
        create(&mut hosted, MAX_KEPT + 10 + number, Environment::Test).unwrap();
    }
}

#[test]
fn a4_the_room_that_an_earlier_build_counted_for_both_is_told_apart() {
    let mut hosted = workspace();
    let ids: Vec<CredentialId> =
        (0..MAX_KEPT).map(|number| create(&mut hosted, number, Environment::Test).unwrap()).collect();
    revoke(&mut hosted, &ids[0]);
    hosted.as_before(&NEW_ROWS);
    // Full, as that build sees it: and live keys are made all the same.
    create(&mut hosted, MAX_KEPT, Environment::Live).unwrap();
    hosted.settle();
    create(&mut hosted, MAX_KEPT + 1, Environment::Live).unwrap();
    create(&mut hosted, MAX_KEPT + 2, Environment::Test).unwrap();
    assert!(matches!(create(&mut hosted, MAX_KEPT + 3, Environment::Test), Err(Reason::Conflict(_))));
    let (live, _) = list(&mut hosted, Some(Environment::Live), None, 100);
    assert_eq!(live.len(), 2);
}

/// While a deployment goes out, both builds write: one of them knows no index, and counts all in one.
#[test]
fn a4_what_an_earlier_build_makes_meanwhile_is_listed_counted_and_forgotten() {
    let mut hosted = workspace();
    create(&mut hosted, 1, Environment::Live).unwrap();
    let theirs = record(2, Environment::Test, hosted.now + 1);
    hosted.stored.rows.insert(format!("credential/{}", theirs.id), claviger::codec::cbor::write(&theirs));
    hosted.stored.rows.insert("credential-count".to_owned(), claviger::codec::cbor::write(&2_usize));
    assert_eq!(list(&mut hosted, Some(Environment::Test), None, 5), (vec![theirs.id.clone()], None));
    let own = create(&mut hosted, 3, Environment::Test).unwrap();
    hosted.settle();
    let (shown, next) = list(&mut hosted, Some(Environment::Test), None, 5);
    assert_eq!((shown.len(), next), (2, None));
    assert!(shown.contains(&own) && shown.contains(&theirs.id));
    // The number that the earlier build knows goes on.
    assert_eq!(hosted.stored.rows["credential-count"], claviger::codec::cbor::write(&3_usize));
    // It ends one, and no index says so: the second look does.
    let ended = CredentialRecord { revoked_at: Some(Timestamp(hosted.now)), ..theirs };
    hosted.stored.rows.insert(format!("credential/{}", ended.id), claviger::codec::cbor::write(&ended));
    hosted.advance(95 * DAY);
    assert!(matches!(hosted.tell(&Command::ReadCredential(ended.id)), Err(Reason::NotFound)));
    assert_eq!(list(&mut hosted, Some(Environment::Test), None, 5), (vec![own], None));
}

#[test]
fn a4_what_ended_ninety_days_ago_is_an_id_and_a_hash() {
    let mut hosted = workspace();
    let (ended, lives) =
        (create(&mut hosted, 1, Environment::Live).unwrap(), create(&mut hosted, 2, Environment::Live).unwrap());
    revoke(&mut hosted, &ended);
    hosted.advance(89 * DAY);
    assert!(hosted.tell(&Command::ReadCredential(ended.clone())).is_ok());
    hosted.advance(2 * DAY);
    assert!(matches!(hosted.tell(&Command::ReadCredential(ended.clone())), Err(Reason::NotFound)));
    assert!(hosted.tell(&Command::ReadCredential(lives)).is_ok());
    let left: Vec<(&String, usize)> = hosted
        .stored
        .rows
        .iter()
        .filter(|(key, _)| key.contains(ended.as_str()) && !key.starts_with("audit"))
        .map(|(key, row)| (key, row.len()))
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].1 < 64, "{left:?}");
    assert_eq!(hosted.stored.rows["credential-count"], claviger::codec::cbor::write(&1_usize));
}

#[test]
fn a4_the_work_on_test_keys_holds_up_no_work_on_live_ones() {
    let mut hosted = workspace();
    for number in 0..60 {
        create(&mut hosted, number, if number % 2 == 0 { Environment::Live } else { Environment::Test }).unwrap();
    }
    hosted.now += 1_000;
    assert_eq!(end_all(&mut hosted, Some(Environment::Test), "test"), Ok(30));
    assert_eq!(end_all(&mut hosted, Some(Environment::Live), "live"), Ok(30));
    // One for both means what either does.
    assert!(matches!(end_all(&mut hosted, None, "both"), Err(Reason::Conflict(_))));
    assert!(matches!(end_all(&mut hosted, Some(Environment::Live), "other"), Err(Reason::Conflict(_))));
    hosted.settle();
    for environment in [None, Some(Environment::Live), Some(Environment::Test)] {
        assert_eq!(end_all(&mut hosted, environment, "after"), Ok(0));
    }
    assert_eq!(hosted.count("bulk-revocation"), hosted.count("bulk-revocation-done/"));
}

/// What an earlier build began is ended here, and what is begun here can be ended there: its row is kept beside.
#[test]
fn a4_work_that_an_earlier_build_began_goes_on() {
    for environment in [None, Some(Environment::Live)] {
        let mut hosted = workspace();
        for number in 0..60 {
            create(&mut hosted, number, if number % 2 == 0 { Environment::Live } else { Environment::Test }).unwrap();
        }
        hosted.now += 1_000;
        end_all(&mut hosted, environment, "leaked").unwrap();
        assert_eq!(hosted.count("bulk-revocation"), 2 + environment.map_or(2, |_| 1), "and the rows of both builds");
        // The other build knows its own row alone.
        hosted.as_before(&["bulk-revocation/", "bulk-revocation-known"]);
        hosted.settle();
        assert_eq!(hosted.count("bulk-revocation"), hosted.count("bulk-revocation-done/"));
        let (live, _) = list(&mut hosted, Some(Environment::Live), None, 100);
        for id in live {
            let Ok(Reply::Credential(record)) = hosted.tell(&Command::ReadCredential(id)) else { panic!() };
            assert!(record.revoked_at.is_some());
        }
    }
}

/// What a chain takes of refusals one by one in a minute is a room of each environment.
#[test]
fn a4_refusals_of_test_keys_take_no_room_of_live_ones_in_the_audit() {
    let mut hosted = workspace();
    let live = create(&mut hosted, 1, Environment::Live).unwrap();
    let test: Vec<CredentialId> =
        (2..102).map(|number| create(&mut hosted, number, Environment::Test).unwrap()).collect();
    let mut refuse = |id: &CredentialId| {
        let by = By { actor: format!("server_key:{id}"), ..by() };
        let entry = Entry::refused(by, id.as_str(), &Reason::CredentialExpired, Timestamp(hosted.now));
        let report = Report { chain: "workspace:acme".to_owned(), source: id.to_string(), sequence: 1, entry };
        let before = hosted.count("audit/");
        hosted.tell(&Command::Report(report)).unwrap();
        hosted.count("audit/") - before
    };
    assert_eq!(test.iter().map(&mut refuse).sum::<usize>(), 50);
    assert_eq!(refuse(&live), 1);
}

fn key(number: u64) -> (Hosted<Credential>, [u8; 32]) {
    let mut hosted = Hosted::<Credential>::new();
    let mut random = [0; 16];
    random[..8].copy_from_slice(&number.to_le_bytes());
    let digest = [7; 32];
    let record = KeyRecord {
        version: 1,
        id: CredentialId::issue_server_key(&acme(), Timestamp(START), random),
        kind: CredentialKind::ServerKey,
        environment: Environment::Live,
        secrets: vec![KeySecret { digest, hint: "clv_…abcd".to_owned(), until: None }],
        scopes: Vec::new(),
        tier: None,
        numbers: None,
        addresses: Vec::new(),
        service: None,
        expires_at: None,
        revoked: false,
    };
    hosted.tell(&credential::Command::StoreKey(Box::new(record))).unwrap();
    (hosted, digest)
}

fn present(digest: [u8; 32], browser: Option<&str>) -> credential::Command {
    credential::Command::AdmitKey(Box::new(AdmitKey {
        digest,
        needs: None,
        service: None,
        address: None,
        network: None,
        browser: browser.map(str::to_owned),
        cost: 1,
        request_id: "req_1".to_owned(),
        lease_request: None,
        tokens: None,
        asking: None,
        ahead: None,
    }))
}

/// Messages by the hour of a workspace whose keys are all used all the time, for so many days.
fn told_by_hour(keys: u64, days: u64, call: impl Fn(&mut Hosted<Credential>, [u8; 32])) -> Vec<usize> {
    let mut told = vec![0; usize::try_from(days * 24).unwrap()];
    for number in 0..keys {
        let (mut hosted, digest) = key(number);
        for hour in &mut told {
            for _ in 0..4 {
                call(&mut hosted, digest);
                hosted.advance(900);
            }
            *hour += std::mem::take(&mut hosted.sent);
        }
    }
    told
}

#[test]
fn a14_ten_thousand_active_keys_tell_their_workspace_less_than_once_a_second() {
    let keys = 100;
    let told = told_by_hour(keys, 4, |hosted, digest| {
        hosted.tell(&present(digest, None)).unwrap();
    });
    let of_ten_thousand = |count: usize| count * 10_000 / usize::try_from(keys).unwrap();
    for (hour, count) in told.iter().enumerate() {
        assert!(of_ten_thousand(*count) < 3_600, "{count} in hour {hour}");
    }
    let all: usize = told.iter().sum();
    assert!(all <= usize::try_from(keys).unwrap() * 4, "at most once a day each: {all}");
    assert!(all >= usize::try_from(keys).unwrap() * 2, "and not never: {all}");
}

#[test]
fn a14_a_key_that_was_used_once_is_told_within_hours_and_asked_at_once() {
    let (mut hosted, digest) = key(1);
    hosted.tell(&present(digest, None)).unwrap();
    let ask = credential::Command::ReadUsage(claviger::admission::usage::Span { from: 0, to: 0, step: 1 });
    let Ok(credential::Reply::Usage(usage, ..)) = hosted.tell(&ask) else { panic!() };
    assert_eq!(usage.last_used_at, Some(Timestamp(START)));
    hosted.advance(6 * 3_600 + 60);
    assert_eq!(hosted.sent, 1);
    hosted.advance(10 * DAY);
    assert_eq!(hosted.sent, 1);
}

#[test]
fn a14_keys_that_are_refused_all_day_do_not_tell_of_every_minute() {
    let told = told_by_hour(20, 3, |hosted, digest| {
        hosted.tell(&present(digest, Some("https://page.example"))).unwrap();
    });
    let of_the_last_day: usize = told[48..].iter().sum();
    assert!(of_the_last_day <= 20 * 6, "{told:?}");
    assert!(told[0] >= 20, "the first is told at once: {told:?}");
}
