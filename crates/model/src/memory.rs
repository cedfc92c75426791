//! How much memory this process can still get, so that what needs more is refused in words before it starts.
//!
//! Linux tells it in text: what the machine has free, what each control group around the process leaves
//! (containers, services) and what `ulimit` allows. The least of them counts. Where nothing is told, nothing
//! is refused.

use std::{fmt, fs, path::Path};

use bytesize::ByteSize;

/// What bounds a process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// What the machine has free, with its swap.
    Machine,
    /// A control group; its swap is not counted.
    ControlGroup,
    /// The limit on addresses, `ulimit -v`.
    Addresses,
    /// The limit on private memory, `ulimit -d`.
    Data,
}

/// Memory that can still be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// How much.
    pub bytes: u64,
    /// What bounds it.
    pub limit: Limit,
}

impl fmt::Display for Available {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = ByteSize(self.bytes);
        match self.limit {
            Limit::Machine => write!(f, "this machine has {bytes} free"),
            Limit::ControlGroup => write!(f, "the container or service it runs in has {bytes} left"),
            Limit::Addresses => write!(f, "`ulimit -v` leaves {bytes}"),
            Limit::Data => write!(f, "`ulimit -d` leaves {bytes}"),
        }
    }
}

/// More memory is needed than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of memory are needed, but {available}", ByteSize(*.needed_bytes))]
pub struct Shortage {
    /// What is needed.
    pub needed_bytes: u64,
    /// What there is.
    pub available: Available,
}

/// What this process can still get; none where the system does not tell.
#[must_use]
pub fn available() -> Option<Available> {
    told(&|path| fs::read_to_string(path).ok())
}

/// Whether `needed_bytes` more can be had now.
///
/// # Errors
/// If they can't, with what bounds them.
pub fn require(needed_bytes: u64) -> Result<(), Shortage> {
    match available() {
        Some(available) if available.bytes < needed_bytes => Err(Shortage {
            needed_bytes,
            available,
        }),
        _ => Ok(()),
    }
}

type Files<'a> = dyn Fn(&Path) -> Option<String> + 'a;

/// The least of what the system's files tell.
fn told(files: &Files<'_>) -> Option<Available> {
    let file = |path: &str| files(Path::new(path)).unwrap_or_default();
    let (limits, status) = (file("/proc/self/limits"), file("/proc/self/status"));
    let left = |limit: &str, used: &str| {
        let limit = number(&limits, limit)?;
        Some(limit.saturating_sub(kibibytes(&status, used)?))
    };
    let candidates = [
        (machine(&file("/proc/meminfo")), Limit::Machine),
        (
            control_groups(files, &file("/proc/self/cgroup")),
            Limit::ControlGroup,
        ),
        (left("Max address space", "VmSize:"), Limit::Addresses),
        (left("Max data size", "VmData:"), Limit::Data),
    ];
    candidates
        .into_iter()
        .filter_map(|(bytes, limit)| Some(Available { bytes: bytes?, limit }))
        .min_by_key(|available| available.bytes)
}

fn machine(meminfo: &str) -> Option<u64> {
    let swap = kibibytes(meminfo, "SwapFree:").unwrap_or_default();
    Some(kibibytes(meminfo, "MemAvailable:")?.saturating_add(swap))
}

/// The names that one generation of control groups uses.
struct Generation {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// Lines of `memory.stat`: cached files, which make room.
    cached: [&'static str; 2],
}

const FIRST: Generation = Generation {
    mount: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: ["total_active_file", "total_inactive_file"],
};
const SECOND: Generation = Generation {
    mount: "/sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    cached: ["active_file", "inactive_file"],
};

/// What the process's groups leave. A container may see its own group at the mount's root, so that is looked
/// at too.
fn control_groups(files: &Files<'_>, membership: &str) -> Option<u64> {
    let groups = membership.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let generation = match hierarchy {
            "0" => SECOND,
            _ if controllers.split(',').any(|name| name == "memory") => FIRST,
            _ => return None,
        };
        Some((generation, path))
    });
    let left = groups.flat_map(|(generation, path)| {
        let folder = Path::new(path.trim_start_matches('/'));
        let left = folder
            .ancestors()
            .filter_map(|folder| generation.left(files, &Path::new(generation.mount).join(folder)));
        left.collect::<Vec<_>>()
    });
    left.min()
}

impl Generation {
    /// What the group at `folder` leaves; none if it has no limit.
    fn left(&self, files: &Files<'_>, folder: &Path) -> Option<u64> {
        let file = |name| files(&folder.join(name));
        let limit: u64 = file(self.limit)?.trim().parse().ok()?;
        let used: u64 = file(self.used)?.trim().parse().ok()?;
        let stat = file("memory.stat").unwrap_or_default();
        let cached = self.cached.iter().filter_map(|name| number(&stat, name));
        Some(limit.saturating_sub(used.saturating_sub(cached.sum())))
    }
}

/// The number that follows `name` at the start of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next())
        .find_map(|word| word.parse().ok())
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    number(text, name)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MACHINE: [(&str, &str); 1] = [(
        "/proc/meminfo",
        "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\nSwapFree:        1048576 kB\n",
    )];

    fn with(more: &[(&str, &str)]) -> Option<Available> {
        told(&|path| {
            let mut all = MACHINE.iter().chain(more);
            let (_, text) = all.find(|(name, _)| Path::new(name) == path)?;
            Some((*text).to_owned())
        })
    }

    #[test]
    fn a_machine_without_limits_gives_what_is_free_and_its_swap() {
        let available = with(&[
            (
                "/proc/self/limits",
                "Max data size  unlimited  unlimited  bytes\nMax address space  unlimited  unlimited  bytes\n",
            ),
            ("/proc/self/status", "VmSize:  100 kB\nVmData:  50 kB\n"),
            ("/proc/self/cgroup", "0::/user.slice\n"),
            ("/sys/fs/cgroup/user.slice/memory.max", "max\n"),
            ("/sys/fs/cgroup/user.slice/memory.current", "5\n"),
        ])
        .unwrap();
        let expected = Available {
            bytes: 9 * GIB,
            limit: Limit::Machine,
        };
        assert_eq!(available, expected);
        assert_eq!(available.to_string(), "this machine has 9.0 GiB free");
        assert_eq!(told(&|_| None), None);
    }

    /// A limit on a group above binds too, and cached files make room.
    #[test]
    fn the_tightest_control_group_counts() {
        let second = [
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/memory.max", "3221225472\n"),
            ("/sys/fs/cgroup/a/memory.current", "2147483648\n"),
            (
                "/sys/fs/cgroup/a/memory.stat",
                "anon 7\nactive_file 536870912\ninactive_file 536870912\ninactive_file_extra 9\n",
            ),
            ("/sys/fs/cgroup/a/b/memory.max", "4294967296\n"),
            ("/sys/fs/cgroup/a/b/memory.current", "1\n"),
        ];
        let first = [
            ("/proc/self/cgroup", "4:cpu:/x\n3:memory:/not/seen/here\n0::/\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3221225472"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "2147483648"),
            (
                "/sys/fs/cgroup/memory/memory.stat",
                "active_file 1\ntotal_active_file 536870912\ntotal_inactive_file 536870912\n",
            ),
        ];
        let expected = Available {
            bytes: 2 * GIB,
            limit: Limit::ControlGroup,
        };
        assert_eq!(with(&second), Some(expected));
        assert_eq!(with(&first), Some(expected));
    }

    #[test]
    fn limits_of_the_shell_count_less_what_is_in_use() {
        let status = (
            "/proc/self/status",
            "VmSize:\t 1048576 kB\nVmData:\t  524288 kB\n",
        );
        let limits = |text| with(&[("/proc/self/limits", text), status]).unwrap();
        let addresses = limits(
            "Max data size  unlimited  unlimited  bytes\nMax address space  3221225472  unlimited  bytes\n",
        );
        assert_eq!((addresses.bytes, addresses.limit), (2 * GIB, Limit::Addresses));
        let data = limits(
            "Max data size  1073741824  1073741824  bytes\nMax address space  3221225472  3221225472  bytes\n",
        );
        assert_eq!((data.bytes, data.limit), (GIB / 2, Limit::Data));
        let spent = limits("Max address space  1024  1024  bytes\n");
        let shortage = Shortage {
            needed_bytes: 5 * GIB / 2,
            available: spent,
        };
        assert_eq!(
            shortage.to_string(),
            "2.5 GiB of memory are needed, but `ulimit -v` leaves 0 B"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_can_have_a_little_and_not_everything() {
        assert_eq!(require(1 << 10), Ok(()));
        assert!(require(u64::MAX).is_err());
    }
}
