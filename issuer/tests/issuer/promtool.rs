//! The metrics, and the alerts and the dashboard in `deploy/`, checked by the tools of Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::cluster::is_skipped;
use crate::common::{Server, get, login, stderr, stdout};
use crate::watch::admin;

fn deploy(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "deploy", file].iter().collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(deploy(file)).unwrap()
}

/// Runs promtool with `input` on stdin. Returns `None` if it is skipped.
fn promtool(arguments: &[&str], input: &str) -> Option<Output> {
    if is_skipped("promtool") {
        return None;
    }
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| {
        panic!(
            "promtool does not run ({e}): install it (Debian: `sudo apt-get install prometheus`), or \
             skip the tests that need it with COUNTERSIGN_SKIP=promtool"
        )
    });
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[track_caller]
fn is_good(done: Option<Output>) {
    let Some(done) = done else { return };
    assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
}

/// Returns the metrics of an issuer after a login.
async fn served() -> String {
    let server = Server::start().await;
    login(&server.url).await.refresh_token();
    get(&admin(&server).await, "/metrics").await.text
}

#[tokio::test]
async fn promtool_accepts_the_metrics() {
    let served = served().await;
    is_good(promtool(&["check", "metrics"], &served));
    // Check the check: promtool refuses a wrong name.
    let unnamed = served.replace("countersign_logins_total", "countersign_logins");
    if let Some(done) = promtool(&["check", "metrics"], &unnamed) {
        assert!(!done.status.success(), "{}", stdout(&done));
    }
}

#[test]
fn each_alert_is_valid_fires_in_a_test_and_links_its_runbook() {
    let alerts = deploy("prometheus/alerts.yml");
    is_good(promtool(
        &["check", "rules", "--lint=all", "--lint-fatal", alerts.to_str().unwrap()],
        "",
    ));
    let tests = deploy("prometheus/alerts.test.yml");
    is_good(promtool(&["test", "rules", tests.to_str().unwrap()], ""));

    let (alerts, tests) = (read("prometheus/alerts.yml"), read("prometheus/alerts.test.yml"));
    let base = "{{ or $externalLabels.countersign_runbooks `docs/operations.md` }}";
    let mut count = 0;
    for alert in alerts.split("\n      - alert: ").skip(1) {
        count += 1;
        let name = alert.lines().next().unwrap();
        assert!(tests.contains(&format!("  - name: {name} fires\n")), "{name} has no test");
        let link = format!("runbook_url: \"{base}#alert-{}\"\n", name.to_lowercase());
        for part in ["labels: { severity: ", "summary: ", "description: ", &link] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
    }
    assert!(count > 10, "{count}");
}

/// Returns all expressions of the dashboard, with its variables replaced.
fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana/countersign-issuer.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    let set = |text: &str| text.replace("$__rate_interval", "5m").replace("$instance", ".*");
    expressions.map(set).collect()
}

#[test]
fn each_expression_of_the_dashboard_is_promql() {
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 30, "{}", expressions.len());
    let rules = expressions.iter().enumerate();
    let rules: Vec<_> = rules
        .map(|(index, expr)| json!({ "record": format!("panel:{index}"), "expr": expr }))
        .collect();
    // JSON is valid YAML.
    let file =
        |rules: &[Value]| json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("panels.yml");
    let check = |rules: &[Value]| {
        fs::write(&path, file(rules)).unwrap();
        promtool(&["check", "rules", path.to_str().unwrap()], "")
    };
    is_good(check(&rules));
    let wrong = json!({ "record": "panel:wrong", "expr": "sum by (route) (rate(x[5m])" });
    if let Some(done) = check(&[&rules[..], &[wrong]].concat()) {
        assert!(!done.status.success(), "{}", stdout(&done));
    }
}

#[test]
fn the_dashboard_is_well_formed() {
    let dashboard: Value = serde_json::from_str(&read("grafana/countersign-issuer.json")).unwrap();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 42);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert_eq!(
        (&variables[0]["name"], &variables[0]["type"]),
        (&json!("datasource"), &json!("datasource"))
    );
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Traffic", "Logins", "Sessions", "Keys", "Store", "Storage", "Process"]);
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let place = &panel["gridPos"];
        let number = |name: &str| place[name].as_u64().unwrap();
        assert!(number("x") + number("w") <= 24 && number("h") > 0, "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
    }
}

#[tokio::test]
async fn each_metric_and_label_that_dashboard_and_alerts_name_is_served() {
    let served = served().await;
    let types: BTreeSet<_> =
        served.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let is_served = |name: &str| {
        let of_histogram =
            ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        types.iter().any(|served| match served.split_once(' ').unwrap() {
            (base, "histogram") => of_histogram == Some(base),
            (base, _) => base == name,
        })
    };
    // The annotations of the alerts are not PromQL.
    let alerts = read("prometheus/alerts.yml");
    let alerts = alerts.split("- alert: ").skip(1);
    let alerts = alerts.filter_map(|alert| alert.split("annotations:").next());
    let all = dashboard_expressions().into_iter().chain(alerts.map(ToOwned::to_owned));
    let mut names = BTreeSet::new();
    for expression in all {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metric = |word: &&str| word.starts_with("countersign_") || word.starts_with("process_");
        names.extend(words.filter(metric).map(ToOwned::to_owned));
        for (before, after) in expression.split('"').zip(expression.split('"').skip(1)).step_by(2) {
            let label = before.trim_end_matches(['=', '~', '!']);
            let label = label.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
            if ["job", "instance", "le"].contains(&label) || !before.ends_with('=') {
                continue;
            }
            let pair = format!("{label}=\"{after}\"");
            assert!(served.contains(&pair), "{pair} is not served, but used in {expression}");
        }
    }
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(is_served(&name), "{name} is not served");
    }
}
