//! One block of years, event by event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::part::Parts;
use super::{Maintenance, Simulation, Watcher};
use crate::distribution::Hours;
use crate::nines::HOURS_PER_YEAR;
use crate::random::Random;
use crate::structure::{EventId, Node, NodeId};

/// Different causes that are told apart in a block; what comes after that is counted together.
const CAUSES: usize = 2_000;
/// Hours until a maintenance that was put off is tried again.
const TRY_AGAIN: f64 = 1.0;

/// What a block of years brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub number: u64,
    /// Minutes of downtime in each of its years.
    pub minutes: Vec<f64>,
    pub outages: u64,
    /// In minutes.
    pub longest: f64,
    /// How many outages these events together began, and the minutes that they lasted. The empty set: all others.
    pub causes: BTreeMap<Vec<EventId>, (u64, f64)>,
    /// The same by the one event that came last before it: whatever else had failed, this began it.
    pub begun_by: BTreeMap<EventId, (u64, f64)>,
    /// Minutes that were lost in part while the service was up, as such a part of them, by the event that took the members.
    pub in_part: BTreeMap<EventId, f64>,
    /// What happened in all: for measuring speed.
    pub events: u64,
    /// Maintenance that was put off at least once because the service would have gone down.
    pub put_off: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Working,
    Failed,
    /// Failed, and no crew has time yet.
    Waiting,
    Maintained,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The event begins: its life is over.
    Begin(u32),
    /// It is repaired, or its time has run out. Only if it wasn't begun anew since.
    End(u32, u32),
    Maintain(u32),
    Maintained(u32),
    /// Nobody is sent any more to this member of those that share work, if it is still gone since then.
    Noticed(u32, u32, u32),
}

struct Run<'a> {
    of: &'a Simulation,
    random: Random,
    now: f64,
    end: f64,
    /// Failed children, and for an event 1 while it lasts.
    count: Vec<u32>,
    conditions: Vec<Condition>,
    /// How often each event has begun.
    begun: Vec<u32>,
    /// Times are positive, so their bits are in order.
    agenda: BinaryHeap<Reverse<(u64, What)>>,
    busy: Vec<usize>,
    waiting: Vec<VecDeque<u32>>,
    active: Vec<Option<usize>>,
    /// For each failover the member that was lost, and what lasts until another one serves.
    lost: Vec<Option<(usize, EventId)>>,
    /// Failovers one of whose members changed in this step.
    touched: Vec<u32>,
    /// Members that share work and went or came back in this step.
    moved: Vec<(u32, u32)>,
    parts: Parts,
    /// Until when what is lost in part is counted.
    counted: f64,
    pending: Vec<u32>,
    down_since: Option<(f64, Vec<EventId>)>,
    /// What failed last by itself, and what began the outage that lasts.
    last: Option<EventId>,
    began: Option<EventId>,
    block: Block,
}

impl Simulation {
    /// Runs one block, from a beginning at which everything works.
    pub fn block(&self, seed: u64, number: u64, years: u32) -> Block {
        let plant = &self.plant;
        let mut run = Run {
            of: self,
            random: Random::of_block(seed, number),
            now: 0.0,
            end: f64::from(years) * HOURS_PER_YEAR,
            count: self.count.clone(),
            conditions: vec![Condition::Working; plant.behaviours.len()],
            begun: vec![0; plant.behaviours.len()],
            agenda: BinaryHeap::new(),
            busy: vec![0; plant.crews.len()],
            waiting: vec![VecDeque::new(); plant.crews.len()],
            active: vec![None; plant.failovers.len()],
            lost: vec![None; plant.failovers.len()],
            touched: Vec::new(),
            moved: Vec::new(),
            parts: Parts::of(&plant.sharing),
            counted: 0.0,
            pending: Vec::new(),
            down_since: None,
            last: None,
            began: None,
            block: Block {
                number,
                minutes: vec![0.0; years as usize],
                outages: 0,
                longest: 0.0,
                causes: BTreeMap::new(),
                begun_by: BTreeMap::new(),
                in_part: BTreeMap::new(),
                events: 0,
                put_off: 0,
            },
        };
        run.begin();
        while run.step() {}
        run.finish()
    }
}

impl Run<'_> {
    fn begin(&mut self) {
        for (at, failover) in self.of.plant.failovers.iter().enumerate() {
            self.active[at] = failover.members.iter().position(|&member| !self.down(member));
        }
        for &event in &self.of.aging {
            self.plan_begin(event.0);
        }
        for (at, maintenance) in self.of.plant.maintenance.iter().enumerate() {
            let first = maintenance.every.mean() * self.random.unit();
            self.plan(first, What::Maintain(at as u32));
        }
        self.judge();
    }

    fn down(&self, node: NodeId) -> bool {
        self.count[node.index()] >= self.of.need[node.index()]
    }

    fn plan(&mut self, hours: f64, what: What) {
        self.agenda.push(Reverse(((self.now + hours.max(0.0)).to_bits(), what)));
    }

    fn plan_begin(&mut self, event: u32) {
        if let Some(life) = self.of.plant.behaviours[event as usize].life {
            let hours = life.sample(&mut self.random);
            self.plan(hours, What::Begin(event));
        }
    }

    /// The next thing that happens; false when the years are over.
    fn step(&mut self) -> bool {
        let of = self.of;
        let memoryless = of.memoryless.as_ref();
        // Without memory the next one can be drawn anew at each step.
        let drawn = memoryless.map_or(f64::INFINITY, |all| self.now + self.random.exponential() / all.sum);
        let planned = self.agenda.peek().map_or(f64::INFINITY, |Reverse((time, _))| f64::from_bits(*time));
        let next = drawn.min(planned);
        if next >= self.end {
            return false;
        }
        self.now = next;
        self.count_parts(next);
        self.block.events += 1;
        if drawn < planned {
            if let Some(all) = memoryless {
                let event = all.pick(&mut self.random) as u32;
                // One that has failed already can't fail again.
                if self.conditions[event as usize] == Condition::Working {
                    self.fail(event);
                }
            }
        } else if let Some(Reverse((_, what))) = self.agenda.pop() {
            self.happen(what);
        }
        true
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Begin(event) => match self.conditions[event as usize] {
                Condition::Working => self.fail(event),
                // It was being renewed: a new life begins.
                _ => self.plan_begin(event),
            },
            What::End(event, begun) => {
                if self.begun[event as usize] == begun {
                    self.repaired(event);
                }
            }
            What::Maintain(at) => self.maintain(at, &self.of.plant.maintenance[at as usize]),
            What::Maintained(at) => {
                let maintenance = &self.of.plant.maintenance[at as usize];
                self.conditions[maintenance.event.index()] = Condition::Working;
                self.recover_node(self.of.event_nodes[maintenance.event.index()]);
                let hours = maintenance.every.sample(&mut self.random);
                self.plan(hours.max(TRY_AGAIN), What::Maintain(at));
                self.settle(true);
            }
            What::Noticed(sharing, member, since) => self.parts.noticed(sharing, member, since),
        }
    }

    fn fail(&mut self, event: u32) {
        self.last = Some(EventId(event));
        let behaviour = self.of.plant.behaviours[event as usize];
        self.conditions[event as usize] = Condition::Failed;
        let crew = behaviour.crew.filter(|&crew| crew < self.busy.len());
        if let Some(crew) = crew.filter(|&crew| self.busy[crew] >= self.of.plant.crews[crew].max(1)) {
            self.conditions[event as usize] = Condition::Waiting;
            self.waiting[crew].push_back(event);
        } else {
            if let Some(crew) = crew {
                self.busy[crew] += 1;
            }
            let hours = behaviour.repair.sample(&mut self.random);
            self.plan_end(event, hours);
        }
        self.fail_node(self.of.event_nodes[event as usize]);
        self.settle(false);
    }

    fn plan_end(&mut self, event: u32, hours: f64) {
        self.begun[event as usize] = self.begun[event as usize].wrapping_add(1);
        self.plan(hours, What::End(event, self.begun[event as usize]));
    }

    fn repaired(&mut self, event: u32) {
        let behaviour = self.of.plant.behaviours[event as usize];
        self.conditions[event as usize] = Condition::Working;
        if let Some(crew) = behaviour.crew.filter(|&crew| crew < self.busy.len()) {
            if let Some(next) = self.waiting[crew].pop_front() {
                self.conditions[next as usize] = Condition::Failed;
                let hours = self.of.plant.behaviours[next as usize].repair.sample(&mut self.random);
                self.plan_end(next, hours);
            } else {
                self.busy[crew] -= 1;
            }
        }
        if !matches!(behaviour.life, None | Some(Hours::Exponential { .. })) {
            self.plan_begin(event);
        }
        self.recover_node(self.of.event_nodes[event as usize]);
        // Who is preferred may have waited for the end of a failover.
        self.touched.extend(self.of.failover_of.get(&event));
        self.settle(true);
    }

    fn maintain(&mut self, at: u32, maintenance: &Maintenance) {
        let event = maintenance.event.index();
        let waits =
            self.down(self.of.plant.top) || maintenance.waits_for.iter().any(|&group| self.down(group));
        if self.conditions[event] == Condition::Working && !waits {
            self.fail_node(self.of.event_nodes[event]);
            if maintenance.even_if_down || !self.down(self.of.plant.top) {
                self.conditions[event] = Condition::Maintained;
                let hours = maintenance.takes.sample(&mut self.random);
                self.plan(hours, What::Maintained(at));
                // Whoever was active gave its work away before.
                self.settle(true);
                return;
            }
            self.recover_node(self.of.event_nodes[event]);
            self.touched.clear();
            self.moved.clear();
        }
        self.block.put_off += 1;
        self.plan(TRY_AGAIN, What::Maintain(at));
    }

    fn fail_node(&mut self, node: u32) {
        self.count[node as usize] += 1;
        self.pending.push(node);
        while let Some(node) = self.pending.pop() {
            self.touch(node);
            let above = self.of.from[node as usize] as usize..self.of.from[node as usize + 1] as usize;
            for &gate in &self.of.above[above] {
                self.count[gate as usize] += 1;
                if self.count[gate as usize] == self.of.need[gate as usize] {
                    self.pending.push(gate);
                }
            }
        }
    }

    fn recover_node(&mut self, node: u32) {
        self.count[node as usize] -= 1;
        self.pending.push(node);
        while let Some(node) = self.pending.pop() {
            self.touch(node);
            let above = self.of.from[node as usize] as usize..self.of.from[node as usize + 1] as usize;
            for &gate in &self.of.above[above] {
                self.count[gate as usize] -= 1;
                if self.count[gate as usize] + 1 == self.of.need[gate as usize] {
                    self.pending.push(gate);
                }
            }
        }
    }

    fn touch(&mut self, node: u32) {
        if self.of.watched[node as usize] {
            for watcher in self.of.watchers.get(&node).into_iter().flatten() {
                match *watcher {
                    Watcher::Failover(at) => self.touched.push(at),
                    Watcher::Sharing(at, member) => self.moved.push((at, member)),
                }
            }
        }
    }

    /// Failovers that what happened calls for, and then whether the service is down.
    fn settle(&mut self, planned: bool) {
        self.share_anew(planned);
        while let Some(at) = self.touched.pop() {
            let of = self.of;
            let failover = &of.plant.failovers[at as usize];
            self.return_of_the_lost(at as usize);
            let was = self.active[at as usize];
            let serves = was.is_some_and(|active| !self.down(failover.members[active]));
            let under_way = [failover.failing_over, failover.missed]
                .into_iter()
                .any(|event| self.conditions[event.index()] == Condition::Failed);
            if serves && (!failover.prefers_first || under_way) {
                continue;
            }
            let next = failover.members.iter().position(|&member| !self.down(member));
            self.active[at as usize] = next;
            if serves {
                continue;
            }
            // Who returns when nobody is left serves at once; who is asked to take over in health does so unnoticed.
            if was.is_none() || next.is_none() || planned {
                continue;
            }
            let covered = self.random.unit() < failover.coverage;
            let (event, hours) = if covered {
                (failover.failing_over, failover.takes.sample(&mut self.random))
            } else {
                (failover.missed, failover.by_hand.sample(&mut self.random))
            };
            let lasting = self.conditions[event.index()] == Condition::Failed;
            // Of several that were lost one after the other, the first one still has what should move.
            let first =
                self.lost[at as usize].filter(|(_, of)| self.conditions[of.index()] == Condition::Failed);
            self.lost[at as usize] = first.map(|(member, _)| (member, event)).or(was.map(|was| (was, event)));
            self.conditions[event.index()] = Condition::Failed;
            self.plan_end(event.0, hours);
            if !lasting {
                self.fail_node(self.of.event_nodes[event.index()]);
            }
        }
        self.judge();
    }

    /// Whoever was lost may be back before anybody took its place: then nobody has to any more.
    fn return_of_the_lost(&mut self, at: usize) {
        let failover = &self.of.plant.failovers[at];
        let Some((member, event)) = self.lost[at].filter(|_| failover.returns) else { return };
        if self.conditions[event.index()] != Condition::Failed {
            self.lost[at] = None;
        } else if !self.down(failover.members[member]) {
            (self.lost[at], self.active[at]) = (None, Some(member));
            self.conditions[event.index()] = Condition::Working;
            // What was planned for its end counts no more.
            self.begun[event.index()] = self.begun[event.index()].wrapping_add(1);
            self.recover_node(self.of.event_nodes[event.index()]);
        }
    }

    fn judge(&mut self) {
        let down = self.down(self.of.plant.top);
        match (&self.down_since, down) {
            (None, true) => {
                self.down_since = Some((self.now, self.explain()));
                self.began = self.last;
            }
            (Some(_), false) => self.close(self.now),
            _ => {}
        }
    }

    /// Adds such a share of this time to the downtime of each year that it is in.
    fn spend(&mut self, start: f64, end: f64, share: f64) {
        let mut from = start;
        while from < end {
            let year = (from / HOURS_PER_YEAR) as usize;
            let until = end.min((year + 1) as f64 * HOURS_PER_YEAR);
            if let Some(minutes) = self.block.minutes.get_mut(year) {
                *minutes += (until - from) * 60.0 * share;
            }
            if until <= from {
                break;
            }
            from = until;
        }
    }

    /// Counts what has been lost in part since the last time: while the service is down, all is lost anyway.
    fn count_parts(&mut self, until: f64) {
        let from = std::mem::replace(&mut self.counted, until);
        if self.down_since.is_some() {
            return;
        }
        let Some((share, at)) = self.parts.worst() else { return };
        self.spend(from, until, share);
        let minutes = (until - from) * 60.0;
        for (event, share) in self.parts.lost_by(at) {
            *self.block.in_part.entry(event).or_default() += minutes * share;
        }
    }

    /// Members that share work and have gone or are back: whoever goes on purpose gets nothing any more before that.
    fn share_anew(&mut self, planned: bool) {
        while let Some((at, place)) = self.moved.pop() {
            let sharing = &self.of.plant.sharing[at as usize];
            let gone = self.down(sharing.members[place as usize].0);
            let by = self.last.filter(|_| gone && !planned);
            if let Some(since) = self.parts.changed(at, place, gone, by)
                && let Some(hours) = sharing.lasts
            {
                self.plan(hours, What::Noticed(at, place, since));
            }
        }
    }

    /// Counts an outage that ends now, in each year that it was in.
    fn close(&mut self, end: f64) {
        let Some((start, cause)) = self.down_since.take() else { return };
        self.spend(start, end, 1.0);
        let minutes = (end - start) * 60.0;
        self.block.outages += 1;
        self.block.longest = self.block.longest.max(minutes);
        if let Some(event) = self.began.take() {
            let entry = self.block.begun_by.entry(event).or_default();
            entry.0 += 1;
            entry.1 += minutes;
        }
        let causes = &mut self.block.causes;
        let cause = if causes.len() < CAUSES || causes.contains_key(&cause) { cause } else { Vec::new() };
        let entry = causes.entry(cause).or_default();
        entry.0 += 1;
        entry.1 += minutes;
    }

    /// Events that explain why the service is down, with as few as each gate needs.
    fn explain(&self) -> Vec<EventId> {
        let mut events = Vec::new();
        let mut pending = vec![self.of.plant.top];
        while let Some(node) = pending.pop() {
            match &self.of.plant.tree.nodes[node.index()] {
                Node::Event(event) => events.push(*event),
                Node::AtLeast { need, of } => {
                    pending.extend(of.iter().filter(|&&child| self.down(child)).take(*need as usize));
                }
            }
        }
        events.sort_unstable();
        events.dedup();
        events
    }

    fn finish(mut self) -> Block {
        self.count_parts(self.end);
        self.close(self.end);
        self.block
    }
}
