//! What other parts of nines ask.

use std::io::Read;
use std::time::{Duration, Instant};

use nines_control::gate::{self, Ancestry, Ask, Branch, Serves, Standing};
use nines_database::gate::Lineage;
use serde::de::DeserializeOwned;

use crate::stage::{BRIEFLY, Client, HOUR, Stage, open_for};

fn hear<T: DeserializeOwned>(client: &mut Client) -> T {
    let mut bytes = Vec::new();
    loop {
        if let Some((body, used)) = gate::message(&bytes).unwrap() {
            assert_eq!(used, bytes.len(), "one answer to one question");
            return gate::read(body).unwrap();
        }
        let mut piece = [0; 1024];
        let read = client.stream.read(&mut piece).unwrap();
        assert!(read > 0, "it ended");
        bytes.extend_from_slice(&piece[..read]);
    }
}

fn standing(client: &mut Client, seen: u64, within: Duration) -> Standing {
    client
        .say(&gate::question(&Ask::Standing { seen, within_ms: u32::try_from(within.as_millis()).unwrap() }));
    hear(client)
}

#[test]
fn who_waits_for_news_gets_them_when_they_come() {
    let stage = Stage::open();
    let mut client = stage.client();
    let first = standing(&mut client, 0, HOUR);
    assert_eq!((first.serves, first.why.as_str()), (Serves::Nobody, "starts"));
    client.say(&gate::question(&Ask::Standing { seen: first.number, within_ms: 60_000 }));
    client.hears_nothing();
    stage.gate.set_standing(Serves::Everything, 7, 0, "");
    let second: Standing = hear(&mut client);
    assert_eq!((second.serves, second.term), (Serves::Everything, 7));
    assert_ne!(second.number, first.number);
    // The same is no news, nor is a lag alone; without news there is an answer in the end.
    stage.gate.set_standing(Serves::Everything, 7, 55, "");
    let begun = Instant::now();
    let third = standing(&mut client, second.number, BRIEFLY);
    assert!(begun.elapsed() >= BRIEFLY);
    assert_eq!((third.number, third.lag), (second.number, 55));
    assert_eq!(stage.gate.counts().questions, 3);
}

#[test]
fn it_never_says_that_it_serves_when_it_does_not() {
    let stage = Stage::new();
    let mut client = stage.client();
    stage.gate.set_standing(Serves::Everything, 7, 0, "");
    assert_eq!(standing(&mut client, 0, HOUR).serves, Serves::Nobody, "the gate is shut");
    stage.gate.set(&open_for(HOUR));
    let open = standing(&mut client, 0, HOUR);
    assert_eq!(open.serves, Serves::Everything);
    stage.gate.set(&open_for(BRIEFLY));
    // Whoever waits is told when the deadline passes, though nobody set anything.
    let lapsed = standing(&mut client, open.number, HOUR);
    assert_eq!(lapsed.serves, Serves::Nobody);
    assert_ne!(lapsed.number, open.number);
}

#[test]
fn ancestry_is_told_only_by_the_primary_of_that_term() {
    let stage = Stage::new();
    let branches = vec![Branch { term: 1, begin: 0 }, Branch { term: 4, begin: 7777 }];
    stage.gate.set_lineage(Some(Lineage { term: 4, branches: branches.clone(), system: "me".to_owned() }));
    let ask = |term| {
        let mut client = stage.client();
        client.say(&gate::question(&Ask::Ancestry { term }));
        hear::<Ancestry>(&mut client)
    };
    assert_eq!(ask(4).branches, None, "its engine is not the primary of that term yet");
    stage.gate.set_engine(Some(stage.engine(Some(4))));
    assert_eq!(ask(4), Ancestry { branches: Some(branches), system: "me".to_owned() });
    assert_eq!(ask(3), Ancestry { branches: None, system: "me".to_owned() });
    stage.gate.close_replication();
    assert_eq!(ask(4).branches, None);
}

#[test]
fn after_a_question_only_questions_follow() {
    let stage = Stage::open();
    let mut client = stage.client();
    standing(&mut client, 0, HOUR);
    client.say(&crate::stage::startup(&[("user", "app")]));
    client.is_ended_with("08P01");
    let mut nonsense = stage.client();
    nonsense.say(&[0, 0, 0, 10, b'N', b'I', b'N', b'E', b'{', b'}']);
    nonsense.is_ended_with("08P01");
}
