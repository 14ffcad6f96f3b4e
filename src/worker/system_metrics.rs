//! Samples the machine while the train function runs, under the names that
//! MLflow's own sampler uses, so that its page shows them under "System
//! metrics".

use crate::store::journal::Reader;
use nvml_wrapper::Nvml;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use sysinfo::{Disks, Networks, System};

const MEGABYTE: f64 = 1e6;

/// How long a run must last before the machine is looked at: opening the
/// GPU's library and listing disks costs more than a small trial.
const SETTLE: Duration = Duration::from_secs(1);

/// The running thread.
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sampler {
    /// Ends the thread.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// Starts giving `log` a sample every `interval` seconds. The step of a sample
/// is the time since the journal's first record in intervals, so it goes on
/// where an earlier attempt ended.
pub(crate) fn start(
    journal: &Path,
    interval: f64,
    log: impl Fn(Vec<(String, f64)>, i64) + Send + 'static,
) -> Sampler {
    let interval = Duration::try_from_secs_f64(interval)
        .unwrap_or(Duration::from_secs(10))
        .max(Duration::from_millis(100));
    let begin = first_record(journal).unwrap_or_else(now);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let settled = SETTLE.min(interval / 2);
        std::thread::park_timeout(settled);
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        let mut machine = Machine::new();
        let mut step = -1;
        std::thread::park_timeout(interval.saturating_sub(settled));
        while !stopped.load(Ordering::Relaxed) {
            let age = now().saturating_sub(begin);
            step = i64::try_from(age.as_millis() / interval.as_millis())
                .unwrap_or(i64::MAX)
                .max(step + 1);
            log(machine.sample(), step);
            std::thread::park_timeout(interval);
        }
    });
    Sampler { stop, thread }
}

fn first_record(journal: &Path) -> Option<Duration> {
    let record = Reader::open(journal, 0).ok()?.next()?.ok()?.record;
    Some(Duration::from_millis(record.ts))
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// What can be had of the machine; a part that can't is left out.
struct Machine {
    system: Option<System>,
    networks: Option<Networks>,
    disks: Option<Disks>,
    received: u64,
    sent: u64,
    gpus: Option<Nvml>,
}

impl Machine {
    fn new() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            // Utilisation is a difference: this is what the first sample
            // compares with.
            system.refresh_cpu_usage();
        }
        let networks = Networks::new_with_refreshed_list().ok();
        let (received, sent) = networks.as_ref().map(totals).unwrap_or_default();
        Self {
            system,
            received,
            sent,
            networks,
            disks: Disks::new_with_refreshed_list().ok(),
            gpus: Nvml::init().ok(),
        }
    }

    fn sample(&mut self) -> Vec<(String, f64)> {
        let mut sample = Sample(Vec::with_capacity(16));
        self.add_system(&mut sample);
        self.add_disk(&mut sample);
        self.add_network(&mut sample);
        self.add_gpus(&mut sample);
        sample.0
    }

    fn add_system(&mut self, sample: &mut Sample) {
        let Some(system) = &mut self.system else {
            return;
        };
        system.refresh_cpu_usage();
        let busy = f64::from(system.global_cpu_usage());
        sample.add("cpu_utilization_percentage", busy);
        system.refresh_memory();
        let used = system.used_memory() as f64;
        let total = system.total_memory() as f64;
        sample.add("system_memory_usage_megabytes", used / MEGABYTE);
        sample.add("system_memory_usage_percentage", percentage(used, total));
    }

    fn add_disk(&mut self, sample: &mut Sample) {
        let Some(disks) = &mut self.disks else {
            return;
        };
        disks.refresh(true);
        let root = disks
            .iter()
            .find(|disk| disk.mount_point() == Path::new("/"));
        if let Some(root) = root {
            let total = root.total_space() as f64;
            let available = root.available_space() as f64;
            let used = total - available;
            sample.add("disk_usage_megabytes", used / MEGABYTE);
            sample.add("disk_usage_percentage", percentage(used, total));
            sample.add("disk_available_megabytes", available / MEGABYTE);
        }
    }

    fn add_network(&mut self, sample: &mut Sample) {
        let Some(networks) = &mut self.networks else {
            return;
        };
        networks.refresh(true);
        let (received, sent) = totals(networks);
        let since = |now: u64, then: u64| now.saturating_sub(then) as f64 / MEGABYTE;
        sample.add("network_receive_megabytes", since(received, self.received));
        sample.add("network_transmit_megabytes", since(sent, self.sent));
    }

    fn add_gpus(&self, sample: &mut Sample) {
        let Some(nvml) = &self.gpus else { return };
        for index in 0..nvml.device_count().unwrap_or(0) {
            let Ok(gpu) = nvml.device_by_index(index) else {
                continue;
            };
            let mut add =
                |name: &str, value: f64| sample.add(&format!("gpu_{index}_{name}"), value);
            if let Ok(memory) = gpu.memory_info() {
                let (used, total) = (memory.used as f64, memory.total as f64);
                add("memory_usage_megabytes", used / MEGABYTE);
                add("memory_usage_percentage", percentage(used, total));
            }
            if let Ok(rates) = gpu.utilization_rates() {
                add("utilization_percentage", f64::from(rates.gpu));
            }
            if let Ok(milliwatts) = gpu.power_usage() {
                let power = f64::from(milliwatts);
                add("power_usage_watts", power / 1000.0);
                if let Ok(limit) = gpu.enforced_power_limit() {
                    add(
                        "power_usage_percentage",
                        percentage(power, f64::from(limit)),
                    );
                }
            }
        }
    }
}

/// Named values, all under `system/`.
struct Sample(Vec<(String, f64)>);

impl Sample {
    fn add(&mut self, name: &str, value: f64) {
        self.0.push((format!("system/{name}"), value));
    }
}

fn totals(networks: &Networks) -> (u64, u64) {
    networks.iter().fold((0, 0), |(received, sent), (_, data)| {
        (
            received + data.total_received(),
            sent + data.total_transmitted(),
        )
    })
}

fn percentage(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        100.0 * part / whole
    } else {
        0.0
    }
}
