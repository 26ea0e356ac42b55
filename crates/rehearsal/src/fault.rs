//! The ways in which a component is made to fail, rough and gentle.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure put in on purpose, and later healed. It hits every process of the component's hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL; healed by starting the processes again.
    Kill,
    /// SIGSTOP: the kernel still accepts connections, nobody answers. Healed by SIGCONT.
    Freeze,
    /// The network link goes down: no FIN, no RST, no ICMP. Healed by bringing it up.
    CutOff,
    /// Gentle: the operator drains the members, and makes them ready again.
    Drain,
    /// Gentle: SIGTERM, wait for the end, and start again at once.
    Restart,
    /// Gentle, and for load balancers: the file is loaded again, [`Fault::RELOADS`] times.
    Reload,
}

impl Fault {
    pub const ALL: [Self; 6] =
        [Self::Kill, Self::Freeze, Self::CutOff, Self::Drain, Self::Restart, Self::Reload];

    /// What a server meets.
    pub const OF_SERVERS: [Self; 5] = [Self::Kill, Self::Freeze, Self::CutOff, Self::Drain, Self::Restart];

    /// How many times in a row a file is loaded again.
    pub const RELOADS: usize = 100;

    /// As the command line and the JSON call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::CutOff => "cut-off",
            Self::Drain => "drain",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }

    /// Whether it lasts until it is healed. A restart is healed at once, and a reload leaves nothing to heal.
    pub(crate) fn lasts(self) -> bool {
        !matches!(self, Self::Restart | Self::Reload)
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
    fn a_fault_has_one_word_everywhere() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.word());
            assert_eq!(Fault::named(fault.word()), Some(fault));
        }
    }
}
