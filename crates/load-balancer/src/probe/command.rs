//! The command probe: any program that says by its exit status whether the member is well.

use std::io::{self, PipeReader};
use std::process::{ExitStatus, Stdio};

use nines_control::pools::ProbeOrder;
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::why;

/// What is kept of a command's output, to say why.
const SAID_BYTES: usize = 200;

pub(super) async fn probe(order: &ProbeOrder, words: &[String]) -> Result<String, String> {
    let mut words = words.iter().map(|word| fill(word, order));
    let program = words.next().ok_or("the command is empty")?;
    let (mut running, output) =
        start(&program, words).map_err(|error| format!("cannot run {program:?}: {}", why(&error)))?;
    let (status, said) = running.end(output).await.map_err(|error| why(&error))?;
    if status.success() { Ok(told(status, &said)) } else { Err(told(status, &said)) }
}

fn fill(word: &str, order: &ProbeOrder) -> String {
    word.replace("{host}", &order.host)
        .replace("{address}", &order.target.ip().to_string())
        .replace("{port}", &order.target.port().to_string())
}

fn start(program: &str, words: impl Iterator<Item = String>) -> io::Result<(Running, pipe::Receiver)> {
    let (read, write): (PipeReader, _) = io::pipe()?;
    let output = pipe::Receiver::from_owned_fd(read.into())?;
    let child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write)
        .process_group(0)
        .spawn()?;
    Ok((Running(child), output))
}

/// A command in a process group of its own, which ends with this value.
struct Running(Child);

impl Running {
    /// Waits for the end, and for what the command says first. All it says is read, so that it never waits for us.
    async fn end(&mut self, mut output: pipe::Receiver) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut said = Vec::new();
        let mut keep = |heard: &[u8]| {
            let room = SAID_BYTES - said.len();
            said.extend_from_slice(&heard[..heard.len().min(room)]);
        };
        let mut buffer = vec![0; 4096];
        let mut open = true;
        let status = loop {
            tokio::select! {
                status = self.0.wait() => break status?,
                heard = output.read(&mut buffer), if open => match heard {
                    Ok(count @ 1..) => keep(&buffer[..count]),
                    _ => open = false,
                },
            }
        };
        // Its last words may still be in the pipe. One look must do: what it has left running may hold that open.
        if let Ok(count) = output.try_read(&mut buffer) {
            keep(&buffer[..count]);
        }
        Ok((status, said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not waited for, so the number is still its own.
        let running = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = running {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

/// `exit status 1: disk full`.
fn told(status: ExitStatus, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.replace(char::is_control, " ");
    // The standard library says "exit status: 1" and "signal: 9 (SIGKILL)".
    let status = status.to_string().replacen(": ", " ", 1);
    if line.is_empty() { status } else { format!("{status}: {line}") }
}
