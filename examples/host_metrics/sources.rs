//! What is measured: five sources, one for each sampler thread.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::time::Instant;

use buffer_influx::Point;
use sysinfo::{
    Disks, Error, MINIMUM_CPU_UPDATE_INTERVAL, Networks, Process, ProcessRefreshKind, ProcessesToUpdate,
    System,
};

use crate::recorder::{Recorder, Stopped, integer};
use crate::samplers::Source;
use crate::traffic::{Direction, Medium, Traffic};

/// The load of each core, and the load average.
///
/// sysinfo needs more time than a round to measure a load: in the rounds between, the last value is repeated.
pub struct Cores {
    system: System,
}

impl Cores {
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            system: System::new()?,
        })
    }
}

impl Source for Cores {
    const THREAD: &'static str = "cpu";

    fn sample(&mut self, recorder: &mut Recorder) -> Result<(), Stopped> {
        self.system.refresh_cpu_usage();
        for cpu in self.system.cpus() {
            recorder.point(
                Point::new("cpu")
                    .tag("core", cpu.name())
                    .field("percent", cpu.usage()),
            )?;
        }
        let Ok(load) = System::load_average() else {
            return Ok(());
        };
        let (one, five, fifteen) = (load.one, load.five, load.fifteen);
        recorder.point(
            Point::new("load")
                .field("one", one)
                .field("five", five)
                .field("fifteen", fifteen),
        )
    }
}

/// Memory and swap.
pub struct Memory {
    system: System,
}

impl Memory {
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            system: System::new()?,
        })
    }
}

impl Source for Memory {
    const THREAD: &'static str = "memory";

    fn sample(&mut self, recorder: &mut Recorder) -> Result<(), Stopped> {
        self.system.refresh_memory();
        recorder.point(
            Point::new("memory")
                .field("total_bytes", integer(self.system.total_memory()))
                .field("used_bytes", integer(self.system.used_memory()))
                .field("available_bytes", integer(self.system.available_memory()))
                .field("swap_used_bytes", integer(self.system.used_swap())),
        )
    }
}

/// The room on each mounted disk, and its traffic.
pub struct Mounts {
    disks: Disks,
}

impl Mounts {
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            disks: Disks::new_with_refreshed_list()?,
        })
    }
}

impl Source for Mounts {
    const THREAD: &'static str = "disks";

    fn sample(&mut self, recorder: &mut Recorder) -> Result<(), Stopped> {
        self.disks.refresh(true);
        // A disk that is mounted in several places is listed once for each, every time with all of its traffic.
        let mut counted = HashSet::new();
        for disk in self.disks.iter() {
            let name = clean(disk.name());
            recorder.point(
                Point::new("disk")
                    .tag("name", &name)
                    .tag("mount", clean(disk.mount_point().as_os_str()))
                    .field("total_bytes", integer(disk.total_space()))
                    .field("available_bytes", integer(disk.available_space())),
            )?;
            if counted.insert(disk.name()) {
                let usage = disk.usage();
                let mut traffic = Traffic {
                    medium: Medium::Disk,
                    name,
                    direction: Direction::In,
                };
                recorder.traffic(&traffic, usage.written_bytes)?;
                traffic.direction = Direction::Out;
                recorder.traffic(&traffic, usage.read_bytes)?;
            }
        }
        Ok(())
    }
}

/// The packets of each network interface since it came up, and its traffic.
pub struct Interfaces {
    networks: Networks,
}

impl Interfaces {
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            networks: Networks::new_with_refreshed_list()?,
        })
    }
}

impl Source for Interfaces {
    const THREAD: &'static str = "networks";

    fn sample(&mut self, recorder: &mut Recorder) -> Result<(), Stopped> {
        self.networks.refresh(true);
        for (name, network) in self.networks.iter() {
            let name = clean(name);
            recorder.point(
                Point::new("network")
                    .tag("name", &name)
                    .field("packets_in", integer(network.total_packets_received()))
                    .field("packets_out", integer(network.total_packets_transmitted()))
                    .field("errors_in", integer(network.total_errors_on_received()))
                    .field("errors_out", integer(network.total_errors_on_transmitted())),
            )?;
            let mut traffic = Traffic {
                medium: Medium::Network,
                name,
                direction: Direction::In,
            };
            recorder.traffic(&traffic, network.received())?;
            traffic.direction = Direction::Out;
            recorder.traffic(&traffic, network.transmitted())?;
        }
        Ok(())
    }
}

/// The processes that use the most of the processor.
///
/// sysinfo needs more time than a round to measure the use: in the rounds between, the last figures are repeated.
pub struct Processes {
    system: System,
    refreshed: Option<Instant>,
}

/// With a tag for each process of a machine, each would be a series.
const TOP: usize = 5;

impl Processes {
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            system: System::new()?,
            refreshed: None,
        })
    }

    fn refresh(&mut self) {
        if self
            .refreshed
            .is_some_and(|refreshed| refreshed.elapsed() < MINIMUM_CPU_UPDATE_INTERVAL)
        {
            return;
        }
        self.refreshed = Some(Instant::now());
        let what = ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .without_tasks();
        self.system
            .refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    }
}

impl Source for Processes {
    const THREAD: &'static str = "processes";

    fn sample(&mut self, recorder: &mut Recorder) -> Result<(), Stopped> {
        self.refresh();
        let mut processes: Vec<&Process> = self.system.processes().values().collect();
        processes.sort_by(|a, b| b.cpu_usage().total_cmp(&a.cpu_usage()));
        for process in processes.into_iter().take(TOP) {
            recorder.point(
                Point::new("process")
                    .tag("name", clean(process.name()))
                    .field("pid", process.pid().as_u32())
                    .field("percent", process.cpu_usage())
                    .field("memory_bytes", integer(process.memory())),
            )?;
        }
        Ok(())
    }
}

/// A name without what the line protocol can't hold in a tag: backslashes and control characters.
fn clean(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    name.replace(|character: char| character == '\\' || character.is_control(), "_")
}
