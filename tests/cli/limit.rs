//! `onlyone run --find-limit` against a service that can answer so many requests a second, and no more.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::harness::{Harness, scenario as direct};

/// One request takes so long, and there is one at a time: a hundred a second.
const TAKES: Duration = Duration::from_millis(10);

/// A correct store that works on one request at a time.
fn serial_service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ids: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let ids = Arc::clone(&ids);
            std::thread::spawn(move || connection(stream.unwrap(), &ids));
        }
    });
    port
}

fn connection(stream: TcpStream, ids: &Mutex<HashMap<String, usize>>) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let answer = if first.starts_with("POST") {
            let key = String::from_utf8(body).unwrap();
            let mut ids = ids.lock().unwrap();
            std::thread::sleep(TAKES);
            let next = ids.len();
            let created = !ids.contains_key(&key);
            let id = *ids.entry(key).or_insert(next);
            format!("{{\"id\":\"{id}\",\"created\":{created}}}")
        } else {
            "{}".to_owned()
        };
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn scenario(port: u16, load: &str, thresholds: &str) -> String {
    format!(
        "name = \"serial\"\nworkload = \"create-or-get\"\n[target.http]\nbase_urls = [\"http://127.0.0.1:{port}\"]\n\
         [target.http.operations.create-or-get]\nmethod = \"POST\"\npath = \"/chats\"\njson = {{ key = \"{{{{ key }}}}\" }}\n\
         outcome = {{ id = \"$.id\", created = \"$.created\" }}\n{load}\n\
         [limits]\nserial_control = 4\n[expect]\nthresholds = [{thresholds}]\n"
    )
}

const OPEN: &str = "[load.open]\nrate = 60\nduration = \"1s\"\nmax_clients = 400\n\
    keys = { uniform = { count = 2 } }";

#[test]
fn the_limit_of_a_service_lies_between_a_rate_that_held_and_one_that_broke() {
    let harness = Harness::new(&scenario(serial_service(), OPEN, "\"create-or-get.p50 < 60ms\""));
    let ran =
        harness.run(&["run", "s.toml", "--find-limit", "--run-id", "r", "--seed", "5", "--format", "json", "--quiet"]);
    let found = ran.json();
    let (holds, breaks) = (found["holds_at"].as_f64().unwrap(), found["breaks_at"].as_f64().unwrap());
    // At 140 a second half of all have waited for twenty others, which takes 200 ms.
    assert!(holds < 140.0 && holds < breaks && breaks <= holds * 1.11, "{}", ran.shown());
    let steps = found["steps"].as_array().unwrap();
    let at = |rate: f64| steps.iter().find(|step| step["rate"].as_f64() == Some(rate)).unwrap();
    assert_eq!(at(breaks)["broke"][0]["threshold"], "create-or-get.p50 < 60ms");
    assert_eq!((&at(holds)["found"], &at(breaks)["found"]), (&"holds".into(), &"breaks".into()), "{}", ran.shown());
    assert!(steps.iter().all(|step| step["verdict"] != "violated"), "{}", ran.shown());
    // Whose limit it was is said; a machine that others keep busy is not taken for the service.
    let by = found["limited_by"].as_str().unwrap();
    let expected = if matches!(by, "service" | "machine") { 0 } else { 3 };
    assert_eq!((ran.code, found["exit_code"].as_i64()), (Some(expected), Some(expected.into())), "{}", ran.shown());
    // Each rate is a run like any other.
    let reports = harness.path().join("reports");
    let stored: serde_json::Value =
        serde_json::from_slice(&std::fs::read(reports.join("r-limit.json")).unwrap()).unwrap();
    assert_eq!(stored, found);
    for step in steps {
        assert!(reports.join(step["run_id"].as_str().unwrap()).join("report.html").exists());
    }
}

#[test]
fn too_few_clients_are_not_taken_for_the_limit_of_the_service() {
    // One client at a time is answered within 10 ms: what more arrives is not sent.
    let load = OPEN
        .replace("max_clients = 400", "max_clients = 1")
        .replace("rate = 60", "arrivals = \"constant\"\nrate = 150");
    let harness = Harness::new(&scenario(serial_service(), &load, "\"create-or-get.max < 5s\""));
    let ran = harness.run(&["run", "s.toml", "--find-limit", "--format", "json", "--set", "load.open.duration=400ms"]);
    let found = ran.json();
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    assert!(found["breaks_at"].as_f64().is_some_and(|breaks| breaks <= 150.0), "{}", ran.shown());
    let by = found["limited_by"].as_str().unwrap();
    assert!(matches!(by, "max-clients" | "generator"), "{}", ran.shown());
}

#[test]
fn what_has_no_limit_to_be_searched_for_is_refused() {
    let refused = |load: &str, thresholds: &str, args: &[&str], says: &[&str]| {
        let harness = Harness::new(&scenario(9, load, thresholds));
        harness.run(&[&["run", "s.toml", "--find-limit"], args].concat()).expect(2, says);
        assert!(!harness.path().join("reports").exists());
    };
    let p50 = "\"create-or-get.p50 < 60ms\"";
    let burst = "[load.burst]\nclients = 2\nrounds = 2";
    let stages = "[load.stages]\nclients = [{ target = 2, duration = \"1s\" }]";
    refused(burst, p50, &[], &["only `[load.open]` has a rate"]);
    refused(stages, p50, &[], &["only `[load.open]` has a rate"]);
    refused(OPEN, "", &[], &["no threshold that could break"]);
    refused(OPEN, "\"throughput > 5/s\"", &[], &["no threshold that could break"]);
    refused(OPEN, p50, &["s.toml"], &["one scenario, 2 are named"]);
    refused(OPEN, p50, &["--shard", "0/2"], &["--shard"]);
    refused(OPEN, p50, &["--probe"], &["--probe"]);
    refused(OPEN, &format!("{p50}]\nverdict = \"violated\"\n#"), &[], &["expects a violation"]);
    let fault = "[[fault]]\nkind = \"lost-answer\"\nat = \"100ms\"\nfor = \"100ms\"";
    let faulty = direct("upsert-retry", true, &format!("{OPEN}\n[expect]\nthresholds = [{p50}]\n{fault}"));
    Harness::new(&faulty).run(&["run", "s.toml", "--find-limit"]).expect(2, &["goes without `[[fault]]`"]);
    let plan = Harness::new(&scenario(9, OPEN, p50)).run(&["run", "s.toml", "--find-limit", "--dry-run"]);
    plan.expect(
        0,
        &["# searched for: the highest rate at which the thresholds hold, from 60 operations per second on"],
    );
}
