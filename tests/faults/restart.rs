//! A service that is killed and started again, by itself.

use std::net::TcpStream;
use std::path::Path;

use onlyone::scenario;
use onlyone::target::{Awaited, Service, ServiceContext};

/// Is ready when both instances are up; the second ends at once where it is told to.
const INSTANCE: &str = "
const fs = require('fs');
const number = process.env.NUMBER;
if (number === '2' && fs.existsSync('refuse')) process.exit(7);
fs.writeFileSync('up-' + number, '');
require('http').createServer((request, response) => {
  response.writeHead(fs.existsSync('up-2') ? 200 : 503);
  response.end();
}).listen(Number(process.env.PORT), '127.0.0.1');
";

async fn started(folder: &Path) -> Service {
    std::fs::write(folder.join("instance.js"), INSTANCE).unwrap();
    let text = "name = \"two\"\nworkload = \"custom\"\n[target.http]\n[target.http.operations.ask]\npath = \"/\"\n\
                [load.burst]\nclients = [2]\nrounds = 1\n\
                [service]\ncommand = [\"node\", \"instance.js\"]\nready = \"/\"\nready_timeout = \"15s\"\ninstances = 2\n\
                env = { PORT = \"{{ service.port }}\", NUMBER = \"{{ service.instance }}\" }\n";
    let strategies = &onlyone::strategy::names;
    let read = scenario::load_text(Path::new("two.toml"), text.to_owned(), &[], &|_| None, strategies);
    let spec = read.unwrap().service.unwrap();
    let context = ServiceContext {
        run_id: "r".to_owned(),
        mongo: None,
        folder: folder.to_owned(),
        logs: folder.to_owned(),
        host: "127.0.0.1".to_owned(),
        others: Default::default(),
        clock: None,
    };
    Service::start(&spec, &context, Awaited::Together).await.unwrap()
}

/// How many of its instances take connections.
fn listening(service: &Service) -> usize {
    let address = |url: &String| url.trim_start_matches("http://").to_owned();
    service.base_urls().iter().filter(|url| TcpStream::connect(address(url)).is_ok()).count()
}

/// Instances that wait for each other come up again as they did at first, and of those that do not nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn instances_are_started_together_and_what_does_not_come_up_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let service = started(folder.path()).await;
    for _ in 0..2 {
        service.kill().await.unwrap();
        assert_eq!(listening(&service), 0);
        std::fs::remove_file(folder.path().join("up-2")).unwrap();
        service.start_again().await.unwrap();
        assert_eq!(listening(&service), 2);
    }
    service.kill().await.unwrap();
    std::fs::write(folder.path().join("refuse"), "").unwrap();
    let why = anyhow::Error::new(service.start_again().await.unwrap_err());
    assert!(format!("{why:#}").contains("it ended with exit status: 7 before it was ready"), "{why:#}");
    assert_eq!(listening(&service), 0, "the other one is left alone");
    service.stop().await.unwrap();
}
