//! The log-in as a scenario has it. Main function: [`log_in`].

use super::login::Login;
use super::request::{quoted, request, template};
use crate::import::Sample;

/// What a sign-up may be answered with: done, done and led on, or done before.
const SIGNED_UP: &str = "[200, 201, 202, 204, 301, 302, 303, 400, 409, 422]";

/// The table of the log-in, and who signs up before; `user` is the template of who it is.
pub(super) fn log_in(login: &Login, user: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    if login.token.is_none() {
        lines.push("cookies = true".to_owned());
    }
    let who = if login.once {
        "Once for all, before the first request"
    } else {
        "Once per user, before the user's first request"
    };
    lines.extend([String::new(), format!("# {who}."), "[target.http.auth.login]".to_owned()]);
    if login.once {
        lines.push("per = \"once\"".to_owned());
    }
    if let Some(token) = &login.token {
        lines.push(format!("token = {}", quoted(token)));
        let carried = [("header", &login.header, Login::HEADER), ("scheme", &login.scheme, Login::SCHEME)];
        let unusual = carried.into_iter().filter(|(_, value, usual)| value != usual);
        lines.extend(unusual.map(|(name, value, _)| format!("{name} = {}", quoted(value))));
    }
    if let Some(sign_up) = &login.sign_up {
        lines.push("# Who is there already is refused.".to_owned());
        lines.push(format!("before = {{ {}, accept = {SIGNED_UP} }}", written(login, sign_up, user)));
    }
    lines.push(format!("request = {{ {} }}", written(login, &login.sample, user)));
    lines.join("\n") + "\n"
}

/// The request on one line; who it is may stand in its headers, too.
fn written(login: &Login, sample: &Sample, user: &str) -> String {
    let names = login.names(sample, user);
    let header = |(name, value): &(String, String)| (name.clone(), template(value, &names));
    let headers: Vec<(String, String)> = sample.headers.iter().map(header).collect();
    request(sample, &headers, &names).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::from_curl;

    #[test]
    fn who_logs_in_is_named_wherever_the_requests_name_them() {
        let samples = [
            "curl http://app/register -H 'X-Name: ann' -d 'user=ann&password=p'",
            "curl http://app/login -H 'X-Name: ann' -H 'X-App: 7' -d 'user=ann&password=p'",
        ];
        let login = Login::among(&samples.map(|line| from_curl(line).unwrap())).unwrap();
        let text = log_in(&login, "{{ client.user }}");
        let lines: Vec<&str> = text.lines().skip(3).collect();
        let asked = |path: &str| {
            format!(
                "method = \"POST\", path = \"/{path}\", form = {{ password = \"p\", user = \"{{{{ client.user }}}}\" }}"
            )
        };
        let headers = "headers = { x-app = \"7\", x-name = \"{{ client.user }}\" }";
        assert_eq!(
            lines.last().copied(),
            Some(format!("request = {{ {}, {headers} }}", asked("login")).as_str()),
            "{text}"
        );
        // A form that signs up mostly leads its sender on to another page.
        let before = format!(
            "before = {{ {}, headers = {{ x-name = \"{{{{ client.user }}}}\" }}, accept = [200, 201, 202, 204, 301, 302, 303, 400, 409, 422] }}",
            asked("register")
        );
        assert!(text.contains(&before), "{before}\n{text}");
    }
}
