use proptest::prelude::*;

use super::*;

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((payload.len() as u32 + 4).to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn client(exchange: &mut Exchange, kinds: &[u8]) {
    for kind in kinds {
        let bytes = message(*kind, b"payload");
        assert_eq!(exchange.client(&bytes, false), Ok(bytes.len()));
    }
}

fn server(exchange: &mut Exchange, kind: u8, payload: &[u8]) -> Answer {
    exchange.server(&message(kind, payload)).unwrap()
}

fn ready(exchange: &mut Exchange, status: u8) {
    assert_eq!(server(exchange, b'Z', &[status]), Answer::Fine);
}

fn authenticated() -> Exchange {
    let mut exchange = Exchange::default();
    assert!(!exchange.is_busy() && exchange.wants_more());
    client(&mut exchange, b"p");
    server(&mut exchange, b'R', &[0; 4]);
    ready(&mut exchange, b'I');
    assert!(!exchange.is_busy() && !exchange.wants_more());
    exchange
}

fn notice(routine: &str) -> Vec<u8> {
    format!("SWARNUNG\0VWARNING\0C01000\0MRSyncRepWaitForLSN\0Fsyncrep.c\0L1\0R{routine}\0\0").into_bytes()
}

#[test]
fn a_query_is_under_way_until_it_is_answered_and_its_transaction_is_over() {
    let mut exchange = authenticated();
    client(&mut exchange, b"Q");
    assert!(exchange.is_busy() && !exchange.wants_more());
    ready(&mut exchange, b'T');
    assert!(exchange.is_busy() && exchange.wants_more());
    client(&mut exchange, b"Q");
    ready(&mut exchange, b'E');
    assert!(exchange.is_busy());
    client(&mut exchange, b"Q");
    ready(&mut exchange, b'I');
    assert!(!exchange.is_busy());
}

#[test]
fn a_pipelined_batch_is_under_way_until_its_last_answer() {
    let mut exchange = authenticated();
    client(&mut exchange, b"PBDES");
    client(&mut exchange, b"BESBE");
    ready(&mut exchange, b'I');
    assert!(exchange.is_busy());
    ready(&mut exchange, b'I');
    assert!(exchange.is_busy() && exchange.wants_more(), "a Sync is missing");
    client(&mut exchange, b"S");
    ready(&mut exchange, b'I');
    assert!(!exchange.is_busy());
}

#[test]
fn in_a_hold_a_client_may_end_what_is_open_and_begin_nothing() {
    let mut exchange = authenticated();
    client(&mut exchange, b"Q");
    ready(&mut exchange, b'T');
    let batch = [message(b'Q', b"commit\0"), message(b'Q', b"begin\0")];
    let bytes = batch.concat();
    assert_eq!(exchange.client(&bytes, true), Ok(batch[0].len()));
    ready(&mut exchange, b'I');
    assert!(!exchange.is_busy());
    assert_eq!(exchange.client(&batch[1], true), Ok(0));
    // Had it not been the end, the rest would be needed.
    let mut exchange = authenticated();
    client(&mut exchange, b"Q");
    ready(&mut exchange, b'T');
    assert_eq!(exchange.client(&bytes, true), Ok(batch[0].len()));
    ready(&mut exchange, b'T');
    assert_eq!(exchange.client(&batch[1], true), Ok(batch[1].len()));
}

#[test]
fn copying_in_ends_with_its_answer_whatever_syncs_went_before() {
    // A client that sends a Sync along with what begins the copying.
    let mut exchange = authenticated();
    client(&mut exchange, b"PBES");
    server(&mut exchange, b'G', &[0; 3]);
    client(&mut exchange, b"dd");
    assert!(exchange.is_busy() && exchange.wants_more());
    client(&mut exchange, b"cS");
    assert!(exchange.is_busy());
    ready(&mut exchange, b'I');
    assert!(!exchange.is_busy());
    // By a plain query.
    client(&mut exchange, b"Q");
    server(&mut exchange, b'G', &[0; 3]);
    client(&mut exchange, b"dc");
    assert!(exchange.is_busy());
    ready(&mut exchange, b'I');
    assert!(!exchange.is_busy());
    // One that fails half-way: the server then waits for a Sync.
    client(&mut exchange, b"PBE");
    server(&mut exchange, b'G', &[0; 3]);
    server(&mut exchange, b'E', b"S\0\0");
    client(&mut exchange, b"ddcS");
    ready(&mut exchange, b'I');
    assert!(!exchange.is_busy());
}

#[test]
fn half_a_message_is_under_way() {
    let mut exchange = authenticated();
    let bytes = message(b'X', b"");
    exchange.client(&bytes[..3], false).unwrap();
    assert!(exchange.is_busy() && exchange.wants_more());
    exchange.client(&bytes[3..], true).unwrap();
    assert!(!exchange.is_busy());
}

#[test]
fn a_commit_that_nobody_confirmed_goes_no_further_than_its_notice() {
    let bad = message(b'N', &notice("SyncRepWaitForLSN"));
    let stream =
        [message(b'C', b"BEGIN\0"), bad.clone(), message(b'C', b"COMMIT\0"), message(b'Z', b"I")].concat();
    let end = message(b'C', b"BEGIN\0").len() + bad.len();
    assert_eq!(authenticated().server(&stream), Ok(Answer::Unconfirmed(end)));
    // In pieces of one byte each.
    let mut exchange = authenticated();
    for (at, byte) in stream.iter().enumerate() {
        match exchange.server(&[*byte]).unwrap() {
            Answer::Fine => assert!(at + 1 < end, "it was not seen"),
            Answer::Unconfirmed(used) => {
                assert_eq!((at + 1, used), (end, 1));
                return;
            }
        }
    }
}

#[test]
fn other_notices_pass() {
    for routine in ["exec_stmt_raise", "SyncRepWaitForLSN2", "SyncRepWait", "", "xSyncRepWaitForLSN"] {
        assert_eq!(server(&mut authenticated(), b'N', &notice(routine)), Answer::Fine, "{routine}");
    }
    // Not a notice at all.
    assert_eq!(server(&mut authenticated(), b'D', &notice("SyncRepWaitForLSN")), Answer::Fine);
}

proptest! {
    #[test]
    fn any_bytes_from_either_side_end_in_some_way(
        pieces in proptest::collection::vec((any::<bool>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let mut exchange = Exchange::default();
        for (from_client, hold, bytes) in pieces {
            if from_client {
                if let Ok(taken) = exchange.client(&bytes, hold) {
                    prop_assert!(taken <= bytes.len());
                    prop_assert!(hold || taken == bytes.len());
                }
            } else {
                let _ = exchange.server(&bytes);
            }
        }
    }
}
