//! A thread that is PostgreSQL's user to the kernel: all work in its directory, and the start of its programs, is done from here, so that
//! nothing that this user can put there (a symbolic link) makes root touch anything else.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::sync::mpsc;

use nines_control::failover::Failure;
use rustix::process::{Gid, Uid};
use tokio::sync::oneshot;

use super::fail;

type Job = Box<dyn FnOnce() + Send>;

/// Whom files belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    groups: Vec<u32>,
    /// This process is another user, and may become this one.
    becomes: bool,
}

impl User {
    /// The user that PostgreSQL runs as: who this process is, or if that is root, the one with this name.
    ///
    /// # Errors
    /// There is no such user, or it is root itself.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        let own = rustix::process::geteuid();
        let users = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        if !own.is_root() {
            let by_id = |user: &&(String, u32, u32)| user.1 == own.as_raw();
            let gid = rustix::process::getegid().as_raw();
            let found = parse_users(&users).find(|user| by_id(&user));
            let name = found.map_or_else(|| own.as_raw().to_string(), |user| user.0);
            return Ok(Self { name, uid: own.as_raw(), gid, groups: Vec::new(), becomes: false });
        }
        let (name, uid, gid) = parse_users(&users).find(|user| user.0 == name).ok_or_else(|| {
            format!("there is no user {name} on this host (user = \"…\" names whom PostgreSQL runs as)")
        })?;
        if uid == 0 {
            return Err("PostgreSQL refuses to run as root: user = \"postgres\"".to_owned());
        }
        let groups = groups_of(&groups, &name);
        Ok(Self { name, uid, gid, groups, becomes: true })
    }

    fn become_it(&self) -> io::Result<()> {
        if self.becomes {
            let groups: Vec<Gid> =
                std::iter::once(self.gid).chain(self.groups.iter().copied()).map(Gid::from_raw).collect();
            rustix::thread::set_thread_groups(&groups)?;
            let gid = Gid::from_raw(self.gid);
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            let uid = Uid::from_raw(self.uid);
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        }
        Ok(())
    }
}

fn parse_users(text: &str) -> impl Iterator<Item = (String, u32, u32)> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn groups_of(text: &str, user: &str) -> Vec<u32> {
    let lines = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_in = fields.get(3)?.split(',').any(|member| member == user);
        is_in.then(|| fields.get(2)?.parse().ok()).flatten()
    });
    lines.collect()
}

/// Does one thing after the other; gone with its last handle.
#[derive(Debug, Clone)]
pub(super) struct Servant {
    jobs: mpsc::Sender<Job>,
}

impl Servant {
    pub(super) fn hire(user: &User) -> io::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        let (ready, is_ready) = mpsc::channel();
        let user = user.clone();
        std::thread::Builder::new().name("as-postgres".to_owned()).spawn(move || {
            let became = user.become_it();
            let failed = became.is_err();
            let _ = ready.send(became);
            while let Some(job) = work.recv().ok().filter(|_| !failed) {
                job();
            }
        })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { jobs })
    }

    /// Its end, as soon as that is there; it is carried out even if nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = oneshot::channel();
        let job = Box::new(move || drop(tell.send(job())));
        self.jobs.send(job).map_err(|_| fail("the thread for PostgreSQL's files is gone"))?;
        told.await.map_err(|_| fail("work on PostgreSQL's files failed"))
    }

    /// File work that says what it was about when it fails.
    pub(super) async fn files<T: Send + 'static>(
        &self,
        what: &str,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.run(job).await?.map_err(|error| fail(format!("{what}: {error}")))
    }

    pub(super) async fn spawn(&self, mut command: Command) -> Result<Child, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        self.files(&name, move || command.spawn()).await
    }

    /// Without waiting.
    pub(super) fn begin(&self, job: impl FnOnce() + Send + 'static) {
        let _ = self.jobs.send(Box::new(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_their_groups_are_read_as_the_system_keeps_them() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nodd\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        let found: Vec<_> = parse_users(users).collect();
        assert_eq!(found, [("root".to_owned(), 0, 0), ("postgres".to_owned(), 101, 104)]);
        let groups = "ssl-cert:x:103:a,postgres\npostgres:x:104:\nno:x:105:postgresql\n";
        assert_eq!(groups_of(groups, "postgres"), [103]);
    }

    #[tokio::test]
    async fn work_is_done_as_the_other_user() {
        let Ok(user) = User::find("postgres") else { return };
        let servant = Servant::hire(&user).unwrap();
        let made = servant.files("a file", tempfile::NamedTempFile::new).await.unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&made.as_file().metadata().unwrap());
        assert_eq!(owner, user.uid);
        assert_eq!(
            rustix::process::geteuid(),
            rustix::process::getuid(),
            "the process itself stays who it is"
        );
    }
}
