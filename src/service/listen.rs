//! [`Listening`]: routes, and a port on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router, middleware};
use mongodb::bson::doc;
use serde::Serialize;
use tokio::net::TcpListener;

use super::refusal::Refusal;
use super::{Service, ServiceError, auth, body, chats, conversations, merged, openapi, planted, tasks, threads};

/// How long requests in flight may take to end once the service stops.
const GRACE: Duration = Duration::from_secs(5);

/// A service that can be reached.
#[derive(Debug)]
pub struct Listening {
    service: Arc<Service>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Listens on a port of the loopback interface; 0 is any free one.
    pub async fn bind(service: Arc<Service>, port: u16) -> Result<Self, ServiceError> {
        let failed = |source| ServiceError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Listening { service, listener, address })
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests until `shutdown`, then ends those in flight.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServiceError> {
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        // An answer of several packets must not wait for the acknowledgement of the first.
        let listener = self.listener.tap_io(|stream| {
            // Without it the service is slower and just as good.
            stream.set_nodelay(true).ok();
        });
        let serving = axum::serve(listener, router(self.service)).with_graceful_shutdown(async move {
            shutdown.await;
            // Nobody waits for the word any more when the server has ended by itself.
            stopping.send(()).ok();
        });
        let late = async {
            match stopped.await {
                Ok(()) => tokio::time::sleep(GRACE).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = async { serving.await } => ended.map_err(ServiceError::Serve),
            () = late => Ok(()),
        }
    }
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(openapi::document))
        .route("/login", post(auth::login))
        .route("/api/chats", get(chats::list))
        .route("/api/chats/create-or-get", post(chats::create_or_get))
        .route("/api/chats/with/{participant}", get(chats::with))
        .route("/api/chats/{id}", get(chats::by_id))
        .route("/api/conversations", get(conversations::list))
        .route("/api/conversations/{session}", get(conversations::one))
        .route("/api/conversations/{session}/text", post(conversations::text))
        .route("/api/conversations/{session}/voice", post(conversations::voice))
        .route("/api/user-chats", get(merged::list))
        .route("/api/user-chats/{chat}", get(merged::one).post(merged::open))
        .route("/api/user-chats/{chat}/webhook", post(merged::webhook))
        .route("/api/user-chats/{chat}/polling", post(merged::polling))
        .route("/api/user-chats/{chat}/manual-merge", post(merged::manual))
        .route("/api/user-chats/{chat}/tasks/{merge}/webhook", post(tasks::announced::<true>))
        .route("/api/user-chats/{chat}/tasks/{merge}/polling", post(tasks::announced::<false>))
        .route("/api/chat/check-existing-thread", post(threads::check))
        .route("/api/chat/start-conversation", post(threads::start))
        .route("/api/chat/threads", get(threads::list))
        .route("/api/chat/threads/{id}", get(threads::one))
        .route("/api/chat/threads/{id}/expand", post(threads::expand))
        .route("/api/chat/threads/{id}/resign", post(threads::resign))
        .route("/api/chat/threads/{id}/messages", get(threads::messages))
        .route("/planted/{operation}/{key}/{op}", post(planted::answer))
        .fallback(async || Refusal::not_found("there is no such route; see GET /openapi.json"))
        .method_not_allowed_fallback(async || Refusal::method("the route knows other methods; see GET /openapi.json"))
        // The one limit of a body is the one of `whole`.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(body::whole))
        .with_state(service)
}

/// Answer of `GET /health`.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    practice: bool,
}

async fn health(State(service): State<Arc<Service>>) -> Result<Json<Health>, Refusal> {
    match service.connected.admin(doc! { "ping": 1 }).await {
        Ok(_) => Ok(Json(Health { status: "ok", practice: true })),
        Err(_) => Err(Refusal::unavailable("MongoDB does not answer")),
    }
}
