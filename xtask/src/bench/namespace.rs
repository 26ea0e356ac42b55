//! A world of a benchmark's own: namespaces that end with it, however it ends, and in them hosts, each a network namespace.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use crate::{setup, shell};

/// `bench ORDER` of this program, as the first process of namespaces of its own.
///
/// The kernel kills `unshare` when we end, however we do; and with it the first process of the new namespaces, and with
/// that one all that runs there.
pub(crate) fn inside(order: &str) -> Result<Command> {
    let mut inside = Command::new(program("setpriv"));
    inside.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    inside.arg("--mount-proc");
    if !setup::is_root() {
        inside.args(["--user", "--map-root-user"]);
    }
    inside.arg(std::env::current_exe().context("who are we?")?).args(["bench", order]);
    Ok(inside)
}

/// Makes a place for the names of network namespaces that nobody else sees, and for what runs here.
///
/// Only for the first process of namespaces of its own.
pub(crate) fn private_run() -> Result<()> {
    if !is_first() {
        bail!("this is for namespaces of its own only");
    }
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
        .context("cannot mount a private /run")?;
    batch(&[], "link set lo up\n")
}

/// Shows `there` under a second name, which everybody may pass through.
pub(crate) fn also(there: &Path, here: &Path) -> Result<()> {
    fs::create_dir_all(here)?;
    mount_bind(there, here).with_context(|| format!("cannot show {} as {}", there.display(), here.display()))
}

pub(crate) fn is_first() -> bool {
    std::process::id() == 1
}

/// For a first process whose programs leave orphans behind, which it inherits: starts this program again, with the same
/// arguments, takes the dead away, and ends when that one does, and everything with it. A dead process that nobody has taken away
/// looks alive to those that wait for its end.
pub(crate) fn be_first() -> Result<ExitCode> {
    let child = Command::new(std::env::current_exe().context("who are we?")?)
        .args(std::env::args_os().skip(1))
        .spawn()
        .context("cannot start ourselves again")?;
    let ours = Pid::from_child(&child);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == ours => {
                return Ok(if status.exit_status() == Some(0) {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                });
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for ourselves"),
        }
    }
}

/// `program` as it runs on the host of this name.
pub(crate) fn command(host: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = ip();
    command.args(["netns", "exec", host]).arg(program).stdin(Stdio::null());
    command
}

/// The program's file, wherever Debian put it.
pub(crate) fn program(name: &str) -> std::path::PathBuf {
    shell::find(name).unwrap_or_else(|| name.into())
}

/// Sends `signal` to everything that runs on the host of this name.
pub(crate) fn signal(host: &str, signal: Signal) -> Result<()> {
    for pid in processes(host)? {
        // It may have ended since.
        let _ = kill_process(pid, signal);
    }
    Ok(())
}

/// What runs on the host of this name. Nobody else's processes can be among them: `/proc` is that of our own process namespace.
pub(crate) fn processes(host: &str) -> Result<Vec<Pid>> {
    let Ok(namespace) = fs::metadata(Path::new("/run/netns").join(host)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { continue };
        let its = fs::metadata(entry.path().join("ns/net"));
        if its.is_ok_and(|its| (its.dev(), its.ino()) == (namespace.dev(), namespace.ino())) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The first process of a namespace inherits everyone's orphans.
pub(crate) fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// How a child that was given some time ended, if it did.
pub(crate) fn ended(child: &mut Child, patience: std::time::Duration) -> Result<Option<ExitStatus>> {
    let until = std::time::Instant::now() + patience;
    loop {
        match child.try_wait()? {
            None if std::time::Instant::now() < until => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            ended => return Ok(ended),
        }
    }
}

pub(crate) fn ip() -> Command {
    Command::new(program("ip"))
}

pub(crate) fn show(arguments: &[&str]) -> Result<String> {
    let output = ip().args(arguments).output().context("cannot start ip")?;
    if !output.status.success() {
        bail!("`ip {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Has `ip` do each line of `plan`.
pub(crate) fn batch(arguments: &[&str], plan: &str) -> Result<()> {
    let (done, said) = run_batch(arguments, plan)?;
    if !done {
        bail!("`ip` could not do all of this: {}: {}", plan.trim().replace('\n', "; "), said.trim());
    }
    Ok(())
}

pub(crate) fn run_batch(arguments: &[&str], plan: &str) -> Result<(bool, String)> {
    let mut child = ip()
        .args(arguments)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start ip")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(plan.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}
