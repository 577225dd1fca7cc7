//! `[network]`.

use std::net::{IpAddr, Ipv6Addr};

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::model::TargetSpec;
use super::super::network::{Network, NetworkSpec};
use super::Check;

impl Check<'_> {
    /// Where the harness and the service meet.
    pub(super) fn network(
        &mut self,
        network: Option<Spanned<Network>>,
        target: Option<&TargetSpec>,
    ) -> Option<NetworkSpec> {
        let usual = NetworkSpec::default();
        let Some(network) = network else { return Some(usual) };
        if let Some(TargetSpec::Mongo(_)) = target {
            return self.note(
                Problem::at(network.span(), "`[network]` belongs to a service")
                    .help("the target is MongoDB itself: `--mongo` says where that is"),
            );
        }
        let Network { listen, advertise, service } = network.into_inner();
        let listen = match &listen {
            Some(text) => self.address(text),
            None => Some(usual.listen),
        };
        let advertise = match advertise {
            Some(host) => self.host(host).map(Some),
            None => Some(None),
        };
        let service = match service {
            Some(host) => self.host(host),
            None => Some(usual.service),
        };
        Some(NetworkSpec { listen: listen?, advertise: advertise?, service: service? })
    }

    fn address(&mut self, text: &Spanned<String>) -> Option<IpAddr> {
        match text.get_ref().trim_matches(['[', ']']).parse() {
            Ok(address) => Some(address),
            Err(_) => self
                .note(Problem::at(text.span(), "no address of this machine").help(
                    "write an IP address, such as the bridge's: \"172.17.0.1\"; a name belongs into `advertise`",
                )),
        }
    }

    /// A host, without scheme and port.
    fn host(&mut self, host: Spanned<String>) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let text = host.get_ref();
        if text.parse::<Ipv6Addr>().is_ok() {
            return Some(format!("[{text}]"));
        }
        let port = !text.starts_with('[') && text.bytes().filter(|byte| *byte == b':').count() == 1;
        match !text.is_empty() && text.bytes().all(plain) && !port {
            true => Some(host.into_inner()),
            false => self
                .note(Problem::at(host.span(), "no host").help("write a name or an address, without scheme and port")),
        }
    }
}
