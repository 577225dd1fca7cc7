//! A service that is not on the harness's loopback, as in a container: it lives in a network namespace of its own, joined by
//! one cable. It reaches its database, and the proxy of an exploration, at the harness's end, and answers at its own.
//!
//! Namespaces take root and `ip`; without them this says so and shows nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::practice;

/// Two ends of a cable: the harness's, and the one in the namespace.
struct Cable {
    namespace: String,
    here: String,
    there: String,
}

impl Cable {
    /// Lays it; the reason where that is not possible.
    fn lay() -> Result<Cable, String> {
        let number = std::process::id() % 60_000;
        let net = format!("10.213.{}", number % 250);
        let cable =
            Cable { namespace: format!("onlyone{number}"), here: format!("{net}.1"), there: format!("{net}.2") };
        let (name, near) = (&cable.namespace, format!("oo{number}"));
        ip(&["netns", "add", name])?;
        for words in [
            format!("link add {near} type veth peer name eth9 netns {name}"),
            format!("addr add {}/30 dev {near}", cable.here),
            format!("link set {near} up"),
            format!("-n {name} addr add {}/30 dev eth9", cable.there),
            format!("-n {name} link set eth9 up"),
            format!("-n {name} link set lo up"),
        ] {
            ip(&words.split(' ').collect::<Vec<_>>())?;
        }
        Ok(cable)
    }

    /// A scenario of the small Python service in the namespace.
    fn scenario(&self, folder: &Path) -> std::path::PathBuf {
        let app = std::path::absolute("tests/services/python/app.py").unwrap();
        let Cable { namespace, here, there } = self;
        let text = format!(
            r#"name = "a seat, in a namespace of its own"
workload = "create-or-get"
[target.http.operations.create-or-get]
path = "/seats/{{{{ key }}}}"
json = {{ who = "{{{{ client.user }}}}" }}
outcome = {{ id = "$.booking" }}
status = {{ ok = [], created = [201], failed = [409] }}
[network]
listen = "{here}"
service = "{there}"
[service]
command = ["ip", "netns", "exec", "{namespace}", "python3", "{}"]
env = {{ HOST = "{{{{ service.host }}}}", PORT = "{{{{ service.port }}}}", MONGO_URL = "{{{{ mongo.uri }}}}", MODE = "${{MODE}}", PYTHONPATH = "${{PYTHONPATH}}" }}
ready = "/health"
[observe.mongo]
collection = "bookings"
key = "seat"
[load.burst]
clients = [2, 8]
rounds = 30
"#,
            app.display()
        );
        let path = folder.join("namespace.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // The cable goes with the namespace at one of its ends.
        if let Err(why) = ip(&["netns", "del", &self.namespace]) {
            eprintln!("{why}");
        }
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).output().map_err(|error| format!("`ip` cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn onlyone(command: &str, scenario: &Path, out: &Path, mode: &str, allowed: &[&str]) -> Output {
    let packages = practice::python_packages("python", &["pymongo"], "pymongo");
    let allowed = allowed.iter().flat_map(|host| ["--allow-target", *host]);
    let mut onlyone = Command::new(env!("CARGO_BIN_EXE_onlyone"));
    onlyone.args([command, "--quiet", "--format", "json", "--seed", "1", "--out"]).arg(out).arg(scenario).args(allowed);
    onlyone.env_remove("ONLYONE_MONGO_URI").env("MODE", mode).env("PYTHONPATH", packages).output().unwrap()
}

#[test]
fn a_service_in_a_network_namespace_of_its_own_is_run_and_explored() {
    let cable = match Cable::lay() {
        Ok(cable) => cable,
        Err(why) => {
            eprintln!("not shown: a network namespace cannot be made here ({why})");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let scenario = cable.scenario(folder.path());
    let out = folder.path().join("reports");
    // Only what is named is listened at or spoken to.
    for allowed in [&[][..], &[cable.here.as_str()], &[cable.there.as_str()]] {
        let refused = onlyone("run", &scenario, &out, "fixed", allowed);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(4), "{said}");
        assert!(said.contains("is not this machine, and was not allowed"), "{said}");
    }
    for (mode, wanted) in [("before", "violated"), ("fixed", "holds")] {
        for command in ["run", "explore"] {
            let output = onlyone(command, &scenario, &out, mode, &[&cable.here, &cable.there]);
            let said = String::from_utf8_lossy(&output.stderr);
            let report: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
            assert_eq!(report["verdict"], wanted, "{command}, {mode}: {} {}", report["reasons"], report["invariants"]);
            if command == "explore" {
                assert_eq!(report["explore"]["complete"], true, "{}", report["explore"]);
            }
        }
    }
}
