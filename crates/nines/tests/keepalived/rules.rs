//! What both must understand alike: who yields to whom, whose interval counts, what a checksum covers.

use nines_control::status::Standing;
use nines_control::vrrp::Cause;
use nines_lab::Inside;

use crate::pair::{ADOPTS_INTERVAL, ENTERS_BACKUP, ENTERS_MASTER, KEEPALIVED, NINES, Pair, REFUSES_CHECKSUM};
use crate::speech::{Half, Setting, Speech, V3};

/// Two masters of one priority, which don't hear each other at first.
fn two_masters(inside: &Inside, speech: Speech, nines: u8, keepalived: u8) -> Pair {
    let mut setting = Setting::new(speech, 150, 150);
    (setting.nines.number, setting.keepalived.number) = (nines, keepalived);
    let mut pair = Pair::new(inside, setting);
    pair.split();
    pair.start_nines();
    pair.start_keepalived();
    pair.until_said(ENTERS_MASTER, 1);
    pair.until_nines_is(Standing::Master);
    pair.join();
    pair
}

pub(crate) fn nines_is_higher(inside: &Inside, speech: Speech) {
    let pair = two_masters(inside, speech, 12, 11);
    pair.until_said(ENTERS_BACKUP, 2);
    pair.until_answers(NINES);
    pair.until_nines_has_sent(6);
    let stayed = pair.status();
    assert_eq!((stayed.state, stayed.taken), (Standing::Master, 1));
    // keepalived may have yielded before it said a word.
    assert!(stayed.conflicts <= 1, "{}", stayed.conflicts);
    assert_eq!(pair.said(ENTERS_MASTER), 1);
}

pub(crate) fn keepalived_is_higher(inside: &Inside, speech: Speech) {
    let pair = two_masters(inside, speech, 10, 11);
    let yielded = pair.until_nines_is(Standing::Backup);
    assert_eq!((yielded.cause, yielded.taken), (Some(Cause::HigherPriority), 1));
    pair.until_answers(KEEPALIVED);
    let followed = pair.until_nines_has_heard(5);
    assert_eq!((followed.state, followed.taken), (Standing::Backup, 1));
    // The first time was its start.
    assert_eq!(pair.said(ENTERS_BACKUP), 1);
}

fn with_more(mut setting: Setting, nines: &'static str, keepalived: &'static str) -> Setting {
    setting.nines = Half { more: nines, ..setting.nines };
    setting.keepalived = Half { more: keepalived, ..setting.keepalived };
    setting
}

/// By its own interval it would take over again before each next word of its master.
pub(crate) fn nines_adopts(inside: &Inside) {
    let setting = Setting::new(V3, 100, 200);
    let mut pair = Pair::new(inside, with_more(setting, ", interval = \"100ms\"", "advert_int 0.5"));
    pair.start_keepalived();
    pair.until_answers(KEEPALIVED);
    pair.start_nines();
    // Before it has heard its master for the first time it may well have become one itself.
    let begins = pair.until_nines_follows();
    let followed = pair.until_nines_has_heard(6);
    assert_eq!(
        (followed.state, followed.taken, followed.interval_ms),
        (Standing::Backup, begins.taken, 500.0)
    );
    pair.kill("lb2");
    pair.until_answers(NINES);
    assert_eq!(pair.status().interval_ms, 100.0, "a master goes by its own again");
}

pub(crate) fn keepalived_adopts(inside: &Inside) {
    let setting = Setting::new(V3, 200, 100);
    let mut pair = Pair::new(inside, with_more(setting, ", interval = \"500ms\"", "advert_int 0.1"));
    pair.start_nines();
    pair.until_answers(NINES);
    pair.start_keepalived();
    pair.until_said(ENTERS_BACKUP, 1);
    // Until then it may well have become a master itself.
    pair.until("keepalived goes by nines' interval", |pair| pair.said(ADOPTS_INTERVAL) == 1);
    pair.until("it follows", |pair| pair.said(ENTERS_BACKUP) == 1 + pair.said(ENTERS_MASTER));
    let masters = pair.said(ENTERS_MASTER);
    pair.until_nines_has_sent(6);
    assert_eq!(pair.said(ENTERS_MASTER), masters);
    pair.kill("lb1");
    pair.until_answers(KEEPALIVED);
}

pub(crate) fn nines_waits(inside: &Inside) {
    let mut pair = Pair::new(inside, with_more(Setting::new(V3, 200, 100), ", preempt = false", ""));
    pair.start_keepalived();
    pair.until_answers(KEEPALIVED);
    pair.start_nines();
    pair.until_nines_follows();
    let followed = pair.until_nines_has_heard(8);
    assert_eq!((followed.state, followed.taken), (Standing::Backup, 0));
    pair.kill("lb2");
    pair.until_answers(NINES);
    pair.start_keepalived();
    pair.until_said(ENTERS_BACKUP, 2);
    pair.until_nines_has_sent(6);
    assert_eq!(pair.said(ENTERS_MASTER), 1);
}

pub(crate) fn keepalived_waits(inside: &Inside) {
    let mut pair = Pair::new(inside, with_more(Setting::new(V3, 100, 200), "", "nopreempt"));
    pair.start_nines();
    pair.until_answers(NINES);
    pair.start_keepalived();
    pair.until_said(ENTERS_BACKUP, 1);
    pair.until_nines_has_sent(8);
    assert_eq!(pair.said(ENTERS_MASTER), 0);
    pair.kill("lb1");
    pair.until_answers(KEEPALIVED);
    pair.start_nines();
    pair.until_nines_follows();
    let followed = pair.until_nines_has_heard(5);
    assert_eq!((followed.state, followed.taken), (Standing::Backup, 0));
}

const PLAIN: &str = ", checksum = \"plain\"";

pub(crate) fn hears_another_dialect(inside: &Inside) {
    let mut pair = Pair::new(inside, with_more(Setting::new(V3, 100, 200), PLAIN, ""));
    pair.start_keepalived();
    pair.until_answers(KEEPALIVED);
    pair.start_nines();
    pair.until_nines_follows();
    let followed = pair.until_nines_has_heard(5);
    assert_eq!((followed.state, followed.taken), (Standing::Backup, 0));
    assert!(followed.refused.is_empty(), "{:?}", followed.refused);
}

/// keepalived understands only one of the two, so that both are masters at first; nines answers in the one that it hears.
pub(crate) fn speaks_another_dialect(inside: &Inside, speech: Speech) {
    let mut pair = Pair::new(inside, with_more(Setting::new(speech, 200, 100), PLAIN, ""));
    pair.start_nines();
    pair.until_answers(NINES);
    pair.start_keepalived();
    pair.until_said(ENTERS_MASTER, 1);
    pair.until_said(ENTERS_BACKUP, 2);
    assert!(pair.said(REFUSES_CHECKSUM) > 0);
    let refused = pair.said(REFUSES_CHECKSUM);
    pair.until_answers(NINES);
    pair.until_nines_has_sent(6);
    let stayed = pair.status();
    assert_eq!((stayed.state, stayed.taken, stayed.conflicts), (Standing::Master, 1, 1));
    assert_eq!((pair.said(ENTERS_MASTER), pair.said(REFUSES_CHECKSUM)), (1, refused));
}
