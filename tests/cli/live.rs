//! A run that is followed: a page, events, metrics.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::harness::{ENDLESS, Harness, SHORT, scenario};

/// Long enough to be looked at, and ended by its own time.
const STEADY: &str = "[load.closed]\nclients = 4\nduration = \"3s\"\nkeys = { uniform = { count = 50 } }";

/// What a server on this machine answers.
fn get(address: &str, path: &str) -> String {
    get_of(address, address, path)
}

/// What it answers a request that names this host.
fn get_of(address: &str, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The address after this word on a line of stderr.
fn address(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    let line = lines.map(Result::unwrap).find(|line| line.starts_with(word)).unwrap();
    line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

#[test]
fn a_page_and_metrics_follow_a_run() {
    let harness = Harness::new(&scenario("upsert-retry", true, STEADY));
    let mut child = harness.command(&["run", "s.toml", "--live", "--prometheus", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (live, metrics) = (address(&mut lines, "live: "), address(&mut lines, "metrics: "));
    let page = get(&live, "/");
    assert!(
        page.contains("content-security-policy: default-src 'none'") && page.contains("<title>onlyone, live"),
        "{page}"
    );
    let state = get(&live, "/state");
    assert!(state.contains("\"scenario\":\"t\"") && state.contains("\"violations\":0"), "{state}");
    // A page of another site may have its name lead here, and still names itself.
    let port = live.rsplit(':').next().unwrap();
    for host in [format!("evil.example:{port}"), "10.0.0.1".to_owned()] {
        for path in ["/", "/state"] {
            let refused = get_of(&live, &host, path);
            assert!(refused.starts_with("HTTP/1.1 403 ") && !refused.contains("scenario"), "{host}: {refused}");
        }
        assert!(get_of(&metrics, &host, "/metrics").starts_with("HTTP/1.1 403 "), "{host}");
    }
    // A port that is forwarded has another number where it is asked for.
    for host in [format!("localhost:{port}"), "localhost:1".to_owned()] {
        assert!(get_of(&live, &host, "/state").starts_with("HTTP/1.1 200 "), "{host}");
    }
    let text = get(&metrics, "/metrics");
    assert!(text.contains("onlyone_operations_total") && text.ends_with("# EOF\n"), "{text}");
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let output = child.wait_with_output().unwrap();
    rest.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let kept = std::fs::read_to_string(harness.run_dir().join("metrics.txt")).unwrap();
    assert!(kept.contains("db_client_operation_duration_seconds_count"), "{kept}");
}

#[test]
fn events_are_all_that_is_on_stdout() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    let ran = harness.run(&["run", "s.toml", "--events", "ndjson", "--quiet"]).expect(0, &[]);
    let events: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "finished"), "{}", ran.shown());
    let last = &events[events.len() - 1];
    assert_eq!((last["verdict"].as_str(), last["exit_code"].as_u64()), (Some("holds"), Some(0)));
    // The serial control is counted, too, and planned.
    assert_eq!(events[events.len() - 2]["operations"], 80 + 20);
    assert_eq!(events[0]["planned"], 80 + 20);
    let refused = harness.run(&["run", "s.toml", "--prometheus", "0.0.0.0:9464"]);
    refused.expect(2, &["only a loopback address is served"]);
}

#[test]
fn events_of_several_scenarios_and_of_an_exploration_are_all_that_is_on_stdout() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    let events = |args: &[&str], code: i32| -> Vec<serde_json::Value> {
        let ran = harness.run(&[args, &["--events", "ndjson", "--quiet"]].concat()).expect(code, &[]);
        ran.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", ran.shown())))
            .collect()
    };
    let ends = |events: &[serde_json::Value]| events.iter().filter(|event| event["event"] == "finished").count();
    assert_eq!(ends(&events(&["run", "s.toml", "s.toml"], 0)), 2);
    let explored = events(&["explore", "s.toml", "--max-schedules", "5"], 3);
    let told: Vec<_> = explored.iter().filter(|event| event["event"] == "progress").collect();
    assert!(!told.is_empty() && told.iter().all(|event| event["violations"] == 0), "{told:?}");
    // What is found on the way is told on the way: the last two events are how far it is, and the end.
    std::fs::write(harness.path().join("racy.toml"), scenario("find-then-insert", false, SHORT)).unwrap();
    let racy = events(&["explore", "racy.toml"], 1);
    let violations: Vec<_> = racy.iter().filter(|event| event["event"] == "violation").collect();
    assert!(racy.iter().rev().nth(1).is_some_and(|event| event["violations"] == 4), "{racy:?}");
    assert!(violations.len() == 4 && violations[0]["what"].as_str().unwrap().contains("R1.find R2.find"), "{racy:?}");
    for followed in ["--events=ndjson", "--live", "--otlp=http://127.0.0.1:1", "--prometheus=127.0.0.1:0"] {
        harness.run(&["run", "s.toml", "--probe", followed]).expect(2, &["cannot be used with"]);
    }
}

#[test]
fn scenarios_have_the_same_port_one_after_another() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    // Below those that systems give away: nobody else takes it meanwhile.
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (20_000..30_000).skip(std::process::id() as usize % 5_000).find(is_free).unwrap();
    let (live, prometheus) = (format!("--live={port}"), "127.0.0.1:0");
    let ran = harness.run(&["run", "s.toml", "s.toml", "s.toml", "--quiet", &live, "--prometheus", prometheus]);
    let ran = ran.expect(0, &[]);
    assert_eq!(ran.stderr.matches(&format!("live: http://127.0.0.1:{port}/")).count(), 3, "{}", ran.shown());
}

#[test]
fn nothing_begins_before_everything_is_set_up() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    for command in ["run", "explore"] {
        let gone = ["--mongo", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200", "--events", "ndjson"];
        let ran = harness.run(&[&[command, "s.toml"], &gone[..]].concat()).expect(4, &[]);
        assert_eq!(ran.stdout, "", "{}", ran.shown());
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = format!("--live={}", taken.local_addr().unwrap().port());
    harness.run(&["run", "s.toml", &live]).expect(4, &["cannot listen on", "choose another port"]);
    assert!(
        !harness.path().join("reports").exists()
            || std::fs::read_dir(harness.path().join("reports")).unwrap().next().is_none()
    );
}

#[test]
fn events_that_cannot_be_written_are_told() {
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = ["run", "s.toml", "--events", "ndjson", "--quiet"];
    let output = harness.command(&run).stdout(full()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(4) && said.contains("cannot write the events to stdout"), "{said}");
}

/// Answers one request with this status line and these headers, and returns its head and its body.
fn collector(answer: &'static str) -> (String, std::thread::JoinHandle<(String, serde_json::Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taking = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}").unwrap();
        (head, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    });
    (url, taking)
}

#[test]
fn a_collector_here_is_reached_without_a_proxy_and_leads_nowhere_else() {
    // Nobody listens there; who were asked to pass it on would fail.
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT)).env("http_proxy", "http://127.0.0.1:1");
    let (url, taking) = collector("200 OK");
    let ran = harness.run(&["run", "s.toml", "--quiet", "--otlp", &url]).expect(0, &[]);
    assert!(!ran.stderr.contains("could not be sent"), "{}", ran.shown());
    taking.join().unwrap();
    let (url, taking) = collector("302 Found\r\nlocation: http://127.0.0.1:1/v1/metrics");
    let ran = harness.run(&["run", "s.toml", "--quiet", "--otlp", &url]);
    ran.expect(0, &["metrics could not be sent to the collector at 127.0.0.1: it answers 302 Found"]);
    taking.join().unwrap();
}

/// What a collector did not take is told.
#[test]
fn metrics_that_could_not_be_sent_meanwhile_are_told_at_the_end() {
    let harness = Harness::new(&scenario("upsert-retry", true, ENDLESS));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let run = ["run", "s.toml", "--quiet", "--otlp", &url, "--set", "load.closed.duration=12s"];
    let child = harness.command(&run).spawn().unwrap();
    for answer in ["503 Service Unavailable", "200 OK"] {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 of 2 sendings of metrics failed") && said.contains("503"), "{said}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn metrics_go_to_a_collector_and_one_that_is_gone_is_no_verdict() {
    let (url, taking) = collector("200 OK");
    let harness = Harness::new(&scenario("upsert-retry", true, SHORT));
    harness.run(&["run", "s.toml", "--quiet", "--otlp", &url]).expect(0, &[]);
    let (head, body) = taking.join().unwrap();
    assert!(head.starts_with("POST /v1/metrics "), "{head}");
    let metric = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
    assert_eq!(metric["name"], "db.client.operation.duration");
    // Nobody listens there any more.
    let gone = harness.run(&["run", "s.toml", "--quiet", "--otlp", &url.replace("http://", "http://user:secret@")]);
    let gone = gone.expect(0, &["metrics could not be sent to the collector at 127.0.0.1"]);
    assert!(!gone.stderr.contains("secret"), "{}", gone.shown());
}
