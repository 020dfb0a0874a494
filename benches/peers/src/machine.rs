//! What was measured on: without it the numbers say nothing.

use std::path::Path;

use serde_json::{Value, json};

/// What is known of the machine, the file system of `directory` and the way of running.
pub(crate) fn describe(directory: &Path) -> Value {
    let (device, kind) = mount(directory);
    let name = device.rsplit('/').next().unwrap_or_default();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_string();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    json!({
        "cpu": cpu.trim_start_matches([' ', '\t', ':']),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "file_system": kind,
        "journal": journal(name),
        "write_cache": read(&format!("/sys/class/block/{name}/queue/write_cache")),
        "real_time_priority": real_time(),
        "load": read("/proc/loadavg"),
    })
}

/// Device and type of the file system that holds `directory`.
fn mount(directory: &Path) -> (String, String) {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = fields.filter(|fields| fields.len() > 2 && directory.starts_with(fields[1]));
    holding
        .max_by_key(|fields| fields[1].len())
        .map_or_else(Default::default, |fields| (real(fields[0]), fields[2].to_string()))
}

/// `/dev/root` and its like are links or no files at all; then the name is looked up by the root's device.
fn real(device: &str) -> String {
    std::fs::canonicalize(device)
        .map_or_else(|_| device.to_string(), |path| path.to_string_lossy().into_owned())
}

/// Whether a journal of that device is at work.
fn journal(device: &str) -> bool {
    let Ok(journals) = std::fs::read_dir("/proc/fs/jbd2") else { return false };
    let mut names = journals.flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with(&format!("{device}-")))
}

/// Whether this process runs at a real-time priority.
fn real_time() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted after the name, which ends with the last parenthesis; the 40th is the priority.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(37).is_some_and(|priority| priority != "0")
}
