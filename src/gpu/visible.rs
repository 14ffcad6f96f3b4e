use super::{Gpu, Gpus, Memory, Process};

/// Something that CUDA can compute on: a card, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit<'g> {
    /// Its name in every order.
    pub uuid: &'g str,
    /// All of it that it has.
    pub memory: Option<Memory>,
    /// What uses it.
    pub processes: &'g [Process],
    /// The card that it is or belongs to.
    pub gpu: &'g Gpu,
}

impl Gpus {
    /// What CUDA may use, in the order of its numbers.
    pub fn units(&self) -> Vec<Unit<'_>> {
        let mut units: Vec<(u32, Unit)> = Vec::new();
        for gpu in &self.gpus {
            let card = Unit {
                uuid: &gpu.uuid,
                memory: gpu.memory,
                processes: &gpu.processes,
                gpu,
            };
            units.extend(gpu.device.map(|device| (device, card)));
            for part in gpu.mig.iter().flat_map(|mig| &mig.parts) {
                let unit = Unit {
                    uuid: &part.uuid,
                    memory: part.memory,
                    processes: &part.processes,
                    gpu,
                };
                units.extend(part.device.map(|device| (device, unit)));
            }
        }
        units.sort_by_key(|(device, _)| *device);
        units.into_iter().map(|(_, unit)| unit).collect()
    }

    /// Numbers what CUDA may use as `CUDA_VISIBLE_DEVICES` says. As in CUDA, a
    /// word that names nothing ends the list. `by_bus` means that CUDA counts
    /// cards in the order of the bus, as this list does.
    pub(super) fn number(&mut self, visible: Option<String>, by_bus: bool) {
        let mut slots = slots(&mut self.gpus);
        let mut counted = false;
        if let Some(visible) = &visible {
            for (device, word) in (0..).zip(visible.split(',')) {
                let Some(at) = find(&slots, word.trim()) else {
                    break;
                };
                counted |= is_number(word.trim());
                *slots[at].device = Some(device);
            }
        } else {
            for (device, slot) in (0..).zip(&mut slots) {
                *slot.device = Some(device);
            }
        }
        let alike = self.gpus.windows(2).all(|two| two[0].name == two[1].name);
        if counted && !alike && !by_bus {
            self.notes.push(
                "CUDA_VISIBLE_DEVICES counts the GPUs in the order of the bus here, and CUDA may \
                 count the fastest first: name them by UUID, or set CUDA_DEVICE_ORDER=PCI_BUS_ID"
                    .to_owned(),
            );
        }
        self.cuda_visible_devices = visible;
    }
}

/// A place for a number.
struct Slot<'g> {
    /// The card's place in the list.
    card: usize,
    uuid: String,
    device: &'g mut Option<u32>,
}

fn slots(gpus: &mut [Gpu]) -> Vec<Slot<'_>> {
    let mut slots = Vec::new();
    for (card, gpu) in gpus.iter_mut().enumerate() {
        match &mut gpu.mig {
            Some(mig) if mig.enabled => slots.extend(mig.parts.iter_mut().map(|part| Slot {
                card,
                uuid: part.uuid.clone(),
                device: &mut part.device,
            })),
            _ => slots.push(Slot {
                card,
                uuid: gpu.uuid.clone(),
                device: &mut gpu.device,
            }),
        }
    }
    slots
}

/// What a word of `CUDA_VISIBLE_DEVICES` names, if it isn't taken: a card's
/// place, or the beginning of a UUID that only one has.
fn find(slots: &[Slot], word: &str) -> Option<usize> {
    let found = if is_number(word) {
        let card: usize = word.parse().ok()?;
        slots.iter().position(|slot| slot.card == card)?
    } else {
        if !word.starts_with("GPU-") && !word.starts_with("MIG-") {
            return None;
        }
        let mut all = (0..slots.len()).filter(|&at| slots[at].uuid.starts_with(word));
        all.next().filter(|_| all.next().is_none())?
    };
    slots[found].device.is_none().then_some(found)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::{Gpu, Gpus, Mig, MigPart};

    fn gpu(uuid: &str) -> Gpu {
        Gpu {
            uuid: uuid.into(),
            name: "a card".into(),
            ..Gpu::default()
        }
    }

    fn divided(uuid: &str, parts: &[&str]) -> Gpu {
        let part = |uuid: &&str| MigPart {
            device: None,
            uuid: (*uuid).into(),
            memory: None,
            processes: vec![],
        };
        Gpu {
            mig: Some(Mig {
                enabled: true,
                parts: parts.iter().map(part).collect(),
            }),
            ..gpu(uuid)
        }
    }

    fn visible(gpus: &[Gpu], text: Option<&str>) -> Gpus {
        let mut all = Gpus {
            gpus: gpus.to_vec(),
            ..Gpus::default()
        };
        all.number(text.map(str::to_owned), false);
        all
    }

    fn uuids(gpus: &[Gpu], text: Option<&str>) -> Vec<String> {
        let all = visible(gpus, text);
        all.units()
            .iter()
            .map(|unit| unit.uuid.to_owned())
            .collect()
    }

    #[test]
    fn cuda_visible_devices_decides_what_there_is_and_its_order() {
        let gpus = [gpu("GPU-aa"), gpu("GPU-ab"), gpu("GPU-c")];
        for (text, wanted) in [
            (None, &["GPU-aa", "GPU-ab", "GPU-c"][..]),
            (Some("2,0"), &["GPU-c", "GPU-aa"]),
            (Some(" 1 , GPU-c"), &["GPU-ab", "GPU-c"]),
            (Some("GPU-ab,GPU-aa"), &["GPU-ab", "GPU-aa"]),
            (Some(""), &[]),
            (Some("-1"), &[]),
            (Some("NoDevFiles"), &[]),
            // The first wrong word ends the list.
            (Some("0,9,1"), &["GPU-aa"]),
            (Some("0,0,1"), &["GPU-aa"]),
            (Some("1,GPU-a,2"), &["GPU-ab"]),
        ] {
            assert_eq!(uuids(&gpus, text), wanted, "{text:?}");
        }
    }

    #[test]
    fn the_parts_of_a_divided_card_count_instead_of_it() {
        let gpus = [divided("GPU-a", &["MIG-x", "MIG-y"]), gpu("GPU-b")];
        assert_eq!(uuids(&gpus, None), ["MIG-x", "MIG-y", "GPU-b"]);
        assert_eq!(uuids(&gpus, Some("MIG-y,1")), ["MIG-y", "GPU-b"]);
        assert_eq!(uuids(&gpus, Some("GPU-a")), [""; 0]);
        assert_eq!(uuids(&[divided("GPU-a", &[])], None), [""; 0]);
    }

    #[test]
    fn numbers_that_cuda_may_read_otherwise_are_told() {
        let mut other = gpu("GPU-b");
        other.name = "another card".into();
        let gpus = [gpu("GPU-a"), other];
        assert_eq!(visible(&gpus, Some("1")).notes.len(), 1);
        assert_eq!(visible(&gpus, Some("GPU-b")).notes.len(), 0);
        assert_eq!(visible(&gpus, None).notes.len(), 0);
        assert_eq!(
            visible(&[gpu("GPU-a"), gpu("GPU-b")], Some("1"))
                .notes
                .len(),
            0
        );
    }
}
