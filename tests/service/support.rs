//! A running service and a client that speaks to it.

use std::sync::Once;

use onlyone::mongod::{Mongod, Options};
use onlyone::scenario::MongodSpec;
use onlyone::service::{Listening, Secret, Service, ServiceError, Settings, Strategies};
use onlyone::strategy::InjectedDelay;
use onlyone::target::{Guard, MongoUri};
use serde_json::{Value, json};

/// A standalone server.
pub(crate) async fn mongod() -> Mongod {
    Mongod::start(&Options::new(MongodSpec { replica_set: 0, test_commands: false })).await.unwrap()
}

/// Settings with these choices of strategy and a database of their own.
pub(crate) fn settings(database: &str, choices: &[&str]) -> Settings {
    let mut strategies = Strategies::default();
    choices.iter().for_each(|choice| strategies.choose(choice).unwrap());
    Settings {
        database: format!("onlyone_{database}"),
        strategies,
        unique_index: true,
        pool: 30,
        delay: InjectedDelay::default(),
        password: None,
        token_secret: Secret::new("test"),
        planted: None,
    }
}

/// Starts a service in this process; it ends with the runtime of the test.
pub(crate) async fn start(mongod: &Mongod, settings: Settings) -> Api {
    try_start(mongod, settings).await.unwrap()
}

pub(crate) async fn try_start(mongod: &Mongod, settings: Settings) -> Result<Api, ServiceError> {
    let service = Service::connect(&MongoUri::new(mongod.uri()), &Guard::default(), settings).await?;
    let listening = Listening::bind(service, 0).await?;
    let url = listening.url();
    tokio::spawn(listening.run(std::future::pending()));
    Ok(Api::new(&url))
}

/// A status and a body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// Sees that the answer is an error with this status and message.
    pub(crate) fn refuses(&self, status: u16, part: &str) {
        let message = self.body["error"].as_str().unwrap_or_default();
        assert!(self.status == status && message.contains(part), "{self:?} instead of {status} with `{part}`");
    }
}

/// A service at a URL, asked by one user or by nobody.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        Api { client: reqwest::Client::builder().no_proxy().build().unwrap(), url: url.to_owned(), token: None }
    }

    /// The same service, asked by this user.
    pub(crate) async fn user(&self, user: &str) -> Api {
        let answer = self.post("/login", json!({ "user": user })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.with_token(answer.body["token"].as_str().unwrap())
    }

    pub(crate) fn with_token(&self, token: &str) -> Api {
        Api { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    /// The same user at another instance.
    pub(crate) fn at(&self, url: &str) -> Api {
        Api { url: url.to_owned(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> Answer {
        self.send(self.client.post(format!("{}{path}", self.url)).body(body.to_owned())).await
    }

    /// As the operation of this number.
    pub(crate) async fn post_as(&self, op: &str, path: &str, body: Value) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url)).header("X-Op-Id", op);
        self.send(request.body(body.to_string())).await
    }

    pub(crate) async fn request(&self, method: &str, path: &str) -> Answer {
        let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        self.send(self.client.request(method, format!("{}{path}", self.url))).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text}: {error}"));
        Answer { status, body }
    }
}
