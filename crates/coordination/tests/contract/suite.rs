//! The contract. Each test takes where the registers are kept, and finds nothing there.

use nines_coordination::{
    Claim, Deletion, Error, Known, LARGEST_VALUE, Outcome, Prefix, Registers, Settings,
};

use crate::support::{claim, get, increment, key, open, present, put, sees, set, soon, text, within};

/// Every test of the contract, for one store: `$with` gives each a store of its own.
#[macro_export]
macro_rules! contract {
    ($with:path) => {
        $crate::contract!($with:
            a_register_is_created_once,
            a_change_takes_the_revision_of_the_last_one,
            a_deleted_register_is_gone_and_can_be_created_again,
            a_register_is_not_deleted_by_who_does_not_know_it,
            no_increment_is_lost,
            one_of_many_creates_a_register,
            a_value_is_bytes_up_to_its_bound,
            a_deadline_that_has_passed_changes_nothing,
            a_watch_begins_with_what_there_is,
            a_watch_tells_of_what_is_under_its_key_only,
            a_watch_ends_at_the_last_state_however_fast_it_changes,
            a_slow_reader_of_a_watch_gets_the_last_state,
            what_one_process_sets_another_sees_at_once,
            a_prefix_belongs_to_one_system,
            systems_side_by_side_see_nothing_of_each_other,
            the_claim_is_nobodys_register,
            a_host_that_knows_another_store_is_refused,
            a_host_that_knows_another_system_of_the_same_name_is_refused,
        );
    };
    ($with:path: $($name:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                $with($crate::suite::$name).await;
            }
        )+
    };
}

pub(crate) async fn a_register_is_created_once(settings: Settings) {
    let registers = open(&settings).await;
    assert_eq!(get(&registers, "a/b").await, None);
    let revision = set(&registers, "a/b", None, "one").await;
    let entry = get(&registers, "a/b").await.unwrap();
    assert_eq!((entry.value.as_slice(), entry.revision), (b"one".as_slice(), revision));
    let again = registers.compare_and_set(&key("a/b"), None, b"two", soon()).await.unwrap();
    assert_eq!(again, Outcome::Lost { current: Some(entry) });
    assert_eq!(text(&registers, "a/b").await.as_deref(), Some("one"));
}

pub(crate) async fn a_change_takes_the_revision_of_the_last_one(settings: Settings) {
    let registers = open(&settings).await;
    let first = set(&registers, "a", None, "1").await;
    let second = set(&registers, "a", Some(first), "2").await;
    assert!(second > first);
    let stale = registers.compare_and_set(&key("a"), Some(first), b"3", soon()).await.unwrap();
    assert_eq!(stale, Outcome::Lost { current: get(&registers, "a").await });
    // Another register's change is none of this one's.
    set(&registers, "b", None, "x").await;
    set(&registers, "a", Some(second), "3").await;
    // The same value is a change, too.
    let third = get(&registers, "a").await.unwrap().revision;
    assert!(set(&registers, "a", Some(third), "3").await > third);
    let nothing = registers.compare_and_set(&key("c"), Some(third), b"x", soon()).await.unwrap();
    assert_eq!(nothing, Outcome::Lost { current: None });
}

pub(crate) async fn a_deleted_register_is_gone_and_can_be_created_again(settings: Settings) {
    let registers = open(&settings).await;
    let mut watch = registers.watch(None);
    let mut first = set(&registers, "a", None, "1").await;
    for round in 2..5 {
        sees(&mut watch, "a", Some(&(round - 1).to_string())).await;
        assert_eq!(registers.delete(&key("a"), first, soon()).await, Ok(Deletion::Deleted));
        assert_eq!(get(&registers, "a").await, None);
        sees(&mut watch, "a", None).await;
        let gone = Outcome::Lost { current: None };
        assert_eq!(registers.compare_and_set(&key("a"), Some(first), b"x", soon()).await, Ok(gone));
        let again = registers.delete(&key("a"), first, soon()).await;
        assert_eq!(again, Ok(Deletion::Lost { current: None }));
        let second = set(&registers, "a", None, &round.to_string()).await;
        assert!(second > first);
        first = second;
    }
    // Who comes later is not told of what is gone.
    registers.delete(&key("a"), first, soon()).await.unwrap();
    assert_eq!(present(&mut registers.watch(None)).await, []);
}

pub(crate) async fn a_register_is_not_deleted_by_who_does_not_know_it(settings: Settings) {
    let registers = open(&settings).await;
    let first = set(&registers, "a", None, "1").await;
    set(&registers, "a", Some(first), "2").await;
    let current = get(&registers, "a").await;
    assert_eq!(registers.delete(&key("a"), first, soon()).await, Ok(Deletion::Lost { current }));
    assert_eq!(text(&registers, "a").await.as_deref(), Some("2"));
}

pub(crate) async fn no_increment_is_lost(settings: Settings) {
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let registers = open(&settings).await;
        tasks.push(tokio::spawn(async move {
            let mut unknown = 0;
            for _ in 0..10 {
                unknown += increment(&registers, "count").await;
            }
            unknown
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), 0, "nothing is broken here");
    }
    assert_eq!(text(&open(&settings).await, "count").await.as_deref(), Some("60"));
}

pub(crate) async fn one_of_many_creates_a_register(settings: Settings) {
    let registers = open(&settings).await;
    for round in 0..5 {
        let name = format!("lease/{round}");
        let tasks: Vec<_> = (0..5)
            .map(|task| {
                let (registers, key) = (registers.clone(), key(&name));
                let value = format!("{task}").into_bytes();
                tokio::spawn(
                    async move { registers.compare_and_set(&key, None, &value, soon()).await.unwrap() },
                )
            })
            .collect();
        let mut winners = Vec::new();
        for (index, task) in tasks.into_iter().enumerate() {
            if let Outcome::Won(revision) = task.await.unwrap() {
                winners.push((index.to_string().into_bytes(), revision));
            }
        }
        let entry = get(&registers, &name).await.unwrap();
        assert_eq!(winners, [(entry.value, entry.revision)]);
    }
}

pub(crate) async fn a_value_is_bytes_up_to_its_bound(settings: Settings) {
    let registers = open(&settings).await;
    let bytes: Vec<u8> = (0..LARGEST_VALUE).map(|at| u8::try_from(at % 256).unwrap()).collect();
    for (name, value) in [("empty", &b""[..]), ("line", b"a\nb\n"), ("all", &bytes)] {
        let outcome = registers.compare_and_set(&key(name), None, value, soon()).await.unwrap();
        assert!(matches!(outcome, Outcome::Won(_)));
        assert_eq!(get(&registers, name).await.unwrap().value, value);
    }
    let large = vec![0; LARGEST_VALUE + 1];
    let refused = registers.compare_and_set(&key("large"), None, &large, soon()).await;
    assert!(matches!(refused, Err(Error::TooBig { .. })), "{refused:?}");
    assert_eq!(get(&registers, "large").await, None);
}

pub(crate) async fn a_deadline_that_has_passed_changes_nothing(settings: Settings) {
    let registers = open(&settings).await;
    let first = set(&registers, "a", None, "1").await;
    let past = within(0);
    let unreachable = |error| matches!(error, Error::Unreachable { .. });
    assert!(unreachable(registers.get(&key("a"), past).await.unwrap_err()));
    assert!(unreachable(registers.compare_and_set(&key("a"), Some(first), b"2", past).await.unwrap_err()));
    assert!(unreachable(registers.delete(&key("a"), first, past).await.unwrap_err()));
    assert_eq!(get(&registers, "a").await.unwrap().revision, first);
}

pub(crate) async fn a_watch_begins_with_what_there_is(settings: Settings) {
    let registers = open(&settings).await;
    assert_eq!(present(&mut registers.watch(None)).await, []);
    set(&registers, "a", None, "1").await;
    set(&registers, "b/c", None, "2").await;
    let mut watch = registers.watch(None);
    let mut told = present(&mut watch).await;
    told.sort();
    assert_eq!(told, [("a".to_owned(), Some("1".to_owned())), ("b/c".to_owned(), Some("2".to_owned()))]);
    // And nothing of that again.
    put(&registers, "a", "3").await;
    sees(&mut watch, "a", Some("3")).await;
    assert_eq!(present(&mut watch).await, []);
}

pub(crate) async fn a_watch_tells_of_what_is_under_its_key_only(settings: Settings) {
    let registers = open(&settings).await;
    for name in ["dbs/orders", "dbs/orders/lease", "dbs/orders-2/lease", "dbs/orders/pledge/db1", "zone"] {
        set(&registers, name, None, "x").await;
    }
    let mut watch = registers.watch(Some(&key("dbs/orders")));
    let mut told: Vec<String> = present(&mut watch).await.into_iter().map(|(name, _)| name).collect();
    told.sort();
    assert_eq!(told, ["dbs/orders/lease", "dbs/orders/pledge/db1"]);
    put(&registers, "dbs/orders-2/lease", "y").await;
    put(&registers, "dbs/orders/lease", "y").await;
    sees(&mut watch, "dbs/orders/lease", Some("y")).await;
    assert_eq!(present(&mut watch).await, []);
}

pub(crate) async fn a_watch_ends_at_the_last_state_however_fast_it_changes(settings: Settings) {
    let registers = open(&settings).await;
    let mut early = registers.watch(None);
    let writer = open(&settings).await;
    let writing = tokio::spawn(async move {
        for count in 0..40 {
            put(&writer, &format!("k/{}", count % 3), &count.to_string()).await;
        }
    });
    let mut late = registers.watch(Some(&key("k")));
    for watch in [&mut early, &mut late] {
        sees(watch, "k/0", Some("39")).await;
    }
    writing.await.unwrap();
    for watch in [&mut early, &mut late] {
        present(watch).await;
        assert_eq!(present(watch).await, []);
    }
}

pub(crate) async fn a_slow_reader_of_a_watch_gets_the_last_state(settings: Settings) {
    let registers = open(&settings).await;
    let mut watch = registers.watch(None);
    present(&mut watch).await;
    for count in 0..20 {
        put(&registers, "a", &count.to_string()).await;
    }
    let revision = get(&registers, "a").await.unwrap().revision;
    put(&registers, "b", "end").await;
    registers.delete(&key("a"), revision, soon()).await.unwrap();
    // Whatever it was told in between, this is how it ends.
    sees(&mut watch, "a", None).await;
    assert_eq!(present(&mut watch).await.iter().filter(|(name, _)| name == "a").count(), 0);
}

pub(crate) async fn what_one_process_sets_another_sees_at_once(settings: Settings) {
    let (one, other) = (open(&settings).await, open(&settings).await);
    let mut watch = other.watch(None);
    present(&mut watch).await;
    // Streams are opened after the first look.
    put(&one, "a", "begin").await;
    sees(&mut watch, "a", Some("begin")).await;
    let mut waits = Vec::new();
    for count in 0..11 {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        let value = count.to_string();
        put(&one, "a", &value).await;
        let began = std::time::Instant::now();
        sees(&mut watch, "a", Some(&value)).await;
        waits.push(began.elapsed());
    }
    waits.sort();
    assert!(waits[5].as_millis() < 100, "half of the changes were seen later than that: {waits:?}");
}

pub(crate) async fn a_prefix_belongs_to_one_system(settings: Settings) {
    let first = open(&settings).await;
    set(&first, "a", None, "1").await;
    let other = Claim { system: "warehouse".into(), ..claim("shop") };
    let refused = Registers::open(&settings, &other, soon()).await.unwrap_err();
    let Error::Claimed { prefix, by } = refused else { panic!("{refused}") };
    assert!(prefix == "shop" && by.contains("\"shop\"") && by.contains("\"warehouse\""), "{by}");
    // Its own processes are welcome, with what they know and without.
    assert_eq!(text(&open(&settings).await, "a").await.as_deref(), Some("1"));
    let known = Claim { known: Some(first.known()), ..claim("shop") };
    Registers::open(&settings, &known, soon()).await.unwrap();
}

pub(crate) async fn systems_side_by_side_see_nothing_of_each_other(settings: Settings) {
    let shop = open(&settings).await;
    let shop_2 = Registers::open(&settings, &claim("shop-2"), soon()).await.unwrap();
    set(&shop, "a", None, "1").await;
    set(&shop_2, "a", None, "2").await;
    assert_eq!(present(&mut shop.watch(None)).await, [("a".to_owned(), Some("1".to_owned()))]);
    assert_eq!(present(&mut shop_2.watch(None)).await, [("a".to_owned(), Some("2".to_owned()))]);
}

pub(crate) async fn the_claim_is_nobodys_register(settings: Settings) {
    // Many at once, and all are of one system in the end.
    let opening: Vec<_> = (0..5)
        .map(|_| {
            let settings = settings.clone();
            tokio::spawn(async move { open(&settings).await })
        })
        .collect();
    let mut ids = Vec::new();
    for registers in opening {
        ids.push(registers.await.unwrap().known().system);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let registers = open(&settings).await;
    assert_eq!(present(&mut registers.watch(None)).await, []);
}

pub(crate) async fn a_host_that_knows_another_store_is_refused(settings: Settings) {
    let known = {
        let registers = open(&settings).await;
        registers.known()
    };
    for (store, revision) in [("abcdef", 0), (&*known.store, known.revision + 1000)] {
        let other = Known { store: store.to_owned(), revision, ..known.clone() };
        let claim = Claim { known: Some(other), ..claim("shop") };
        let refused = Registers::open(&settings, &claim, soon()).await.unwrap_err();
        assert!(matches!(refused, Error::Regressed { .. }), "{refused}");
    }
    // It is the store, but somebody has removed what was this system's.
    let claim = Claim { known: Some(known), prefix: Prefix::new("empty").unwrap(), system: "shop".into() };
    let refused = Registers::open(&settings, &claim, soon()).await.unwrap_err();
    assert!(matches!(refused, Error::Regressed { .. }), "{refused}");
}

pub(crate) async fn a_host_that_knows_another_system_of_the_same_name_is_refused(settings: Settings) {
    let known = open(&settings).await.known();
    let other = Registers::open(&settings, &claim("other"), soon()).await.unwrap().known();
    let mixed = Known { system: other.system, ..known };
    let claim = Claim { known: Some(mixed), ..claim("shop") };
    let refused = Registers::open(&settings, &claim, soon()).await.unwrap_err();
    assert!(matches!(refused, Error::Claimed { .. }), "{refused}");
}
