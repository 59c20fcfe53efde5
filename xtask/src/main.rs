//! Every command of the project: `cargo xtask start`, `test`, `build`, `site`, `bench`, `fuzz`,
//! `soak`, `release` and `ci`.
//!
//! Each command is a [`step::Plan`]: named steps that run in order and show their progress. If one
//! fails, the last line says why and what to do.

mod start;
mod test;

mod package;
mod site;

mod bench;
mod bindgen;
mod fuzz;
mod soak;

mod ci;
mod release;

mod children;
mod demo;
mod needs;
mod node;
mod postgres;
mod python;
mod step;
mod toolchain;
mod wasi;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, runs and tests Countersign. Installs missing programs, or names those that it can't
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    override_usage = "cargo xtask <start|test|build|site|bench|fuzz|soak|release|ci> [OPTIONS]"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, run the issuer with a demo user, and serve the demo page until Ctrl-C
    Start(start::Options),
    /// Run every test: Rust, JavaScript, browsers, and the package as it is installed
    Test(test::Options),
    /// Build the npm package: the WASM modules and the TypeScript, in pkg/dist
    Build,
    /// Build the site: the pages and the documents as static files, in target/site
    Site(site::Options),
    /// Measure the verifier against other libraries, and the issuer against the machine
    Bench(bench::Options),
    /// Fuzz the verifier: every target of fuzz/targets, or one of them
    Fuzz(fuzz::Options),
    /// Run issuers, database and verifiers under faults, and write a report
    Soak(soak::Options),
    /// Make what a release consists of, check it, and publish it
    Release(release::Options),
    /// Run what continuous integration runs: formatting, lints, dependencies, docs, every test
    Ci,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Start(options) => start::run(&workspace, options),
        Command::Test(options) => test::run(&workspace, *options),
        Command::Build => package::run(&workspace),
        Command::Site(options) => site::run(&workspace, options),
        Command::Bench(options) => bench::run(&workspace, options),
        Command::Fuzz(options) => fuzz::run(&workspace, options),
        Command::Soak(options) => soak::run(&workspace, options),
        Command::Release(options) => release::run(&workspace, options),
        Command::Ci => ci::run(&workspace),
    }
}
