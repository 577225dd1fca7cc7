//! The safety guard: only loopback targets run without being named, and only databases that are the harness's own.
//!
//! It is an allow-list, decided before connecting and again on what the connection turned out to be. No environment
//! variable changes it.

use std::net::IpAddr;

/// What the user allowed on this run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Hosts named with `--allow-target`, without ports.
    pub hosts: Vec<String>,
    /// Databases named with `--allow-database`.
    pub databases: Vec<String>,
}

/// Why a target is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The host is not on this machine.
    #[error("the host `{0}` is not this machine, and was not allowed")]
    Host(String),
    /// The database is not the harness's own.
    #[error("the database `{0}` does not begin with `onlyone_`, and was not allowed")]
    Database(String),
}

impl Guard {
    /// Refuses a host that is neither on this machine nor named. A port may follow.
    pub fn check_host(&self, host: &str) -> Result<(), Refused> {
        let name = without_port(host);
        let named = self.hosts.iter().any(|allowed| without_port(allowed).eq_ignore_ascii_case(name));
        if named || is_socket(name) || is_this_machine(name) { Ok(()) } else { Err(Refused::Host(name.to_owned())) }
    }

    /// Refuses a database that neither begins with `onlyone_` nor is named.
    pub fn check_database(&self, database: &str) -> Result<(), Refused> {
        let own = database.starts_with("onlyone_") || self.databases.iter().any(|allowed| allowed == database);
        if own { Ok(()) } else { Err(Refused::Database(database.to_owned())) }
    }
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        // More than one colon is an IPv6 address without brackets.
        Some((name, port)) if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a host is this machine by its address or by its name. A port may follow.
pub fn is_this_machine(host: &str) -> bool {
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether it is a socket of this machine, percent-encoded in a connection string.
fn is_socket(name: &str) -> bool {
    name.starts_with('/') || name.to_ascii_lowercase().starts_with("%2f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_named_hosts_pass() {
        let guard = Guard { hosts: vec!["staging.example.net".to_owned()], databases: Vec::new() };
        for host in [
            "localhost:27017",
            "127.0.0.1",
            "127.8.9.1:1",
            "[::1]:27017",
            "::1",
            "%2Ftmp%2Fm.sock",
            "Staging.Example.net:27017",
        ] {
            assert_eq!(guard.check_host(host), Ok(()), "{host}");
        }
        for host in [
            "example.net",
            "10.0.0.1:27017",
            "localhost.example.net",
            "127.0.0.1.nip.io",
            "staging.example.net.evil",
            "[2001:db8::1]:1",
            "0.0.0.0",
            "",
        ] {
            assert!(guard.check_host(host).is_err(), "{host}");
            assert!(!is_this_machine(host), "{host}");
        }
        for host in ["LocalHost:80", "localhost", "127.1.2.3:1", "[::1]:27017", "[::1]", "::1"] {
            assert!(is_this_machine(host), "{host}");
        }
        assert!(!is_this_machine("/tmp/m.sock"), "a socket is no name that one asks for");
    }

    #[test]
    fn only_own_and_named_databases_pass() {
        let guard = Guard { hosts: Vec::new(), databases: vec!["chatapp_staging".to_owned()] };
        for database in ["onlyone_ci", "onlyone_run", "chatapp_staging"] {
            assert_eq!(guard.check_database(database), Ok(()), "{database}");
        }
        for database in ["chatapp", "my_onlyone_ci", "ONLYONE_ci", "chatapp_staging2", "admin", ""] {
            assert!(guard.check_database(database).is_err(), "{database}");
        }
    }
}
