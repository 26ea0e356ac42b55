//! The links between hosts, each direction by itself: cut, lossy, slow, doubling.

use std::time::Duration;

use nines_control::random::Random;

use crate::{HostIndex, chance};

/// What happens to a packet on a link that is not cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// 0.0 to 1.0.
    pub loss: f64,
    /// 0.0 to 1.0.
    pub duplicate: f64,
    pub shortest: Duration,
    /// Most packets are nearer to the shortest delay; those that are not are overtaken.
    pub longest: Duration,
}

impl Conditions {
    /// A quiet Ethernet segment.
    pub const GOOD: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        shortest: Duration::from_micros(50),
        longest: Duration::from_micros(500),
    };
}

/// What became of one packet on one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Lost,
    Arrives(Duration),
    ArrivesTwice(Duration, Duration),
}

#[derive(Debug, Clone, Copy)]
struct Link {
    cut: bool,
    conditions: Conditions,
}

/// Every host has a link to every other, in each direction.
#[derive(Debug, Clone)]
pub struct Network {
    hosts: usize,
    links: Vec<Link>,
}

impl Network {
    pub fn new(hosts: usize) -> Self {
        Self { hosts, links: vec![Link { cut: false, conditions: Conditions::GOOD }; hosts * hosts] }
    }

    pub fn cut(&mut self, from: HostIndex, to: HostIndex, cut: bool) {
        self.link(from, to).cut = cut;
    }

    pub fn set(&mut self, from: HostIndex, to: HostIndex, conditions: Conditions) {
        self.link(from, to).conditions = conditions;
    }

    pub fn is_cut(&self, from: HostIndex, to: HostIndex) -> bool {
        self.links[from * self.hosts + to].cut
    }

    /// Whether no link is cut, and none slower than a good one. Some may lose what they carry.
    pub fn is_prompt(&self) -> bool {
        let prompt = |link: &Link| !link.cut && link.conditions.longest <= Conditions::GOOD.longest;
        self.links.iter().all(prompt)
    }

    /// Every link whole, and under these conditions.
    pub fn mend(&mut self, conditions: Conditions) {
        self.links.fill(Link { cut: false, conditions });
    }

    pub(crate) fn carry(&self, from: HostIndex, to: HostIndex, random: &mut Random) -> Fate {
        let link = &self.links[from * self.hosts + to];
        let conditions = &link.conditions;
        if link.cut || chance(random, conditions.loss) {
            return Fate::Lost;
        }
        let mut delay = || {
            let share = random.unit().powi(3);
            conditions.shortest + conditions.longest.saturating_sub(conditions.shortest).mul_f64(share)
        };
        let first = delay();
        let second = delay();
        if chance(random, conditions.duplicate) {
            Fate::ArrivesTwice(first, second)
        } else {
            Fate::Arrives(first)
        }
    }

    fn link(&mut self, from: HostIndex, to: HostIndex) -> &mut Link {
        &mut self.links[from * self.hosts + to]
    }
}
