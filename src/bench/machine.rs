//! What the machine is, as far as Linux tells. What is not told is left out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What was measured on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) system: String,
    pub(crate) cpu: String,
    pub(crate) cores: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) file_system: String,
    pub(crate) mount_options: String,
    pub(crate) device: String,
    pub(crate) device_model: String,
    pub(crate) write_cache: String,
}

impl Machine {
    /// This one, and the disk below `directory`.
    pub(crate) fn this(directory: &Path) -> Machine {
        let release = read("/proc/sys/kernel/osrelease");
        let cpus = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let (file_system, mount_options, device) = mount(directory).unwrap_or_default();
        let block = block_device(directory);
        let about = |file: &str| block.as_ref().map(|b| read(&format!("{b}/{file}")));
        // A partition has these files at the disk it is part of.
        let disk_about = |file: &str| {
            let own = about(file).filter(|text| !text.is_empty());
            own.or_else(|| about(&format!("../{file}"))).unwrap_or_default().trim().to_string()
        };
        Machine {
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim().into(),
            cpu: named(&cpus, "model name").unwrap_or(std::env::consts::ARCH).into(),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64),
            memory_bytes: memory * 1024,
            file_system,
            mount_options,
            device,
            device_model: disk_about("device/model"),
            write_cache: disk_about("queue/write_cache"),
        }
    }

    /// Names and values, for people.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let memory = format!("{:.1} GiB", self.memory_bytes as f64 / f64::from(1 << 30));
        let device = match &*self.device_model {
            "" => self.device.clone(),
            model => format!("{} ({model})", self.device),
        };
        let cores = if self.cores == 1 { "core" } else { "cores" };
        let all = [
            ("system", self.system.clone()),
            ("processor", format!("{}, {} {cores}", self.cpu, self.cores)),
            ("memory", memory),
            ("file system", self.file_system.clone()),
            ("mounted with", self.mount_options.clone()),
            ("device", device),
            ("write cache", self.write_cache.clone()),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Whether syncs reach no disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(&*self.file_system, "tmpfs" | "ramfs")
    }
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The most it had in memory at any time, its program included.
    pub(crate) peak: u64,
    /// What it has now of its own, its program not included.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// That of this process; none where the system does not tell.
    pub(crate) fn of_this_process() -> Option<Memory> {
        let status = read("/proc/self/status");
        let peak = field(&status, "VmHWM") * 1024;
        (peak > 0).then(|| Memory { peak, anonymous: field(&status, "RssAnon") * 1024 })
    }
}

/// Bytes written so far to the device that `directory` is on; none where nothing counts them.
pub(crate) fn bytes_written(directory: &Path) -> Option<u64> {
    let stat = fs::read_to_string(format!("{}/stat", block_device(directory)?)).ok()?;
    let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * 512)
}

/// The load of the last minute; none where the system does not tell.
pub(crate) fn load() -> Option<f64> {
    read("/proc/loadavg").split(' ').next()?.parse().ok()
}

/// Processor time of all cores so far, whether it was used or not, and how much of it the host took while
/// this machine wanted to run, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessorTime {
    all: u64,
    stolen: u64,
}

impl ProcessorTime {
    /// Until now; none where the system does not tell.
    pub(crate) fn so_far() -> Option<ProcessorTime> {
        ProcessorTime::in_text(&read("/proc/stat"))
    }

    fn in_text(stat: &str) -> Option<ProcessorTime> {
        let ticks = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace();
        // What follows stolen time is counted as user time too.
        let ticks: Vec<u64> = ticks.take(8).map_while(|ticks| ticks.parse().ok()).collect();
        let stolen = *ticks.get(7)?;
        Some(ProcessorTime { all: ticks.iter().sum(), stolen })
    }

    /// The share that was stolen between `before` and this.
    pub(crate) fn stolen_since(self, before: ProcessorTime) -> Option<f64> {
        let all = self.all.saturating_sub(before.all);
        let stolen = self.stolen.saturating_sub(before.stolen);
        (all > 0).then(|| stolen as f64 / all as f64)
    }
}

/// Now, as `2026-01-31T12:34:56Z`.
pub(crate) fn date() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date_of(now)
}

fn date_of(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0: then the leap day is a year's last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name: value`.
fn named<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|f| f.1)
}

fn field(text: &str, name: &str) -> u64 {
    let value = named(text, name).and_then(|value| value.split(' ').next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn device_number(directory: &Path) -> Option<String> {
    let device = fs::metadata(directory).ok()?.dev();
    Some(format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
}

fn block_device(directory: &Path) -> Option<String> {
    let path = format!("/sys/dev/block/{}", device_number(directory)?);
    fs::exists(&path).ok()?.then_some(path)
}

/// Type, options and device of the file system that holds `directory`.
fn mount(directory: &Path) -> Option<(String, String, String)> {
    let directory = fs::canonicalize(directory).ok()?;
    let number = device_number(&directory)?;
    mount_in(&read("/proc/self/mountinfo"), &directory, &number)
}

fn mount_in(mounts: &str, directory: &Path, number: &str) -> Option<(String, String, String)> {
    let found = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let (own, point, options) = (left.get(2)?, left.get(4)?, left.get(5)?);
        // Spaces and the like are written as octal numbers.
        let point = point.replace("\\040", " ");
        let mut right = right.split(' ');
        let (kind, device, more) = (right.next()?, right.next()?, right.next()?);
        // Options of the mount and of the file system repeat each other's `rw`.
        let more = more.split(',').filter(|option| !options.split(',').any(|o| o == *option));
        let options = options.split(',').chain(more).collect::<Vec<_>>().join(",");
        let fits = directory.starts_with(&point).then_some(point.len())?;
        Some(((*own == number, fits), (kind.into(), options, device.into())))
    });
    // The last of equals is the one mounted above the others.
    found.max_by_key(|(rank, _)| *rank).map(|(_, mount)| mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date_of(0), "1970-01-01T00:00:00Z");
        assert_eq!(date_of(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(date_of(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date_of(1_767_225_599), "2025-12-31T23:59:59Z");
    }

    #[test]
    fn stolen_time_is_a_share_of_all_of_it() {
        let at = |text: &str| ProcessorTime::in_text(text);
        let before = at("cpu  10 0 10 70 0 0 0 10 7 0\ncpu0 1 2 3\n").expect("eight numbers");
        let after = at("cpu  20 5 15 140 5 5 5 30 9 0\n").expect("eight numbers");
        assert_eq!(before, ProcessorTime { all: 100, stolen: 10 });
        assert_eq!(after.stolen_since(before), Some(20.0 / 125.0));
        assert_eq!(after.stolen_since(after), None);
        assert_eq!(at(""), None);
        assert_eq!(at("cpu  10 0 10 70\n"), None, "a system that does not count it");
    }

    #[test]
    fn the_mount_is_the_innermost_one_of_the_device() {
        let mounts = "\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard
2 1 8:2 / /a\\040b rw - xfs /dev/sdb rw,attr2
3 1 8:1 / /a rw - ext4 /dev/sda1 rw
";
        let at = |path: &str, number| mount_in(mounts, Path::new(path), number);
        let named = |kind: &str, options: &str, device: &str| {
            Some((kind.to_string(), options.to_string(), device.to_string()))
        };
        assert_eq!(at("/a b/c", "8:2"), named("xfs", "rw,attr2", "/dev/sdb"));
        assert_eq!(at("/x", "8:1"), named("ext4", "rw,relatime,discard", "/dev/sda1"));
        assert_eq!(mount_in("", Path::new("/"), "8:1"), None);
    }
}
