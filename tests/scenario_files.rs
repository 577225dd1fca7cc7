//! Scenario files: every shipped one loads, every invalid one is refused with exactly the message beside it.
//!
//! An invalid file may carry lines of the form `#! --set key=value` and `#! env NAME=value`: they are what it is loaded with.
//! After a wanted change of the messages, run with `UPDATE_EXPECTED=1` and read the difference.

// In an integration test the lints allow these inside test functions only, not in the functions that those share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use std::time::Duration;

use onlyone::scenario::{self, Arrivals, Keys, Load, Scenario, ScenarioError, TargetSpec, resolved_toml};
use onlyone::strategy::names as known;
use onlyone::verdict::{Invariant, Verdict};

fn toml_files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    let bytes = fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let overrides: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("#! --set ")).map(str::to_owned).collect();
    let environment: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("#! env ")).filter_map(|line| line.split_once('=')).collect();
    let lookup = |name: &str| environment.get(name).map(|value| (*value).to_owned());
    scenario::load(path, &overrides, &lookup, &known)
}

#[test]
fn every_shipped_scenario_loads_and_reads_back_from_its_resolved_form() {
    let files = toml_files("scenarios");
    assert!(files.len() >= 6, "{files:?}");
    for path in files {
        let scenario = load(&path).unwrap_or_else(|error| panic!("{}", error.render(false)));
        let resolved = resolved_toml(&scenario).unwrap();
        let again = scenario::load_text(&path, resolved.clone(), &[], &|_| None, &known)
            .unwrap_or_else(|error| panic!("{resolved}\n{}", error.render(false)));
        assert_eq!(again, scenario);
        let text = fs::read_to_string(&path).unwrap();
        let text = text.strip_prefix("#:schema onlyone.schema.json\n").expect("the first line names the schema");
        assert!(text.starts_with("# ") && text.contains("\n# Expect: "), "{} lacks its header", path.display());
    }
}

#[test]
fn every_invalid_scenario_is_refused_with_the_message_beside_it() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let files = toml_files("tests/scenarios/invalid");
    assert!(files.len() >= 20, "{files:?}");
    let mut differences = Vec::new();
    for path in files {
        let rendered = match load(&path) {
            Ok(scenario) => panic!("{} was accepted: {scenario:?}", path.display()),
            Err(error) => error.render(false),
        };
        let expected = path.with_extension("stderr");
        if update {
            fs::write(&expected, &rendered).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != rendered {
            differences.push(format!("--- {}\n{rendered}", expected.display()));
        }
    }
    assert!(differences.is_empty(), "not as expected:\n{}", differences.join("\n"));
}

/// A custom workload over HTTP.
const CUSTOM: &str = "name = 'a'\nworkload = 'custom'\n[load.burst]\nclients = 2\nrounds = 1\n[service]\ncommand = ['x']\n\
    ready = '/'\n[target.http.operations.like]\npath = '/{{ key }}'\noutcome = { number = '$.n' }\n";

#[test]
fn rules_about_numbers_and_elements_read_back_from_their_resolved_form() {
    let rules = "[[invariant]]\nname = 'a'\nper = 'key'\ncollection = 'c'\npipeline = '[]'\nkey = '{{ key }}'\nwithin = '5s'\n\
        expect = { min = 'like.acknowledged', max = 'acknowledged + unknown' }\n\
        [[invariant]]\nname = 'b'\nat_most = 3\noperations = ['like']\n\
        [[invariant]]\nname = 'c'\ndistinct = 'number'\nper = 'run'\ngaps = true\n\
        [[invariant]]\nname = 'd'\nper = 'key'\nvalue = '$.likes'\nexpect = 4\n\
        [[invariant]]\nname = 'e'\ncollection = 'c'\npipeline = '[]'\nexpect = 'empty'\n\
        [observe.mongo]\ncollection = 'c'\nkey = 'k'\nsingle = true\n\
        elements = { in = 'tags', is = 't{{ op.id }}', count = 'set', operations = ['like'] }\n";
    let scenario = load_text(&format!("{CUSTOM}{rules}"), &[]);
    assert_eq!((scenario.numbers.len(), scenario.invariants.len()), (4, 1));
    assert_eq!(scenario.stored_within(), Duration::from_secs(5));
    let resolved = resolved_toml(&scenario).unwrap();
    let again = load_text(&resolved, &[]);
    assert_eq!((&again.numbers, &again.observe), (&scenario.numbers, &scenario.observe), "{resolved}");
}

const HEAD: &str = "name = 'a'\nworkload = 'create-or-get'\n[target.mongo]\nstrategy = 'upsert'\n";
fn mongo(scenario: &Scenario) -> &onlyone::scenario::MongoSpec {
    match &scenario.target {
        TargetSpec::Mongo(mongo) => mongo,
        other => panic!("{other:?}"),
    }
}

const BURST: &str = "[load.burst]\nclients = 3\nrounds = 4\n";

fn load_text(text: &str, overrides: &[&str]) -> Scenario {
    let overrides: Vec<String> = overrides.iter().map(|argument| (*argument).to_owned()).collect();
    let environment = |name: &str| (name == "BRANCH").then(|| "main".to_owned());
    scenario::load_text(Path::new("a.toml"), text.to_owned(), &overrides, &environment, &known)
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
}

#[test]
fn what_is_left_out_has_its_default() {
    let scenario = load_text(&format!("{HEAD}{BURST}"), &[]);
    let mongo = mongo(&scenario);
    assert_eq!((mongo.database.as_str(), mongo.unique_index, mongo.pool), ("onlyone_run", true, None));
    assert!(!mongo.retry_writes && !mongo.retry_reads);
    assert_eq!((scenario.mongod.replica_set, scenario.mongod.test_commands), (0, false));
    assert_eq!(scenario.load, Load::Burst { clients: vec![3], rounds: 4, jitter: Duration::ZERO });
    assert_eq!(scenario.limits.operation_deadline, Duration::from_secs(10));
    assert_eq!(scenario.limits.drain, Duration::from_secs(5));
    assert_eq!(scenario.limits.after_violation, Duration::from_secs(5));
    assert_eq!((scenario.limits.serial_control, scenario.limits.min_effective_trials), (20, 1));
    assert_eq!(scenario.limits.max_unknown, 0.05);
    assert_eq!(scenario.limits.memory.to_string(), "512MB");
    assert_eq!(scenario.expect.verdict, None);
}

#[test]
fn every_key_is_read_and_survives_the_resolved_form() {
    let closed =
        "[load.closed]\nclients = 64\nduration = '1m 30s'\noperations = 5\nkeys = { uniform = { count = 10 } }\n";
    let open = "[load.open]\nrate = 0.5\nduration = '2h'\nmax_clients = 9\narrivals = 'constant'\n";
    let rest = "[mongod]\nreplica_set = 3\ntest_commands = true\n\
        [limits]\noperation_deadline = '500ms'\ndrain = '0s'\nafter_violation = '1m'\nserial_control = 0\nmin_effective_trials = 7\nmax_unknown = '2.5%'\nmemory = '2GB'\n\
        [expect]\nverdict = 'violated'\ninvariants = { 'custom:no orphans' = 'inconclusive', same-id = 'holds' }\n\
        thresholds = ['create-or-get.p99.9 < 1.5s', 'throughput >= 500/s']\n";
    let more =
        "unique_index = false\ndatabase = 'onlyone_${BRANCH}'\npool = 1\nretry_writes = true\nretry_reads = true\n";
    let uniform = Keys::Uniform { count: 10 };
    let zipf = Keys::Zipf { count: 1000, exponent: 1.1 };
    let seconds = Duration::from_secs;
    let stage = |target: u32, lasts| scenario::Stage { target, duration: seconds(lasts) };
    let loads = [
        (closed, Load::Closed { clients: 64, duration: seconds(90), operations: Some(5), keys: uniform }),
        (
            open,
            Load::Open { rate: 0.5, duration: seconds(7200), max_clients: 9, arrivals: Arrivals::Constant, keys: zipf },
        ),
        (
            "[load.burst]\nclients = [2, 8, 150]\nrounds = 1_000\njitter = '1.5ms'\n",
            Load::Burst { clients: vec![2, 8, 150], rounds: 1000, jitter: Duration::from_micros(1500) },
        ),
        (
            "[load.stages]\nstart = 2\nclients = [{ target = 9, duration = '1m' }, { target = 0, duration = '0s' }]\n",
            Load::RampingClients { start: 2, clients: vec![stage(9, 60), stage(0, 0)], keys: zipf },
        ),
        (
            "[load.stages]\nmax_clients = 9\n[[load.stages.rate]]\ntarget = 0.5\nduration = '30s'\n",
            Load::RampingRate {
                start: 0.0,
                max_clients: 9,
                arrivals: Arrivals::Poisson,
                rate: vec![scenario::Stage { target: 0.5, duration: seconds(30) }],
                keys: zipf,
            },
        ),
        ("[load.waves]\nsizes = [1, 1, 5]\n", Load::Waves { sizes: vec![1, 1, 5], rounds: 1 }),
    ];
    for (text, load) in loads {
        let scenario = load_text(&format!("{HEAD}{more}{text}{rest}"), &["name='$${BRANCH} $$${A} $$ROOT'"]);
        assert_eq!(scenario.name, "${BRANCH} $${A} $$ROOT");
        assert_eq!(scenario.load, load);
        let mongo = mongo(&scenario);
        assert_eq!((mongo.database.as_str(), mongo.unique_index, mongo.pool), ("onlyone_main", false, Some(1)));
        assert!(mongo.retry_writes && mongo.retry_reads);
        assert_eq!((scenario.mongod.replica_set, scenario.mongod.test_commands), (3, true));
        assert_eq!(scenario.limits.max_unknown, 0.025);
        assert_eq!(scenario.limits.memory.bytes(), 2_000_000_000);
        assert_eq!(scenario.expect.verdict, Some(Verdict::Violated));
        assert_eq!(scenario.expect.invariants[&Invariant::Custom("no orphans".into())], Verdict::Inconclusive);
        assert_eq!(scenario.expect.thresholds.len(), 2);
        let resolved = resolved_toml(&scenario).unwrap();
        // What a file took from the environment is in the resolved form already.
        let again = load_text(&resolved, &[]);
        assert_eq!(again, Scenario { variables: Vec::new(), ..scenario }, "{resolved}");
    }
}

#[test]
fn faults_read_back_from_their_resolved_form() {
    let faults = "[mongod]\nreplica_set = 3\n\
        [[fault]]\nkind = 'partition'\nat = '1s'\ntarget = 'secondary'\n\
        [[fault]]\nkind = 'slow-disk'\nat = '1s'\nevery = '5s'\ndelay = '300ms'\n\
        [[fault]]\nkind = 'fail-command'\nat = '1s'\ncode = 91\ncommands = ['insert']\nlabels = ['RetryableWriteError']\ntimes = 3\n";
    let scenario = load_text(&format!("{HEAD}{faults}[load.burst]\nclients = 2\nrounds = 3\n"), &[]);
    assert_eq!(scenario.faults.len(), 3);
    assert_eq!(scenario.faults[0].duration(), Duration::from_secs(3), "long enough for an election");
    assert_eq!(load_text(&resolved_toml(&scenario).unwrap(), &[]).faults, scenario.faults);

    let service = "name = 't'\nworkload = 'custom'\n[target.http.operations.go]\npath = '/'\n[service]\ncommand = ['true']\n\
        [load.burst]\nclients = 2\nrounds = 3\n";
    for (by, seconds) in [("-5m", -300.0), ("+300ms", 0.3), ("1h 2s", 3602.0)] {
        let scenario = load_text(&format!("{service}[[fault]]\nkind = 'clock'\nat = '1s'\nby = '{by}'\n"), &[]);
        assert_eq!(scenario.faults[0].by.map(|by| by.as_secs_f64()), Some(seconds), "{by}");
        assert_eq!(load_text(&resolved_toml(&scenario).unwrap(), &[]).faults, scenario.faults, "{by}");
    }
}

#[test]
fn what_is_fresh_reads_back_from_its_resolved_form() {
    let text = "name = 't'\nworkload = 'custom'\n[target.http.operations.go]\npath = '/'\n\
        [service]\ncommand = ['true', '{{ mongo.uri }}']\n[load]\nfresh = 'service'\n[load.burst]\nclients = 2\nrounds = 3\n";
    let scenario = load_text(text, &[]);
    assert_eq!(scenario.fresh, Some(scenario::Fresh::Service));
    let resolved = resolved_toml(&scenario).unwrap();
    let again = load_text(&resolved, &[]);
    assert_eq!((again.fresh, again.load), (scenario.fresh, scenario.load), "{resolved}");
    assert_eq!(load_text(text, &["load.fresh=database"]).fresh, Some(scenario::Fresh::Database));
}

#[test]
fn overrides_take_toml_or_a_word_and_the_last_wins() {
    let scenario = load_text(
        &format!("{HEAD}{BURST}"),
        &[
            "load.burst.clients=[2,8]",
            "load.burst.rounds = 9",
            "load.burst.rounds=10",
            "target.mongo.strategy=find-then-insert",
            "target.mongo.unique_index=false",
            "target.mongo.database=onlyone_${BRANCH}",
            "limits.drain=2s",
            "limits.max_unknown=1%",
            "expect.invariants.\"custom:x = y\"=holds",
            "expect.thresholds=['error_rate < 1%']",
            "name=a = b",
        ],
    );
    let mongo = mongo(&scenario);
    assert_eq!((mongo.strategy.as_str(), mongo.unique_index), ("find-then-insert", false));
    assert_eq!(mongo.database, "onlyone_main");
    assert_eq!(scenario.load, Load::Burst { clients: vec![2, 8], rounds: 10, jitter: Duration::ZERO });
    assert_eq!((scenario.limits.drain, scenario.limits.max_unknown), (Duration::from_secs(2), 0.01));
    assert_eq!(scenario.expect.invariants[&Invariant::Custom("x = y".into())], Verdict::Holds);
    assert_eq!(scenario.expect.thresholds[0].bound, 0.01);
    assert_eq!(scenario.name, "a = b");
    let whole = load_text(HEAD, &["load={ waves = { sizes = [1] } }"]);
    assert_eq!(whole.load, Load::Waves { sizes: vec![1], rounds: 1 });
}

#[test]
fn a_missing_file_is_named_with_its_neighbours() {
    let load = |path: &str| scenario::load(Path::new(path), &[], &|_| None, &known).unwrap_err().render(false);
    let shown = load("scenarios/create-or-get-rase.toml");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "error: there is no scenario file `scenarios/create-or-get-rase.toml`");
    assert!(lines[2].starts_with("the 5 most similar names of "), "{shown}");
    assert_eq!(lines[3], "  scenarios/create-or-get-race.toml");
    assert!(load("create-or-get.toml").contains("\n  scenarios/create-or-get.toml\n"));
    let elsewhere = load("nowhere/at/all.toml");
    assert!(elsewhere.starts_with("error: there is no scenario file `nowhere/at/all.toml`\n"), "{elsewhere}");
    assert!(elsewhere.contains("there is no scenario file near it"), "{elsewhere}");
    assert!(load("nowhere/at/create-or-get.toml").contains("did you mean `scenarios/create-or-get.toml`?"));
    // By whatever path, a file is listed once.
    let here = load("./scenarios/create-or-get-rase.toml");
    assert_eq!(here.matches("create-or-get-race.toml").count(), 2, "as meant, and in the list: {here}");
    let folder = load("scenarios");
    assert!(folder.starts_with("error: `scenarios` is a folder, not a scenario file\n"), "{folder}");
    assert!(folder.contains("as in scenarios/*.toml"), "{folder}");
}

#[test]
fn a_file_too_large_for_a_scenario_is_not_read_to_its_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 40).unwrap();
    let error = scenario::load(file.path(), &[], &|_| None, &known).unwrap_err();
    assert!(matches!(error, ScenarioError::TooLarge { .. }), "{error}");
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let error = load(Path::new("tests/scenarios/invalid/unknown-strategy.toml")).unwrap_err();
    assert!(!error.render(false).contains('\u{1b}'));
    assert!(error.render(true).contains('\u{1b}'));
}

#[test]
fn no_message_holds_a_value_from_the_environment() {
    for path in toml_files("tests/scenarios/invalid") {
        let error = load(&path).unwrap_err();
        let shown = format!("{error} {}", error.render(false));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn no_damage_to_a_file_makes_loading_or_rendering_panic() {
    let text = fs::read_to_string("tests/scenarios/invalid/several-errors.toml").unwrap();
    let overrides = ["load.waves.sizes=[1, 'ü'".to_owned(), "name=${".to_owned()];
    for (at, _) in text.char_indices() {
        let (before, after) = text.split_at(at);
        for damage in ["", "ü", "\"", "${", "\r", "\n", "[", "]", "=", "'''", "\\", "9"] {
            for text in [format!("{before}{damage}"), format!("{before}{damage}{after}")] {
                for overrides in [&overrides[..0], &overrides[..]] {
                    let loaded = scenario::load_text(Path::new("a.toml"), text.clone(), overrides, &|_| None, &known);
                    assert!(loaded.unwrap_err().render(at % 2 == 0).ends_with('\n'));
                }
            }
        }
    }
}

/// Editors complete from the file that the first line of each shipped scenario names.
#[test]
fn the_schema_beside_the_shipped_scenarios_is_the_programs_own() {
    let path = Path::new("scenarios/onlyone.schema.json");
    let schema = serde_json::to_string_pretty(&scenario::schema(&known)).unwrap() + "\n";
    assert!(schema.contains("\"$id\""), "it has a name");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, &schema).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), schema, "UPDATE_EXPECTED=1 writes it again");
    let folders =
        [("tests/services", "../../"), ("tests/services/examples", "../../../"), ("tests/services/kinds", "../../../")];
    for (folder, up) in folders {
        for path in toml_files(folder) {
            let text = fs::read_to_string(&path).unwrap();
            let line = format!("#:schema {up}scenarios/onlyone.schema.json\n");
            assert!(text.starts_with(&line), "{} does not name the schema", path.display());
        }
    }
}

#[test]
fn an_unknown_variable_is_an_error_wherever_it_stands() {
    let whole = "name = 'a'\nworkload = 'custom'\n[load.burst]\nclients = 2\nrounds = 1\n\
        [[setup]]\npath = '/s{SETUP}'\ncapture = { token = '$.t' }\n\
        [target.http]\nwarm_up = '/w{WARM}'\nauth.headers = { A = 'h{HEADER}' }\n\
        [target.http.operations.like]\npath = '/p{PATH}'\njson = { 'n{NAME}' = 'v{VALUE}' }\n\
        before = { path = '/b{BEFORE}', capture = { post = '$.id' } }\n\
        [service]\ncommand = ['x{COMMAND}']\nenv = { E = 'e{ENV}' }\nready = '/r{READY}'\ndir = 'd{DIR}'\n\
        [observe.mongo]\ncollection = 'c{COLLECTION}'\nkey = 'k'\nstored = 's{STORED}'\n\
        elements = { in = 'tags', is = 't{{ op.id }}{IS}' }\n\
        [[invariant]]\nname = 'i'\ncollection = 'c{OF}'\npipeline = '[{ \"$match\": { \"a\": \"{PIPELINE}\" } }]'\nexpect = 'empty'\n";
    let places = [
        "SETUP",
        "WARM",
        "HEADER",
        "PATH",
        "NAME",
        "VALUE",
        "BEFORE",
        "COMMAND",
        "ENV",
        "READY",
        "DIR",
        "COLLECTION",
        "STORED",
        "IS",
        "OF",
        "PIPELINE",
    ];
    let loaded = |wrong: &str, with: &str| {
        let text = places.iter().fold(whole.to_owned(), |text, place| {
            text.replace(&format!("{{{place}}}"), if *place == wrong { with } else { "" })
        });
        scenario::load_text(Path::new("a.toml"), text, &[], &|_| None, &known).map_err(|error| error.render(false))
    };
    loaded("", "").unwrap();
    for place in places {
        let error = loaded(place, "{{ nobody.knows }}").unwrap_err();
        let said =
            error.contains("unknown variable `nobody.knows`") || error.contains("no variables are filled in here");
        assert!(said, "{place}: {error}");
    }
    // What the set-up captures is known to what comes after it, and what comes first for a key to its requests alone.
    for place in ["HEADER", "PATH", "NAME", "VALUE", "BEFORE", "STORED", "IS", "OF", "PIPELINE"] {
        loaded(place, "{{ setup.token }}").unwrap_or_else(|error| panic!("{place}: {error}"));
    }
    for (place, captured) in
        [("PIPELINE", "before.post"), ("OF", "before.post"), ("ENV", "setup.token"), ("SETUP", "setup.token")]
    {
        let error = loaded(place, &format!("{{{{ {captured} }}}}")).unwrap_err();
        assert!(error.contains(&format!("unknown variable `{captured}`")), "{place}: {error}");
    }
}

#[test]
fn several_services_and_a_network_read_back_from_their_resolved_form() {
    let text = "name = 'a'\nworkload = 'custom'\n[load.burst]\nclients = 2\nrounds = 1\n\
        [target.http.operations.like]\npath = '/x'\n\
        [network]\nlisten = '172.17.0.1'\nadvertise = 'host.docker.internal'\nservice = '172.17.0.9'\n\
        [[service]]\ncommand = ['web', '{{ services.mailer.url }}']\nenv_file = '.env'\nready = '/'\n\
        [[service]]\nname = 'mailer'\ncommand = ['mailer', '{{ service.host }}:{{ service.port }}']\n\
        [[service]]\nname = 'worker'\nport = 'none'\ncommand = ['worker', '{{ services.mailer.port }}']\n";
    let load = |text: &str| scenario::load_text(Path::new("a.toml"), text.to_owned(), &[], &|_| None, &known);
    let scenario = load(text).unwrap();
    assert_eq!(scenario.companions.len(), 2);
    assert!(scenario.network.is_elsewhere());
    assert_eq!(load(&resolved_toml(&scenario).unwrap()).unwrap(), scenario);
    let bare = load(&text.replace("'172.17.0.9'", "'fd00::9'")).unwrap();
    assert_eq!(bare.network.service, "[fd00::9]", "as it stands in a URL");
    let cases = [
        ("name = 'mailer'\n", "", "a further service has no name"),
        (
            "'/x'\n",
            "'/x'\nbefore = { path = '/{{ services.mailer.url }}' }\n",
            "unknown variable `services.mailer.url`",
        ),
        ("env_file = '.env'\n", "port = 'none'\n", "the service under test must answer somewhere"),
        (
            "'{{ service.host }}:{{ service.port }}'",
            "'{{ services.worker.port }}'",
            "unknown variable `services.worker.port`",
        ),
        ("name = 'worker'\n", "name = 'mailer'\n", "two services are called `mailer`"),
        ("name = 'worker'\n", "name = 'service'\n", "two services are called `service`"),
        ("'{{ services.mailer.url }}'", "'{{ services.worker.url }}'", "unknown variable `services.worker.url`"),
        ("'172.17.0.1'", "'bridge'", "no address of this machine"),
        ("'host.docker.internal'", "'http://h:1'", "no host"),
        ("'172.17.0.9'", "'h:80'", "no host"),
        ("'worker'\n", "'my worker'\n", "is no name of a service"),
    ];
    for (right, wrong, why) in cases {
        let error = load(&text.replacen(right, wrong, 1)).unwrap_err().render(false);
        assert!(error.contains(why), "{wrong}: {error}");
    }
}
