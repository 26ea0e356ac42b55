//! A lab with a pair of load balancers, and doctors on them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use nines_control::status::Standing;
use nines_control::vrrp::Advertisement;
use nines_lab::{Direction, Inside, Lab, Place, SpawnOptions};
use nines_system::{HostId, System, VrrpAuthentication, VrrpChecksum, VrrpVersion};
use nines_virtual_ip::interface::{self, Interface};
use nines_virtual_ip::packet::{Codec, GROUP_V4, Path, Wire};
use nines_virtual_ip::socket::{Family, VrrpSocket};
use rtnetlink::LinkBridgePort;
use serde_json::Value;
use tokio::runtime::Runtime;

/// How long a doctor listens: ten greetings and more.
const SECONDS: &str = "3";
/// Far longer than a takeover takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    lab: Lab,
    system: System,
    runtime: Runtime,
    file: PathBuf,
    /// Asked for so far, so that each has a file of its own for what it prints.
    doctors: usize,
}

/// A system file; `virtual_ip` is what stands in the list, `more` what is added to the hosts.
pub(crate) fn file(virtual_ip: &str) -> String {
    format!(
        r#"
        name = "test"
        [hosts]
        lb1 = "10.0.1.10"
        lb2 = "10.0.1.11"
        app1 = "10.0.1.21"
        [load_balancers.front]
        hosts = ["lb1", "lb2"]
        listeners = [{{ bind = ":80", pool = "web" }}]
        virtual_ips = [{virtual_ip}]
        [pools.web]
        members = ["app1:8080"]
        "#
    )
}

pub(crate) const USUAL: &str = "{ address = \"10.0.1.100\", router_id = 51, interface = \"eth0\" }";

impl World {
    pub(crate) fn new(inside: &Inside, text: &str) -> Self {
        let system =
            nines_system::parse("test.toml", text).unwrap_or_else(|it| panic!("{}", it.render(false)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let lab = runtime.block_on(Lab::build(inside, &system)).unwrap();
        // Private to the lab, like all of /run.
        let file = PathBuf::from("/run/test.toml");
        fs::write(&file, text).unwrap();
        Self { lab, system, runtime, file, doctors: 0 }
    }

    fn host(&self, name: &str) -> HostId {
        self.system.host_named(name).unwrap()
    }

    pub(crate) fn place(&self, name: &str) -> Place {
        self.lab.place(self.host(name))
    }

    pub(crate) fn cut(&mut self, name: &str, direction: Direction) {
        let host = self.host(name);
        self.runtime.block_on(self.lab.cut_off(host, direction)).unwrap();
    }

    pub(crate) fn heal(&mut self, name: &str) {
        let host = self.host(name);
        self.runtime.block_on(self.lab.heal(host)).unwrap();
    }

    pub(crate) fn split(&mut self) {
        let hosts = [self.host("lb1"), self.host("lb2")];
        self.runtime.block_on(self.lab.split(&hosts)).unwrap();
    }

    /// From now on what is sent to groups does not reach this host; what is sent to it alone does.
    pub(crate) fn drop_multicast(&self, name: &str) {
        let port = format!("h{}", self.host(name).index());
        self.runtime.block_on(async {
            let handle = interface::connect().unwrap();
            let interfaces = interface::list(&handle).await.unwrap();
            let index = interface::by_name(&interfaces, &port).unwrap().index;
            let message = LinkBridgePort::new(index).mcast_flood(false).build();
            handle.link().set_port(message).execute().await.unwrap();
        });
    }

    /// Starts `nines run` on a host.
    pub(crate) fn daemon(&mut self, name: &str) {
        let _entered = self.runtime.enter();
        let state = format!("/run/nines/{name}.state");
        let words = [
            "run".into(),
            self.file.clone().into(),
            "--host".into(),
            name.into(),
            "--state".into(),
            state.into(),
        ];
        let words: Vec<_> = [env!("CARGO_BIN_EXE_nines").into()].into_iter().chain(words).collect();
        self.lab.spawn(self.host(name), &words, SpawnOptions::default()).unwrap();
    }

    /// Waits until the daemon of a host stands so with its only virtual IP.
    pub(crate) fn until(&self, name: &str, standing: Standing) {
        let client = nines_admin::Client::new(format!("/run/nines/{name}.sock"));
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.runtime.block_on(client.status());
            match &status {
                Ok(status) if status.virtual_ips.iter().any(|it| it.state == standing) => return,
                _ => assert!(Instant::now() < end, "{name} is not {standing:?}: {status:#?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs doctors at the same time, each on a host and as one (`("lb2", "lb1")`: on lb2, as if it were lb1).
    pub(crate) fn doctors(&mut self, on_and_as: &[(&str, &str)]) -> Vec<Report> {
        let mut running = Vec::new();
        let entered = self.runtime.enter();
        for (on, host) in on_and_as {
            let output = PathBuf::from(format!("/run/doctor-{}", self.doctors));
            self.doctors += 1;
            let mut words =
                vec![env!("CARGO_BIN_EXE_nines").into(), "doctor".into(), self.file.clone().into()];
            words.extend(["--host", host, "--seconds", SECONDS, "--json"].map(Into::into));
            let mut options = SpawnOptions::default();
            options.output = Some(output.clone());
            running.push((self.lab.spawn(self.host(on), &words, options).unwrap(), output));
        }
        drop(entered);
        running
            .into_iter()
            .map(|(process, output)| {
                let status = self.runtime.block_on(self.lab.exited(process)).unwrap();
                let text = fs::read_to_string(output).unwrap();
                let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                Report { code: status.code(), json }
            })
            .collect()
    }

    pub(crate) fn both(&mut self) -> [Report; 2] {
        self.doctors(&[("lb1", "lb1"), ("lb2", "lb2")]).try_into().unwrap()
    }
}

/// What a doctor printed.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    json: Value,
}

impl Report {
    /// Of the only other candidate: whether it is heard, and whether it hears.
    pub(crate) fn ways(&self) -> (Option<bool>, Option<bool>) {
        let peer = &self.json["peers"][0];
        (peer["heard"].as_bool(), peer["hears_us"].as_bool())
    }

    /// `wrong: …` and so on: every finding about virtual IPs and the host.
    pub(crate) fn findings(&self) -> Vec<String> {
        let findings = self.json["findings"].as_array().unwrap().iter();
        findings
            .map(|it| format!("{}: {}", it["level"].as_str().unwrap(), it["what"].as_str().unwrap()))
            .collect()
    }

    #[track_caller]
    pub(crate) fn says(&self, begin: &str, part: &str) {
        let findings = self.findings();
        let found = findings.iter().any(|it| it.starts_with(begin) && it.contains(part));
        assert!(found, "nothing {begin} says {part:?}: {findings:#?}");
    }
}

pub(crate) async fn eth0() -> Interface {
    let interfaces = interface::list(&interface::connect().unwrap()).await.unwrap();
    interface::by_name(&interfaces, "eth0").unwrap().clone()
}

/// Advertises from a place, again and again, until this is dropped.
pub(crate) struct Speaker {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Speaker {
    pub(crate) fn start(
        place: &Place,
        router_id: u8,
        addresses: &[&str],
        authentication: VrrpAuthentication,
    ) -> Self {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let version = match authentication {
            VrrpAuthentication::Password(_) => VrrpVersion::V2,
            VrrpAuthentication::None | VrrpAuthentication::Keys(_) => VrrpVersion::V3,
        };
        let interval = Duration::from_secs(1);
        let wire = Wire {
            version,
            router_id,
            interval,
            peers: None,
            checksum: VrrpChecksum::PseudoHeader,
            authentication,
        };
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let advertisement = Advertisement { version, router_id, priority: 190, interval, addresses };
        let stopped = stop.clone();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let eth0 = eth0().await;
                let source = IpAddr::from(eth0.primary_v4().unwrap());
                let path = Path { source, destination: GROUP_V4.into() };
                let socket = VrrpSocket::open(&eth0, Family::V4).unwrap();
                let mut codec = Codec::new(wire);
                while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    let bytes = codec.encode(&advertisement, path, SystemTime::now());
                    socket.send(&bytes, source, GROUP_V4.into()).unwrap();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        };
        Self { stop, thread: Some(place.run_in_thread("speaker", work).unwrap()) }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

/// Puts an address on a place's interface.
pub(crate) fn hold(place: &Place, address: Ipv4Addr) {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let index = eth0().await.index;
            let handle = interface::connect().unwrap();
            nines_virtual_ip::address::hold(&handle, index, address.into(), Duration::from_secs(60))
                .await
                .unwrap();
        });
    };
    place.run_in_thread("hold", work).unwrap().join().unwrap().unwrap();
}
