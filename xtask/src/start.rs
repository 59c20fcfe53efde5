//! `cargo xtask start`: the issuer and the demo page, until Ctrl-C.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, anyhow};
use xshell::cmd;

use crate::{
    children::Children,
    demo::{self, Demo},
    node, package,
    step::{Plan, Step},
    toolchain,
    workspace::Workspace,
};

/// The options of `cargo xtask start`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Port of the demo page [default: 8000, or a free one if that is taken]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Port of the issuer [default: 8080, or a free one if that is taken]
    #[arg(long, value_name = "PORT")]
    issuer_port: Option<u16>,
}

/// Runs `cargo xtask start`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    package::plan(&mut steps, workspace);
    steps
        .step("build the issuer", |step| workspace.build_issuer(step))
        .step("make the demo user", |step| Demo::new(workspace).ensure_user(step))
        .step("start the issuer and the demo page", |step| serve(step, workspace, options));
    steps.run()
}

fn serve(step: &Step, workspace: &Workspace, options: &Options) -> Result<()> {
    let demo = Demo::new(workspace);
    let [issuer, page, admin] = choose_addresses(options)?;
    demo.set_issuer(&format!("http://{issuer}"))?;

    step.break_line();
    let mut children = Children::new()?;
    // Passkeys need a host name: browsers refuse them at an address.
    let origin = format!("http://{}", page.replace(&Ipv4Addr::LOCALHOST.to_string(), "localhost"));
    let command = demo.issuer().args(["--listen", &issuer, "--admin-listen", &admin]);
    children.start("the issuer", command.args(["--cors-origins", &origin, "serve"]))?;
    if !children.wait_for("the issuer", "countersign-issuer listening on ")? {
        return Ok(());
    }
    let (sh, file) = (&workspace.sh, demo.file());
    let command = cmd!(sh, "node www/server.js --listen {page} --demo {file}");
    children.start("the demo page", command)?;
    if !children.wait_for("the demo page", "demo page at ")? {
        return Ok(());
    }

    println!(
        "
  Demo page   {origin}
  Log in as   {} with the password {}
  Issuer      http://{issuer}
  Metrics     http://{admin}/metrics
  Data        {} (delete this folder to start afresh)

  Ctrl-C stops it.",
        demo::USER,
        demo.password()?,
        demo.folder().display(),
    );
    children.wait()
}

/// Returns addresses for the issuer, the page and the issuer's metrics, each on a free port.
fn choose_addresses(options: &Options) -> Result<[String; 3]> {
    // All ports stay bound until all are known. Otherwise one could be chosen twice.
    let issuer = bind(options.issuer_port, 8080, "--issuer-port")?;
    let page = bind(options.port, 8000, "--port")?;
    let admin = bind(None, 9090, "")?;
    let address = |listener: &TcpListener| listener.local_addr().map(|address| address.to_string());
    Ok([address(&issuer)?, address(&page)?, address(&admin)?])
}

fn bind(wanted: Option<u16>, default: u16, option: &str) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match wanted {
        Some(port) => bind(port)
            .map_err(|error| anyhow!("port {port} can't be used ({error}); give another {option}")),
        None => bind(default)
            .or_else(|_| bind(0))
            .map_err(|error| anyhow!("there is no free port on 127.0.0.1 ({error})")),
    }
}
