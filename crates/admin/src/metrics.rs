//! A status as Prometheus and its kin read it, names by Prometheus' conventions (docs/metrics.md lists them).

mod databases;
mod measured;
mod virtual_ips;

use std::collections::BTreeMap;
use std::fmt;

use nines_control::event;
use nines_control::statistics::{Latency, MemberStatistics, PoolStatistics};
use nines_control::status::{Health, MemberStatus, Phase, Status, Wish};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0, for those who ask for it, as Prometheus does.
    OpenMetrics,
    /// What came before it, Prometheus' text format 0.0.4, which everybody reads.
    Text,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

pub(crate) fn page(status: Status, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(status)));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry)
        .expect("writing to a String does not fail");
    match format {
        Format::OpenMetrics => page,
        Format::Text => older(&page),
    }
}

/// OpenMetrics as text format 0.0.4: a family is called as its samples are, an info is a gauge, and nothing marks the end.
fn older(page: &str) -> String {
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let kinds: BTreeMap<&str, &str> = kinds.collect();
    let mut older = String::with_capacity(page.len());
    for line in page.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        let line = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) => match kinds.get(name) {
                Some(&"counter") => &format!("# {what} {name}_total {rest}"),
                Some(&"info") if what == "TYPE" => &format!("# TYPE {name}_info gauge"),
                Some(&"info") => &format!("# {what} {name}_info {rest}"),
                _ => line,
            },
            _ => line,
        };
        older.push_str(line);
        older.push('\n');
    }
    older
}

/// One picture of the daemon; every metric is read off it, so that the numbers of a scrape go together.
#[derive(Debug)]
struct Scrape(Status);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        daemon(&mut page, &self.0)?;
        listeners(&mut page, &self.0)?;
        virtual_ips::families(&mut page, &self.0)?;
        databases::families(&mut page, &self.0)?;
        pools(&mut page, &self.0)?;
        members(&mut page, &self.0)?;
        member_traffic(&mut page, &self.0)?;
        measured::families(&mut page, &self.0)
    }
}

fn daemon(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    page.info("nines_build", "The program that runs", &[("version", &status.program)])?;
    page.gauge(
        "nines_uptime_seconds",
        "Seconds since the daemon started",
        [(vec![], status.uptime_s as f64)],
    )?;
    page.gauge(
        "nines_phase",
        "1 for the phase that the daemon is in",
        [("starting", Phase::Starting), ("serving", Phase::Serving), ("draining", Phase::Draining)]
            .map(|(word, phase)| (vec![("phase", word)], flag(status.phase == phase))),
    )?;
    page.gauge(
        "nines_host_ready",
        "1 while the operator wants this host to serve, 0 while it is drained",
        [(vec![], flag(status.wish == Wish::Ready))],
    )?;
    page.gauge(
        "nines_file_generation",
        "1 at start, then one more with every reload that was accepted",
        [(vec![], status.file.generation as f64)],
    )?;
    page.gauge(
        "nines_file_refused",
        "1 while the latest reload was refused and an older file is in force",
        [(vec![], flag(status.file.refused.is_some()))],
    )?;
    page.gauge("nines_workers", "Worker threads", [(vec![], status.statistics.workers as f64)])?;
    page.gauge(
        "nines_worker_stall_seconds",
        "Longest time since a worker last turned its loop",
        [(vec![], status.statistics.worker_stall_ms as f64 / 1e3)],
    )?;
    page.gauge(
        "nines_host_slow",
        "1 while the host stands still again and again, and leaves its virtual addresses to others",
        [(vec![], flag(status.slow))],
    )?;
    let turns = status.statistics.turns;
    page.counter(
        "nines_worker_turns",
        "Turns that the workers set a timer for, by whether they came in time",
        [("no", turns.all.saturating_sub(turns.late)), ("yes", turns.late)]
            .map(|(late, count)| (vec![("late", late)], count)),
    )?;
    page.counter(
        "nines_events",
        "What changed, by kind",
        event::Kind::ALL
            .map(|kind| (vec![("kind", kind.word())], status.events.get(&kind).copied().unwrap_or(0))),
    )
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn listeners(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let all = &status.statistics.listeners;
    page.gauge(
        "nines_listener_open",
        "1 while the listener accepts connections",
        status.listeners.iter().map(|one| (vec![("listener", one.name.as_str())], flag(one.open))),
    )?;
    let by_listener = |count: fn(&nines_control::statistics::ListenerStatistics) -> u64| {
        all.iter().map(move |one| (vec![("listener", one.name.as_str())], count(one)))
    };
    page.gauge(
        "nines_connections",
        "Client connections now",
        by_listener(|one| one.connections).map(|(labels, value)| (labels, value as f64)),
    )?;
    page.counter("nines_connections_accepted", "Client connections", by_listener(|one| one.accepted))?;
    page.counter(
        "nines_requests",
        "Requests answered, by the reply's class",
        all.iter().flat_map(|one| {
            CLASSES
                .iter()
                .zip(one.responses)
                .map(|(class, count)| (vec![("listener", one.name.as_str()), ("code_class", class)], count))
        }),
    )?;
    page.counter(
        "nines_refused",
        "Requests that nines answered itself, by cause",
        all.iter().flat_map(|one| {
            one.refused.iter().map(|&(cause, count)| {
                (vec![("listener", one.name.as_str()), ("cause", cause.word())], count)
            })
        }),
    )?;
    page.counter(
        "nines_clients_gone",
        "Clients that went away before their reply was complete",
        by_listener(|one| one.client_gone),
    )?;
    page.counter("nines_received_bytes", "Bytes from clients", by_listener(|one| one.bytes_in))?;
    page.counter("nines_sent_bytes", "Bytes to clients", by_listener(|one| one.bytes_out))
}

fn pools(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let all = &status.statistics.pools;
    page.gauge(
        "nines_pool_serving",
        "1 for the rule by which the pool serves: the healthy members, everyone, or nobody",
        status.pools.iter().flat_map(|pool| {
            ["healthy", "everyone", "nobody"].map(|rule| {
                (vec![("pool", pool.name.as_str()), ("serving", rule)], flag(pool.serving == rule))
            })
        }),
    )?;
    page.gauge(
        "nines_queue_length",
        "Requests waiting for a place now",
        all.iter().map(|pool| (vec![("pool", pool.name.as_str())], pool.queued as f64)),
    )?;
    let by_pool = |count: fn(&PoolStatistics) -> u64| {
        all.iter().map(move |pool| (vec![("pool", pool.name.as_str())], count(pool)))
    };
    page.counter("nines_retries", "Further tries after a failed one", by_pool(|pool| pool.retries))?;
    page.counter("nines_hedges", "Further tries after a silent one", by_pool(|pool| pool.hedges))?;
    page.counter("nines_hedges_won", "Hedges whose reply was used", by_pool(|pool| pool.hedges_won))?;
    page.counter(
        "nines_retry_budget_empty",
        "Further tries not made because the budget was empty",
        by_pool(|pool| pool.budget_empty),
    )?;
    page.histogram(
        "nines_request_duration_seconds",
        "From a request's end to its reply's first byte",
        all.iter().map(|pool| (vec![("pool", pool.name.as_str())], &pool.latency)),
    )
}

fn members(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let by_member = |value: fn(&MemberStatus) -> f64| {
        status.pools.iter().flat_map(move |pool| {
            pool.members.iter().map(move |one| (labels(&pool.name, &one.name), value(one)))
        })
    };
    page.gauge(
        "nines_member_health",
        "1 while the member is up, 0 while it is down or unknown",
        by_member(|one| flag(one.health == Health::Up)),
    )?;
    page.gauge(
        "nines_member_eligible",
        "1 while the member gets new work",
        by_member(|one| flag(one.eligible)),
    )?;
    page.gauge(
        "nines_member_ready",
        "1 while the operator wants the member to serve, 0 in draining and maintenance",
        by_member(|one| flag(one.wish == Wish::Ready)),
    )?;
    page.counter(
        "nines_ejections",
        "Times that traffic found the member broken and it was ejected",
        status
            .pools
            .iter()
            .flat_map(|pool| pool.members.iter().map(|one| (labels(&pool.name, &one.name), one.ejections))),
    )
}

fn member_traffic(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let all = || {
        status
            .statistics
            .pools
            .iter()
            .flat_map(|pool| pool.members.iter().map(|one| (pool.name.as_str(), one)))
    };
    let by_member = |value: fn(&MemberStatistics) -> u64| {
        all().map(move |(pool, one)| (labels(pool, &one.name), value(one)))
    };
    let as_gauge = |(labels, value)| (labels, value as f64);
    page.gauge(
        "nines_member_in_flight",
        "Requests or connections at the member now",
        by_member(|one| one.in_flight).map(as_gauge),
    )?;
    page.gauge(
        "nines_member_idle_connections",
        "Connections kept open to the member for reuse now",
        by_member(|one| one.idle_connections).map(as_gauge),
    )?;
    page.counter("nines_member_connects", "Connections opened to the member", by_member(|one| one.connects))?;
    page.counter(
        "nines_member_tries",
        "Tries that ended, by outcome: the reply's class or how it failed",
        all().flat_map(|(pool, one)| {
            let replies = CLASSES.into_iter().zip(one.replies);
            let failures = one.failures.iter().map(|&(failure, count)| (failure.word(), count));
            replies.chain(failures).map(move |(outcome, count)| {
                ([labels(pool, &one.name), vec![("outcome", outcome)]].concat(), count)
            })
        }),
    )?;
    page.histogram(
        "nines_member_duration_seconds",
        "From a try's end of writing to its reply's first byte",
        all().map(|(pool, one)| (labels(pool, &one.name), &one.latency)),
    )
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

fn labels<'a>(pool: &'a str, member: &'a str) -> Labels<'a> {
    vec![("pool", pool), ("member", member)]
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// Families of samples, one after another. A counter's `_total` and an info's `_info` are added by the format.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    fn counter<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            // A family without labels would be written with an empty pair of braces.
            match labels.is_empty() {
                true => family.encode_gauge(&value)?,
                false => family.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn histogram<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, &'l Latency)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, latency) in samples {
            let bounds = Latency::BOUNDS_US.iter().map(|&us| us as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(latency.counts).collect();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                latency.sum_us as f64 / 1e6,
                latency.counts.iter().sum(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}
