use crate::cli::runs::output::{render, table};
use crate::cli::runs::text::one_line;
use explr::gpu::{Clocks, Ecc, Gpu, Gpus, Memory, Mig, Process, gb};
use std::fmt::Write;

/// What a command line is cut to, in characters.
const COMMAND: usize = 60;

/// Everything, for people.
pub(super) fn page(gpus: &Gpus) -> String {
    let mut out = String::new();
    let known = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".to_owned());
    let _ = writeln!(
        out,
        "driver {}, CUDA up to {}",
        known(&gpus.driver),
        known(&gpus.cuda)
    );
    if let Some(visible) = &gpus.cuda_visible_devices {
        let _ = writeln!(out, "CUDA_VISIBLE_DEVICES={}", one_line(visible));
    }
    for gpu in &gpus.gpus {
        let _ = write!(out, "\n{}  {}\n{}", label(gpu), title(gpu), facts(gpu));
        out.push_str(&processes(&gpu.processes));
    }
    for note in &gpus.notes {
        let _ = writeln!(out, "\nnote: {note}");
    }
    out
}

/// A card's number for explr and CUDA, or why it has none.
pub(super) fn label(gpu: &Gpu) -> String {
    match (gpu.device, &gpu.mig) {
        (Some(device), _) => format!("cuda:{device}"),
        (None, Some(mig)) if mig.enabled => "divided".to_owned(),
        (None, _) => "hidden".to_owned(),
    }
}

fn title(gpu: &Gpu) -> String {
    let capability = gpu.compute_capability.as_ref();
    let kind: Vec<String> = gpu
        .architecture
        .iter()
        .cloned()
        .chain(capability.map(|capability| format!("sm_{}", capability.replace('.', ""))))
        .collect();
    if kind.is_empty() {
        gpu.name.clone()
    } else {
        format!("{} ({})", gpu.name, kind.join(", "))
    }
}

fn facts(gpu: &Gpu) -> String {
    let utilisation = gpu
        .utilisation
        .map(|busy| format!("{} % of the time, memory {} %", busy.gpu, busy.memory));
    let facts = [
        ("uuid", Some(gpu.uuid.clone())),
        ("pci", gpu.pci.clone()),
        ("memory", gpu.memory.map(memory)),
        ("busy", utilisation),
        (
            "temperature",
            gpu.temperature_c.map(|degrees| format!("{degrees} °C")),
        ),
        ("power", power(gpu)),
        ("clocks", gpu.clocks.map(clocks)),
        (
            "slowed by",
            (!gpu.throttled_by.is_empty()).then(|| gpu.throttled_by.join(", ")),
        ),
        ("ECC", gpu.ecc.map(ecc)),
        ("MIG", gpu.mig.as_ref().map(mig)),
    ];
    let mut out = String::new();
    for (name, fact) in facts {
        if let Some(fact) = fact {
            let _ = writeln!(out, "  {name:<12} {fact}");
        }
    }
    out
}

pub(super) fn memory(memory: Memory) -> String {
    format!(
        "{} of {} GB used, {} free",
        gb(memory.used),
        gb(memory.total),
        gb(memory.free)
    )
}

/// What it draws, and the most that it may.
pub(super) fn power(gpu: &Gpu) -> Option<String> {
    let watts = |milliwatts: u32| (f64::from(milliwatts) / 1000.0).round();
    let now = watts(gpu.power_mw?);
    Some(match gpu.power_limit_mw {
        Some(limit) => format!("{now} of {} W", watts(limit)),
        None => format!("{now} W"),
    })
}

fn clocks(clocks: Clocks) -> String {
    let one = |now, most: Option<u32>| match most {
        Some(most) => format!("{now} of {most} MHz"),
        None => format!("{now} MHz"),
    };
    format!(
        "{}, memory {}",
        one(clocks.sm, clocks.sm_max),
        one(clocks.memory, clocks.memory_max)
    )
}

fn ecc(ecc: Ecc) -> String {
    if !ecc.enabled {
        return "off".to_owned();
    }
    let count = |errors: Option<u64>| errors.map_or("unknown".to_owned(), |n| n.to_string());
    let warning = match ecc.uncorrected {
        Some(errors) if errors > 0 => ": results may be wrong; restart the machine",
        _ => "",
    };
    format!(
        "on; errors since the driver started: {} corrected, {} not{warning}",
        count(ecc.corrected),
        count(ecc.uncorrected)
    )
}

fn mig(mig: &Mig) -> String {
    if !mig.enabled {
        return "off".to_owned();
    }
    if mig.parts.is_empty() {
        return "on, without parts: nothing can use the card (`nvidia-smi mig -cgi`)".to_owned();
    }
    let mut out = "on".to_owned();
    for part in &mig.parts {
        let device = part
            .device
            .map_or("hidden".to_owned(), |device| format!("cuda:{device}"));
        let memory = part.memory.map(memory).unwrap_or_default();
        let _ = write!(out, "\n    {device}  {}  {memory}", part.uuid);
    }
    out
}

fn processes(processes: &[Process]) -> String {
    if processes.is_empty() {
        return String::new();
    }
    let mut rows = table(&["    PID", "USER", "MEMORY", "EXPLR", "COMMAND"]);
    for process in processes {
        let unknown = || "-".to_owned();
        rows.add_row([
            format!("    {}", process.pid),
            process.user.clone().unwrap_or_else(unknown),
            process
                .memory
                .map_or_else(unknown, |bytes| format!("{} GB", gb(bytes))),
            work(process).unwrap_or_else(unknown),
            process.command.as_deref().map_or_else(unknown, shortened),
        ]);
    }
    format!("  processes\n{}", render(&rows))
}

/// The run and trial of one of explr's processes.
pub(crate) fn work(process: &Process) -> Option<String> {
    let work = process.explr.as_ref()?;
    Some(match &work.trial {
        Some(trial) => format!("{trial}, run {}", work.run.short()),
        None => format!("run {}", work.run.short()),
    })
}

fn shortened(command: &str) -> String {
    let line = one_line(command);
    match line.char_indices().nth(COMMAND) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use explr::gpu::{Clocks, Ecc, Gpu, Gpus, Memory, Mig, MigPart, Process, Utilisation, Work};

    fn work(trial: Option<&str>) -> Work {
        Work {
            run: "01935c0e-0001-7000-8000-000000000001".parse().unwrap(),
            trial: trial.map(str::to_owned),
        }
    }

    fn rtx_5090() -> Gpu {
        let memory = Memory {
            total: 34_190_917_632,
            used: 3_212_836_864,
            free: 30_978_080_768,
        };
        Gpu {
            device: Some(0),
            uuid: "GPU-8f1c2a3b-0000-1111-2222-333344445555".into(),
            name: "NVIDIA GeForce RTX 5090".into(),
            architecture: Some("Blackwell".into()),
            compute_capability: Some("12.0".into()),
            pci: Some("00000000:01:00.0".into()),
            memory: Some(memory),
            utilisation: Some(Utilisation {
                gpu: 97,
                memory: 41,
            }),
            temperature_c: Some(71),
            power_mw: Some(561_480),
            power_limit_mw: Some(575_000),
            clocks: Some(Clocks {
                sm: 2407,
                sm_max: Some(3090),
                memory: 14_001,
                memory_max: Some(14_001),
            }),
            throttled_by: vec!["power limit"],
            processes: vec![
                Process {
                    pid: 1402,
                    user: Some("root".into()),
                    command: Some("/usr/lib/xorg/Xorg".into()),
                    memory: Some(104_857_600),
                    explr: None,
                },
                Process {
                    pid: 77_123,
                    user: Some("ann".into()),
                    command: Some("explr tune config.yaml\u{1b}[31m".into()),
                    memory: Some(2_147_483_648),
                    explr: Some(work(Some("digits#17"))),
                },
                Process {
                    pid: 77_200,
                    ..Process::default()
                },
            ],
            ..Gpu::default()
        }
    }

    fn divided() -> Gpu {
        let memory = Memory {
            total: 42_949_672_960,
            used: 500_000_000,
            free: 42_449_672_960,
        };
        let part = |device, uuid: &str| MigPart {
            device,
            uuid: uuid.into(),
            memory: Some(memory),
            processes: vec![],
        };
        Gpu {
            uuid: "GPU-5d5ba0d6-aaaa-bbbb-cccc-ddddeeeeffff".into(),
            name: "NVIDIA H100 80GB HBM3".into(),
            architecture: Some("Hopper".into()),
            compute_capability: Some("9.0".into()),
            ecc: Some(Ecc {
                enabled: true,
                corrected: Some(0),
                uncorrected: Some(0),
            }),
            mig: Some(Mig {
                enabled: true,
                parts: vec![
                    part(Some(1), "MIG-1f2e3d4c-0000-0000-0000-000000000001"),
                    part(None, "MIG-1f2e3d4c-0000-0000-0000-000000000002"),
                ],
            }),
            ..Gpu::default()
        }
    }

    fn broken() -> Gpu {
        Gpu {
            uuid: "GPU-00000000-dead-beef-0000-000000000000".into(),
            name: "NVIDIA A100-SXM4-40GB".into(),
            temperature_c: Some(38),
            ecc: Some(Ecc {
                enabled: true,
                corrected: Some(211),
                uncorrected: Some(3),
            }),
            mig: Some(Mig::default()),
            throttled_by: vec!["heat", "hardware slowdown"],
            processes: vec![Process {
                pid: 9,
                user: Some("bob".into()),
                command: Some("python3 train.py".into()),
                memory: None,
                explr: Some(work(None)),
            }],
            ..Gpu::default()
        }
    }

    #[test]
    fn a_page_tells_of_each_gpu_what_it_knows() {
        let gpus = Gpus {
            driver: Some("570.195.03".into()),
            cuda: Some("12.8".into()),
            cuda_visible_devices: Some("0,MIG-1f2e3d4c-0000-0000-0000-000000000001".into()),
            gpus: vec![rtx_5090(), divided(), broken()],
            notes: vec!["GPU 3 can't be read: the target GPU has fallen off the bus".into()],
        };
        insta::assert_snapshot!(page(&gpus));
    }
}
