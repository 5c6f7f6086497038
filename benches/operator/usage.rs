//! What a process has used, by the kernel's account.

use std::fs;

use crate::scene::Operator;

/// Ticks a second in `/proc/PID/stat`, the same on every Linux.
const TICKS: f64 = 100.0;

/// What the operator has used so far.
pub struct Usage {
    /// Seconds on a processor.
    pub cpu: f64,
    /// The most memory that it ever had, in MiB.
    pub peak_mib: f64,
    /// The memory that it has now, in MiB.
    pub now_mib: f64,
}

impl Usage {
    /// Up to now.
    pub fn of(operator: &Operator) -> Self {
        let pid = operator.process.pid();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name, which may have blanks in it, ends with a bracket.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks = |i: usize| fields[i].parse::<f64>().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kib: f64 = line
                .trim_start_matches(':')
                .trim_end_matches("kB")
                .trim()
                .parse()
                .unwrap();
            kib / 1024.0
        };
        Self {
            cpu: (ticks(11) + ticks(12)) / TICKS,
            peak_mib: mib("VmHWM"),
            now_mib: mib("VmRSS"),
        }
    }
}
