//! The ways in which a component is made to fail, rough and gentle.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure put in on purpose, and later healed. It hits every process of the component's hosts,
/// unless it says otherwise.
///
/// The order is that of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL; healed by starting the processes again.
    Kill,
    /// The power goes: the link is cut, then every process dies. Nothing says goodbye, not even the kernel. Healed by
    /// bringing the link up and starting the processes again.
    PowerOff,
    /// SIGSTOP: the kernel still accepts connections, nobody answers. Healed by SIGCONT.
    Freeze,
    /// SIGKILL to the database's server alone; nines is to start it again, so there is nothing to heal.
    KillServer,
    /// SIGSTOP to the database's server and its children, nines lives. Healed by SIGCONT.
    FreezeServer,
    /// SIGKILL to nines alone; the database's server lives. Healed by starting nines again.
    KillNines,
    /// SIGSTOP to nines alone. Healed by SIGCONT.
    FreezeNines,
    /// SIGKILL to etcd alone. Healed by starting it again.
    KillStore,
    /// SIGSTOP to etcd alone. Healed by SIGCONT.
    FreezeStore,
    /// SIGKILL to a pool's member alone, what else runs on its host lives. Healed by starting it again.
    KillMember,
    /// SIGSTOP to a pool's member alone. Healed by SIGCONT.
    FreezeMember,
    /// The network link goes down: no FIN, no RST, no ICMP. Healed by bringing it up.
    CutOff,
    /// Of several hosts: they hear each other and nobody else. Healed by joining them to all others again.
    Partition,
    /// What others send does not reach it; what it sends arrives.
    CutIn,
    /// What it sends reaches nobody; what others send arrives.
    CutOut,
    /// The host's processes stand still for most of the time, in turns: answers come late. Healed by letting them run.
    Slow,
    /// The host's link loses one packet in [`Fault::LOSES_ONE_IN`], in each direction. Healed by losing none.
    Lossy,
    /// For load balancers: the hosts of a virtual address don't hear each other, everybody else reaches them all.
    Split,
    /// Gentle: the operator drains the members, or the load balancer's host, and makes them ready again.
    Drain,
    /// Gentle: the operator takes the members out, checks included, and makes them ready again.
    Maintenance,
    /// Gentle: the operator has another host be the database's primary.
    Switchover,
    /// Gentle: SIGTERM, wait for the end, and start again at once.
    Restart,
    /// Gentle: a [`Fault::Restart`] of each host, one after the other, each once all is healthy after the one before.
    RollingRestart,
    /// Gentle, and for hosts on which nines runs: the file is loaded again, [`Fault::RELOADS`] times.
    Reload,
}

impl Fault {
    pub const ALL: [Self; 24] = [
        Self::Kill,
        Self::PowerOff,
        Self::Freeze,
        Self::KillServer,
        Self::FreezeServer,
        Self::KillNines,
        Self::FreezeNines,
        Self::KillStore,
        Self::FreezeStore,
        Self::KillMember,
        Self::FreezeMember,
        Self::CutOff,
        Self::Partition,
        Self::CutIn,
        Self::CutOut,
        Self::Slow,
        Self::Lossy,
        Self::Split,
        Self::Drain,
        Self::Maintenance,
        Self::Switchover,
        Self::Restart,
        Self::RollingRestart,
        Self::Reload,
    ];

    /// What any host meets, whatever runs there.
    pub const OF_HOSTS: [Self; 9] = [
        Self::Kill,
        Self::PowerOff,
        Self::Freeze,
        Self::CutOff,
        Self::CutIn,
        Self::CutOut,
        Self::Slow,
        Self::Lossy,
        Self::Restart,
    ];

    /// What a load balancer's host meets besides that shares an address with another.
    pub const OF_LOAD_BALANCERS: [Self; 3] = [Self::Split, Self::Drain, Self::Reload];

    /// What a server meets besides.
    pub const OF_SERVERS: [Self; 2] = [Self::Drain, Self::Maintenance];

    /// What a database's host meets besides.
    pub const OF_DATABASES: [Self; 5] =
        [Self::KillServer, Self::FreezeServer, Self::KillNines, Self::FreezeNines, Self::Reload];

    /// What any host meets, and these: in the order of the report.
    pub fn of_hosts_and(others: &[Self]) -> Vec<Self> {
        let mut all = [&Self::OF_HOSTS, others].concat();
        all.sort_unstable();
        all
    }

    /// Of a lossy link's packets, one in so many is lost.
    pub const LOSES_ONE_IN: u32 = 5;

    /// How many times in a row a file is loaded again.
    pub const RELOADS: usize = 100;

    /// As the command line and the JSON call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::PowerOff => "power-off",
            Self::Freeze => "freeze",
            Self::KillServer => "kill-server",
            Self::FreezeServer => "freeze-server",
            Self::KillNines => "kill-nines",
            Self::FreezeNines => "freeze-nines",
            Self::KillStore => "kill-store",
            Self::FreezeStore => "freeze-store",
            Self::CutOff => "cut-off",
            Self::Partition => "partition",
            Self::CutIn => "cut-in",
            Self::CutOut => "cut-out",
            Self::KillMember => "kill-member",
            Self::FreezeMember => "freeze-member",
            Self::Slow => "slow",
            Self::Lossy => "lossy",
            Self::Split => "split",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
            Self::Switchover => "switchover",
            Self::Restart => "restart",
            Self::RollingRestart => "rolling-restart",
            Self::Reload => "reload",
        }
    }

    /// Whether it lasts until it is healed. A restart is healed at once, and a reload or a switchover leaves nothing to heal.
    pub fn lasts(self) -> bool {
        !matches!(self, Self::Restart | Self::RollingRestart | Self::Reload | Self::Switchover)
    }

    /// What is done to each of its hosts.
    pub(crate) fn of_one(self) -> Self {
        if self == Self::RollingRestart { Self::Restart } else { self }
    }

    /// The host is there, and only worse than it was.
    pub fn weakens(self) -> bool {
        matches!(self, Self::Slow | Self::Lossy)
    }

    /// Whether nines doesn't answer on the host while it lasts, not even within the host.
    pub fn silences(self) -> bool {
        matches!(
            self,
            Self::Kill | Self::PowerOff | Self::Freeze | Self::KillNines | Self::FreezeNines | Self::Restart
        )
    }

    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.word() == word)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_meet_is_in_the_order_of_the_report() {
        let all = Fault::of_hosts_and(&Fault::OF_SERVERS);
        let words: Vec<_> = all.iter().map(|fault| fault.word()).collect();
        assert_eq!(words[8..], ["drain", "maintenance", "restart"]);
    }

    #[test]
    fn a_fault_has_one_word_everywhere() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.word());
            assert_eq!(Fault::named(fault.word()), Some(fault));
        }
    }
}
