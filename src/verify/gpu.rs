//! The GPUs, their driver, and whether the libtorch at hand is made for them.

use super::Check;
use super::libtorch::Found;
use super::version::Version;
use crate::gpu::{self, NoGpu};
use std::fs;
use std::path::Path;

/// What NVML says, and the bus.
pub(super) struct Facts {
    driver: Result<Driver, NoGpu>,
    /// An NVIDIA display adapter is on the PCI bus.
    on_bus: bool,
    in_container: bool,
}

/// A driver at work.
struct Driver {
    version: String,
    /// The newest CUDA that it runs.
    cuda: Version,
    gpus: Vec<Gpu>,
}

/// A GPU that programs can use.
#[derive(Debug, Clone)]
pub(super) struct Gpu {
    pub(super) name: String,
    pub(super) uuid: String,
    /// Its compute capability.
    capability: (u32, u32),
}

pub(super) fn gather() -> Facts {
    Facts {
        driver: driver(),
        on_bus: is_on_bus(Path::new("/sys/bus/pci/devices")),
        in_container: super::container::kind().is_some(),
    }
}

impl Facts {
    pub(super) fn gpus(&self) -> &[Gpu] {
        self.driver.as_ref().map_or(&[], |driver| &driver.gpus)
    }
}

fn driver() -> Result<Driver, NoGpu> {
    let found = gpu::Driver::open()?.abilities()?;
    let cuda = u32::try_from(found.cuda).unwrap_or(0);
    let gpu = |(name, uuid, capability)| Gpu {
        name,
        uuid,
        capability,
    };
    Ok(Driver {
        version: found.driver,
        cuda: Version(cuda / 1000, cuda % 1000 / 10, 0),
        gpus: found.cards.into_iter().map(gpu).collect(),
    })
}

/// Whether a folder of PCI devices has a display adapter of NVIDIA's.
fn is_on_bus(devices: &Path) -> bool {
    let Ok(devices) = fs::read_dir(devices) else {
        return false;
    };
    devices.flatten().any(|device| {
        let read = |name| fs::read_to_string(device.path().join(name)).unwrap_or_default();
        read("vendor").trim() == "0x10de" && read("class").starts_with("0x03")
    })
}

pub(super) fn checks(facts: &Facts, libtorch: Option<&Found>) -> Vec<Check> {
    let driver = match &facts.driver {
        Ok(driver) => driver,
        Err(why) => return vec![no_driver(why, facts.on_bus, facts.in_container)],
    };
    let mut checks = vec![Check::ok(
        "driver",
        format!("{}, for CUDA up to {}", driver.version, short(driver.cuda)),
    )];
    let Some(libtorch) = libtorch else {
        return checks;
    };
    if !libtorch.has_cuda {
        checks.push(Check::warning(
            "CUDA of libtorch",
            "built without CUDA, so `device: auto` means the CPU",
            &libtorch.replace,
        ));
        return checks;
    }
    checks.push(cuda(libtorch, driver));
    checks.extend(driver.gpus.iter().map(|gpu| capability(gpu, libtorch)));
    checks
}

fn no_driver(why: &NoGpu, on_bus: bool, in_container: bool) -> Check {
    let name = "driver";
    match why {
        NoGpu::NoCard => Check::not_applicable("GPU", "the driver sees none"),
        NoGpu::Mismatch => Check::failure(
            name,
            "the NVIDIA driver was updated, and its old module is still in the kernel",
            "sudo reboot",
        ),
        NoGpu::NoDriver if !on_bus => Check::not_applicable("GPU", "no NVIDIA GPU and no driver"),
        NoGpu::NoDriver if in_container => Check::warning(
            name,
            "the machine has an NVIDIA GPU, and this container was started without it",
            "docker run --gpus all ...    # needs the NVIDIA Container Toolkit on the host",
        ),
        NoGpu::NoDriver => Check::failure(
            name,
            "there is an NVIDIA GPU, and no driver for it",
            "sudo apt install nvidia-driver-570-open    # or newer; then reboot",
        ),
        NoGpu::NoAnswer(why) => Check::failure(
            name,
            format!("the NVIDIA driver does not answer: {why}"),
            "nvidia-smi    # says more; a reboot brings back a GPU that fell off the bus",
        ),
    }
}

/// Whether the driver runs the CUDA that a libtorch was built with.
fn cuda(libtorch: &Found, driver: &Driver) -> Check {
    let name = "CUDA of libtorch";
    let Some(built) = libtorch.cuda else {
        return Check::not_applicable(name, "its files don't tell the version");
    };
    let needs = oldest_driver(built).map_or_else(
        || "a newer driver".to_owned(),
        |oldest| format!("driver {oldest} or newer"),
    );
    let seen = format!(
        "{}, which needs {needs}; this driver is {}",
        short(built),
        driver.version
    );
    if built <= driver.cuda {
        Check::ok(name, short(built))
    } else if built.0 == driver.cuda.0 {
        // Minor-version compatibility: it runs, but for what is compiled at
        // run time and for cards that the driver does not know.
        Check::warning(name, seen, UPDATE)
    } else {
        Check::failure(
            name,
            seen,
            format!(
                "{}    # built with CUDA 12.8; or {UPDATE}",
                libtorch.replace
            ),
        )
    }
}

const UPDATE: &str = "sudo apt install nvidia-driver-580-open && sudo reboot";

/// The oldest driver branch that knows a version of CUDA.
fn oldest_driver(cuda: Version) -> Option<u32> {
    let known = [
        ((12, 4), 550),
        ((12, 6), 560),
        ((12, 8), 570),
        ((12, 9), 575),
        ((13, 0), 580),
    ];
    let wanted = (cuda.0, cuda.1);
    known
        .iter()
        .find(|(version, _)| *version == wanted)
        .map(|(_, driver)| *driver)
}

/// Whether a libtorch has code for a GPU: for its very capability, for an
/// older one of the same generation, or in a form that the driver compiles.
fn capability(gpu: &Gpu, libtorch: &Found) -> Check {
    let list = &libtorch.architectures;
    let (major, minor) = gpu.capability;
    let name = format!("code for {}", gpu.name);
    let own = format!("sm_{major}{minor}");
    if list.is_empty() {
        return Check::not_applicable(name, "this libtorch has no list of GPUs");
    }
    let runs = |entry: &String| {
        let number = |text: &str| text.parse::<u32>().ok();
        let of = number(entry.trim_start_matches(|c: char| !c.is_ascii_digit()));
        match of.map(|of| (of / 10, of % 10)) {
            Some((of, from)) if entry.starts_with("sm_") => of == major && from <= minor,
            Some(from) => from <= (major, minor),
            None => *entry == own,
        }
    };
    if list.iter().any(runs) {
        Check::ok(name, own)
    } else {
        Check::failure(
            name,
            format!("the GPU is {own}; this libtorch has {}", list.join(" ")),
            &libtorch.replace,
        )
    }
}

fn short(version: Version) -> String {
    format!("{}.{}", version.0, version.1)
}

#[cfg(test)]
mod tests {
    use super::{Driver, Facts, Found, Gpu, NoGpu, capability, checks, cuda, is_on_bus};
    use crate::verify::version::Version;
    use crate::verify::{Check, Verdict};

    fn target() -> Facts {
        Facts {
            driver: Ok(Driver {
                version: "570.195.03".to_owned(),
                cuda: Version(12, 8, 0),
                gpus: vec![blackwell()],
            }),
            on_bus: true,
            in_container: false,
        }
    }

    fn blackwell() -> Gpu {
        Gpu {
            name: "NVIDIA GeForce RTX 5090".to_owned(),
            uuid: "GPU-a".to_owned(),
            capability: (12, 0),
        }
    }

    fn wheel(cuda: Option<Version>, list: &str) -> Found {
        Found {
            folder: "/torch".into(),
            version: None,
            has_cuda: cuda.is_some(),
            cuda,
            new_abi: Some(true),
            architectures: list.split_whitespace().map(str::to_owned).collect(),
            replace: "pip install torch==2.10.0".to_owned(),
        }
    }

    fn words(checks: &[Check]) -> Vec<&'static str> {
        let word = |check: &Check| match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning { .. } => "warning",
            Verdict::Failure { .. } => "failure",
            Verdict::NotApplicable => "not applicable",
        };
        checks.iter().map(word).collect()
    }

    #[test]
    fn the_target_machine_runs_the_wheel_that_explr_sets_up() {
        let list = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120";
        let wheel = wheel(Some(Version(12, 8, 0)), list);
        assert_eq!(words(&checks(&target(), Some(&wheel))), ["ok"; 3]);
    }

    #[test]
    fn a_cuda_13_wheel_needs_driver_580() {
        let wheel = wheel(Some(Version(13, 0, 0)), "sm_120");
        let check = checks(&target(), Some(&wheel)).swap_remove(1);
        let Verdict::Failure { fix } = &check.verdict else {
            panic!("{check:?}");
        };
        assert!(check.seen.contains("driver 580 or newer"), "{check:?}");
        assert!(check.seen.contains("570.195.03"), "{check:?}");
        assert!(fix.contains("torch==2.10.0"), "{fix}");
    }

    #[test]
    fn a_driver_of_the_same_generation_is_a_warning_and_a_newer_one_is_fine() {
        let of = |cuda_of_driver| {
            let driver = Driver {
                version: "1".to_owned(),
                cuda: cuda_of_driver,
                gpus: Vec::new(),
            };
            cuda(&wheel(Some(Version(12, 8, 0)), ""), &driver)
        };
        assert_eq!(words(&[of(Version(12, 4, 0))]), ["warning"]);
        assert_eq!(words(&[of(Version(13, 0, 0))]), ["ok"]);
    }

    #[test]
    fn a_card_needs_code_of_its_own_generation_or_ptx() {
        let word = |list: &str| {
            let wheel = wheel(Some(Version(12, 8, 0)), list);
            words(&[capability(&blackwell(), &wheel)])[0]
        };
        assert_eq!(word("sm_80 sm_120"), "ok");
        assert_eq!(word("sm_80 sm_90"), "failure");
        assert_eq!(word("sm_100 sm_121"), "failure");
        assert_eq!(word("sm_80 compute_90"), "ok");
        let ada = Gpu {
            capability: (8, 9),
            ..blackwell()
        };
        let ampere = wheel(Some(Version(12, 8, 0)), "sm_80");
        assert_eq!(words(&[capability(&ada, &ampere)]), ["ok"]);
    }

    #[test]
    fn a_libtorch_without_cuda_is_a_warning_where_a_gpu_is() {
        let cpu = wheel(None, "");
        assert_eq!(words(&checks(&target(), Some(&cpu))), ["ok", "warning"]);
    }

    #[test]
    fn what_is_wrong_with_a_driver_is_told_apart() {
        let word = |why, on_bus, in_container| {
            let facts = Facts {
                driver: Err(why),
                on_bus,
                in_container,
            };
            words(&checks(&facts, None))[0]
        };
        assert_eq!(word(NoGpu::NoDriver, false, false), "not applicable");
        assert_eq!(word(NoGpu::NoDriver, true, false), "failure");
        assert_eq!(word(NoGpu::NoDriver, true, true), "warning");
        assert_eq!(word(NoGpu::Mismatch, true, false), "failure");
        let lost = NoGpu::NoAnswer("GPU is lost".to_owned());
        assert_eq!(word(lost, false, false), "failure");
    }

    #[test]
    fn a_card_is_seen_on_the_bus() {
        let bus = tempfile::tempdir().unwrap();
        let add = |name: &str, vendor: &str, class: &str| {
            let device = bus.path().join(name);
            std::fs::create_dir(&device).unwrap();
            std::fs::write(device.join("vendor"), vendor).unwrap();
            std::fs::write(device.join("class"), class).unwrap();
        };
        // The sound of a graphics card, and another maker's card.
        add("0000:01:00.1", "0x10de\n", "0x040300\n");
        add("0000:00:02.0", "0x8086\n", "0x030000\n");
        assert!(!is_on_bus(bus.path()));
        add("0000:01:00.0", "0x10de\n", "0x030000\n");
        assert!(is_on_bus(bus.path()));
    }
}
