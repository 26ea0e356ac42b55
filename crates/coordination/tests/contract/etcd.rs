//! Etcd: the contract, and members that are killed, frozen, cut off, compacted, restored from a copy and exchanged.

use std::future::Future;
use std::time::{Duration, Instant};

use nines_coordination::settings::Etcd;
use nines_coordination::{Claim, Error, Outcome, Registers, Seen, Settings};

use crate::cluster::{Cluster, must, there_is_etcd};
use crate::lossy::Lossy;
use crate::support::{
    LIMIT, claim, get, increment, key, open, present, put, sees, set, soon, text, trouble, within,
};

async fn with<F: Future<Output = ()>>(test: impl FnOnce(Settings) -> F) {
    if there_is_etcd() {
        let cluster = Cluster::start(1);
        test(cluster.settings()).await;
    }
}

crate::contract!(with);

/// `endpoints` of a cluster in another order, because the first is asked first.
fn order(cluster: &Cluster, indices: &[usize]) -> Settings {
    let endpoints =
        indices.iter().map(|index| format!("127.0.0.1:{}", cluster.members[*index].port)).collect();
    Settings::Etcd(Etcd { endpoints, ..cluster.etcd() })
}

#[tokio::test]
async fn a_change_that_was_asked_for_and_not_answered_is_unknown() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    let registers = open(&cluster.settings()).await;
    let first = set(&registers, "a", None, "1").await;
    cluster.members[0].freeze();
    let began = Instant::now();
    let unknown = registers.compare_and_set(&key("a"), Some(first), b"2", within(300)).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown { .. }), "{unknown}");
    // Reading is never unknown.
    let read = registers.get(&key("a"), within(300)).await.unwrap_err();
    assert!(matches!(read, Error::Unreachable { .. }), "{read}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    cluster.members[0].thaw();
    // Whether it heard us shows in what it holds, and then it can be gone on from there. What waits in its socket may come after the
    // next question.
    let entry = get(&registers, "a").await.unwrap();
    assert!(entry.value == b"1" || entry.value == b"2");
    let later = registers.compare_and_set(&key("a"), Some(entry.revision), b"3", soon()).await.unwrap();
    if let Outcome::Lost { current } = later {
        let current = current.unwrap();
        assert_eq!((entry.value.as_slice(), current.value.as_slice()), (&b"1"[..], &b"2"[..]));
        set(&registers, "a", Some(current.revision), "3").await;
    }
}

/// `ports` of one member, as endpoints.
fn at(ports: &[u16]) -> Settings {
    let endpoints = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    Settings::Etcd(Etcd { endpoints, tls: None, user: None })
}

#[tokio::test]
async fn a_change_that_came_about_and_whose_answer_was_lost_is_unknown() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    let lossy = Lossy::before(cluster.members[0].port);
    let registers = open(&at(&[lossy.port])).await;
    let first = set(&registers, "a", None, "1").await;
    lossy.swallow_answers();
    let unknown = registers.compare_and_set(&key("a"), Some(first), b"2", within(500)).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown { .. }), "{unknown}");
    assert_eq!(text(&open(&cluster.settings()).await, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_recognised_where_it_is_asked_for_again() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    let lossy = Lossy::before(cluster.members[0].port);
    let registers = open(&at(&[lossy.port, cluster.members[0].port])).await;
    let first = set(&registers, "a", None, "1").await;
    lossy.swallow_answers();
    let second = set(&registers, "a", Some(first), "2").await;
    // It was done once: the first try is what counts, and the second has changed nothing.
    assert_eq!(second.get(), first.get() + 1);
    assert_eq!(get(&registers, "a").await.unwrap().revision, second);
    assert_eq!(registers.known().revision, second.get());
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_and_that_was_overtaken_is_unknown() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    let lossy = Lossy::before(cluster.members[0].port);
    let registers = open(&at(&[lossy.port, cluster.members[0].port])).await;
    let other = open(&cluster.settings()).await;
    let first = set(&registers, "a", None, "1").await;
    lossy.swallow_answers();
    let a = key("a");
    let (unknown, ()) = tokio::join!(
        registers.compare_and_set(&a, Some(first), b"2", soon()),
        // Somebody goes on from it before it is asked for again.
        async {
            let until = Instant::now() + LIMIT;
            while text(&other, "a").await.as_deref() != Some("2") {
                assert!(Instant::now() < until);
            }
            put(&other, "a", "3").await;
        }
    );
    assert!(matches!(unknown, Err(Error::Unknown { .. })), "{unknown:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_unknown() {
    if !there_is_etcd() {
        return;
    }
    let mut cluster = Cluster::start(1);
    let registers = open(&cluster.settings()).await;
    let first = set(&registers, "a", None, "1").await;
    cluster.members[0].kill();
    // The connection may die under the first question.
    let _ = registers.compare_and_set(&key("a"), Some(first), b"2", within(300)).await;
    let refused = registers.compare_and_set(&key("a"), Some(first), b"2", within(300)).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
    cluster.members[0].start();
    cluster.members[0].wait();
    assert_eq!(text(&registers, "a").await.as_deref(), Some("1"));
    set(&registers, "a", Some(first), "2").await;
}

#[tokio::test]
async fn a_creation_that_was_delayed_does_not_bring_back_what_was_deleted() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(3);
    let registers = open(&order(&cluster, &[0, 1, 2])).await;
    let slow = open(&order(&cluster, &[0, 1, 2])).await;
    cluster.members[0].freeze();
    // Its first try stays with the frozen member, and the second is heard by another.
    let revision = set(&slow, "a", None, "late").await;
    registers.delete(&key("a"), revision, soon()).await.unwrap();
    cluster.members[0].thaw();
    cluster.members[0].wait();
    // The frozen member has passed on what it had by then; a change through it comes after.
    let through = open(&order(&cluster, &[0])).await;
    for count in 0..20 {
        put(&through, "b", &count.to_string()).await;
        assert_eq!(get(&registers, "a").await, None);
    }
}

#[tokio::test]
async fn a_killed_member_costs_no_increment_and_little_time() {
    if !there_is_etcd() {
        return;
    }
    breaks_one_by_one(
        |cluster, index| cluster.members[index].kill(),
        |cluster, index| {
            cluster.members[index].start();
            cluster.members[index].wait();
        },
    )
    .await;
}

#[tokio::test]
async fn a_frozen_member_costs_no_increment_and_little_time() {
    if !there_is_etcd() {
        return;
    }
    breaks_one_by_one(
        |cluster, index| cluster.members[index].freeze(),
        |cluster, index| {
            cluster.members[index].thaw();
            cluster.members[index].wait();
        },
    )
    .await;
}

/// Breaks each of three members in turn, the leader among them, while several count.
async fn breaks_one_by_one(hurt: impl Fn(&mut Cluster, usize), heal: impl Fn(&mut Cluster, usize)) {
    let mut cluster = Cluster::start(3);
    let mut counting = Vec::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for first in 0..3 {
        let registers = open(&order(&cluster, &[first, (first + 1) % 3, (first + 2) % 3])).await;
        let stopped = stopped.clone();
        counting.push(tokio::spawn(async move {
            let (mut sure, mut unknown, mut longest) = (0, 0, Duration::ZERO);
            while !*stopped.borrow() {
                let began = Instant::now();
                unknown += increment(&registers, "count").await;
                sure += 1;
                longest = longest.max(began.elapsed());
            }
            (sure, unknown, longest)
        }));
    }
    let observer = open(&cluster.settings()).await;
    let mut watch = observer.watch(None);
    for index in 0..3 {
        let (before, _) = counted(&mut watch, 0).await;
        hurt(&mut cluster, index);
        // Counting goes on, and is seen to go on.
        counted(&mut watch, before + 20).await;
        heal(&mut cluster, index);
        counted(&mut watch, before + 40).await;
    }
    stop.send(true).unwrap();
    let (mut sure, mut unknown) = (0, 0);
    for counter in counting {
        let (its, its_unknown, longest) = counter.await.unwrap();
        sure += its;
        unknown += its_unknown;
        assert!(longest < Duration::from_secs(8), "one increment took {longest:?}");
    }
    let end: usize = text(&observer, "count").await.unwrap().parse().unwrap();
    assert!((sure..=sure + unknown).contains(&end), "{sure} surely, {unknown} perhaps, and it is {end}");
    sees(&mut watch, "count", Some(&end.to_string())).await;
}

/// Waits until the watch tells of a count of at least `least`.
async fn counted(watch: &mut nines_coordination::Watch, least: u64) -> (u64, ()) {
    let seen = async {
        loop {
            if let Seen::Change(change) = watch.next().await
                && let Some(entry) = change.entry
            {
                let count: u64 = String::from_utf8(entry.value).unwrap().parse().unwrap();
                if count >= least {
                    return (count, ());
                }
            }
        }
    };
    tokio::time::timeout(LIMIT, seen).await.unwrap_or_else(|_| panic!("never counted to {least}"))
}

#[tokio::test]
async fn deadlines_that_leave_time_for_one_member_find_one_that_answers() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(3);
    let registers = open(&order(&cluster, &[0, 1, 2])).await;
    set(&registers, "a", None, "1").await;
    cluster.members[0].freeze();
    let began = Instant::now();
    while registers.get(&key("a"), within(60)).await.is_err() {
        // Should it have been the leader, there is another within a second or two.
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let expected = get(&registers, "a").await.unwrap().revision;
    registers.compare_and_set(&key("a"), Some(expected), b"2", within(500)).await.unwrap();
}

#[tokio::test]
async fn without_a_majority_nothing_is_read_and_nothing_is_won() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(3);
    let registers = open(&cluster.settings()).await;
    let first = set(&registers, "a", None, "1").await;
    let mut watch = registers.watch(None);
    present(&mut watch).await;
    for member in &cluster.members[1..] {
        member.freeze();
    }
    let read = registers.get(&key("a"), within(1500)).await.unwrap_err();
    assert!(matches!(read, Error::Unreachable { .. }), "{read}");
    let lost = registers.compare_and_set(&key("a"), Some(first), b"2", within(1500)).await.unwrap_err();
    assert!(matches!(lost, Error::Unknown { .. }), "{lost}");
    assert!(matches!(trouble(&mut watch).await, Error::Unreachable { .. }));
    for member in &cluster.members[1..] {
        member.thaw();
    }
    put(&registers, "a", "3").await;
    sees(&mut watch, "a", Some("3")).await;
    present(&mut watch).await;
}

#[tokio::test]
async fn a_member_that_is_cut_off_is_not_believed() {
    if !there_is_etcd() {
        return;
    }
    let (cluster, between) = Cluster::start_apart();
    let registers = open(&order(&cluster, &[1, 2])).await;
    set(&registers, "a", None, "old").await;
    // Its connections and its watch are with the first member, which is then cut off from the others.
    let near = open(&order(&cluster, &[0, 1, 2])).await;
    let mut watch = near.watch(None);
    sees(&mut watch, "a", Some("old")).await;
    present(&mut watch).await;
    between.cut_off(cluster.who(0));
    let began = Instant::now();
    let expected = put(&registers, "a", "new").await;
    // The member is there, and says the old value to whoever does not insist.
    let stale = must(cluster.members[0].etcdctl(&["get", "nines/shop/a", "--consistency", "s"]));
    assert!(stale.contains("old"), "{stale}");

    sees(&mut watch, "a", Some("new")).await;
    assert_eq!(text(&near, "a").await.as_deref(), Some("new"));
    set(&near, "a", Some(expected), "newer").await;
    sees(&mut watch, "a", Some("newer")).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let alone = open(&order(&cluster, &[1])).await;
    assert_eq!(text(&alone, "a").await.as_deref(), Some("newer"));
    let refused = Registers::open(&order(&cluster, &[0]), &claim("shop"), within(1500)).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");

    between.heal();
    cluster.members[0].wait();
    let healed = open(&order(&cluster, &[0])).await;
    assert_eq!(text(&healed, "a").await.as_deref(), Some("newer"));
}

#[tokio::test]
async fn a_watch_that_missed_what_was_compacted_ends_at_the_last_state() {
    if !there_is_etcd() {
        return;
    }
    let mut cluster = Cluster::start(1);
    let registers = open(&cluster.settings()).await;
    for name in ["a", "b", "c"] {
        set(&registers, name, None, "1").await;
    }
    let mut watch = registers.watch(None);
    present(&mut watch).await;
    // It goes on elsewhere, where the watch does not see it.
    let port = cluster.members[0].port;
    cluster.members[0].kill();
    assert!(matches!(trouble(&mut watch).await, Error::Unreachable { .. }));
    cluster.members[0].port = crate::cluster::free_port();
    cluster.members[0].start();
    cluster.members[0].wait();
    let elsewhere = open(&cluster.settings()).await;
    for count in 2..20 {
        put(&elsewhere, "a", &count.to_string()).await;
    }
    let b = get(&elsewhere, "b").await.unwrap();
    elsewhere.delete(&key("b"), b.revision, soon()).await.unwrap();
    must(cluster.members[0].etcdctl(&["del", "nines/shop/c"]));
    put(&elsewhere, "d", "1").await;
    let revision = get(&elsewhere, "d").await.unwrap().revision.get();
    must(cluster.members[0].etcdctl(&["compact", &revision.to_string()]));
    cluster.members[0].kill();
    cluster.members[0].port = port;
    cluster.members[0].start();
    crate::support::told_until(&mut watch, |told| {
        let at = |name: &str| told.iter().find(|(told, _)| told == name).map(|(_, value)| value.as_deref());
        at("a") == Some(Some("19"))
            && at("b") == Some(None)
            && at("c") == Some(None)
            && at("d") == Some(Some("1"))
    })
    .await;
    present(&mut watch).await;
    put(&registers, "d", "2").await;
    sees(&mut watch, "d", Some("2")).await;
}

#[tokio::test]
async fn a_watch_sees_what_somebody_else_deletes() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    let registers = open(&cluster.settings()).await;
    set(&registers, "a", None, "1").await;
    set(&registers, "b", None, "1").await;
    let mut watch = registers.watch(None);
    present(&mut watch).await;
    must(cluster.members[0].etcdctl(&["del", "nines/shop/a"]));
    sees(&mut watch, "a", None).await;
}

#[tokio::test]
async fn a_cluster_that_was_put_back_from_a_copy_is_noticed_and_nothing_is_written() {
    if !there_is_etcd() {
        return;
    }
    let mut cluster = Cluster::start(1);
    let copy = cluster.path().join("copy");
    let registers = open(&cluster.settings()).await;
    set(&registers, "a", None, "old").await;
    cluster.members[0].kill();
    cluster.members[0].copy_to(&copy);
    cluster.members[0].start();
    cluster.members[0].wait();
    let mut revision = put(&registers, "a", "new").await;
    for count in 0..10 {
        revision = put(&registers, "a", &count.to_string()).await;
    }
    let known = registers.known();
    let mut watch = registers.watch(None);
    present(&mut watch).await;

    cluster.members[0].kill();
    cluster.members[0].replace_by(Some(&copy));
    cluster.members[0].start();
    cluster.members[0].wait();
    let fails = async |what: &str| {
        let error =
            registers.compare_and_set(&key("a"), Some(revision), b"x", within(2000)).await.unwrap_err();
        assert!(matches!(error, Error::Regressed { .. }), "{what}: {error}");
        let error = registers.compare_and_set(&key("b"), None, b"x", within(2000)).await.unwrap_err();
        assert!(matches!(error, Error::Regressed { .. }), "{what}: {error}");
    };
    // A change that lost its connection would be unknown first, so a question goes ahead.
    let read = registers.get(&key("a"), within(2000)).await.unwrap_err();
    assert!(matches!(read, Error::Regressed { .. }), "{read}");
    fails("older").await;
    let until = Instant::now() + LIMIT;
    while !matches!(trouble(&mut watch).await, Error::Regressed { .. }) {
        assert!(Instant::now() < until);
    }
    let again = Claim { known: Some(known.clone()), ..claim("shop") };
    let refused = Registers::open(&cluster.settings(), &again, soon()).await.unwrap_err();
    assert!(matches!(refused, Error::Regressed { .. }), "{refused}");

    // Whoever doesn't know better goes on with it, until it is further than the one that was.
    let newcomer = open(&cluster.settings()).await;
    assert_eq!(text(&newcomer, "a").await.as_deref(), Some("old"));
    for count in 0..20 {
        put(&newcomer, "c", &count.to_string()).await;
    }
    // The same register, too, so that each is newer than all that was seen.
    put(&newcomer, "a", "its").await;
    assert!(newcomer.known().revision > known.revision);
    fails("overtaken").await;
    assert_eq!(text(&newcomer, "a").await.as_deref(), Some("its"));
    assert_eq!(text(&newcomer, "b").await, None);
}

#[tokio::test]
async fn another_cluster_in_the_same_place_is_noticed_and_nothing_is_written() {
    if !there_is_etcd() {
        return;
    }
    let mut cluster = Cluster::start(1);
    let registers = open(&cluster.settings()).await;
    set(&registers, "a", None, "1").await;
    cluster.members[0].kill();
    cluster.members[0].replace_by(None);
    cluster.members[0].rename_cluster("another");
    cluster.members[0].start();
    cluster.members[0].wait();
    for error in [
        registers.get(&key("a"), within(2000)).await.unwrap_err(),
        registers.compare_and_set(&key("b"), None, b"x", within(2000)).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Regressed { .. }), "{error}");
    }
    assert_eq!(must(cluster.members[0].etcdctl(&["get", "nines/", "--prefix"])), "");
    // Even when it has a system of this name.
    let other = open(&cluster.settings()).await;
    let error = registers.compare_and_set(&key("b"), None, b"x", within(2000)).await.unwrap_err();
    assert!(matches!(error, Error::Regressed { .. }), "{error}");
    assert_eq!(get(&other, "b").await, None);
}

#[tokio::test]
async fn a_claim_that_somebody_has_changed_is_noticed_and_nothing_is_written() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    let registers = open(&cluster.settings()).await;
    let first = set(&registers, "a", None, "1").await;
    must(cluster.members[0].etcdctl(&["put", "nines/shop/system", "mine now"]));
    for (name, expected) in [("a", Some(first)), ("b", None)] {
        let error = registers.compare_and_set(&key(name), expected, b"x", soon()).await.unwrap_err();
        assert!(matches!(error, Error::Regressed { .. }), "{error}");
    }
    assert!(must(cluster.members[0].etcdctl(&["get", "nines/shop/a"])).contains('1'));
    assert_eq!(must(cluster.members[0].etcdctl(&["get", "nines/shop/b"])), "");
}

#[tokio::test]
async fn one_wrong_endpoint_among_good_ones_is_passed_over() {
    if !there_is_etcd() {
        return;
    }
    let (cluster, other) = (Cluster::start(1), Cluster::start_with(1, &["--initial-cluster-token", "other"]));
    let closed = crate::cluster::free_port();
    let first = open(&cluster.settings()).await;
    let settings = at(&[closed, other.members[0].port, cluster.members[0].port]);
    let claim = Claim { known: Some(first.known()), ..claim("shop") };
    let registers = Registers::open(&settings, &claim, soon()).await.unwrap();
    put(&registers, "a", "1").await;
    assert_eq!(text(&first, "a").await.as_deref(), Some("1"));
    assert_eq!(must(other.members[0].etcdctl(&["get", "", "--prefix"])), "");
}

#[tokio::test]
async fn what_somebody_else_wrote_is_refused_and_left_alone() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    let registers = open(&cluster.settings()).await;
    must(cluster.members[0].etcdctl(&["put", "nines/shop/a", "hello"]));
    let foreign = |error: &Error| matches!(error, Error::Foreign { .. });
    let read = registers.get(&key("a"), soon()).await.unwrap_err();
    assert!(foreign(&read), "{read}");
    let set = registers.compare_and_set(&key("a"), None, b"x", soon()).await.unwrap_err();
    assert!(foreign(&set), "{set}");
    assert!(must(cluster.members[0].etcdctl(&["get", "nines/shop/a"])).contains("hello"));
    let outcome = registers.compare_and_set(&key("b"), None, b"x", soon()).await;
    assert!(matches!(outcome, Ok(Outcome::Won(_))));
}
