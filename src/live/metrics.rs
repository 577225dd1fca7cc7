//! The sums of a run as metrics: OpenMetrics text for Prometheus, and OTLP as JSON, under the names of OpenTelemetry's semantic
//! conventions. Identifiers of documents are never labels.

use serde_json::{Value, json};

use super::feed::{BOUNDS, Feed, Series};

/// What the operations were sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// MongoDB, directly.
    Database,
    /// A service over HTTP.
    Service,
}

impl Subject {
    fn metric(self) -> (&'static str, &'static str) {
        match self {
            Subject::Database => ("db.client.operation.duration", "Duration of database client operations."),
            Subject::Service => ("http.client.request.duration", "Duration of HTTP client requests."),
        }
    }

    /// The attributes of a series.
    fn attributes(self, operation: &str, outcome: &str) -> Vec<(&'static str, String)> {
        let mut attributes = match self {
            Subject::Database => {
                vec![("db.system.name", "mongodb".to_owned()), ("db.operation.name", operation.to_owned())]
            }
            Subject::Service => vec![("onlyone.operation", operation.to_owned())],
        };
        if outcome != "ok" {
            attributes.push(("error.type", outcome.to_owned()));
        }
        attributes
    }
}

/// The metrics as OpenMetrics text.
pub fn open_metrics(feed: &Feed, subject: Subject) -> String {
    let (name, help) = subject.metric();
    let name = format!("{}_seconds", name.replace('.', "_"));
    let mut text = format!("# TYPE {name} histogram\n# UNIT {name} seconds\n# HELP {name} {help}\n");
    for (operation, outcome, series) in feed.series() {
        let labels = labels(&subject.attributes(&operation, outcome));
        let mut sum = 0;
        for (bucket, count) in series.buckets.iter().enumerate() {
            sum += count;
            let bound = BOUNDS.get(bucket).map_or("+Inf".to_owned(), |bound| format!("{bound:?}"));
            text.push_str(&format!("{name}_bucket{{{labels},le=\"{bound}\"}} {sum}\n"));
        }
        text.push_str(&format!(
            "{name}_count{{{labels}}} {}\n{name}_sum{{{labels}}} {:?}\n",
            series.count, series.sum_s
        ));
    }
    let shown = feed.snapshot();
    let counters = [
        ("operations", "Operations so far.", Some(shown.operations)),
        ("violations", "Violations that are known so far.", shown.violations),
    ];
    for (name, help, value) in counters.iter().filter_map(|(name, help, value)| Some((name, help, (*value)?))) {
        text.push_str(&format!(
            "# TYPE onlyone_{name} counter\n# HELP onlyone_{name} {help}\nonlyone_{name}_total {value}\n"
        ));
    }
    text.push_str("# EOF\n");
    text
}

fn labels(attributes: &[(&str, String)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let label = |(name, value): &(&str, String)| format!("{}=\"{}\"", name.replace('.', "_"), escaped(value));
    attributes.iter().map(label).collect::<Vec<_>>().join(",")
}

/// The metrics as the body of an OTLP request: `ExportMetricsServiceRequest` in JSON. Times are in nanoseconds since 1970.
pub fn otlp(feed: &Feed, subject: Subject, started: u128, now: u128) -> Value {
    let (name, description) = subject.metric();
    let times = |mut point: Value| {
        point["startTimeUnixNano"] = started.to_string().into();
        point["timeUnixNano"] = now.to_string().into();
        point
    };
    let points: Vec<Value> = feed
        .series()
        .iter()
        .map(|(operation, outcome, series)| times(point(series, &subject.attributes(operation, outcome))))
        .collect();
    let shown = feed.snapshot();
    let counter = |name: &str, value: u64| {
        json!({
            "name": name,
            "unit": "1",
            "sum": {
                "aggregationTemporality": 2,
                "isMonotonic": true,
                "dataPoints": [times(json!({ "asInt": value.to_string(), "attributes": [] }))],
            },
        })
    };
    let histogram = json!({
        "name": name,
        "description": description,
        "unit": "s",
        "histogram": { "aggregationTemporality": 2, "dataPoints": points },
    });
    let mut metrics = vec![histogram, counter("onlyone.operations", shown.operations)];
    metrics.extend(shown.violations.map(|violations| counter("onlyone.violations", violations)));
    let resource = [
        ("service.name", "onlyone"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("onlyone.run.id", &shown.run_id),
        ("onlyone.scenario", &shown.scenario),
    ];
    json!({
        "resourceMetrics": [{
            "resource": { "attributes": resource.map(|(key, value)| attribute(key, value)) },
            "scopeMetrics": [{
                "scope": { "name": "onlyone", "version": env!("CARGO_PKG_VERSION") },
                "metrics": metrics,
            }],
        }],
    })
}

fn point(series: &Series, attributes: &[(&str, String)]) -> Value {
    json!({
        "attributes": attributes.iter().map(|(key, value)| attribute(key, value)).collect::<Vec<_>>(),
        "count": series.count.to_string(),
        "sum": series.sum_s,
        "bucketCounts": series.buckets.iter().map(u64::to_string).collect::<Vec<_>>(),
        "explicitBounds": BOUNDS,
    })
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use super::super::feed::tests::operation;
    use super::*;

    fn feed() -> Feed {
        let feed = Feed::new("a \"scenario\"", "run-1", None);
        feed.recorded(&[operation(1, 0, 3, true), operation(2, 0, 30, true), operation(3, 0, 20_000, false)], &[2]);
        feed
    }

    #[test]
    fn open_metrics_are_cumulative_and_end() {
        let text = open_metrics(&feed(), Subject::Database);
        let labels = "db_system_name=\"mongodb\",db_operation_name=\"book\"";
        for line in [
            &format!("db_client_operation_duration_seconds_bucket{{{labels},le=\"0.005\"}} 1"),
            &format!("db_client_operation_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 2"),
            &format!("db_client_operation_duration_seconds_bucket{{{labels},error_type=\"failed\",le=\"10.0\"}} 0"),
            &format!("db_client_operation_duration_seconds_count{{{labels},error_type=\"failed\"}} 1"),
            "onlyone_operations_total 3",
            "onlyone_violations_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("k\"1"), "{text}");
    }

    #[test]
    fn otlp_has_the_shape_of_a_metrics_request() {
        let body = otlp(&feed(), Subject::Service, 5, 7);
        let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics[0]["name"], "http.client.request.duration");
        let points = metrics[0]["histogram"]["dataPoints"].as_array().unwrap();
        assert_eq!(points.len(), 2);
        for point in points {
            let buckets = point["bucketCounts"].as_array().unwrap();
            assert_eq!(buckets.len(), point["explicitBounds"].as_array().unwrap().len() + 1);
            let sum: u64 = buckets.iter().map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum();
            assert_eq!(point["count"], sum.to_string());
            assert_eq!((&point["startTimeUnixNano"], &point["timeUnixNano"]), (&json!("5"), &json!("7")));
        }
        assert_eq!(metrics[2]["sum"]["dataPoints"][0]["asInt"], "1");
    }
}
