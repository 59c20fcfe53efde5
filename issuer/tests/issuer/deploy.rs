//! The files in `deploy/` fit the binary. (No test builds the image: that needs a container engine.)

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{binary, command, stderr, stdout};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn the_systemd_unit_starts_the_issuer_with_valid_flags() {
    let unit = read("deploy/systemd/countersign-issuer.service");
    let lines = |name: &str| -> Vec<&str> {
        unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
    };
    let [start] = lines("ExecStart")[..] else { panic!("{unit}") };
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/countersign-issuer"));
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("issuer.toml"), "audience = 'of the file'").unwrap();
    let arguments: Vec<_> = words
        .map(|word| match word {
            "/etc/countersign/issuer.toml" => "issuer.toml",
            "serve" => "config",
            flag => flag,
        })
        .chain(["check"])
        .collect();
    let done = command(folder.path(), &arguments, "");
    assert!(stdout(&done).contains("audience = of the file\n"), "{}", stderr(&done));
    // A new certificate needs no restart, and a configuration that is wrong is noticed.
    let reload = [
        "/usr/local/bin/countersign-issuer --config /etc/countersign/issuer.toml config check \
                   --offline",
        "/bin/kill -HUP $MAINPID",
    ];
    assert_eq!(lines("ExecReload"), reload);
    // The longest shutdown_delay, and the time for requests in flight.
    let [stop] = lines("TimeoutStopSec")[..] else { panic!("{unit}") };
    assert!(stop.strip_suffix('s').unwrap().parse::<u64>().unwrap() > 120 + 10);
    // It is started again, whatever the reason and however often.
    assert_eq!(lines("Restart"), ["always"]);
    let (head, service) = unit.split_once("\n[Service]\n").unwrap();
    assert!(head.contains("\nStartLimitIntervalSec=0\n"), "{head}");
    assert!(!service.contains("StartLimit"), "{service}");
    // The documentation names this folder and this user.
    assert_eq!(lines("StateDirectory"), ["countersign"]);
    assert_eq!(lines("User"), ["countersign"]);
}

#[test]
fn the_documentation_has_a_runbook_for_each_alert() {
    let document = read("docs/operations.md");
    let headings: Vec<_> =
        document.lines().filter_map(|line| line.strip_prefix("### Alert: ")).collect();
    let alerts = read("deploy/prometheus/alerts.yml");
    let after = |start: &str| -> Vec<String> {
        let lines = alerts.lines().filter_map(|line| line.trim_start().strip_prefix(start));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(after("- alert: "), headings);
    // The page and the alerts have the same names for the sections.
    let anchors = headings.iter().map(|name| format!("#alert-{}\"", name.to_lowercase()));
    let links = after("runbook_url: ").into_iter();
    let linked = links.map(|link| link[link.find('#').unwrap()..].to_owned());
    assert_eq!(linked.collect::<Vec<_>>(), anchors.collect::<Vec<_>>());
}

#[test]
fn the_image_has_a_valid_configuration() {
    let file = read("deploy/Dockerfile").replace("\\\n", "");
    let settings: Vec<_> = file
        .lines()
        .filter_map(|line| line.strip_prefix("ENV "))
        .flat_map(str::split_whitespace)
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    assert!(settings.contains(&("COUNTERSIGN_LISTEN", "0.0.0.0:8080")));
    let folder = TempDir::new().unwrap();
    let check = |more: &[&str]| {
        let mut command = binary(folder.path());
        command.envs(settings.iter().copied()).args(["config", "check", "--offline"]).args(more);
        command.output().unwrap()
    };
    // The check names the missing settings, and succeeds with them.
    assert!(stderr(&check(&[])).contains("behind_proxy = true"));
    std::fs::write(folder.path().join("key"), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
        .unwrap();
    let done =
        check(&["--behind-proxy", "--issuer", "https://auth.example", "--master-key-file", "key"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let user = file.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(!user.starts_with('0') && user != "root");
}

#[test]
fn the_image_is_built_from_a_complete_workspace() {
    // Copy the files that .dockerignore does not exclude.
    let folder = TempDir::new().unwrap();
    let ignore = read(".dockerignore");
    assert!(ignore.lines().any(|line| line == "*"));
    for name in ignore.lines().filter_map(|line| line.strip_prefix('!')) {
        let to = folder.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg("-r").arg(root().join(name)).arg(to).status().unwrap();
        assert!(copied.success(), "{name}");
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--format-version=1", "--no-deps"]);
    let done = cargo.current_dir(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stdout(&done).contains("\"countersign-issuer\""));
}
