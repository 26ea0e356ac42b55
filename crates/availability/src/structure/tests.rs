//! The reference cases, and random trees against every combination of failures.

use proptest::prelude::*;

use super::*;

fn probability(tree: &Tree, top: NodeId, q: &[f64]) -> f64 {
    let analysis = tree.analyse(top, Limits::default()).unwrap();
    assert!(analysis.is_exact());
    analysis.probability(q).likely
}

fn cuts(tree: &Tree, top: NodeId) -> Vec<Vec<usize>> {
    let sets = tree.analyse(top, Limits::default()).unwrap().cut_sets(tree.events()).unwrap();
    let sets = sets.list(10_000);
    sets.into_iter().map(|set| set.into_iter().map(EventId::index).collect()).collect()
}

fn events<const N: usize>(tree: &mut Tree) -> [NodeId; N] {
    std::array::from_fn(|_| tree.event())
}

fn close(got: f64, wanted: f64) {
    assert!((got - wanted).abs() < 1e-12, "{got} is not {wanted}");
}

#[test]
fn the_reference_fault_trees() {
    let mut tree = Tree::new();
    let [a, b, c] = events(&mut tree);
    let q = [0.1, 0.2, 0.3];
    let any = tree.any([a, b, c]);
    close(probability(&tree, any, &q), 0.496);
    assert_eq!(cuts(&tree, any), [vec![0], vec![1], vec![2]]);
    let (ab, bc) = (tree.all([a, b]), tree.all([b, c]));
    let either = tree.any([ab, bc]);
    close(probability(&tree, either, &q), 0.074);
    assert_eq!(cuts(&tree, either), [vec![0, 1], vec![1, 2]]);
    let two = tree.at_least(2, [a, b, c]);
    close(probability(&tree, two, &q), 0.098);
    assert_eq!(cuts(&tree, two), [vec![0, 1], vec![0, 2], vec![1, 2]]);
    // Generator, relay, mains.
    let (ga, rb) = (tree.all([a, c]), tree.all([c, b]));
    let power = tree.any([ga, rb]);
    close(probability(&tree, power, &[0.02, 0.05, 0.03]), 0.00207);
    assert_eq!(cuts(&tree, power), [vec![0, 2], vec![1, 2]]);
}

#[test]
fn the_reference_block_diagrams() {
    let mut tree = Tree::new();
    let blocks: [NodeId; 6] = events(&mut tree);
    let mut check = |needed: usize, q: &[f64], wanted: f64, within: f64| {
        let top = tree.redundant(needed, blocks[..q.len()].iter().copied());
        let got = 1.0 - probability(&tree, top, q);
        assert!((got - wanted).abs() < within, "{got} is not {wanted}");
    };
    check(2, &[0.005; 3], 0.999_925_25, 1e-12);
    check(4, &[0.15; 6], 0.952_661_41, 5e-9);
    check(2, &[0.001; 3], 0.999_997_002_0, 5e-11);
    check(3, &[0.001; 5], 0.999_999_990_0, 5e-11);
    check(3, &[0.005, 0.013, 0.027], 0.955_549_24, 6e-9);
    check(1, &[0.005, 0.013, 0.027], 0.999_998_245, 5e-13);
}

#[test]
fn a_bridge_is_no_series_of_parallels() {
    let mut tree = Tree::new();
    let [a, b, c, d, middle] = events(&mut tree);
    let paths = [vec![a, c], vec![b, d], vec![a, middle, d], vec![b, middle, c]];
    let broken: Vec<NodeId> = paths.map(|path| tree.any(path)).to_vec();
    let top = tree.all(broken);
    close(1.0 - probability(&tree, top, &[0.1; 5]), 0.978_48);
    assert_eq!(cuts(&tree, top), [vec![0, 1], vec![2, 3], vec![0, 3, 4], vec![1, 2, 4]]);
}

#[test]
fn what_two_paths_share_counts_once() {
    let mut tree = Tree::new();
    let [a, b, c] = events(&mut tree);
    let (ab, ac) = (tree.any([a, b]), tree.any([a, c]));
    let top = tree.all([ab, ac]);
    close(1.0 - probability(&tree, top, &[0.1; 3]), 0.891);
}

#[test]
fn nothing_is_needed_of_nothing_and_everything_of_too_few() {
    let mut tree = Tree::new();
    let one = tree.event();
    let never = tree.all([]);
    let also_never = tree.any([]);
    let always = tree.redundant(2, [one]);
    for (top, wanted) in [(never, 0.0), (also_never, 0.0), (always, 1.0)] {
        assert_eq!(probability(&tree, top, &[0.5]), wanted);
    }
    assert_eq!(cuts(&tree, always), [Vec::<usize>::new()]);
    assert_eq!(cuts(&tree, never), Vec::<Vec<usize>>::new());
}

#[test]
fn importance_of_two_in_series_before_two_in_parallel() {
    let mut tree = Tree::new();
    let [a, b, c] = events(&mut tree);
    let pair = tree.all([b, c]);
    let top = tree.any([a, pair]);
    let q = [0.01, 0.1, 0.2];
    let analysis = tree.analyse(top, Limits::default()).unwrap();
    let importance = analysis.importance(&q);
    let p = analysis.probability(&q).likely;
    close(importance[0].birnbaum, 1.0 - 0.02);
    close(importance[1].birnbaum, 0.99 * 0.2);
    close(importance[1].criticality, 0.99 * 0.2 * 0.1 / p);
    // A cut set with b: b and c.
    close(analysis.fussell_vesely(EventId(1), &q).unwrap(), 0.02 / p);
    close(analysis.fussell_vesely(EventId(0), &q).unwrap(), 0.01 / p);
}

/// Several pools over the same zones: more entangled than one diagram may be, so that zones are gone through.
fn pools(zones: usize, pools: usize, members: usize, spare: usize) -> (Tree, NodeId, Vec<f64>) {
    let mut tree = Tree::new();
    let zone: Vec<NodeId> = (0..zones).map(|_| tree.event()).collect();
    let mut q = vec![1e-3; zones];
    let mut parts = Vec::new();
    for _ in 0..pools {
        let mut of = Vec::new();
        for member in 0..members {
            let host = tree.event();
            q.push(2e-3);
            of.push(tree.any([zone[member % zones], host]));
        }
        parts.push(tree.at_least(spare + 1, of));
    }
    let top = tree.any(parts);
    (tree, top, q)
}

#[test]
fn parts_that_share_zones_give_what_one_diagram_gives() {
    let (tree, top, q) = pools(5, 4, 10, 3);
    let whole = tree.analyse(top, Limits::default()).unwrap();
    let parts = tree.analyse(top, Limits { nodes: 2800, scenarios: 32 }).unwrap();
    assert_eq!((whole.parts(), parts.parts()), (1, 4));
    assert!(parts.is_exact());
    let (wanted, got) = (whole.probability(&q).likely, parts.probability(&q));
    assert!((got.likely / wanted - 1.0).abs() < 1e-9, "{got:?} is not {wanted}");
    for (a, b) in whole.importance(&q).iter().zip(parts.importance(&q)) {
        assert!((a.birnbaum - b.birnbaum).abs() < 1e-9 * a.birnbaum.max(1e-6), "{a:?} {b:?}");
    }
    let order = 4;
    let list = |analysis: &Analysis| {
        let mut list = analysis.cut_sets(order).unwrap().list(100_000);
        list.sort();
        list
    };
    assert_eq!(list(&whole), list(&parts));
    // With fewer scenarios, it lies between the bounds.
    let rough = tree.analyse(top, Limits { nodes: 2800, scenarios: 10 }).unwrap();
    assert!(!rough.is_exact());
    let bounds = rough.probability(&q);
    assert!(bounds.low < wanted && wanted < bounds.high * (1.0 + 1e-9) && bounds.high < 2e-5, "{bounds:?}");
}

#[test]
fn a_thousand_hosts_in_twenty_zones() {
    let (tree, top, q) = pools(20, 5, 200, 25);
    let analysis = tree.analyse(top, Limits::default()).unwrap();
    let bounds = analysis.probability(&q);
    assert!(bounds.low > 0.0 && bounds.high - bounds.low < 1e-8, "{bounds:?}");
    let counts = analysis.cut_sets(2).unwrap().counts();
    // Any two zones hold twenty members of each pool: not yet enough.
    assert_eq!(counts, [0.0, 0.0, 0.0]);
    let one_less = pools(20, 5, 200, 19);
    let analysis = one_less.0.analyse(one_less.1, Limits::default()).unwrap();
    assert_eq!(analysis.cut_sets(2).unwrap().counts(), [0.0, 0.0, 190.0]);
}

/// A random coherent tree: each gate over some of what came before it.
fn any_tree(most: usize) -> impl Strategy<Value = (Tree, NodeId, Vec<f64>)> {
    let gates =
        prop::collection::vec((1usize..4, prop::collection::vec(any::<prop::sample::Index>(), 1..5)), 1..8);
    (prop::collection::vec(0.0f64..1.0, 1..most), gates).prop_map(|(q, gates)| {
        let mut tree = Tree::new();
        let mut nodes: Vec<NodeId> = q.iter().map(|_| tree.event()).collect();
        for (need, of) in gates {
            let of: Vec<NodeId> = of.iter().map(|index| nodes[index.index(nodes.len())]).collect();
            nodes.push(tree.at_least(need, of));
        }
        let top = *nodes.last().unwrap();
        (tree, top, q)
    })
}

/// The sum over every combination of failures.
fn by_brute_force(tree: &Tree, top: NodeId, q: &[f64]) -> f64 {
    let weight = |failed: u32| -> f64 {
        q.iter().enumerate().map(|(at, q)| if failed >> at & 1 == 1 { *q } else { 1.0 - q }).product()
    };
    let fails = |failed: &u32| tree.fails(top, |event| failed >> event.index() & 1 == 1);
    (0..1u32 << q.len()).filter(fails).map(weight).sum()
}

proptest! {
    #[test]
    fn a_diagram_gives_what_all_combinations_give((tree, top, q) in any_tree(10)) {
        let wanted = by_brute_force(&tree, top, &q);
        prop_assert!((probability(&tree, top, &q) - wanted).abs() < 1e-12);
        // And so do its parts, where it must not be one.
        if let Ok(parts) = tree.analyse(top, Limits { nodes: 100, scenarios: 2000 }) {
            prop_assert!((parts.probability(&q).likely - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn given_that_one_is_down_or_up_it_is_what_combinations_give((tree, top, mut q) in any_tree(8), at: prop::sample::Index) {
        let at = at.index(q.len());
        let analysis = tree.analyse(top, Limits::default()).unwrap();
        let importance = analysis.importance(&q)[at];
        let was = std::mem::replace(&mut q[at], 1.0);
        let down = by_brute_force(&tree, top, &q);
        prop_assert!((analysis.probability(&q).likely - down).abs() < 1e-12);
        q[at] = 0.0;
        let up = by_brute_force(&tree, top, &q);
        prop_assert!((analysis.probability(&q).likely - up).abs() < 1e-12);
        prop_assert!((importance.birnbaum - (down - up)).abs() < 1e-12);
        // A repair never makes anything worse.
        prop_assert!(up <= down + 1e-15);
        q[at] = was;
        let whole = by_brute_force(&tree, top, &q);
        if whole > 1e-9 {
            prop_assert!((importance.criticality - (whole - up) / whole).abs() < 1e-6);
        }
    }

    #[test]
    fn cut_sets_are_the_minimal_ones_of_all_combinations((tree, top, q) in any_tree(9), order in 0usize..5) {
        let fails = |failed: u32| tree.fails(top, |event| failed >> event.index() & 1 == 1);
        let minimal = |failed: &u32| {
            fails(*failed) && (0..q.len()).all(|at| failed >> at & 1 == 0 || !fails(failed & !(1 << at)))
        };
        let mut wanted: Vec<u32> = (0..1u32 << q.len()).filter(minimal).collect();
        let bits = |set: Vec<EventId>| set.into_iter().map(|event| 1 << event.index()).sum::<u32>();
        let analysis = tree.analyse(top, Limits::default()).unwrap();
        let mut got: Vec<u32> = analysis.cut_sets(q.len()).unwrap().list(1000).into_iter().map(bits).collect();
        wanted.sort_unstable();
        got.sort_unstable();
        prop_assert_eq!(&got, &wanted);
        wanted.retain(|set| set.count_ones() as usize <= order);
        let few = analysis.cut_sets(order).unwrap();
        let mut got: Vec<u32> = few.list(1000).into_iter().map(bits).collect();
        got.sort_unstable();
        prop_assert_eq!(&got, &wanted);
        prop_assert_eq!(few.counts().iter().sum::<f64>() as usize, wanted.len());
    }

    #[test]
    fn fussell_and_vesely_by_all_combinations((tree, top, q) in any_tree(7), at: prop::sample::Index) {
        let at = at.index(q.len());
        let analysis = tree.analyse(top, Limits::default()).unwrap();
        let sets: Vec<u32> = analysis.cut_sets(q.len()).unwrap().list(1000).into_iter()
            .map(|set| set.into_iter().map(|event| 1 << event.index()).sum::<u32>())
            .filter(|set| set >> at & 1 == 1)
            .collect();
        let weight = |failed: u32| -> f64 {
            q.iter().enumerate().map(|(at, q)| if failed >> at & 1 == 1 { *q } else { 1.0 - q }).product()
        };
        let holds = |failed: &u32| sets.iter().any(|set| failed & set == *set);
        let with: f64 = (0..1u32 << q.len()).filter(holds).map(weight).sum();
        let top = by_brute_force(&tree, top, &q);
        if top > 1e-9 {
            let got = analysis.fussell_vesely(EventId(at as u32), &q).unwrap();
            prop_assert!((got - with / top).abs() < 1e-6, "{} {}", got, with / top);
        }
    }
}

proptest! {
    #[test]
    fn rounded_weights_lie_on_both_sides_of_what_all_combinations_give(
        weights in prop::collection::vec(1usize..60, 3..9), need in 1usize..240, q in prop::collection::vec(0.0f64..1.0, 10),
    ) {
        let mut tree = Tree::new();
        let zone = tree.event();
        let of: Vec<NodeId> = weights
            .iter()
            .enumerate()
            .flat_map(|(at, &weight)| {
                let host = tree.event();
                let gone = if at % 2 == 0 { tree.any([zone, host]) } else { host };
                std::iter::repeat_n(gone, weight)
            })
            .collect();
        let top = tree.at_least(need.min(of.len()), of);
        let q = &q[..=weights.len()];
        let wanted = by_brute_force(&tree, top, q);
        let exact = tree.analyse(top, Limits::default()).unwrap();
        prop_assert!(exact.is_exact() && (exact.probability(q).likely - wanted).abs() < 1e-12);
        let rough = tree.analyse(top, Limits { nodes: 300, scenarios: 2000 }).unwrap();
        let bounds = rough.probability(q);
        prop_assert!(bounds.low <= wanted + 1e-12 && wanted <= bounds.high + 1e-12, "{bounds:?} {wanted}");
        prop_assert_eq!(rough.is_exact(), !rough.is_rounded());
        prop_assert!(!rough.is_exact() || (bounds.likely - wanted).abs() < 1e-12);
    }
}
