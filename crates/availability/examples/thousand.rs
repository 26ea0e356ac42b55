//! A thousand hosts in twenty zones, worked out and then simulated for ten thousand years on two threads: `time` it.

use std::sync::atomic::{AtomicUsize, Ordering};

use nines_availability::distribution::Hours;
use nines_availability::nines::Availability;
use nines_availability::simulation::{Answer, Behaviour, Block, Plant, Simulation};
use nines_availability::structure::{Limits, NodeId, Tree};

fn main() {
    let (zones, pools, members, spare) = (20, 5, 200, 20);
    let mut tree = Tree::new();
    let zone: Vec<NodeId> = (0..zones).map(|_| tree.event()).collect();
    let behaviour =
        |life, repair| Behaviour { life: Some(Hours::Exponential { mean: life }), repair, crew: None };
    let mut behaviours = vec![behaviour(5700.0, Hours::log_normal(1.9, 21.8)); zones];
    let mut parts = Vec::new();
    for _ in 0..pools {
        let mut of = Vec::new();
        for member in 0..members {
            let host = tree.event();
            behaviours.push(behaviour(3996.0, Hours::log_normal(3.0, 10.0)));
            of.push(tree.any([zone[member % zones], host]));
        }
        parts.push(tree.at_least(spare + 1, of));
    }
    let top = tree.any(parts);
    let mean =
        |of: &Behaviour| of.life.map_or(0.0, |life| of.repair.mean() / (of.repair.mean() + life.mean()));
    let q: Vec<f64> = behaviours.iter().map(mean).collect();

    match tree.analyse(top, Limits::default()) {
        Ok(analysis) => {
            let down = analysis.probability(&q).map(|down| down * 525_600.0);
            println!("exact: {down:?} min/year, {} nodes in {} parts", analysis.size(), analysis.parts());
            println!("cut sets: {:?}", analysis.cut_sets(2).map(|sets| sets.counts()));
        }
        Err(error) => println!("{error}"),
    }
    let years = std::env::args().nth(1).and_then(|years| years.parse().ok()).unwrap_or(10_000);
    let (failovers, sharing, crews, maintenance) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let plant = Plant { tree, top, behaviours, failovers, sharing, crews, maintenance };
    let simulation = Simulation::new(plant);
    let todo: Vec<(u64, u32)> = Simulation::blocks(years).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done: Vec<Block> = Vec::new();
        while let Some(&(number, years)) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(simulation.block(1, number, years));
        }
        done
    };
    let blocks = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let answer = Answer::of(blocks, Availability::from_fraction(0.9999));
    println!("simulated: {:?} min/year, {} events", answer.mean, answer.events);
}
