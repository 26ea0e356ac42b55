//! A half-migrated pair in a lab: nines on `lb1`, keepalived on `lb2`, and an application behind nines.

use std::ffi::OsString;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use nines_admin::Client;
use nines_control::status::{Standing, VirtualIpStatus, Wish};
use nines_lab::{Inside, Lab, Place, ProcessId, SpawnOptions};
use nines_system::{HostId, System};
use tokio::runtime::Runtime;

use crate::clients::{until, who};
use crate::speech::{Setting, Written};

/// Who answers a client, by the stand-in that it meets.
pub(crate) const NINES: &str = "app1";
pub(crate) const KEEPALIVED: &str = "keepalived";

/// What keepalived says of itself.
pub(crate) const ENTERS_MASTER: &str = "Entering MASTER STATE";
/// The first time at its start.
pub(crate) const ENTERS_BACKUP: &str = "Entering BACKUP STATE";
pub(crate) const ADOPTS_INTERVAL: &str = "advertisement interval updated from 100ms to 500ms by master";
pub(crate) const HEARS_GOODBYE: &str = "Backup received priority 0 advertisement";
pub(crate) const REFUSES_CHECKSUM: &str = "Invalid VRRPv3 checksum";

pub(crate) struct Pair {
    virtual_ip: IpAddr,
    runtime: Runtime,
    lab: Lab,
    system: System,
    directory: tempfile::TempDir,
    client: Client,
    nines: Option<ProcessId>,
    keepalived: Option<ProcessId>,
}

impl Pair {
    /// The hosts, and the application; neither half runs yet.
    pub(crate) fn new(inside: &Inside, setting: Setting) -> Self {
        Self::with(inside, &setting.written())
    }

    pub(crate) fn with(inside: &Inside, written: &Written) -> Self {
        let system = nines_system::parse("pair.toml", &written.system)
            .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let lab = runtime.block_on(Lab::build(inside, &system)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("pair.toml"), &written.system).unwrap();
        fs::write(directory.path().join("keepalived.conf"), &written.keepalived).unwrap();
        let virtual_ip = written.virtual_ip.parse().unwrap();
        let client = Client::new(directory.path().join("lb1.sock"));
        let mut pair =
            Self { virtual_ip, runtime, lab, system, directory, client, nines: None, keepalived: None };
        pair.stand_in("app1", 8080, NINES);
        let app1 = pair.lab.address(pair.host("app1"));
        pair.until("the application answers", |pair| who(&pair.clients(), (app1, 8080)).is_ok());
        pair
    }

    fn host(&self, name: &str) -> HostId {
        self.system.host_named(name).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spawn(&mut self, host: &str, log: &str, command: &[OsString]) -> ProcessId {
        let mut options = SpawnOptions::default();
        options.output = Some(self.file(log));
        let host = self.host(host);
        let _guard = self.runtime.enter();
        self.lab.spawn(host, command, options).unwrap()
    }

    fn stand_in(&mut self, host: &str, port: u16, name: &str) {
        let listen =
            if self.virtual_ip.is_ipv6() { format!("[::]:{port}") } else { format!("0.0.0.0:{port}") };
        let words = [env!("CARGO_BIN_EXE_nines"), "stand-in", "--listen", &listen, "--name", name];
        self.spawn(host, "stand-in.log", &words.map(OsString::from));
    }

    pub(crate) fn start_nines(&mut self) {
        let mut command: Vec<OsString> = vec![env!("CARGO_BIN_EXE_nines").into(), "run".into()];
        command.push(self.file("pair.toml").into());
        command.extend(["--host", "lb1", "--admin-socket"].map(OsString::from));
        command.extend([self.file("lb1.sock").into(), "--state".into(), self.file("lb1.state").into()]);
        self.nines = Some(self.spawn("lb1", "nines.log", &command));
        self.until("nines answers its operator", |pair| pair.try_status().is_some());
    }

    /// keepalived, and a web server on its host.
    pub(crate) fn start_keepalived(&mut self) {
        self.stand_in("lb2", 80, KEEPALIVED);
        let mut command: Vec<OsString> = vec![crate::keepalived().unwrap().into()];
        command.extend(["--dont-fork", "--log-console", "--log-detail", "--vrrp"].map(OsString::from));
        for (option, name) in
            [("-f", "keepalived.conf"), ("-p", "pid"), ("-r", "vrrp-pid"), ("-c", "ipvs-pid")]
        {
            command.extend([option.into(), self.file(name).into()]);
        }
        self.keepalived = Some(self.spawn("lb2", "keepalived.log", &command));
    }

    /// SIGKILL for everything on that host; its kernel goes on.
    pub(crate) fn kill(&mut self, host: &str) {
        let ended = if host == "lb1" { self.nines.take() } else { self.keepalived.take() };
        let host = self.host(host);
        // Stopped first: a part of keepalived that sees another one die says goodbye.
        self.lab.freeze(host).unwrap();
        self.lab.kill(host).unwrap();
        // Else it would be there in name, and keepalived would refuse to start a second time.
        if let Some(process) = ended {
            self.runtime.block_on(self.lab.exited(process)).unwrap();
        }
    }

    /// The host's link is gone, and everything on it.
    pub(crate) fn power_off(&mut self, host: &str) {
        let id = self.host(host);
        self.runtime.block_on(self.lab.power_off(id)).unwrap();
        self.kill(host);
    }

    pub(crate) fn power_on(&mut self, host: &str) {
        let id = self.host(host);
        self.runtime.block_on(self.lab.heal(id)).unwrap();
        if host == "lb1" { self.start_nines() } else { self.start_keepalived() }
    }

    /// Keeps the two from hearing each other.
    pub(crate) fn split(&mut self) {
        let hosts = ["lb1", "lb2"].map(|host| self.host(host));
        self.runtime.block_on(self.lab.split(&hosts)).unwrap();
    }

    pub(crate) fn join(&mut self) {
        for host in ["lb1", "lb2"].map(|host| self.host(host)) {
            self.runtime.block_on(self.lab.heal(host)).unwrap();
        }
    }

    pub(crate) fn terminate_keepalived(&mut self) {
        let keepalived = self.keepalived.take().unwrap();
        self.lab.terminate(keepalived).unwrap();
        self.runtime.block_on(self.lab.exited(keepalived)).unwrap();
        // Its web server ends, too.
        self.kill("lb2");
    }

    /// SIGTERM; it hands over, drains and ends well.
    pub(crate) fn terminate_nines(&mut self) {
        let nines = self.nines.take().unwrap();
        self.lab.terminate(nines).unwrap();
        let ended = self.runtime.block_on(self.lab.exited(nines)).unwrap();
        assert!(ended.success(), "nines ended with {ended}");
    }

    /// What the operator wants of nines' host.
    pub(crate) fn wish(&self, wish: Wish) {
        self.runtime.block_on(self.client.wish("lb1", wish)).unwrap();
    }

    fn try_status(&self) -> Option<VirtualIpStatus> {
        let status = self.runtime.block_on(self.client.status()).ok()?;
        status.virtual_ips.into_iter().next()
    }

    pub(crate) fn status(&self) -> VirtualIpStatus {
        self.try_status().expect("nines runs and has a part in one virtual address")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("keepalived.log")).unwrap_or_default()
    }

    /// How often keepalived has said something.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    pub(crate) fn virtual_ip(&self) -> IpAddr {
        self.virtual_ip
    }

    pub(crate) fn clients(&self) -> Place {
        self.lab.client_place()
    }

    pub(crate) fn who_answers(&self) -> std::io::Result<String> {
        who(&self.clients(), (self.virtual_ip(), 80))
    }

    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        until(what, || holds(self));
    }

    /// Waits until clients are answered by one of the two, and by no other any more.
    pub(crate) fn until_answers(&self, half: &str) {
        self.until(&format!("clients are answered by {half}"), |pair| {
            pair.who_answers().is_ok_and(|name| name == half)
        });
        for _ in 0..10 {
            assert_eq!(self.who_answers().unwrap(), half);
        }
    }

    pub(crate) fn until_nines(
        &self,
        what: &str,
        holds: impl Fn(&VirtualIpStatus) -> bool,
    ) -> VirtualIpStatus {
        let mut found = None;
        self.until(what, |pair| {
            found = pair.try_status().filter(&holds);
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits for so many more advertisements of nines.
    pub(crate) fn until_nines_has_sent(&self, more: u64) -> VirtualIpStatus {
        let enough = self.status().sent + more;
        self.until_nines("nines advertises on and on", |status| status.sent >= enough)
    }

    /// Waits for so many more of keepalived's that nines understands.
    pub(crate) fn until_nines_has_heard(&self, more: u64) -> VirtualIpStatus {
        let enough = self.status().received + more;
        self.until_nines("nines hears keepalived on and on", |status| status.received >= enough)
    }

    pub(crate) fn until_nines_is(&self, state: Standing) -> VirtualIpStatus {
        self.until_nines(&format!("nines is {state:?}"), |status| status.state == state)
    }

    /// Waits until nines is a backup that knows who the master is.
    pub(crate) fn until_nines_follows(&self) -> VirtualIpStatus {
        self.until_nines("nines follows", |status| {
            status.state == Standing::Backup && status.holder.is_some()
        })
    }

    pub(crate) fn until_said(&self, words: &str, times: usize) {
        self.until(&format!("keepalived has said `{words}` {times} times"), |pair| pair.said(words) >= times);
        assert_eq!(self.said(words), times, "`{words}`");
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("clients are answered by {:?}", self.who_answers());
            eprintln!("nines says: {:#?}", self.try_status());
            for name in ["nines.log", "keepalived.log", "stand-in.log"] {
                eprintln!("---- {name}\n{}", fs::read_to_string(self.file(name)).unwrap_or_default());
            }
        }
    }
}
