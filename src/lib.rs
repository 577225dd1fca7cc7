//! `onlyone` fires truly concurrent operations at a MongoDB-backed service, directly or over HTTP, and proves that only
//! one document came of it.
//!
//! Most people use the command, `onlyone run scenario.toml`. A Rust project can run the same scenarios in its own tests: a
//! [`Scenario`] says what is sent and what must hold, a [`Session`] runs it, and its [`Report`] is asserted on.
//!
//! ```no_run
//! #[tokio::test(flavor = "multi_thread")]
//! async fn one_chat_per_pair() {
//!     let scenario = onlyone::Scenario::load("tests/one-chat-per-pair.toml").unwrap();
//!     let report = onlyone::Session::new(scenario).run().await.unwrap();
//!     assert!(report.holds(), "{report}");
//! }
//! ```
//!
//! A service that runs inside the test gets its database from an [`EmbeddedMongo`]; `examples/in_a_test.rs` shows one. [`check`]
//! judges a recorded run again.
//!
//! What else the crate has is for its own command, tests and benchmarks: it is not documented here, and may change at any time.

pub use api::{EmbeddedMongo, Error, Finding, Latency, Operations, Proof, Report, Scenario, Session, check};
pub use verdict::Verdict;

pub(crate) mod api;
pub(crate) mod assess;
#[doc(hidden)]
pub mod audit;
#[doc(hidden)]
pub mod checker;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod driver;
pub(crate) mod explain;
#[doc(hidden)]
pub mod explore;
pub(crate) mod fault;
#[doc(hidden)]
pub mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod lint;
pub(crate) mod live;
#[doc(hidden)]
pub mod mongod;
#[doc(hidden)]
pub mod process;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod scenario;
pub(crate) mod scope;
#[doc(hidden)]
pub mod selftest;
pub(crate) mod serial;
#[doc(hidden)]
pub mod service;
pub(crate) mod session;
pub(crate) mod shard;
#[doc(hidden)]
pub mod stats;
#[doc(hidden)]
pub mod strategy;
#[doc(hidden)]
pub mod target;
#[doc(hidden)]
pub mod verdict;
#[doc(hidden)]
pub mod workload;
