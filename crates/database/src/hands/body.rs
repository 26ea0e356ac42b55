//! What the watch and the worker share: the state, the server's process, and what was last seen.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nines_control::failover::{Cohort, Failure, Origin, Position, Term};
use nines_control::gate::Ancestry;
use nines_system::GateTls;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};

use super::control_file::ControlFile;
use super::effects::attach::Repeated;
use super::place::Place;
use super::probe::Probe;
use super::process::Process;
use super::programs::Programs;
use super::reconfigure::Wanted;
use super::servant::{Servant, User};
use super::sql::{Session, Trouble};
use super::state::State;
use super::watch::Look;
use super::{Doorkeeper, Facts, Listens, Refusal, Settings, Told, fail, lock};

/// Of sockets; what clients see is the gate's.
const PORT: u16 = 5432;

pub(super) struct Body {
    pub(super) settings: Settings,
    pub(super) place: Place,
    pub(super) programs: Programs,
    pub(super) user: User,
    pub(super) servant: Servant,
    pub(super) door: Arc<dyn Doorkeeper>,
    /// Another one at each start, where somebody has it by then.
    port: AtomicU16,
    /// What a reload may change.
    wanted: Mutex<Arc<Wanted>>,
    pub(super) probe: Probe,
    state: Mutex<State>,
    server: Mutex<Option<Arc<Process>>>,
    /// Grows with each change of those two.
    version: AtomicU64,
    pub(super) memory: Mutex<Memory>,
    /// Something changed: the watch looks at once.
    pub(super) changed: Notify,
    /// Whoever has it looks and tells: what is told is in the order in which it was seen.
    pub(super) look: AsyncMutex<Look>,
    pub(super) tell: mpsc::Sender<Told>,
    /// Whoever has it makes users and databases, by what is wanted then: of two at one time the one with an older password could be
    /// the last.
    pub(super) furnishing: AsyncMutex<()>,
    /// Whoever has it makes slots: the other would find them made in between.
    pub(super) slots: AsyncMutex<()>,
    /// The file's lines below nines' own are of a server that was adopted.
    pub(super) adopted: AtomicBool,
}

/// What goes with the process.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Where the data ended when that was last seen: they may go further.
    pub(super) last: Option<Position>,
    /// The rule that every commit waits for, proven.
    pub(super) proven: Option<Cohort>,
    pub(super) diverged: bool,
    /// What is to be told of it: it can't be rewound, since it is not its history that is in the way.
    pub(super) lacks_log: bool,
    /// It gets the log of its source.
    pub(super) streams: bool,
    /// Since it has last got any: how often what it takes was done again.
    pub(super) repeated: Option<Repeated>,
    /// The term that its users and slots were made in.
    pub(super) furnished: Option<Term>,
    pub(super) system: Option<String>,
    /// When the latest checkpoint that was asked for began.
    pub(super) checkpoint: Option<Instant>,
    pub(super) facts: Facts,
    /// The latest copy came to nothing.
    pub(super) no_copy: Option<NoCopy>,
}

/// A copy that failed. Each try costs the primary a checkpoint and a part of its log, so they become rare.
#[derive(Debug, Clone)]
pub(super) struct NoCopy {
    pub(super) term: Term,
    pub(super) why: Failure,
    pub(super) at: Instant,
    /// In a row.
    pub(super) times: u32,
}

impl NoCopy {
    /// It is not yet time for the next one.
    pub(super) fn waits(&self) -> bool {
        let wait = Duration::from_millis(500) * 2_u32.saturating_pow(self.times.min(6));
        self.at.elapsed() < wait.min(Duration::from_secs(30))
    }
}

impl Body {
    pub(super) async fn new(
        settings: Settings,
        door: Arc<dyn Doorkeeper>,
        tell: mpsc::Sender<Told>,
    ) -> Result<Self, Refusal> {
        settings.check()?;
        let programs = Programs::find(&settings)?;
        let user = User::find(&settings.user).map_err(Refusal)?;
        let place = Place::new(&settings.data);
        let state = State::load(&place.state())?;
        let wanted = Wanted::of(&settings)?;
        place.prepare(&user).map_err(|error| Refusal::at(&place.root, error))?;
        let port = match settings.tls {
            GateTls::PassThrough { .. } => {
                free_port(&place).map_err(|error| Refusal(format!("a port: {error}")))?
            }
            GateTls::Off | GateTls::Terminate { .. } => PORT,
        };
        let thread = |error: io::Error| Refusal(format!("a thread as {}: {error}", user.name));
        let servant = Servant::hire(&user).map_err(thread)?;
        let stalls_after = settings.lease.max(Duration::from_secs(1));
        let probe = Probe::new(&user, &place.pgdata, &place.run(), stalls_after).map_err(thread)?;
        let facts = Facts {
            version: programs.full.clone(),
            data_directory: place.pgdata.clone(),
            ..Facts::default()
        };
        let adopted = AtomicBool::new(place.adopted().exists());
        Ok(Self {
            place,
            programs,
            user,
            servant,
            door,
            port: AtomicU16::new(port),
            wanted: Mutex::new(Arc::new(wanted)),
            probe,
            state: Mutex::new(state.unwrap_or_default()),
            server: Mutex::new(None),
            version: AtomicU64::new(0),
            memory: Mutex::new(Memory { facts, ..Memory::default() }),
            changed: Notify::new(),
            look: AsyncMutex::new(Look::default()),
            tell,
            furnishing: AsyncMutex::new(()),
            slots: AsyncMutex::new(()),
            adopted,
            settings,
        })
    }

    pub(super) fn wanted(&self) -> Arc<Wanted> {
        lock(&self.wanted).clone()
    }

    pub(super) fn set_wanted(&self, wanted: Arc<Wanted>) {
        *lock(&self.wanted) = wanted;
    }

    pub(super) fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// Flushed to the disk before it is so. Only one at a time changes it.
    pub(super) async fn change(&self, change: impl FnOnce(&mut State)) -> Result<State, Failure> {
        let mut state = self.state();
        change(&mut state);
        let (path, saved) = (self.place.state(), state.clone());
        if *lock(&self.state) != state {
            let saving = tokio::task::spawn_blocking(move || saved.save(&path)).await;
            let saving = saving.unwrap_or_else(|error| Err(io::Error::other(error)));
            saving.map_err(|error| fail(format!("{}: {error}", self.place.state().display())))?;
            *lock(&self.state) = state.clone();
            self.note_change();
        }
        Ok(state)
    }

    /// Of data that are nothing of nines': the file stays as it is, until something is done about them.
    pub(super) fn is_of_others(&self) {
        *lock(&self.state) = State { origin: Origin::Foreign, ..State::default() };
        self.note_change();
    }

    /// Grows whenever what a report is made of is not what it was.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    pub(super) fn note_change(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// The server, if one runs.
    pub(super) fn server(&self) -> Option<Arc<Process>> {
        lock(&self.server).clone().filter(|server| server.is_running())
    }

    pub(super) fn set_server(&self, server: Option<Arc<Process>>) {
        *lock(&self.server) = server;
        self.note_change();
    }

    /// How long PostgreSQL may take to answer before it is thought to hang.
    pub(super) fn patience(&self) -> Duration {
        2 * self.settings.lease / 3
    }

    pub(super) async fn session(&self) -> Result<Session, Trouble> {
        Session::open(&self.place, self.port(), "postgres", self.patience()).await
    }

    pub(super) async fn note(&self, note: impl Into<String>) {
        let _ = self.tell.send(Told::Note(note.into())).await;
    }

    pub(super) fn at(&self, doing: impl Into<String>) {
        lock(&self.memory).facts.doing = Some(doing.into());
    }

    /// Blocking work on what is nines' own.
    pub(super) async fn files<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Place) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.place.clone();
        let done = tokio::task::spawn_blocking(move || job(&place))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|error| fail(format!("{}: {error}", self.place.root.display())))
    }

    pub(super) async fn control_file(&self) -> Result<ControlFile, Failure> {
        let mut command = self.programs.command("pg_controldata");
        command.arg("-D").arg(&self.place.pgdata);
        let said = self.servant.files("pg_controldata", move || command.output()).await?;
        let text = String::from_utf8_lossy(&said.stdout);
        let parsed = ControlFile::parse(&text);
        let found = parsed.ok_or_else(|| {
            fail(format!("pg_controldata: {}", String::from_utf8_lossy(&said.stderr).trim()))
        })?;
        lock(&self.memory).system = Some(found.system.clone());
        Ok(found)
    }

    pub(super) fn tell_gate(&self) {
        let port = self.port();
        let address = match self.settings.tls {
            GateTls::PassThrough { .. } => Some(([127, 0, 0, 1], port).into()),
            GateTls::Off | GateTls::Terminate { .. } => None,
        };
        self.door.engine(&Listens { socket: self.place.socket(port), address });
    }

    pub(super) fn port(&self) -> u16 {
        self.port.load(Ordering::SeqCst)
    }

    /// Before a server is started. While none ran, its port was anybody's.
    pub(super) fn find_port(&self) -> io::Result<u16> {
        let before = self.port();
        let no_tcp = matches!(self.settings.tls, GateTls::Off | GateTls::Terminate { .. });
        if no_tcp || TcpListener::bind((Ipv4Addr::LOCALHOST, before)).is_ok() {
            return Ok(before);
        }
        let port = unused_port()?;
        self.port.store(port, Ordering::SeqCst);
        Ok(port)
    }

    pub(super) fn ancestry(&self, term: Term) -> Ancestry {
        let state = self.state();
        let serves = state.serves == Some(term) && state.counts() && state.busy.is_none();
        Ancestry {
            branches: (serves && self.server().is_some()).then_some(state.history),
            system: lock(&self.memory).system.clone().unwrap_or_default(),
        }
    }

    pub(super) fn facts(&self) -> Facts {
        lock(&self.memory).facts.clone()
    }
}

/// The one that a server of ours listens on already, else one that nobody has.
fn free_port(place: &Place) -> io::Result<u16> {
    let file = std::fs::read_to_string(place.pgdata.join("postmaster.pid")).unwrap_or_default();
    if let Some(port) = file.lines().nth(3).and_then(|line| line.trim().parse().ok()) {
        return Ok(port);
    }
    unused_port()
}

fn unused_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
