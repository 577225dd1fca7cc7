//! Where services live: a worker beside the web process, a folder and a file of their own, and a service that ran before the
//! harness came.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{practice, report};

fn onlyone(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    command.args(arguments).args(["--quiet", "--format", "json", "--seed", "1", "--out"]).arg(out);
    command.env_remove("ONLYONE_MONGO_URI").env("PYTHONPATH", packages()).output().unwrap()
}

fn packages() -> std::path::PathBuf {
    practice::python_packages("python", &["pymongo"], "pymongo")
}

#[test]
fn a_worker_beside_the_web_process_is_started_with_its_own_file() {
    let out = tempfile::tempdir().unwrap();
    let scenario = "tests/services/desk.toml";
    let output = onlyone(&["run", scenario], out.path());
    let holds = report(&output);
    let own = "custom:every letter is signed by the desk";
    let of_own = |report: &Value| {
        let invariants = report["invariants"].as_array().unwrap();
        invariants.iter().find(|one| one["name"] == own).map(|one| one["verdict"].clone()).unwrap()
    };
    assert_eq!((&holds["verdict"], of_own(&holds)), (&"holds".into(), "holds".into()), "{holds}");
    // What the scenario says goes before what the file says: this worker signs by another name, and the rule says so.
    let text = std::fs::read_to_string(scenario).unwrap();
    let folder = std::path::absolute("tests/services/desk").unwrap();
    let whole = text.replace("dir = \"desk\"", &format!("dir = {:?}", folder.to_str().unwrap()));
    let path = out.path().join("changed.toml");
    let other = whole.replace("ROLE = \"worker\",", "ROLE = \"worker\", DESK = \"desk 8\",");
    std::fs::write(&path, other.replace("within = \"10s\"", "within = \"1s\"")).unwrap();
    let violated = report(&onlyone(&["run", path.to_str().unwrap()], out.path()));
    assert_eq!(of_own(&violated), "violated", "{violated}");
    // One that ends is missed.
    let command = "command = [\"python3\", \"app.py\"]";
    let ended = format!("{}{}", &whole[..whole.rfind(command).unwrap()], "command = [\"false\"]")
        + &whole[whole.rfind(command).unwrap() + command.len()..];
    std::fs::write(&path, ended).unwrap();
    let lost = report(&onlyone(&["run", path.to_str().unwrap()], out.path()));
    assert_eq!(lost["verdict"], "inconclusive", "{lost}");
    assert!(lost["reasons"].to_string().contains("`worker` ended in mid-run"), "{}", lost["reasons"]);
}

/// Ended when the test is over, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_service_that_runs_already_is_explored_at_a_port_that_it_is_pointed_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut mongod = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    let mongod = mongod.arg("mongod").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut mongod = Running(mongod.spawn().unwrap());
    let mut uri = String::new();
    BufReader::new(mongod.0.stdout.take().unwrap()).read_line(&mut uri).unwrap();
    let uri = uri.trim();
    assert!(uri.starts_with("mongodb://"), "{uri}");
    for (mode, wanted) in [("before", "violated"), ("fixed", "holds")] {
        let (proxy, web) = (free_port(), free_port());
        // It is there first, and waits for its database.
        let mut service = Command::new("python3");
        service.arg("tests/services/python/app.py").env("PYTHONPATH", packages()).env("MODE", mode);
        service.env("PORT", web.to_string()).env("MONGO_URL", format!("mongodb://127.0.0.1:{proxy}/onlyone_{mode}"));
        let _service = Running(service.spawn().unwrap());
        let text = format!(
            "name = 'a seat'\nworkload = 'create-or-get'\n[target.http]\nbase_urls = ['http://127.0.0.1:{web}']\n\
             warm_up = '/health'\n[target.http.operations.create-or-get]\npath = '/seats/{{{{ key }}}}'\n\
             json = {{ who = '{{{{ client.user }}}}' }}\noutcome = {{ id = '$.booking' }}\n\
             status = {{ ok = [], created = [201], failed = [409] }}\n\
             [observe.mongo]\nuri = '{uri}'\ndatabase = 'onlyone_{mode}'\ncollection = 'bookings'\nkey = 'seat'\n\
             [load.burst]\nclients = 2\nrounds = 1\n"
        );
        let scenario = folder.path().join(format!("{mode}.toml"));
        std::fs::write(&scenario, text).unwrap();
        let arguments = ["explore", scenario.to_str().unwrap(), "--attach", &proxy.to_string()];
        let report = report(&onlyone(&arguments, folder.path()));
        assert_eq!(report["verdict"], wanted, "{mode}: {report}");
        assert_eq!(report["explore"]["complete"], true, "{mode}: {}", report["explore"]);
    }
}

#[test]
fn attaching_is_for_a_service_that_runs_already() {
    let out = tempfile::tempdir().unwrap();
    for scenario in ["tests/services/desk.toml", "scenarios/create-or-get.toml"] {
        let output = onlyone(&["explore", scenario, "--attach", "27999"], out.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--attach is for a service that runs already"), "{said}");
    }
}

/// The indented block of a page that begins with this line.
fn block(page: &str, first: &str) -> String {
    let begin = page.find(&format!("\n    {first}\n")).unwrap() + 1;
    let lines = page[begin..].lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n").collect()
}

/// The file as JSON, if the schema of the Compose Specification takes it.
fn composed(file: &str) -> Result<Value, String> {
    let modules = practice::node_packages("compose", "tests/services/compose/package.json");
    let mut check = Command::new("node");
    check.arg("tests/services/compose/check.js").env("NODE_PATH", modules).env("PATH", practice::path_with_node());
    let mut check = check.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// No container is started here: the file is held against the schema of its kind, and against the scenario beside it.
#[test]
fn the_compose_file_of_the_documentation_is_valid_and_fits_its_scenario() {
    let page = std::fs::read_to_string("docs/your-service.md").unwrap();
    let (file, sections) = (block(&page, "services:"), block(&page, "[network]"));
    let composed_file = composed(&file).unwrap();
    let wrong = composed(&file.replace("environment:", "enviroment:")).unwrap_err();
    assert!(wrong.contains("must NOT have additional properties"), "{wrong}");

    let sections: toml::Table = sections.parse().unwrap();
    let (network, service) = (&sections["network"], &sections["service"]);
    let command: Vec<&str> = service["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let app = &composed_file["services"][*command.last().unwrap()];
    // The port that the service listens on is the one that is published.
    let published = command.iter().find_map(|word| word.strip_prefix("{{ service.port }}:")).unwrap();
    assert_eq!(app["environment"]["PORT"], published);
    // What the scenario says of the database is handed on, under the same name.
    for (name, value) in service["env"].as_table().unwrap() {
        assert_eq!(app["environment"][name], format!("${{{name}}}"), "{value}");
    }
    let host = format!("{}:host-gateway", network["advertise"].as_str().unwrap());
    assert!(app["extra_hosts"].as_array().unwrap().contains(&host.into()), "{app}");

    // With a workload of its own the scenario is whole, and the address that the page names is allowed as the page says.
    let rest = "name = 'in a container'\nworkload = 'create-or-get'\n[target.http.operations.create-or-get]\n\
                path = '/chats'\n[load.burst]\nclients = 2\nrounds = 1\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my-service.toml");
    std::fs::write(&path, format!("{rest}{sections}")).unwrap();
    let allowed = format!("--allow-target {}", network["listen"].as_str().unwrap());
    assert!(page.contains(&format!("onlyone run my-service.toml {allowed}")), "{allowed}");
    let mut dry = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    dry.args(["run", path.to_str().unwrap(), "--dry-run"]).args(allowed.split(' '));
    let output = dry.env_remove("ONLYONE_MONGO_URI").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
