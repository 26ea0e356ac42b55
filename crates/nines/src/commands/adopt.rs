//! `nines adopt`: a PostgreSQL that exists becomes a database of the file, without a dump.
//!
//! Everything that can be known is found out before anything is changed; what follows is a clean stop, one rename and two small files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nines_control::failover::{Register, Rule, Value};
use nines_coordination::{Entry, Key};
use nines_database::hands::{self, Plan, Settings};
use nines_system::{DatabaseId, HostAddress};

use crate::daemon::databases::store::Opening;
use crate::daemon::part::{Part, PartError};
use crate::terminal::tell;
use crate::{EXIT_BAD, EXIT_FILE, EXIT_USAGE, admin_socket};

pub(crate) const ABOUT: &str = "\
Take over a PostgreSQL that exists, with its data and settings, without a dump.

On the primary's host first, then on each standby's. nines looks at everything before it changes anything: that the programs, the \
owner and the place are right, that no daemon of nines runs for this host, what the coordination store knows of the database, and, of \
a standby, that it is one of the primary that nines runs. Then it

  1. shuts the PostgreSQL down cleanly, if it runs (its clients are cut off from here on);
  2. renames the data directory to DATA/pgdata, where DATA is the database's `data` in the file: both must be on one file system;
  3. keeps its settings in DATA/adopted.conf, below those of the file; what nines must have in its own hands is left out, and listed.

`nines run` then begins with these data: of a primary, its timeline is the first term; a standby follows the new primary from where \
it is, and is copied anew only if it can't.";

pub(crate) const AFTER: &str = "\
What is not taken over: pg_hba.conf (everybody logs in by scram-sha-256 through nines' gate; `access` in the file has lines of your \
own, such as \"local all all md5\" for passwords that are stored so), and whatever started PostgreSQL before: disable that, so that it \
doesn't start an empty one: systemctl disable --now postgresql@15-main.

The superuser `postgres` must be there: nines works as that one. Roles and databases of the file that are there already get the \
file's passwords and stay as they are otherwise.

Back again, before `nines run` was started: rename DATA/pgdata back and start it as before. Its own files are as they were.

Exit code: 0 taken over (or could be, with --dry-run), 1 refused and nothing was changed unless it says so, 78 the file is wrong.";

/// For the store, and for a gate.
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The system file
    file: PathBuf,
    /// Which host of the system this is
    #[arg(long, value_name = "NAME")]
    host: String,
    /// The database of the file that it becomes: orders
    database: String,
    /// Its data directory. Default: the one cluster that Debian's /etc/postgresql names, or what lies in DATA/pgdata
    #[arg(long, value_name = "DIRECTORY")]
    from: Option<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The daemon's Unix socket, where `nines run` is given another than the default
    #[arg(long, value_name = "PATH")]
    admin_socket: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let part = match Part::of_any_host(&args.file, &args.host) {
        Ok(part) => part,
        Err(error) => return Ok(refuse(&error)),
    };
    let Some(id) = part.system.databases_on(part.host).find(|id| part.system[*id].name == args.database)
    else {
        let known: Vec<&str> =
            part.system.databases_on(part.host).map(|id| part.system[id].name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        tell(format_args!(
            "nines: {} has no database {:?} in this file; it has {known}",
            args.host, args.database
        ));
        return Ok(EXIT_USAGE.into());
    };
    let done = super::runtime()?.block_on(adopt(args, &part, id));
    if let Err(error) = done {
        tell(format_args!("nines: {}: not taken over: {error:#}", args.database));
        return Ok(EXIT_BAD.into());
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse(error: &PartError) -> ExitCode {
    match error {
        PartError::Wrong(mistakes) => super::tell_all(mistakes),
        other => tell(format_args!("nines: {other}")),
    }
    ExitCode::from(match error {
        PartError::Wrong(_) | PartError::Unreadable(..) => EXIT_FILE,
        PartError::UnknownHost { .. } | PartError::NothingToDo { .. } => EXIT_USAGE,
    })
}

async fn adopt(args: &Args, part: &Part, id: DatabaseId) -> anyhow::Result<()> {
    let settings = Settings::of(&part.system, id, part.host)?;
    no_daemon(args, part, id).await?;
    let from = match &args.from {
        Some(from) => from.clone(),
        None => find(&settings)?,
    };
    let plan = hands::plan(&settings, &from)?;
    let rule = look_up(part, id).await?;
    fits(&plan, rule.as_ref(), &settings).await?;
    let mut out = anstream::stdout().lock();
    write!(out, "{}", told(&args.database, &plan, rule.as_ref(), &settings))?;
    if args.dry_run {
        writeln!(out, "nothing was changed (--dry-run)")?;
        return Ok(());
    }
    out.flush()?;
    let adopted = hands::adopt(settings, &from).await?;
    writeln!(
        out,
        "{}: taken over. Next: nines run {} --host {}",
        args.database,
        args.file.display(),
        args.host
    )?;
    if adopted.primary {
        let others: Vec<&str> = part.system[id]
            .hosts
            .iter()
            .filter(|host| **host != part.host)
            .map(|&host| part.system[host].name.as_str())
            .collect();
        if !others.is_empty() {
            writeln!(
                out,
                "then the same on {}: with a standby of it by nines adopt, without data by nines run alone",
                others.join(", ")
            )?;
        }
    }
    Ok(())
}

/// Who changes these files while a daemon has them in hand, would change them under it.
async fn no_daemon(args: &Args, part: &Part, id: DatabaseId) -> anyhow::Result<()> {
    let socket = args.admin_socket.clone().unwrap_or_else(|| admin_socket::of(&args.host));
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        bail!(
            "nines runs for {} ({} answers): stop it first, and start it when this is done",
            args.host,
            socket.display()
        );
    }
    if let HostAddress::Ip(ip) = part.system[part.host].address {
        let gate = SocketAddr::new(ip, part.system[id].port);
        if hands::system(gate, 0, ANSWERS_WITHIN).await.is_ok() {
            bail!("nines runs for {}: its gate answers at {gate}. Stop it first", args.host);
        }
    }
    Ok(())
}

/// Where the data are, if the file's place has some, or Debian's has one cluster.
fn find(settings: &Settings) -> anyhow::Result<PathBuf> {
    let own = settings.data.join("pgdata");
    if own.join("PG_VERSION").exists() {
        return Ok(own);
    }
    let mut found = debian(Path::new("/etc/postgresql"));
    found.retain(|directory| directory.join("PG_VERSION").exists());
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("no PostgreSQL was found here: --from DIRECTORY says where its data are"),
        several => {
            let each: Vec<String> = several.iter().map(|it| format!("--from {}", it.display())).collect();
            bail!("several PostgreSQL were found; say which: {}", each.join(" or "))
        }
    }
}

/// What `data_directory` is in each cluster's settings.
fn debian(root: &Path) -> Vec<PathBuf> {
    let directories = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let clusters = directories(root).into_iter().flat_map(|version| directories(&version));
    let data = clusters.filter_map(|cluster| {
        let text = std::fs::read_to_string(cluster.join("postgresql.conf")).ok()?;
        let line = text.lines().rev().find(|line| line.trim_start().starts_with("data_directory"))?;
        line.split('\'').nth(1).map(PathBuf::from)
    });
    data.collect()
}

/// The rule that is in force, if there is one.
async fn look_up(part: &Part, id: DatabaseId) -> anyhow::Result<Option<Rule>> {
    let database = &part.system[id];
    let coordination = part.system.coordination.as_ref().context("there is no coordination")?;
    let opening = Opening::of(&part.system, coordination, &database.data)?;
    let key = Key::new(format!("databases/{}/{}", database.name, Register::Rule.key()))?;
    let entry = opening
        .peek(&[key], PATIENCE)
        .await
        .context("whether this database exists already is asked of the coordination store first")?;
    let Some(Entry { value, .. }) = entry.into_iter().next().flatten() else { return Ok(None) };
    match serde_json::from_slice(&value) {
        Ok(Value::Rule(rule)) => Ok(Some(rule)),
        Ok(_) => bail!("the coordination store has something else where the rule should be"),
        Err(error) => bail!("the coordination store's rule can't be understood: {error}"),
    }
}

/// A primary only begins a database; a standby must be one of the primary that is there.
async fn fits(plan: &Plan, rule: Option<&Rule>, settings: &Settings) -> anyhow::Result<()> {
    let Some(rule) = rule else { return Ok(()) };
    let (primary, term) = (&rule.primary, rule.term);
    if plan.primary {
        bail!(
            "{} is a primary's, and the database exists already: {primary} is its primary in term {term}. Two can't be made \
             one. If this is an old primary of it, leave its data where they are: nines run makes a copy",
            plan.from.display()
        );
    }
    let at = settings.peers.get(primary).with_context(|| format!("where is the gate of {primary}?"))?;
    let begin = Instant::now();
    let system = loop {
        match hands::system(at, term, ANSWERS_WITHIN).await {
            // It may be about to.
            Ok(None) | Err(_) if begin.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
            system => break system,
        }
    };
    match system {
        Ok(Some(system)) if system != plan.system => bail!(
            "{} is a standby of another database: its system identifier is {}, that of {primary} is {system}",
            plan.from.display(),
            plan.system
        ),
        Ok(Some(_)) => Ok(()),
        Ok(None) => bail!(
            "{primary} does not serve at the moment: ask again when `nines status` there says that it does"
        ),
        Err(why) => bail!(
            "the gate of {primary} ({at}) does not say which database it is: {why}. Is nines running there?"
        ),
    }
}

/// What will be done, for a person.
fn told(database: &str, plan: &Plan, rule: Option<&Rule>, settings: &Settings) -> String {
    let mut text = String::new();
    let mut line = |what: String| {
        let _ = writeln!(text, "{what}");
    };
    let kind = if plan.primary { "a primary" } else { "a standby" };
    line(format!(
        "{database}: {} is {kind} of PostgreSQL {}, timeline {}, system {}",
        plan.from.display(),
        plan.version,
        plan.timeline,
        plan.system
    ));
    match plan.running {
        Some(pid) => line(format!("  it runs (process {pid}): it is shut down, and its clients are cut off")),
        None => line("  it does not run".to_owned()),
    }
    match plan.from == plan.to {
        true => line("  the data stay where they are".to_owned()),
        false => line(format!("  the data are moved to {}", plan.to.display())),
    }
    line(format!(
        "  the settings of {} are kept in {}, below the file's",
        plan.settings.display(),
        settings.data.join("adopted.conf").display()
    ));
    for left_out in &plan.left_out {
        line(format!("    {left_out}"));
    }
    line("  pg_hba.conf is not taken over: everybody logs in by scram-sha-256 (`access` has lines of your own)".to_owned());
    match (plan.primary, rule) {
        (true, _) => line(format!("  {database} begins with it, in term {}", plan.timeline)),
        (false, Some(rule)) => {
            line(format!("  it follows {}, the primary of term {}", rule.primary, rule.term));
        }
        (false, None) => line(
            "  the database has no primary yet: take that over, too. Until nines runs there, this one waits"
                .to_owned(),
        ),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_clusters_are_found_by_their_settings() {
        let root = tempfile::tempdir().unwrap();
        for (cluster, text) in [
            ("15/main", "data_directory = '/var/lib/postgresql/15/main'  # use data in another directory\n"),
            ("13/old", "#data_directory = 'ConfigDir'\n"),
        ] {
            let path = root.path().join(cluster);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("postgresql.conf"), text).unwrap();
        }
        assert_eq!(debian(root.path()), [PathBuf::from("/var/lib/postgresql/15/main")]);
        assert!(debian(&root.path().join("missing")).is_empty());
    }
}
