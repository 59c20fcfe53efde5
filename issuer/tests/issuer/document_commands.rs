//! Each command in `docs/operations.md`, `docs/issuer.md` and `docs/admin-api.md` runs, in order, on a machine of its own
//! (`tests/machine/start`): as root or in a user namespace, with the users and paths of the page.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::cluster;
use crate::document_blocks::{Block, blocks, matches};

/// Languages of blocks without commands. A block of another one is `sh` or `console`, and is run.
const NO_COMMANDS: [&str; 5] = ["", "json", "nginx", "toml", "yaml"];

/// The longest time of one block, so that a test ends.
const TIMEOUT: Duration = Duration::from_secs(300);

#[test]
fn the_commands_of_the_operations_page_run() {
    let Some(mut machine) = Machine::start() else { return };
    machine.run_page("docs/operations.md");
    for (mode, path) in [
        ("640 root:countersign", "/etc/countersign/issuer.toml"),
        ("600 countersign:countersign", "/var/backups/countersign/*"),
    ] {
        let files = machine.run(&format!("stat -c '%a %U:%G' {path} | sort -u"), "");
        assert_eq!(files, format!("{mode}\n"), "{path}");
    }
}

#[test]
fn the_commands_of_the_reference_run() {
    let Some(mut machine) = Machine::start() else { return };
    machine.run_page("docs/issuer.md");
}

#[test]
fn the_commands_of_the_admin_api_run() {
    let Some(mut machine) = Machine::start() else { return };
    machine.run_page("docs/admin-api.md");
}

/// Namespaces with a shell that runs the blocks of a page.
struct Machine {
    shell: Child,
    results: BufReader<ChildStdout>,
    disk: TempDir,
    /// Names in the page that stand for other texts here.
    names: BTreeMap<String, String>,
    number: usize,
}

impl Machine {
    /// Returns `None` on another system than Linux, and if `COUNTERSIGN_SKIP` leaves it out.
    fn start() -> Option<Self> {
        let mut needs = ["namespaces", "postgres", "promtool"].into_iter();
        if !cfg!(target_os = "linux") || needs.any(cluster::is_skipped) {
            return None;
        }
        let disk = TempDir::with_prefix("countersign-machine-").unwrap();
        fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o755)).unwrap();
        write_certificates(disk.path());
        let mut shell = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            shell.args(["--user", "--map-root-user", "--map-auto"]);
        }
        shell.args(["--mount", "--net", "--pid", "--fork", "--kill-child"]);
        shell.arg(manifest().join("tests/machine/start")).arg(disk.path());
        shell.arg(manifest().parent().unwrap());
        // Links in /usr/local/bin lead nowhere on the machine.
        let initdb = cluster::binaries().join("initdb").canonicalize().unwrap();
        shell.arg(env!("CARGO_BIN_EXE_countersign-issuer")).arg(initdb.parent().unwrap());
        shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let results = BufReader::new(shell.stdout.take().unwrap());
        let mut machine = Self { shell, results, disk, names: BTreeMap::new(), number: 0 };
        assert!(
            machine.result().is_some(),
            "the machine does not start: see the messages above. It needs root (in a container with \
             CAP_SYS_ADMIN), or a user namespace: newuidmap (Debian: `sudo apt-get install uidmap`) \
             and a range of this user in /etc/subuid and /etc/subgid. COUNTERSIGN_SKIP=namespaces \
             leaves it out"
        );
        Some(machine)
    }

    /// Runs each block of the page.
    fn run_page(&mut self, path: &str) {
        let page = fs::read_to_string(manifest().parent().unwrap().join(path)).unwrap();
        let mut count = 0;
        for block in blocks(&page) {
            let place = format!("{path}:{}", block.line);
            let file = block.text.lines().next().and_then(|line| line.strip_prefix("# "));
            if let Some(reason) = block.remark("not run, ") {
                println!("not run: {place}: {reason}");
            } else if !NO_COMMANDS.contains(&block.language.as_str()) {
                assert!(["sh", "console"].contains(&&*block.language), "{place}: write sh");
                self.run_block(&block, &place);
                count += 1;
            } else if let Some(name) = file.filter(|name| name.contains('.')) {
                fs::write(self.disk.path().join("work").join(name), &block.text).unwrap();
            }
        }
        assert!(count > 5, "{count}");
    }

    fn run_block(&mut self, block: &Block, place: &str) {
        let input = block.remark("stdin ").unwrap_or_default();
        if let Some(command) = block.remark("before ") {
            self.run(command, input);
        }
        for (name, command) in block.names() {
            let value = self.run(command, "").trim().to_owned();
            assert!(!value.is_empty(), "{place}: {command} prints nothing");
            self.names.insert(name.to_owned(), value);
        }
        let keeps_running = block.remark("keeps running").is_some();
        let is_compared = block.remark("output not compared, ").is_none();
        for (mut command, printed) in block.commands() {
            if keeps_running {
                command = format!("{} &\nawait_issuer", command.trim_end());
            }
            let output = self.run(&command, input);
            if !printed.trim().is_empty() && is_compared {
                let words = matches(&printed, &output.replace('\r', ""));
                let words = words.unwrap_or_else(|| {
                    panic!("{place}: {command}\nexpected {printed}\nfound {output}")
                });
                self.names.extend(words);
            }
        }
    }

    /// Runs commands with a line of input. Returns their output.
    fn run(&mut self, commands: &str, input: &str) -> String {
        let mut text = commands.to_owned();
        for (name, value) in &self.names {
            text = text.replace(name, value);
        }
        self.number += 1;
        let file = self.disk.path().join(format!("block-{}", self.number));
        fs::write(file.with_extension("in"), format!("{input}\n")).unwrap();
        fs::write(&file, &text).unwrap();
        writeln!(self.shell.stdin.as_mut().unwrap(), "{}", file.display()).unwrap();
        let failed = self.result();
        let output = fs::read(file.with_extension("out")).unwrap_or_default();
        let output = String::from_utf8_lossy(&output).into_owned();
        assert!(failed.as_deref() == Some("0"), "{failed:?}\n{text}\n{output}");
        output
    }

    /// Waits for the end of a block. Returns `None` if the machine stopped, or takes too long.
    fn result(&mut self) -> Option<String> {
        let process = rustix::process::Pid::from_child(&self.shell);
        let (sender, ended) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if ended.recv_timeout(TIMEOUT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
            }
        });
        let mut line = String::new();
        let read = self.results.read_line(&mut line).unwrap();
        drop(sender);
        watch.join().unwrap();
        (read > 0).then(|| line.trim().to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // At the end of its input the shell ends, and with it every process of the namespace.
        let _ = self.shell.wait();
    }
}

/// Writes the certificate of the machine's servers and that of its authority.
fn write_certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A certificate with the name of its authority would count as self-signed.
    params.distinguished_name.push(DnType::CommonName, "authority of the machine");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["auth.example", "db.example"].map(str::to_owned);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let key = key.serialize_pem();
    for (name, content) in
        [("authority.pem", authority.pem()), ("server.pem", certificate.pem()), ("server.key", key)]
    {
        fs::write(folder.join(name), content).unwrap();
    }
}

fn manifest() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
