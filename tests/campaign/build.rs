//! Building the programs of the stages, and finding them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::planted;
use crate::stages::{Build, PLANTED, Stage};

/// The library's unit tests, among the programs of a build.
pub(crate) const LIBRARY: &str = "flumen";

/// Where each program lies.
pub(crate) type Programs = BTreeMap<(Build, String), PathBuf>;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the campaign keeps what it builds and what was printed.
pub(crate) fn place() -> PathBuf {
    root().join("target/campaign")
}

/// Builds all that the stages need: one call of cargo for each way to build, all at once, since each has
/// stretches that keep one core busy and no more.
pub(crate) fn build(stages: &[Stage]) -> Result<Programs, String> {
    std::thread::scope(|scope| {
        let builds = [Build::Campaign, Build::Loom, Build::Fuzz];
        let running = builds.map(|build| scope.spawn(move || build_for(build, stages)));
        let mut programs = Programs::new();
        for build in running {
            programs.extend(build.join().expect("no panic")?);
        }
        Ok(programs)
    })
}

fn build_for(build: Build, stages: &[Stage]) -> Result<Programs, String> {
    let hunted = stages.iter().any(|stage| stage.name == PLANTED);
    let hunted = planted::programs().filter(|_| hunted);
    let named = stages.iter().map(|stage| (stage.build, stage.target)).chain(hunted);
    let is_of = |of: Build| of == build || build == Build::Campaign && of == Build::Shuttle;
    let mut targets: Vec<&str> =
        named.filter(|(of, _)| is_of(*of)).map(|(_, target)| target).collect();
    targets.sort_unstable();
    targets.dedup();
    if targets.is_empty() {
        return Ok(Programs::new());
    }
    eprintln!("building for {build:?}: {}", targets.join(", "));
    match build {
        Build::Fuzz => fuzzers(&targets),
        _ => tests(build, &targets),
    }
}

/// A call of cargo that builds as the stages want it.
fn tests(build: Build, targets: &[&str]) -> Result<Programs, String> {
    let mut programs = Programs::new();
    let (flags, profile, directory) = match build {
        Build::Loom => ("--cfg loom --cfg planted", "campaign", "loom"),
        _ => ("--cfg shuttle --cfg planted", "campaign", "tests"),
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).env("RUSTFLAGS", flags);
    cargo.args(["test", "--locked", "--no-run", "--no-default-features", "--features", "sim"]);
    cargo.args(["--profile", profile]);
    cargo.args(["--message-format", "json-render-diagnostics", "--target-dir"]);
    cargo.arg(place().join(directory));
    for target in targets {
        match *target {
            LIBRARY => cargo.arg("--lib"),
            test => cargo.args(["--test", test]),
        };
    }
    let output = cargo.stderr(Stdio::inherit()).output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err(format!("building for {build:?} failed"));
    }
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value =
            serde_json::from_str(line).map_err(|e| format!("cargo's answer: {e}"))?;
        let (name, program) = (&message["target"]["name"], &message["executable"]);
        if let (Some(name), Some(program)) = (name.as_str(), program.as_str()) {
            programs.insert((build, name.to_string()), PathBuf::from(program));
            if name == LIBRARY && build == Build::Campaign {
                programs.insert((Build::Shuttle, name.to_string()), PathBuf::from(program));
            }
        }
    }
    Ok(programs)
}

fn fuzzers(targets: &[&str]) -> Result<Programs, String> {
    let mut programs = Programs::new();
    let mut cargo = Command::new("cargo");
    // Of the toolchain this program was built with: the other one is asked for by name.
    cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(root());
    // Without the address sanitizer, which would find what code without `unsafe` cannot have, and halves the
    // number of executions.
    let status = cargo.args(["+nightly", "fuzz", "build", "--sanitizer", "none"]).status();
    if !status.map_err(|e| format!("cargo fuzz: {e}"))?.success() {
        return Err("the fuzz targets do not build (cargo +nightly fuzz build)".into());
    }
    let triples = std::fs::read_dir(root().join("fuzz/target")).map_err(|e| e.to_string())?;
    let directories: Vec<PathBuf> =
        triples.filter_map(|entry| Some(entry.ok()?.path().join("release"))).collect();
    for target in targets {
        let program = directories.iter().map(|directory| directory.join(target));
        let program = program.into_iter().find(|program| program.is_file());
        let program = program.ok_or_else(|| format!("there is no fuzz target {target}"))?;
        programs.insert((Build::Fuzz, target.to_string()), program);
    }
    Ok(programs)
}
