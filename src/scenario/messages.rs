//! How a service shows messages, in answers and in documents: `[target.http.messages]`. Main type: [`MessageSpec`].

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::workloads::WorkloadKind;

/// Fields of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageSpec {
    /// The number of the operation that wrote it: a number, or a text that ends on `#` and the number. Default `opId`.
    pub op: String,
    /// Who speaks. Default `role`.
    pub role: String,
    /// What `role` says of the service's answer; everything else is the user's. Default `bot`.
    pub bot: String,
    /// What is said: default `text`; of a delivered content its address: default `url`.
    pub text: String,
    /// Number of the sender. Default `sender`.
    pub sender: String,
    /// Count of the sender's messages. Default `n`.
    pub n: String,
    /// Whether the service stores an answer with each message. Default true.
    pub answers: bool,
    /// Whether the answer repeats the message, `re: hello` to `hello`. Only then is it known what must be stored.
    pub repeats: bool,
}

/// `[target.http.messages]` as it is written.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Messages {
    /// Field with the number of the writing operation; in a text, the number after the last `#`.
    pub(super) op: Option<String>,
    /// Field that tells the user's message from the service's answer.
    pub(super) role: Option<String>,
    /// What that field says of the service's answer.
    pub(super) bot: Option<String>,
    /// Field of the text, or of a delivered content's address.
    pub(super) text: Option<String>,
    /// Field of the sender's number.
    pub(super) sender: Option<String>,
    /// Field of the count of the sender's messages.
    pub(super) n: Option<String>,
    /// Whether an answer is stored with each message.
    pub(super) answers: Option<bool>,
    /// Whether the answer is `re: ` and the message.
    #[serde(default)]
    pub(super) repeats: bool,
}

impl Messages {
    /// With every default filled in.
    pub(super) fn filled(messages: Option<Spanned<Messages>>, workload: WorkloadKind) -> MessageSpec {
        let Messages { op, role, bot, text, sender, n, answers, repeats } =
            messages.map(Spanned::into_inner).unwrap_or_default();
        let usual = if workload == WorkloadKind::Merge { "url" } else { "text" };
        let or = |written: Option<String>, usual: &str| written.unwrap_or_else(|| usual.to_owned());
        MessageSpec {
            op: or(op, "opId"),
            role: or(role, "role"),
            bot: or(bot, "bot"),
            text: or(text, usual),
            sender: or(sender, "sender"),
            n: or(n, "n"),
            answers: answers.unwrap_or(true),
            repeats,
        }
    }
}
