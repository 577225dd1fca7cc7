//! Where the harness and a service meet when they are not on one loopback: `[network]`. Main type: [`NetworkSpec`].

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// Addresses of the two sides. Anything but loopback must also be allowed on each run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkSpec {
    /// Where the harness offers the service its database: an address of this machine. Default 127.0.0.1.
    pub listen: IpAddr,
    /// What the service is told of that. Default the address itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// Where services that the harness starts answer. Default 127.0.0.1.
    pub service: String,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        NetworkSpec { listen: loopback, advertise: None, service: loopback.to_string() }
    }
}

impl NetworkSpec {
    /// What the service is told of the harness's side.
    pub fn advertised(&self) -> String {
        self.advertise.clone().unwrap_or_else(|| match self.listen {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        })
    }

    /// Whether the harness offers its database at an address of its own.
    pub fn is_elsewhere(&self) -> bool {
        !self.listen.is_loopback() || self.advertise.is_some()
    }
}

/// `[network]` as it is written.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Network {
    /// Address of this machine at which the harness offers the service its database; by default 127.0.0.1.
    #[schemars(with = "Option<String>")]
    pub(super) listen: Option<Spanned<String>>,
    /// Name by which the service reaches that address, such as `host.docker.internal`.
    #[schemars(with = "Option<String>")]
    pub(super) advertise: Option<Spanned<String>>,
    /// Host at which services that the harness starts answer; by default 127.0.0.1.
    #[schemars(with = "Option<String>")]
    pub(super) service: Option<Spanned<String>>,
}
