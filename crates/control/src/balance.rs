//! Which member gets the next piece of work. One [`Balancer`] per worker and pool; nothing here allocates,
//! but when a pool changes its size.

use std::net::{IpAddr, SocketAddr};

use nines_system::Balance;

use crate::random::Random;
use crate::view::{MemberView, PoolView, Serving};

/// What a worker knows about its members at this moment, by their position in the pool.
pub trait Loads {
    /// Requests or connections at the member now.
    fn in_flight(&self, member: usize) -> u32;
    /// Neither full nor already tried for this request.
    fn usable(&self, member: usize) -> bool;
}

/// Picks members by the pool's rule.
#[derive(Debug, Clone)]
pub struct Balancer {
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    LeastRequests,
    RoundRobin { credit: Vec<i64> },
    Hash,
}

impl Balancer {
    pub fn new(balance: &Balance) -> Self {
        let rule = match balance {
            Balance::LeastRequests => Rule::LeastRequests,
            Balance::RoundRobin => Rule::RoundRobin { credit: Vec::new() },
            Balance::Hash(_) => Rule::Hash,
        };
        Self { rule }
    }

    /// The position of the member that gets the next work, or `None` if no member may take it.
    ///
    /// `key` is what consistent hashing hashes, well mixed by the caller; without one (no such header or cookie)
    /// the work goes where least requests would send it.
    pub fn pick(
        &mut self,
        view: &PoolView,
        loads: &impl Loads,
        key: Option<u64>,
        random: &mut Random,
    ) -> Option<usize> {
        if view.serving == Serving::Nobody {
            return None;
        }
        let candidates = Candidates::of(&view.members, loads)?;
        match (&mut self.rule, key) {
            (Rule::RoundRobin { credit }, _) => candidates.next_in_turn(credit),
            (Rule::Hash, Some(key)) => candidates.highest_score(key),
            (Rule::Hash, None) | (Rule::LeastRequests, _) => candidates.less_busy_of_two(random),
        }
    }
}

/// The members that may take the work: the usable ones, or the usable backups when there is no other.
struct Candidates<'a, L> {
    members: &'a [MemberView],
    loads: &'a L,
    backup: bool,
    count: usize,
    /// The sum of their shares.
    shares: u64,
}

impl<'a, L: Loads> Candidates<'a, L> {
    fn of(members: &'a [MemberView], loads: &'a L) -> Option<Self> {
        let mut count = [0; 2];
        let mut shares = [0; 2];
        for (at, member) in members.iter().enumerate() {
            if member.eligible && loads.usable(at) {
                count[usize::from(member.backup)] += 1;
                shares[usize::from(member.backup)] += u64::from(member.share);
            }
        }
        let backup = count[0] == 0;
        let (count, shares) = (count[usize::from(backup)], shares[usize::from(backup)]);
        (count > 0).then_some(Self { members, loads, backup, count, shares })
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &MemberView)> {
        self.members
            .iter()
            .enumerate()
            .filter(|(at, member)| member.eligible && member.backup == self.backup && self.loads.usable(*at))
    }

    /// Power of two choices (Mitzenmacher 2001), both drawn by share and never the same member twice; the
    /// winner has fewer requests for its share.
    fn less_busy_of_two(&self, random: &mut Random) -> Option<usize> {
        let first = self.draw(random, None)?;
        if self.count == 1 {
            return Some(first);
        }
        let Some(second) = self.draw(random, Some(first)) else { return Some(first) };
        let load_of = |at: usize, other: usize| {
            u64::from(self.loads.in_flight(at)) * u64::from(self.members[other].share)
        };
        let first_is_busier = load_of(first, second) > load_of(second, first);
        Some(if first_is_busier { second } else { first })
    }

    /// One member at random, each as likely as its share.
    fn draw(&self, random: &mut Random, without: Option<usize>) -> Option<usize> {
        let excluded = without.map_or(0, |at| u64::from(self.members[at].share));
        let mut left = random.below((self.shares - excluded) as usize) as u64;
        let mut last = None;
        for (at, member) in self.iter() {
            if Some(at) == without {
                continue;
            }
            last = Some(at);
            match left.checked_sub(u64::from(member.share)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        last
    }

    /// Smooth weighted round robin (as nginx has it): each gains its share, the richest is picked and pays for all.
    fn next_in_turn(&self, credit: &mut Vec<i64>) -> Option<usize> {
        if credit.len() != self.members.len() {
            credit.clear();
            credit.resize(self.members.len(), 0);
        }
        let mut richest: Option<usize> = None;
        for (at, member) in self.iter() {
            credit[at] += i64::from(member.share);
            if richest.is_none_or(|best| credit[at] > credit[best]) {
                richest = Some(at);
            }
        }
        let picked = richest?;
        credit[picked] -= self.shares as i64;
        Some(picked)
    }

    /// Rendezvous hashing (Thaler, Ravishankar 1998) by share, with bounded load (Mirrokni, Thorup,
    /// Zadimoghaddam 2016): of the members within their bound, the one that likes the key best. A member that
    /// goes takes only its own keys along; one that comes takes only those that it gets.
    ///
    /// Members are known by their address, so every load balancer of a system sends a key to the same one.
    fn highest_score(&self, key: u64) -> Option<usize> {
        let (mut in_flight, mut even, mut share) = (0u64, true, None);
        for (at, member) in self.iter() {
            in_flight += u64::from(self.loads.in_flight(at));
            even &= *share.get_or_insert(member.share) == member.share;
        }
        let mut best: Option<(f64, usize)> = None;
        for (at, member) in self.iter() {
            let hash = mix(key ^ member.address.map_or(0, hash_of));
            // Strictly between 0 and 1.
            let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            let high = best.map_or(0.0, |(score, _)| score);
            let score = if even {
                // The logarithm would change nothing in the order.
                unit
            } else if f64::from(member.share) <= high * (1.0 - unit) {
                // Since ln u ≤ u − 1 it can't win: spare the logarithm.
                continue;
            } else {
                -f64::from(member.share) / unit.ln()
            };
            let after = u64::from(self.loads.in_flight(at)) + 1;
            if score > high && after <= self.bound(in_flight + 1, member.share) {
                best = Some((score, at));
            }
        }
        // The bounds add up to more than what is in flight, so somebody is within theirs.
        best.map(|(_, at)| at)
    }

    /// A quarter more than the member's part of `in_flight`. Below a handful nobody is overloaded, and a
    /// client's few parallel requests stay together.
    fn bound(&self, in_flight: u64, share: u32) -> u64 {
        const NEVER_TOO_MANY: u64 = 8;
        (5 * in_flight * u64::from(share)).div_ceil(4 * self.shares).max(NEVER_TOO_MANY)
    }
}

fn hash_of(address: SocketAddr) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            mix((bits >> 64) as u64) ^ bits as u64
        }
    };
    mix(ip ^ (u64::from(address.port()) << 48))
}

/// The finaliser of SplitMix64: every bit of the input changes about half of the output's.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
