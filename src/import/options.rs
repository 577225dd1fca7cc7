//! What curl's options mean for a request: a table. Main function: [`meaning`].

/// What an option does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Its value is the method.
    Method,
    /// Its value is a header.
    Header,
    /// Its value is part of the body; whether a leading `@` names a file.
    Data { files: bool },
    /// Its value is part of the body, to be encoded.
    Encoded,
    /// Its value is the body, in JSON.
    Json,
    /// Its value is a field of a multipart form; whether `@` and `<` name files.
    Field { files: bool },
    /// Its value is the user and the password.
    User,
    /// Its value is a bearer token.
    Bearer,
    /// Its value is a cookie.
    Cookie,
    /// Its value is the URL.
    Url,
    /// Its value is part of the query.
    Query,
    /// The data go into the query.
    Get,
    /// Only the head is asked for.
    Head,
    /// It says nothing of the request; with a value, or without.
    Ignored { value: bool },
    /// It reads a file, or asks for several requests: it cannot be taken over.
    Impossible(&'static str),
}

impl Meaning {
    /// Whether a value follows.
    pub(super) fn takes_value(self) -> bool {
        !matches!(self, Meaning::Get | Meaning::Head | Meaning::Ignored { value: false } | Meaning::Impossible(_))
    }
}

/// What an option means, by its long name.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    Some(match name {
        "request" => Meaning::Method,
        "header" => Meaning::Header,
        "data" | "data-ascii" | "data-binary" => Meaning::Data { files: true },
        "data-raw" => Meaning::Data { files: false },
        "data-urlencode" => Meaning::Encoded,
        "json" => Meaning::Json,
        "form" => Meaning::Field { files: true },
        "form-string" => Meaning::Field { files: false },
        "user" => Meaning::User,
        "oauth2-bearer" => Meaning::Bearer,
        "cookie" => Meaning::Cookie,
        "url" => Meaning::Url,
        "url-query" => Meaning::Query,
        "get" => Meaning::Get,
        "head" => Meaning::Head,
        "upload-file" => Meaning::Impossible("it sends a file"),
        "next" => Meaning::Impossible("it begins another request: give each a `--curl` of its own"),
        "config" => Meaning::Impossible("it reads options from a file"),
        _ if IGNORED.contains(&name) => Meaning::Ignored { value: false },
        _ if IGNORED_WITH_VALUE.contains(&name) => Meaning::Ignored { value: true },
        _ => return None,
    })
}

/// The long name of a one-letter option.
pub(super) fn long_name(letter: char) -> Option<&'static str> {
    SHORT.iter().find(|(short, _)| *short == letter).map(|(_, long)| *long)
}

const SHORT: [(char, &str); 43] = [
    ('0', "http1.0"),
    ('1', "tlsv1"),
    ('2', "sslv2"),
    ('3', "sslv3"),
    ('4', "ipv4"),
    ('6', "ipv6"),
    ('A', "user-agent"),
    ('a', "append"),
    ('B', "use-ascii"),
    ('b', "cookie"),
    ('C', "continue-at"),
    ('c', "cookie-jar"),
    ('D', "dump-header"),
    ('d', "data"),
    ('E', "cert"),
    ('e', "referer"),
    ('F', "form"),
    ('f', "fail"),
    ('G', "get"),
    ('g', "globoff"),
    ('H', "header"),
    ('I', "head"),
    ('i', "include"),
    ('j', "junk-session-cookies"),
    ('K', "config"),
    ('k', "insecure"),
    ('L', "location"),
    ('m', "max-time"),
    ('N', "no-buffer"),
    ('n', "netrc"),
    ('O', "remote-name"),
    ('o', "output"),
    ('q', "disable"),
    ('R', "remote-time"),
    ('S', "show-error"),
    ('s', "silent"),
    ('T', "upload-file"),
    ('u', "user"),
    ('v', "verbose"),
    ('w', "write-out"),
    ('X', "request"),
    ('x', "proxy"),
    ('#', "progress-bar"),
];

const IGNORED: [&str; 42] = [
    "anyauth",
    "append",
    "basic",
    "compressed",
    "create-dirs",
    "digest",
    "disable",
    "fail",
    "fail-with-body",
    "globoff",
    "http0.9",
    "http1.0",
    "http1.1",
    "http2",
    "http2-prior-knowledge",
    "http3",
    "include",
    "insecure",
    "ipv4",
    "ipv6",
    "junk-session-cookies",
    "location",
    "location-trusted",
    "netrc",
    "no-buffer",
    "no-keepalive",
    "no-progress-meter",
    "parallel",
    "path-as-is",
    "post301",
    "post302",
    "progress-bar",
    "remote-name",
    "remote-time",
    "retry-all-errors",
    "show-error",
    "silent",
    "show-headers",
    "sslv2",
    "tlsv1",
    "use-ascii",
    "verbose",
];

const IGNORED_WITH_VALUE: [&str; 31] = [
    "cacert",
    "capath",
    "cert",
    "ciphers",
    "connect-timeout",
    "continue-at",
    "cookie-jar",
    "dns-servers",
    "dump-header",
    "interface",
    "keepalive-time",
    "key",
    "limit-rate",
    "max-redirs",
    "max-time",
    "noproxy",
    "output",
    "pass",
    "proto",
    "proxy",
    "proxy-header",
    "proxy-user",
    "referer",
    "resolve",
    "retry",
    "retry-delay",
    "retry-max-time",
    "tls-max",
    "trace",
    "user-agent",
    "write-out",
];
