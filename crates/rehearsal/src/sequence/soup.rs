//! A soup of faults: a database's hosts are broken at random, some at the same time, while transactions go on; and whether
//! what these saw can have happened.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::crowd::{login, place, ways};
use super::{Error, Glance, Phase, Rehearsal, Watch, stage_error};
use crate::fault::Fault;
use crate::health;
use crate::history::{AppendLoad, Appenders, Findings, History, Isolation, Known, Random, check, finish};
use crate::plan::Writes;
use crate::stage::{Stage, Victim};
use crate::verdict::Verdict;

/// Hosts that are broken at one time, at most.
const AT_ONCE: usize = 2;
/// How long a fault lasts, and how long it is calm between two: from, to.
const LASTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
const CALM: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(4));
/// How often is looked what is due.
const LOOK: Duration = Duration::from_millis(10);
/// Transactions at one time, of each isolation.
const PROCESSES: usize = 4;

/// What is put in. Where etcd is not on the host, its faults are refused; so are lossy links where the kernel has none.
const FAULTS: [Fault; 16] = [
    Fault::Kill,
    Fault::PowerOff,
    Fault::Freeze,
    Fault::KillServer,
    Fault::FreezeServer,
    Fault::KillNines,
    Fault::FreezeNines,
    Fault::KillStore,
    Fault::FreezeStore,
    Fault::CutOff,
    Fault::CutIn,
    Fault::CutOut,
    Fault::Slow,
    Fault::Lossy,
    Fault::Switchover,
    Fault::Restart,
];

/// What is cooked.
#[derive(Debug, Clone)]
pub struct Soup {
    pub writes: Writes,
    pub lasts: Duration,
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoupReport {
    pub database: String,
    pub seed: u64,
    pub seconds: f64,
    pub faults: Vec<SoupFault>,
    pub histories: Vec<HistoryReport>,
    /// From the last healing to full health. None: not within the patience.
    pub recovered_ms: Option<u64>,
    pub verdict: Verdict,
    /// Why it is broken; empty when it held.
    pub why: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoupFault {
    pub at_ms: u64,
    pub fault: Fault,
    pub host: String,
    /// None: it could not be put in, and this is why.
    pub refused: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// `serializable` or `read-committed`.
    pub isolation: String,
    /// Transactions that were committed, that were not, and of which nobody knows.
    pub ok: u64,
    pub fail: u64,
    pub info: u64,
    pub findings: Findings,
}

struct Active {
    fault: Fault,
    host: String,
    until: Instant,
}

impl<S: Stage> Rehearsal<S> {
    /// Plays it, with everything healthy at the beginning; gives the histories as well, by their isolation.
    ///
    /// # Errors
    /// When it could not be played: then nothing is known.
    pub async fn soup(
        &mut self,
        soup: &Soup,
        watch: &mut Watch<'_>,
    ) -> Result<(SoupReport, Vec<(Isolation, History)>), Error> {
        self.wait_until_healthy(false, watch).await?;
        let mut running = Vec::new();
        for isolation in Isolation::ALL {
            let load = self.append_load(soup, isolation)?;
            running.push((load.clone(), Appenders::start(place(&self.stage)?, load)?));
        }
        let stirred = self.stir(soup, watch).await;
        let mut histories = Vec::new();
        let recovered = match &stirred {
            Ok(_) => self.calm_down(watch).await?,
            Err(_) => None,
        };
        for (load, appenders) in running {
            histories.push((load, appenders.stop().await?));
        }
        let (faults, seconds) = stirred?;
        let mut why = Vec::new();
        if recovered.is_none() {
            why.push("it did not become healthy again".to_owned());
        }
        let mut reports = Vec::new();
        let mut all = Vec::new();
        for (load, history) in histories {
            let isolation = load.isolation;
            let (report, history) = judge(place(&self.stage)?, load, history, &mut why).await?;
            reports.push(report);
            all.push((isolation, history));
        }
        let verdict = if why.is_empty() { Verdict::Held } else { Verdict::Broken };
        let report = SoupReport {
            database: soup.writes.database.clone(),
            seed: soup.seed,
            seconds,
            faults,
            histories: reports,
            recovered_ms: recovered.map(ms),
            verdict,
            why,
        };
        Ok((report, all))
    }

    fn append_load(&self, soup: &Soup, isolation: Isolation) -> Result<AppendLoad, Error> {
        let ways = ways(&self.stage, &soup.writes)?;
        let way = *ways.first().ok_or_else(|| Error::NoAddress(soup.writes.database.clone()))?;
        Ok(AppendLoad {
            way,
            login: login(&soup.writes)?,
            isolation,
            processes: PROCESSES,
            seed: soup.seed,
            timeout: self.options.timeout,
            patience: self.options.patience,
        })
    }

    /// Puts faults in and heals them, until the time is over and all are healed.
    async fn stir(&mut self, soup: &Soup, watch: &mut Watch<'_>) -> Result<(Vec<SoupFault>, f64), Error> {
        let mut random = Random::new(soup.seed);
        let began = Instant::now();
        let end = began + soup.lasts;
        let mut next = began + between(&mut random, CALM);
        let mut active: Vec<Active> = Vec::new();
        let mut faults: Vec<SoupFault> = Vec::new();
        while Instant::now() < end || !active.is_empty() {
            watch(&Glance { phase: Phase::Broken, sent: faults.len() as u64, failed: 0, missing: &[] });
            let now = Instant::now();
            let (over, on) = active.into_iter().partition(|it| it.until <= now || now >= end);
            active = on;
            self.heal_all(soup, over).await?;
            if now >= next && now < end && active.len() < AT_ONCE {
                next = now + between(&mut random, CALM);
                let put = self.put_in(soup, &mut random, &active).await;
                let refused = put.as_ref().err().map(|(_, _, why)| why.clone());
                let (fault, host) = match put {
                    Ok(it) => {
                        let named = (it.fault, it.host.clone());
                        active.push(it);
                        named
                    }
                    Err((fault, host, _)) => (fault, host),
                };
                faults.push(SoupFault { at_ms: ms(now - began), fault, host, refused });
            }
            self.events().await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok((faults, began.elapsed().as_secs_f64()))
    }

    /// Every other time at the primary, if somebody says who that is.
    async fn put_in(
        &mut self,
        soup: &Soup,
        random: &mut Random,
        active: &[Active],
    ) -> Result<Active, (Fault, String, String)> {
        let free: Vec<&String> =
            soup.writes.hosts.iter().filter(|host| active.iter().all(|it| it.host != **host)).collect();
        let mut host = random.pick(&free).map(|host| (*host).clone()).unwrap_or_default();
        let at_primary = random.below(2) == 0;
        let fault = random.pick(&FAULTS).copied().unwrap_or(Fault::Kill);
        let until = Instant::now() + if fault.lasts() { between(random, LASTS) } else { Duration::ZERO };
        if (at_primary || fault == Fault::Switchover)
            && let Ok(all) = self.stage.status().await
            && let Some((primary, _)) = health::primary(&all, &soup.writes.database)
            && free.iter().any(|host| *host == primary)
        {
            primary.clone_into(&mut host);
        }
        let victim = victim(soup, &host);
        match self.stage.inflict(fault, victim).await {
            Ok(()) => Ok(Active { fault, host, until }),
            Err(why) => Err((fault, host, why.to_string())),
        }
    }

    async fn heal_all(&mut self, soup: &Soup, over: Vec<Active>) -> Result<(), Error> {
        for it in over {
            let victim = victim(soup, &it.host);
            let done = self.stage.heal(it.fault, victim).await;
            done.map_err(|why| stage_error(&format!("healing {} of {}", it.fault, it.host), why))?;
        }
        Ok(())
    }

    /// How long full health took to come; `None` if it didn't.
    async fn calm_down(&mut self, watch: &mut Watch<'_>) -> Result<Option<Duration>, Error> {
        let healed = Instant::now();
        match self.wait_until_healthy(false, watch).await {
            Ok(()) => Ok(Some(healed.elapsed())),
            Err(Error::NotHealthy { .. } | Error::Ended(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn victim<'a>(soup: &'a Soup, host: &'a str) -> Victim<'a> {
    Victim { host, database: Some(&soup.writes.database), members: &[], company: &[] }
}

async fn judge(
    enter: crate::stage::Enter,
    load: AppendLoad,
    history: History,
    why: &mut Vec<String>,
) -> Result<(HistoryReport, History), Error> {
    let isolation = load.isolation;
    let kept = history.clone();
    let (history, findings) = match finish(enter, load, history).await {
        Ok((history, last)) => {
            let findings = check(&history, &last, isolation);
            (history, findings)
        }
        Err(error) => (kept, Findings { why: vec![error.to_string()], ..Findings::default() }),
    };
    let [ok, fail, info] = [Known::Ok, Known::Fail, Known::Info].map(|known| history.count(known));
    if ok == 0 {
        why.push(format!("{}: no transaction was committed, so nothing is proved", isolation.word()));
    }
    why.extend(findings.why.iter().map(|found| format!("{}: {found}", isolation.word())));
    let isolation = isolation.word().to_owned();
    Ok((HistoryReport { isolation, ok, fail, info, findings }, history))
}

fn between(random: &mut Random, (from, to): (Duration, Duration)) -> Duration {
    let span = usize::try_from((to - from).as_millis()).unwrap_or(usize::MAX);
    from + Duration::from_millis(random.below(span) as u64)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
