//! A real browser for tests of pages: Debian's Chromium, headless, spoken to over a pipe (the DevTools protocol).
//!
//! It has a profile of its own, which goes with it, and a process group of its own, which is killed if it does not end when
//! asked to; every question to it has a time limit.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::end_within;

/// For whatever it is asked; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that wait to be read.
const WAITING: usize = 10_000;
/// A single one: a screenshot has some megabytes.
const LONGEST: usize = 1 << 28;

/// Which screen a page is looked at on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

/// A browser with one page in it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    /// `None` once it was told to end.
    ask: Option<ChildStdin>,
    told: Receiver<Value>,
    session: String,
    number: u64,
    /// What it said that nobody had asked for: requests, errors.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// `None`, with a word about it, where there is none; where tests must not be left out, that is an error.
    ///
    /// # Errors
    /// When there is one and it can't be started.
    pub fn start() -> io::Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join("chromium").is_file()) {
            let why = "there is no browser here (Debian: chromium)";
            if std::env::var_os("CI").is_some() {
                return Err(io::Error::other(format!("{why}, and CI is set")));
            }
            println!("SKIPPED: {why}");
            return Ok(None);
        }
        let profile = tempfile::tempdir()?;
        // It reads from descriptor 3 and writes to 4. Errors of a machine without a screen or a bus are no one's business.
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
                "chromium",
                "--headless=new",
            ])
            .args([
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-extensions",
                "--disable-background-networking",
                "--disable-component-update",
                "--mute-audio",
            ])
            .args(["--hide-scrollbars", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a child without its pipes"));
        };
        let (tell, told) = sync_channel(WAITING);
        thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            let mut message = Vec::new();
            while message.len() < LONGEST && answers.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).unwrap_or(Value::Null);
                if tell.send(parsed).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let (ask, session, events) = (Some(ask), String::new(), Vec::new());
        let mut browser = Self { child, ask, told, session, number: 0, events, _profile: profile };
        browser.attach()?;
        Ok(Some(browser))
    }

    fn attach(&mut self) -> io::Result<()> {
        let target = self.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", &attached)?;
        attached["sessionId"].as_str().unwrap_or_default().clone_into(&mut self.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(())
    }

    /// Opens a file on a screen, and returns when it has been loaded.
    ///
    /// # Errors
    /// When it can't be loaded in time.
    pub fn open(&mut self, file: &Path, screen: Screen) -> io::Result<()> {
        let Screen { width, height, dark } = screen;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &metrics)?;
        let scheme = json!({"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }});
        self.call("Emulation.setEmulatedMedia", &json!({"features": [scheme]}))?;
        self.events.clear();
        let went = self.call("Page.navigate", &json!({"url": format!("file://{}", file.display())}))?;
        if let Some(error) = went["errorText"].as_str() {
            return Err(io::Error::other(format!("{}: {error}", file.display())));
        }
        let end = Instant::now() + PATIENCE;
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next(end)?;
            self.events.push(event);
        }
        Ok(())
    }

    /// What an expression of JavaScript is on the open page.
    ///
    /// # Errors
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> io::Result<Value> {
        let arguments = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &arguments)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            return Err(io::Error::other(thrown.to_string()));
        }
        Ok(answer["result"]["value"].take())
    }

    /// The whole page, or as much as fits into `height`, as a PNG in base64.
    ///
    /// # Errors
    /// When it can't be taken.
    pub fn screenshot(&mut self, width: u32, from: u32, height: u32) -> io::Result<String> {
        let clip = json!({"x": 0, "y": from, "width": width, "height": height, "scale": 1});
        let taken =
            self.call("Page.captureScreenshot", &json!({"captureBeyondViewport": true, "clip": clip}))?;
        Ok(taken["data"].as_str().unwrap_or_default().to_owned())
    }

    /// Whatever the open page asked for besides itself, and what it complained about.
    pub fn complaints(&self) -> Vec<String> {
        let complaint = |event: &Value| {
            let what = &event["params"];
            let said = match event["method"].as_str()? {
                "Network.requestWillBeSent" => {
                    let url = what["request"]["url"].as_str().unwrap_or_default();
                    let own = what["type"] == "Document" && url.starts_with("file://");
                    return (!own).then(|| format!("asks for {url}"));
                }
                "Runtime.exceptionThrown" => &what["exceptionDetails"],
                "Runtime.consoleAPICalled" => &what["args"],
                "Log.entryAdded" => &what["entry"]["text"],
                _ => return None,
            };
            Some(said.to_string())
        };
        self.events.iter().filter_map(complaint).collect()
    }

    fn call(&mut self, method: &str, params: &Value) -> io::Result<Value> {
        self.number += 1;
        let number = self.number;
        let mut message = json!({"id": number, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let ask = self.ask.as_mut().ok_or_else(|| io::Error::other("the browser was told to end"))?;
        ask.write_all(format!("{message}\0").as_bytes())?;
        let end = Instant::now() + PATIENCE;
        loop {
            let mut told = self.next(end).map_err(|error| io::Error::other(format!("{method}: {error}")))?;
            if told["id"] != number {
                self.events.push(told);
            } else if let Some(error) = told.get("error") {
                return Err(io::Error::other(format!("{method}: {error}")));
            } else {
                return Ok(told["result"].take());
            }
        }
    }

    fn next(&mut self, end: Instant) -> io::Result<Value> {
        self.told.recv_timeout(end.saturating_duration_since(Instant::now())).map_err(|error| match error {
            RecvTimeoutError::Timeout => io::Error::other("the browser does not answer"),
            RecvTimeoutError::Disconnected => io::Error::other("the browser has ended"),
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        self.session.clear();
        if let Some(mut ask) = self.ask.take() {
            // It may have ended already.
            let _ = ask.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        }
        // Even if it ends: of its helpers, none may stay behind. Until it is waited for, its number is nobody else's.
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline
            && self.told.recv_timeout(Duration::from_millis(100)) != Err(RecvTimeoutError::Disconnected)
        {
        }
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = end_within(&mut self.child, Duration::from_secs(5));
    }
}
