//! [`Options`]: how the embedded server is to be started.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Environment;
use crate::scenario::MongodSpec;

/// How the embedded server is to be started.
#[derive(Clone)]
pub struct Options {
    /// What a scenario says of it.
    pub spec: MongodSpec,
    /// A replica set acknowledges a write when its members have it in memory, as a server without one does by default; not when
    /// it is in their journals.
    pub unjournaled: bool,
    /// Members of its replica set may be cut off from each other: they meet through relays, and elect another primary sooner. Takes
    /// test commands.
    pub divisible: bool,
    /// Further parameters of the server, by name.
    pub parameters: BTreeMap<String, String>,
    /// Where a mongod comes from.
    pub environment: Environment,
    /// Is told before something that takes long, such as the installation.
    pub notice: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// Options of a scenario, in the environment of this process, without notices.
    pub fn new(spec: MongodSpec) -> Self {
        Options {
            spec,
            unjournaled: false,
            divisible: false,
            parameters: BTreeMap::new(),
            environment: Environment::of_process(),
            notice: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("spec", &self.spec)
            .field("unjournaled", &self.unjournaled)
            .field("divisible", &self.divisible)
            .field("parameters", &self.parameters)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}
