//! Redirects, and clients who keep their connection.

use std::sync::atomic::AtomicBool;

use super::*;

/// Answers what it is asked by its path, on connections that stay; each is a connection more.
struct Site {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    /// It takes a question and closes the connection, if that is an old one.
    cuts: Arc<AtomicBool>,
}

impl Site {
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, cuts) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, cut, answer) = (Arc::clone(&connections), Arc::clone(&cuts), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, SeqCst);
                let (cut, answer) = (Arc::clone(&cut), Arc::clone(&answer));
                std::thread::spawn(move || drop(serve(stream, &cut, answer.as_ref())));
            }
        });
        Self { address, connections, cuts }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn serve(mut stream: TcpStream, cuts: &AtomicBool, answer: &dyn Fn(&str) -> String) -> std::io::Result<()> {
    let mut first = true;
    loop {
        let mut head = [0; 4096];
        let read = stream.read(&mut head)?;
        let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
        let Some(path) = head.strip_prefix("get ").and_then(|rest| rest.split(' ').next()) else {
            return Ok(());
        };
        if !first && cuts.load(SeqCst) {
            return Ok(());
        }
        first = false;
        stream.write_all(answer(path).as_bytes())?;
        if head.contains("connection: close") {
            return Ok(());
        }
    }
}

fn good(path: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 3\r\n\r\ngo!")
}

#[test]
fn a_redirect_is_the_answer_unless_it_is_followed() {
    let other = Site::start(|path| match path {
        "/well" => good("all is well"),
        _ => "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
    });
    let (well, ill) = (other.url("/well"), other.url("/ill"));
    let site = Site::start(move |path| match path {
        "/far" => redirect("near"),
        "/near" => redirect(&well),
        "/ill" => redirect(&ill),
        "/round" => redirect("/round"),
        "/mail" => redirect("mailto:a@shop.example?subject=geheim"),
        "/nowhere" => "HTTP/1.1 301 Gone\r\ncontent-length: 0\r\n\r\n".to_owned(),
        path => good(path),
    });
    // All that is known of ended this way.
    let seen = |path: &str, more: &[&str], what: &str| {
        let seen = target_with(&[&[site.url(path).as_str()][..], more].concat(), what);
        let known = seen["asked"].as_u64().unwrap() - seen["unknown"].as_u64().unwrap();
        assert_eq!(seen.pointer(what).unwrap().as_u64(), Some(known), "{path}: {seen}");
        seen
    };

    // By its status alone, and the summary says that nobody looked further.
    let judged = seen("/ill", &[], "/good");
    assert_eq!(judged["redirected"], judged["good"], "{judged}");
    seen("/ill", &["--expect", "200-299"], "/failed/status-302");
    let said = run_probe(&[&site.url("/ill"), "--every", "50ms", "--for", "1s"]).stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains(" times, not followed: `--follow` asks"), "{said}");

    // As a browser does: what lies there is judged, and whoever was asked last has answered.
    let followed = seen("/far", &["--follow", "--text", "all is well"], "/good");
    assert_eq!((&followed["redirected"], &followed["url"]), (&followed["good"], &site.url("/far").into()));
    for (path, failure, why) in [
        ("/ill", "/failed/status-503", ""),
        ("/round", "/failed/redirect", "more than 5, the last to http://"),
        ("/mail", "/failed/redirect", "mailto:a@shop.example: "),
        ("/nowhere", "/failed/redirect", "it does not say where to"),
    ] {
        let seen = seen(path, &["--follow", "--timeout", "20s"], failure);
        assert!(seen["outages"][0]["why"].as_str().unwrap().starts_with(why), "{path}: {seen}");
    }
    assert_eq!(seen("/plain", &["--follow"], "/good")["redirected"], 0);
}

#[test]
fn half_of_the_questions_go_over_a_connection_that_is_kept() {
    let site = Site::start(good);
    let kept = |seen: &Value, what: &str| seen["kept_alive"][what].as_u64().unwrap();
    // Until they were not too slow to share connections.
    let ask = |more: &[&str], enough: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            site.connections.store(0, SeqCst);
            let seen = target(&[&[site.url("/").as_str(), "--timeout", "20s"][..], more].concat());
            assert_eq!(seen["failed"], serde_json::json!({}), "{seen}");
            if enough(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{seen}");
        }
    };
    let shared = |seen: &Value| kept(seen, "good") >= 5 && kept(seen, "connections") < kept(seen, "good");
    let seen = ask(&["--keep-alive"], &shared);
    let connections = site.connections.load(SeqCst);
    assert!(connections < seen["asked"].as_u64().unwrap(), "{connections}: {seen}");

    // Who only has new connections sees nothing of a server that drops old ones.
    site.cuts.store(true, SeqCst);
    let seen = ask(&[], &|seen| seen["good"].as_u64().unwrap() > 0);
    assert_eq!((kept(&seen, "good"), kept(&seen, "connections")), (0, 0), "{seen}");
    // A client of HTTP asks again by a new connection, and gets his answer.
    ask(&["--keep-alive"], &|seen| kept(seen, "good") >= 2 && kept(seen, "connections") >= 2);
}

#[test]
fn a_connection_that_is_dead_fails_whoever_keeps_it_while_new_ones_are_answered() {
    // What an address that has moved looks like to those who were connected: nobody says no, and nobody answers.
    let dead = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&dead);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (now, count) = (Arc::clone(&now), Arc::clone(&count));
            std::thread::spawn(move || {
                let (mut head, mut first) = ([0; 4096], true);
                while stream.read(&mut head).is_ok_and(|read| read > 0) {
                    count.fetch_add(1, SeqCst);
                    if first || !now.load(SeqCst) {
                        let _ = stream.write_all(good("ok").as_bytes());
                    } else {
                        std::thread::sleep(Duration::from_secs(60));
                    }
                    first = false;
                }
            });
        }
    });
    let url = format!("http://{address}/");
    let args = [&url, "--every", "100ms", "--timeout", "500ms", "--keep-alive", "--json"];
    let child = probe(&args).spawn().unwrap();
    let until = |more: u64| {
        let (until, begun) = (asked.load(SeqCst) + more, Instant::now());
        while asked.load(SeqCst) < until {
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody asks");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until(6);
    dead.store(true, SeqCst);
    until(40);
    signal(&child, rustix::process::Signal::INT);
    let seen = json(&child.wait_with_output().unwrap())["targets"][0].clone();
    let count = |value: &Value| value.as_u64().unwrap();
    assert!(count(&seen["failed"]["timeout"]) >= 1 && count(&seen["kept_alive"]["failed"]) >= 1, "{seen}");
    let new = count(&seen["good"]) - count(&seen["kept_alive"]["good"]);
    assert!(new >= 10, "{seen}");
}

#[test]
fn what_can_not_be_meant_is_a_mistake_of_the_caller() {
    for (args, said) in [
        (&["http://a/", "http://a/"][..], "http://a/ is given twice"),
        (&["tcp://a:1", "--text", "ok"], "--text is about HTTP"),
        (&["tcp://a:1", "--follow"], "--follow is about HTTP"),
        (&["postgres://u@a/b?sslmode=maybe"], "`verify-full`"),
        // What may be a password, or a part of one, is not repeated.
        (&["http://a/", "postgres://u:geheim@a/b?sslmode=verify-ca"], "URL 2: after `?`"),
        (&["postgres://u:geheim/1@a/b"], "there is no port"),
        (&["postgress://u:geheim@a/b"], "that can't be asked"),
    ] {
        let output = run_probe(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(said), "{args:?}: {told}");
        assert!(!told.contains("geheim"), "{told}");
    }
}
