//! The lab itself: the hosts of a system that run, break and heal, from its first namespace to its last trace.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nines_system::{HostId, System};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::disks::{self, Disk, Furniture};
use crate::enter::Inside;
use crate::error::{LabError, failed};
use crate::network::{self, Direction, Network};
use crate::place::Place;
use crate::plan::Plan;
use crate::processes::{self, Fate, ROUNDS, Running, bring_about};
use crate::slow::{Pulse, Slowness};

/// In the private `/run`, so it ends with the lab.
const DIRECTORY: &str = "/run/nines-lab";

/// The hosts of a system on this machine, and a place for clients beside them.
pub struct Lab {
    plan: Plan,
    /// The system's hosts in their order, and after them the clients'.
    places: Vec<Place>,
    network: Network,
    /// The system's hosts'; none where the lab was entered without.
    disks: Vec<Disk>,
    slow: BTreeMap<HostId, Slowness>,
    processes: BTreeMap<ProcessId, Child>,
    next: usize,
}

/// A process that the lab started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(usize);

/// How a process is started, beyond where and what.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SpawnOptions {
    /// Where its output and errors are appended. Default: [`Lab::output`] of its host.
    pub output: Option<PathBuf>,
    /// Added to the environment.
    pub environment: Vec<(OsString, OsString)>,
}

impl Lab {
    /// Makes every host of the system, and the place of the clients, which have an address that the system doesn't use.
    ///
    /// Must be called in a tokio runtime whose thread has not entered a place. One lab at a time.
    pub async fn build(inside: &Inside, system: &System) -> Result<Self, LabError> {
        Self::build_with(inside, system, &Furniture::default()).await
    }

    /// The same, with directories of the hosts' own, if the lab was entered with disks.
    pub async fn build_with(
        inside: &Inside,
        system: &System,
        furniture: &Furniture,
    ) -> Result<Self, LabError> {
        let plan = Plan::of(system)?;
        fs::create_dir_all(DIRECTORY).map_err(failed(format!("make {DIRECTORY}")))?;
        name_hosts(&plan)?;
        let mut places = Vec::with_capacity(plan.hosts.len());
        for host in &plan.hosts {
            places
                .push(Place::new(&host.name).map_err(failed(format!("make a namespace for {}", host.name)))?);
        }
        let network = Network::build(&plan, &places).await?;
        let mut hosts_disks = Vec::new();
        if let Some(all) = inside.disks() {
            disks::points(furniture)?;
            for host in system.host_ids() {
                let disk = Disk::make(all, host.index(), furniture)?;
                places[host.index()] = places[host.index()].clone().with_mounts(disk.mount()?);
                hosts_disks.push(disk);
            }
        }
        let (slow, processes) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { plan, places, network, disks: hosts_disks, slow, processes, next: 0 })
    }

    /// The address at which others reach a host: the system file's, or the one that its DNS name stands for here.
    pub fn address(&self, host: HostId) -> IpAddr {
        self.plan.hosts[host.index()].addresses[0]
    }

    /// Where clients are: outside all zones, beyond the router.
    pub fn client_place(&self) -> Place {
        self.places[self.places.len() - 1].clone()
    }

    pub fn place(&self, host: HostId) -> Place {
        self.places[host.index()].clone()
    }

    /// What the processes of a host have printed, unless told to print elsewhere.
    pub fn output(&self, host: HostId) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{}.log", self.name(host)))
    }

    /// Starts a process on a host, in a session of its own (so that a terminal's Ctrl-C does not hit it), with empty input.
    ///
    /// # Errors
    /// [`LabError::Spawn`] if the program can't be started; whether it then works is for the caller to find out.
    #[allow(unsafe_code)]
    pub fn spawn(
        &mut self,
        host: HostId,
        command: &[OsString],
        options: SpawnOptions,
    ) -> Result<ProcessId, LabError> {
        let [program, arguments @ ..] = command else {
            return Err(LabError::NoCommand { host: self.name(host).to_owned() });
        };
        let path = options.output.unwrap_or_else(|| self.output(host));
        let output = OpenOptions::new().create(true).append(true).open(&path);
        let output = output.map_err(failed(format!("write {}", path.display())))?;
        let errors = output.try_clone().map_err(failed(format!("write {}", path.display())))?;

        let mut command = Command::new(program);
        command.args(arguments).envs(options.environment);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut enter = self.places[host.index()].entry().map_err(failed("tell where it is"))?;
        // SAFETY: between fork and exec this makes a few system calls and touches nothing else.
        unsafe {
            command.pre_exec(move || {
                enter()?;
                rustix::process::setsid()?;
                Ok(())
            });
        }
        let child = command.spawn().map_err(|source| LabError::Spawn {
            host: self.name(host).to_owned(),
            command: program.to_string_lossy().into_owned(),
            source,
        })?;
        let id = ProcessId(self.next);
        self.next += 1;
        self.processes.insert(id, child);
        Ok(id)
    }

    /// Kills every process on a host, descendants and daemons included (SIGKILL). When it returns, they are dead. The
    /// host stays, and processes can be started on it again.
    ///
    /// This and the next two block the thread for as long as it takes, which is a few milliseconds.
    pub fn kill(&mut self, host: HostId) -> Result<(), LabError> {
        self.bring_about(Fate::Killed, host)
    }

    /// Stops every process on a host (SIGSTOP): the kernel still answers for it, the programs don't.
    pub fn freeze(&mut self, host: HostId) -> Result<(), LabError> {
        self.bring_about(Fate::Frozen, host)
    }

    /// Lets a frozen host go on.
    pub fn thaw(&mut self, host: HostId) -> Result<(), LabError> {
        self.bring_about(Fate::Thawed, host)
    }

    /// Makes a host slow: every process there, those started meanwhile as well, stands still and goes on, over and over, until
    /// [`Lab::speed_up`].
    pub fn slow_down(&mut self, host: HostId, pulse: Pulse) -> Result<(), LabError> {
        self.speed_up(host)?;
        let network = self.places[host.index()].network_id().map_err(failed("look at a namespace"))?;
        let begun = Slowness::begin(network, pulse).map_err(failed("start a thread that slows a host"))?;
        self.slow.insert(host, begun);
        Ok(())
    }

    /// Lets a slow host run as before. No error if it was not slow.
    pub fn speed_up(&mut self, host: HostId) -> Result<(), LabError> {
        let Some(slowness) = self.slow.remove(&host) else { return Ok(()) };
        let left = slowness.end().map_err(failed("look through /proc"))?;
        self.none(left, Fate::Thawed, host)
    }

    /// What runs on a host, its daemons and all their descendants.
    pub fn running(&self, host: HostId) -> Result<Vec<Running>, LabError> {
        let network = self.places[host.index()].network_id().map_err(failed("look at a namespace"))?;
        processes::running(network).map_err(failed("look through /proc"))
    }

    /// As [`Lab::kill`], [`Lab::freeze`] and [`Lab::thaw`], but only those processes of a host. What they start meanwhile is
    /// among them if it is such a one, too.
    pub fn kill_some(&mut self, host: HostId, which: &dyn Fn(&Running) -> bool) -> Result<(), LabError> {
        self.bring_about_some(Fate::Killed, host, which)
    }

    pub fn freeze_some(&mut self, host: HostId, which: &dyn Fn(&Running) -> bool) -> Result<(), LabError> {
        self.bring_about_some(Fate::Frozen, host, which)
    }

    pub fn thaw_some(&mut self, host: HostId, which: &dyn Fn(&Running) -> bool) -> Result<(), LabError> {
        self.bring_about_some(Fate::Thawed, host, which)
    }

    /// Asks those processes of a host to end (SIGTERM), and doesn't wait for it.
    pub fn terminate_some(&mut self, host: HostId, which: &dyn Fn(&Running) -> bool) -> Result<(), LabError> {
        let network = self.places[host.index()].network_id().map_err(failed("look at a namespace"))?;
        processes::terminate(network, which).map_err(failed("look through /proc"))
    }

    /// The id by which the kernel knows a process; `None` when it has ended.
    pub fn pid(&self, process: ProcessId) -> Option<u32> {
        self.processes.get(&process)?.id()
    }

    /// A directory on a host's disk, beside those that it has for itself: it has this name everywhere in the lab, and
    /// [`Lab::wipe`] leaves it alone. `None`: the lab was entered without disks.
    pub fn disk(&self, host: HostId) -> Option<&Path> {
        Some(self.disks.get(host.index())?.directory())
    }

    /// Gives a host a new disk: its own directories are empty. Nothing that uses them may run there.
    pub fn wipe(&mut self, host: HostId) -> Result<(), LabError> {
        let Some(disk) = self.disks.get(host.index()) else { return Ok(()) };
        disk.wipe()?;
        // What is mounted within them went with what it was mounted on.
        let place = &mut self.places[host.index()];
        *place = place.clone().with_mounts(disk.mount()?);
        Ok(())
    }

    /// Makes a host's packets vanish: connections stay open on both sides, and nobody is told.
    pub async fn cut_off(&mut self, host: HostId, direction: Direction) -> Result<(), LabError> {
        self.network.cut(host.index(), self.name(host), direction).await
    }

    /// Keeps these hosts from hearing each other; everybody else reaches them as before.
    ///
    /// # Errors
    /// [`LabError::Apart`] unless they are on one segment: between two the router would carry what they say.
    pub async fn split(&mut self, hosts: &[HostId]) -> Result<(), LabError> {
        let segment = |host: &HostId| self.plan.hosts[host.index()].segment;
        if let Some(pair) = hosts.windows(2).find(|pair| segment(&pair[0]) != segment(&pair[1])) {
            return Err(LabError::Apart {
                one: self.name(pair[0]).to_owned(),
                other: self.name(pair[1]).to_owned(),
            });
        }
        for &host in hosts {
            self.network.isolate(host.index(), self.name(host)).await?;
        }
        Ok(())
    }

    /// Takes a host's power away: its link goes first, so that not even its kernel says goodbye to anybody, then every
    /// process is dead and the virtual addresses are gone. Undone by [`Lab::heal`] and by starting what ran there.
    pub async fn power_off(&mut self, host: HostId) -> Result<(), LabError> {
        self.cut_off(host, Direction::Both).await?;
        self.kill(host)?;
        network::strip(&self.plan, host.index(), &self.places[host.index()]).await
    }

    /// Makes a host's link lose one packet in so many, at random, and in each direction by itself.
    ///
    /// # Errors
    /// [`LabError::NoLoss`] where the kernel can't; [`crate::lossless`] says so before.
    pub fn lose(&mut self, host: HostId, one_in: u32) -> Result<(), LabError> {
        self.network.lose(host.index(), self.name(host), one_in)
    }

    /// Parts these hosts from all others: they hear each other, wherever they are, and nobody else. There is one such island at a
    /// time; another one takes its place.
    ///
    /// # Errors
    /// [`LabError::NoIsland`] where the kernel can't; [`crate::indivisible`] says so before.
    pub fn part(&mut self, hosts: &[HostId]) -> Result<(), LabError> {
        let hosts: Vec<usize> = hosts.iter().map(|host| host.index()).collect();
        self.network.part(&self.plan, &hosts)
    }

    /// Undoes a [`Lab::part`]. No error if there was none.
    pub fn join(&mut self) -> Result<(), LabError> {
        self.network.join()
    }

    /// Undoes every [`Lab::cut_off`], [`Lab::split`] and [`Lab::lose`] of a host.
    pub async fn heal(&mut self, host: HostId) -> Result<(), LabError> {
        self.network.lose_nothing(host.index(), self.name(host))?;
        self.network.heal(host.index(), self.name(host)).await
    }

    /// Asks a process to end (SIGTERM). No error if it has ended already.
    pub fn terminate(&mut self, process: ProcessId) -> Result<(), LabError> {
        self.signal(process, Signal::TERM)
    }

    /// Asks a process to read its configuration again, or whatever it takes SIGHUP for.
    pub fn hang_up(&mut self, process: ProcessId) -> Result<(), LabError> {
        self.signal(process, Signal::HUP)
    }

    /// Whether a process has not ended yet; a frozen one is alive.
    pub fn alive(&mut self, process: ProcessId) -> Result<bool, LabError> {
        let ended = self.process(process)?.try_wait();
        Ok(ended.map_err(failed("learn whether a process has ended"))?.is_none())
    }

    /// Waits for a process to end.
    pub async fn exited(&mut self, process: ProcessId) -> Result<ExitStatus, LabError> {
        self.process(process)?.wait().await.map_err(failed("wait for a process"))
    }

    fn signal(&mut self, process: ProcessId, signal: Signal) -> Result<(), LabError> {
        // The id is not reused before the child has been waited for, and then tokio gives none.
        let pid = self.process(process)?.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        match pid.map(|pid| rustix::process::kill_process(pid, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(error)) => Err(failed("signal a process")(error.into())),
        }
    }

    fn process(&mut self, process: ProcessId) -> Result<&mut Child, LabError> {
        self.processes.get_mut(&process).ok_or(LabError::NoSuchProcess(process.0))
    }

    fn bring_about(&mut self, fate: Fate, host: HostId) -> Result<(), LabError> {
        self.bring_about_some(fate, host, &|_| true)
    }

    fn bring_about_some(
        &mut self,
        fate: Fate,
        host: HostId,
        which: &dyn Fn(&Running) -> bool,
    ) -> Result<(), LabError> {
        let place = &self.places[host.index()];
        let network = place.network_id().map_err(failed("look at a namespace"))?;
        let left = bring_about(fate, network, which).map_err(failed("look through /proc"))?;
        self.none(left, fate, host)
    }

    fn none(&self, left: usize, fate: Fate, host: HostId) -> Result<(), LabError> {
        let (host, wanted, rounds) = (self.name(host).to_owned(), fate.text(), ROUNDS);
        if left == 0 { Ok(()) } else { Err(LabError::Stubborn { host, left, wanted, rounds }) }
    }

    fn name(&self, host: HostId) -> &str {
        self.places[host.index()].name()
    }
}

/// Why there can be no lab of a system, whatever the machine, if there can't.
pub fn refused(system: &System) -> Option<LabError> {
    Plan::of(system).err()
}

/// A private `/etc/hosts`, so that names mean the lab's hosts.
fn name_hosts(plan: &Plan) -> Result<(), LabError> {
    let path = Path::new(DIRECTORY).join("hosts");
    fs::write(&path, plan.hosts_file()).map_err(failed(format!("write {}", path.display())))?;
    match rustix::mount::mount_bind(&path, "/etc/hosts") {
        Ok(()) => Ok(()),
        // A machine without the file has nothing to mount on; that matters only if names are to be looked up.
        Err(rustix::io::Errno::NOENT) if plan.hosts.iter().all(|host| host.dns_name.is_none()) => Ok(()),
        Err(error) => Err(failed("give the lab an /etc/hosts of its own")(error.into())),
    }
}
