//! `nines simulate`: what can't be waited for. Years of failures of a system by the thousand; and the decisions themselves, in
//! a made-up world that breaks whatever can break. Each follows from its seed.

mod world;
mod years;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use world::Kind;

const ABOUT: &str = "\
With a system FILE: thousands of years of its hosts' failures and repairs, and the minutes of downtime that a year had. \
`nines audit` says what to do about it.

Without one: worlds made up from seeds. The very code that decides who is the primary of a database, or who answers on a virtual \
address, runs there through crashes, lost messages, stopped processes and broken disks, and every promise is checked after each \
event. It exits with 1 if one was broken, and says how to see it again:

    nines simulate --world failover --seeds 1000
    nines simulate --world failover --seed 7 --trace";

#[derive(clap::Args)]
#[command(override_usage = "nines simulate [OPTIONS] <FILE>\n       \
                            nines simulate --world <WORLD> [--seed <N>] [--seeds <M>] [--trace] [--json]",
    after_help = ABOUT)]
pub(crate) struct Args {
    /// The system file
    #[arg(required_unless_present_any = ["world", "seeds", "trace"])]
    file: Option<PathBuf>,
    /// The same seed gives the same, on however many cores
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Years to simulate
    #[arg(long, value_name = "YEARS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    #[arg(help_heading = "With a FILE", conflicts_with_all = ["world", "seeds", "trace"])]
    years: u32,
    /// How many failed hosts are repaired at one time, whatever the file says; otherwise as many as there are
    #[arg(long, value_parser = crew, help_heading = "With a FILE", conflicts_with_all = ["world", "seeds", "trace"])]
    crew: Option<usize>,
    /// How many members a pool takes to carry its peak, `web=2`, whatever the file says of it
    #[arg(long, value_name = "POOL=MEMBERS", value_parser = super::audit::needs)]
    #[arg(help_heading = "With a FILE", conflicts_with_all = ["world", "seeds", "trace"])]
    needs: Vec<(String, usize)>,
    /// What the world is about
    #[arg(long, value_enum, default_value_t = Kind::Failover, conflicts_with = "file")]
    #[arg(help_heading = "Without a FILE")]
    world: Kind,
    /// How many seeds, from --seed on
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    #[arg(help_heading = "Without a FILE", conflicts_with = "file")]
    seeds: u32,
    /// Print all that happened, not only what led to a broken promise
    #[arg(long, help_heading = "Without a FILE", conflicts_with = "file")]
    trace: bool,
}

/// With nobody to repair anything, everything is down in the end.
fn crew(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("how many hosts are repaired at one time: at least 1".to_owned()),
        Ok(some) => Ok(some),
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.file {
        Some(file) => years::run(args, file),
        None => world::run(args),
    }
}

/// Does each of `count` things, on all cores; what came of them is in their order.
pub(super) fn on_all_cores<T: Send>(count: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        numbers.take_while(|number| *number < count).map(|number| (number, one(number))).collect::<Vec<_>>()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let mut all = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..cores).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for thread in threads {
            match thread.join() {
                Ok(mut done) => all.append(&mut done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, done)| done).collect()
}
