//! What the machine asks of the engine: it begins, takes its time, and ends; or its host, or whoever manages it, goes first.

use std::rc::Rc;
use std::time::{Duration, Instant};

use nines_control::failover::{Cohort, Disk, Effect, Failure, Id, Origin, Term};

use super::{AGAIN, COPY_WITHIN, Effecting, Engine, OnDisk};
use crate::failover::history::{BranchId, History};
use crate::failover::message::{Life, Message, Note, Order};
use crate::failover::mistake::Mistake;
use crate::failover::node::Node;
use crate::{Doing, of_any_size};

impl Engine {
    pub(super) fn begin(&mut self, life: Life, id: Id, effect: Rc<Effect>, doing: &mut Doing<Node>) {
        doing.note(Note::Engine(format!("begins to {}", effect.word())));
        // Mostly quick, now and then as slow as can be.
        let longest = match effect.as_ref() {
            Effect::Promote { .. } => self.promotes_within,
            Effect::Pledge { .. } => self.beat,
            _ => 4 * self.beat,
        };
        let shortest = Duration::from_millis(1);
        let any = of_any_size(&mut self.random, shortest, longest.max(shortest));
        let mut lasts = self.effects_take.unwrap_or(any);
        let ticket = self.number() * 2;
        if let Effect::Rejoin { primary, term, .. } = effect.as_ref()
            && *term >= self.disk.pledged
        {
            // Set aside. Until the copy is whole, there is nothing here.
            self.stop();
            let source = self.names.iter().position(|name| name == primary).unwrap_or(self.me);
            let synchronous = self.disk.synchronous.take();
            self.disk = OnDisk {
                history: None,
                pledged: *term,
                source: Some((source, *term)),
                synchronous,
                ..OnDisk::default()
            };
            doing.note(Note::Engine("sets its data aside".to_owned()));
            doing.send(self.node(source), Message::Fetch { session: ticket, term: *term });
            lasts = COPY_WITHIN;
        }
        self.doing = Some(Effecting { life, id, effect, ticket, copy: None });
        doing.later(lasts, Order::Finish(ticket));
    }

    pub(super) fn finish(&mut self, now: Instant, ticket: u64, doing: &mut Doing<Node>) {
        let Some(effecting) = self.doing.take_if(|one| one.ticket == ticket) else { return };
        if self.condition == Disk::Stalled {
            // It hangs, like everything that writes.
            self.doing = Some(effecting);
            doing.later(self.beat, Order::Finish(ticket));
            return;
        }
        let result = self.carry_out(&effecting, doing);
        if matches!(effecting.effect.as_ref(), Effect::Follow { .. } | Effect::Rejoin { .. })
            && result.is_ok()
        {
            self.connect(now, doing);
            doing.later(AGAIN, Order::Again(1));
        }
        let (sequence, report) = (self.number(), Rc::new(self.report()));
        let (life, id, result) = (effecting.life, effecting.id, Rc::new(result.map_err(Failure)));
        doing.send(self.me, Message::Done { life, id, result, sequence, report });
    }

    pub(super) fn carry_out(&mut self, effecting: &Effecting, doing: &mut Doing<Node>) -> Result<(), String> {
        let effect = effecting.effect.as_ref();
        let refuse = |engine: &Self, term: Term| {
            let low = term < engine.disk.pledged;
            low.then(|| format!("pledged to {}", engine.disk.pledged)).map_or(Ok(()), Err)
        };
        match effect {
            Effect::Initialise => self.initialise(doing)?,
            Effect::Pledge { term } => {
                refuse(self, *term)?;
                self.disk.pledged = *term;
                if self.disk.history.is_some() {
                    doing.note(Note::Pledged(*term));
                }
                if self.mistake == Some(Mistake::SkipsPledge) && !self.disk.primary {
                    return Ok(());
                }
                let origin = Origin::Ruled;
                self.disk =
                    OnDisk { origin, primary: false, serves: None, source: None, ..self.disk.clone() };
                self.run();
            }
            Effect::Follow { primary, term } => {
                refuse(self, *term)?;
                let source = self.names.iter().position(|name| name == primary).unwrap_or(self.me);
                let (source, origin) = (Some((source, *term)), Origin::Ruled);
                let before = self.disk.clone();
                self.disk = OnDisk { origin, primary: false, serves: None, pledged: *term, source, ..before };
                self.run();
            }
            Effect::Rejoin { term, .. } => {
                refuse(self, *term)?;
                let Some(copy) = effecting.copy.clone() else { return Err("no copy arrived".to_owned()) };
                self.disk.history = Some(copy);
                self.run();
            }
            Effect::Promote { term, cohort } => {
                refuse(self, *term)?;
                self.promote(*term, cohort.clone())?;
                doing.note(Note::Engine(format!("is the primary of term {term}")));
                doing.note(Note::Synchronous(cohort.clone()));
            }
            Effect::Continue { term, cohort } => {
                refuse(self, *term)?;
                if !self.is_primary() || self.disk.serves.is_none() {
                    return Err("it is no running primary".to_owned());
                }
                self.disk.pledged = *term;
                self.disk.origin = Origin::Ruled;
                self.disk.serves = Some(*term);
                self.disk.synchronous = Some(cohort.clone());
                self.sessions.fill(None);
                doing.note(Note::Engine(format!("goes on as the primary of term {term}")));
                doing.note(Note::Synchronous(cohort.clone()));
            }
            Effect::SetSynchronous { term, cohort } => {
                if self.disk.serves != Some(*term) {
                    return Err("not the primary of this term".to_owned());
                }
                if self.mistake == Some(Mistake::TightensLate) {
                    self.claims = Some(cohort.clone());
                    return Ok(());
                }
                self.synchronous(cohort.clone(), doing);
            }
            Effect::Measure => self.measured = self.disk.history.as_ref().map(History::end),
        }
        Ok(())
    }

    fn initialise(&mut self, doing: &mut Doing<Node>) -> Result<(), String> {
        if self.disk.history.is_some() || self.disk.pledged > 0 {
            return Err("there are data".to_owned());
        }
        if self.condition != Disk::Well {
            return Err("no space left".to_owned());
        }
        let id: BranchId = self.number();
        let end = 1 + (self.random.below(20) * self.random.below(20)) as u64;
        self.disk = OnDisk {
            history: Some(History::begun(id, 1, end)),
            origin: Origin::Initialised,
            pledged: 1,
            primary: true,
            serves: Some(1),
            ..OnDisk::default()
        };
        self.run();
        doing.note(Note::Initialised);
        Ok(())
    }

    fn synchronous(&mut self, cohort: Cohort, doing: &mut Doing<Node>) {
        doing.note(Note::Synchronous(cohort.clone()));
        self.disk.origin = Origin::Ruled;
        self.disk.synchronous = Some(cohort);
        self.settle(doing);
    }

    fn promote(&mut self, term: Term, cohort: Cohort) -> Result<(), String> {
        if self.condition != Disk::Well {
            return Err("no space left".to_owned());
        }
        self.claims = None;
        let id: BranchId = self.number();
        let goes_on = self.disk.primary && self.disk.serves == Some(term);
        let stray = self.disk.stray;
        let Some(history) = self.disk.history.as_mut().filter(|_| !stray) else {
            return Err("it has no data that count".to_owned());
        };
        if !goes_on {
            history.fork(id, term);
        }
        self.disk = OnDisk {
            origin: Origin::Ruled,
            pledged: term,
            primary: true,
            serves: Some(term),
            source: None,
            synchronous: Some(cohort),
            ..self.disk.clone()
        };
        self.run();
        Ok(())
    }
}
