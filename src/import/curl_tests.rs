use serde_json::json;

use super::*;

fn read(line: &str) -> Sample {
    from_curl(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn pairs_of(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn methods_and_bodies_are_those_that_curl_sends() {
    let form = |list: &[(&str, &str)]| Body::Form(pairs_of(list));
    let json = |value| Body::Json(value);
    let type_json = "-H 'Content-Type: application/json'";
    let cases: Vec<(String, &str, Body)> = vec![
        ("curl http://h/x".into(), "GET", Body::None),
        ("curl -X POST http://h/x".into(), "POST", Body::None),
        ("curl -XDELETE http://h/x".into(), "DELETE", Body::None),
        ("curl --request patch http://h/x".into(), "PATCH", Body::None),
        ("curl -I http://h/x".into(), "HEAD", Body::None),
        (format!(r#"curl http://h/x {type_json} -d '{{"a":1}}'"#), "POST", json(json!({"a": 1}))),
        (format!(r#"curl http://h/x {type_json} --data-raw '{{"a":"@b"}}'"#), "POST", json(json!({"a": "@b"}))),
        (format!(r#"curl -X PUT http://h/x {type_json} --data '{{"a":[true]}}'"#), "PUT", json(json!({"a": [true]}))),
        (r#"curl --json '{"a":' --json '2}' http://h/x"#.into(), "POST", json(json!({"a": 2}))),
        (r#"curl --json='{"a":2}' http://h/x"#.into(), "POST", json(json!({"a": 2}))),
        ("curl http://h/x -d a=1 -d b=2+3".into(), "POST", form(&[("a", "1"), ("b", "2 3")])),
        ("curl -da=1 http://h/x".into(), "POST", form(&[("a", "1")])),
        ("curl http://h/x --data-urlencode 'a=b c&d'".into(), "POST", form(&[("a", "b c&d")])),
        ("curl http://h/x --data-raw @a".into(), "POST", form(&[("@a", "")])),
        ("curl -d '' http://h/x".into(), "POST", Body::None),
        (
            "curl http://h/x -F 'a=b;type=text/plain' --form-string c=@d".into(),
            "POST",
            Body::Multipart(pairs_of(&[("a", "b"), ("c", "@d")])),
        ),
        ("curl -H 'content-type: text/plain' -d 'a=1' http://h/x".into(), "POST", Body::Text("a=1".into())),
    ];
    for (line, method, body) in cases {
        let sample = read(&line);
        assert_eq!((sample.method.as_str(), &sample.body), (method, &body), "{line}");
        assert_eq!((sample.origin.as_deref(), sample.path().as_str()), (Some("http://h"), "/x"), "{line}");
    }
}

#[test]
fn a_form_of_several_parts_is_sent_as_one() {
    for line in ["curl http://h/x -F a=b", "curl -H 'content-type: multipart/form-data; boundary=x' http://h/x -F a=b"]
    {
        let sample = read(line);
        assert_eq!((sample.body, sample.headers), (Body::Multipart(pairs_of(&[("a", "b")])), vec![]), "{line}");
    }
}

#[test]
fn urls_are_taken_apart() {
    let cases = [
        (
            "curl localhost:3000/a/b%20c?x=1&y=2",
            Some("http://localhost:3000"),
            "/a/b%20c",
            vec![("x", "1"), ("y", "2")],
        ),
        ("curl --url https://h:8443/", Some("https://h:8443"), "/", vec![]),
        (
            "curl -G http://h/a?x=1 -d y=2 --data-urlencode 'z=a b'",
            Some("http://h"),
            "/a",
            vec![("x", "1"), ("y", "2"), ("z", "a b")],
        ),
        ("curl http://h/a --url-query q=1", Some("http://h"), "/a", vec![("q", "1")]),
        ("curl 'http://[::1]:80/a/'", Some("http://[::1]"), "/a/", vec![]),
        ("curl -- http://h/a", Some("http://h"), "/a", vec![]),
    ];
    for (line, origin, path, query) in cases {
        let sample = read(line);
        assert_eq!((sample.origin.as_deref(), sample.path().as_str()), (origin, path), "{line}");
        assert_eq!(sample.query, pairs_of(&query), "{line}");
        assert_eq!((sample.method.as_str(), sample.body), ("GET", Body::None), "{line}");
    }
}

#[test]
fn headers_are_the_requests_own() {
    let line = r#"curl 'http://h/x' -H 'Accept: */*' -H 'User-Agent: Mozilla' -H 'sec-ch-ua: "x"' -H 'Origin: http://h' \
        -H 'X-User: ann' -H 'X-Empty;' -H 'X-Removed:' -b 'a=1; b=2' -u ann:secret --compressed -sSLk -o /dev/null -A me -e http://r -m5"#;
    let expected = [
        ("accept", "*/*"),
        ("x-user", "ann"),
        ("x-empty", ""),
        ("cookie", "a=1; b=2"),
        ("authorization", "Basic YW5uOnNlY3JldA=="),
    ];
    assert_eq!(read(line).headers, pairs_of(&expected));
    assert_eq!(read("curl http://h/x -H 'Content-Type: application/json' -d '{}'").headers, pairs_of(&[]));
    let kept = [("content-type", "application/merge-patch+json")];
    assert_eq!(
        read("curl http://h/x -H 'Content-Type: application/merge-patch+json' -d '{}'").headers,
        pairs_of(&kept)
    );
    // curl says that it is a form; a service that reads it as JSON gets the same bytes.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let sample = read(r#"curl http://h/x -d '{"a":1}'"#);
    assert_eq!((sample.headers, sample.body), (pairs_of(&form), Body::Json(json!({"a": 1}))));
    let cookies = "curl http://h/x -b a=1 -H 'X-A: 1' --cookie 'b=2; c=3' -bd=4";
    assert_eq!(read(cookies).headers, pairs_of(&[("cookie", "a=1; b=2; c=3; d=4"), ("x-a", "1")]));
    assert_eq!(read("curl http://h/x --oauth2-bearer t").headers, pairs_of(&[("authorization", "Bearer t")]));
    assert_eq!(read("curl http://ann:s%40@h/x").headers, pairs_of(&[("authorization", "Basic YW5uOnNA")]));
}

#[test]
fn what_a_browser_copies_is_read() {
    let line = "curl 'http://localhost:3000/api/things?x=1' \\\n  -X 'POST' \\\n  -H 'Accept: application/json' \\\n  -H 'Content-Type: application/json' \\\n  --data-raw $'{\"name\":\"caf\\u00e9 \\'x\\'\"}' \\\n  --compressed ;";
    let sample = read(line);
    assert_eq!(sample.body, Body::Json(json!({"name": "café 'x'"})));
    assert_eq!((sample.route().as_str(), sample.writes()), ("POST /api/things", true));
}

#[test]
fn mistakes_are_named_with_what_to_do() {
    let cases = [
        ("", "it is empty"),
        ("wget http://h", "begins with `wget`"),
        ("POST /x HTTP/1.1", "begins with `POST`"),
        ("curl", "has no URL"),
        ("curl -X", "value of curl's `-X` is missing"),
        ("curl http://h http://i", "a second URL, `http://i`"),
        ("curl http://h -d {\"a\": 1}", "a second URL"),
        ("curl ftp://h/x", "only http and https"),
        ("curl http://", "not the URL of a request"),
        ("curl http://h -H nonsense", "`nonsense` is not a header"),
        ("curl http://h -d @file.json", "reads a file"),
        ("curl http://h --json @file.json", "reads a file"),
        ("curl http://h -F a=@photo.png", "reads a file"),
        ("curl http://h -F a", "not a field"),
        ("curl http://h -b cookies.txt", "reads a file"),
        ("curl http://h -T file", "it sends a file"),
        ("curl http://h --next http://i", "begins another request"),
        ("curl http://h --frobnicate", "`--frobnicate` is not known"),
        ("curl http://h -J", "`-J` is not known"),
        ("curl http://h -H 'Content-Type: application/json' -d '{\"a\":}'", "said to be JSON, and is not"),
        ("curl http://h --json '{a:1}'", "said to be JSON, and is not"),
        ("curl http://h -H \"Authorization: Bearer $TOKEN\"", "leaves $TOKEN to a shell"),
        ("curl ^\n http://h", "cmd.exe"),
    ];
    for (line, what) in cases {
        let error = from_curl(line).unwrap_err();
        assert!(error.message.contains(what), "{line}: {error}");
    }
}
