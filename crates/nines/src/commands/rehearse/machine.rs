//! What a rehearsal ran on: times are read differently on a busy machine.

use std::fs;

use nines_rehearsal::report::Machine;

/// This machine as it is now. What can't be read is left empty.
pub(super) fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let kib = memory.and_then(|memory| memory.split_whitespace().next()?.parse::<u64>().ok());
    Machine {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: kib.unwrap_or(0) * 1024,
        kernel: format!("Linux {} {}", read("/proc/sys/kernel/osrelease").trim(), std::env::consts::ARCH),
        processor: after(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
        load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        unoptimised: cfg!(debug_assertions),
        took_s: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_is() {
        let machine = machine();
        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 20 && machine.kernel.starts_with("Linux "));
    }
}
