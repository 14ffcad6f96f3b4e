use crate::cli::gpu_info::work;
use crate::cli::runs::output::{render, table};
use explr::gpu::{Gpus, Limit, Memory, NoGpu, Process, gb};
use serde::Serialize;
use std::fmt::Write;

/// The limit, and what it means for each GPU.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    /// None for no limit.
    limit_bytes: Option<u64>,
    /// The kind of its source.
    source: &'static str,
    /// The source, for people.
    from: String,
    trials_per_gpu: u64,
    gpus: Vec<Card>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_gpu: Option<String>,
}

/// Something that workers compute on.
#[derive(Debug, Serialize)]
struct Card {
    device: usize,
    uuid: String,
    name: String,
    memory: Memory,
    /// What its workers may use together.
    limit_bytes: u64,
    /// What the next of them may use.
    next_trial_bytes: u64,
    /// explr's processes on it.
    workers: Vec<Process>,
}

impl Page {
    pub(super) fn new(limit: &Limit, trials_per_gpu: u64, gpus: &Result<Gpus, NoGpu>) -> Self {
        let cards = gpus.as_ref().map(|gpus| cards(limit, trials_per_gpu, gpus));
        let no_gpu = match (gpus, &cards) {
            (Err(missing), _) => Some(missing.to_string()),
            (Ok(gpus), Ok(cards)) if cards.is_empty() => Some(match &gpus.cuda_visible_devices {
                Some(visible) => format!("CUDA_VISIBLE_DEVICES={visible} hides them"),
                None => "none of them can be used; see `explr gpu-info`".to_owned(),
            }),
            _ => None,
        };
        Self {
            limit_bytes: limit.bytes,
            source: limit.source.kind(),
            from: limit.source.to_string(),
            trials_per_gpu,
            gpus: cards.unwrap_or_default(),
            no_gpu,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let limit = match self.limit_bytes {
            Some(bytes) => format!("{} GB of each GPU, for all its workers together", gb(bytes)),
            None => "none".to_owned(),
        };
        let _ = writeln!(out, "limit  {limit}\nfrom   {}", self.from);
        if let Some(why) = &self.no_gpu {
            let _ = writeln!(out, "GPUs   none: {why}");
        }
        for card in &self.gpus {
            let _ = write!(out, "\n{}", card.text(self.trials_per_gpu));
        }
        out
    }
}

fn cards(limit: &Limit, trials_per_gpu: u64, gpus: &Gpus) -> Vec<Card> {
    let units = gpus.units().into_iter().enumerate();
    let cards = units.filter_map(|(device, unit)| {
        let memory = unit.memory?;
        let workers = unit.processes.iter();
        Some(Card {
            device,
            uuid: unit.uuid.to_owned(),
            name: unit.gpu.name.clone(),
            memory,
            limit_bytes: limit.on_card(memory.total),
            next_trial_bytes: limit.share(memory.total, trials_per_gpu),
            workers: workers.filter(|one| one.explr.is_some()).cloned().collect(),
        })
    });
    cards.collect()
}

impl Card {
    fn text(&self, trials_per_gpu: u64) -> String {
        let mut out = format!("cuda:{}  {}\n", self.device, self.name);
        let Memory { total, used, free } = self.memory;
        let _ = writeln!(
            out,
            "  memory      {} GB: {} used, {} free",
            gb(total),
            gb(used),
            gb(free)
        );
        let _ = writeln!(out, "  workers     {} GB at most", gb(self.limit_bytes));
        let shared = match trials_per_gpu {
            1 => String::new(),
            trials => format!(", as {trials} share the GPU"),
        };
        let scarce = if free < self.next_trial_bytes {
            format!("; only {} GB are free", gb(free))
        } else {
            String::new()
        };
        let next = gb(self.next_trial_bytes);
        let _ = writeln!(out, "  next trial  {next} GB at most{shared}{scarce}");
        if !self.workers.is_empty() {
            let mut rows = table(&["    PID", "HOLDS", "EXPLR"]);
            for worker in &self.workers {
                let holds = worker
                    .memory
                    .map_or("unknown".to_owned(), |bytes| format!("{} GB", gb(bytes)));
                let work = work(worker).unwrap_or_default();
                rows.add_row([format!("    {}", worker.pid), holds, work]);
            }
            out.push_str(&render(&rows));
        }
        out
    }
}

/// A limit in words.
pub(super) fn amount(limit: &Limit) -> String {
    limit
        .bytes
        .map_or("no limit".to_owned(), |bytes| format!("{} GB", gb(bytes)))
}

#[cfg(test)]
mod tests {
    use super::Page;
    use explr::gpu::{Gpu, Gpus, Limit, Memory, NoGpu, Process, Source, Work};

    fn gpus() -> Gpus {
        let worker = |pid, trial: &str, memory| Process {
            pid,
            memory,
            explr: Some(Work {
                run: "01935c0e-0001-7000-8000-000000000001".parse().unwrap(),
                trial: Some(trial.to_owned()),
            }),
            ..Process::default()
        };
        let card = |device, used: u64, processes| Gpu {
            device,
            uuid: format!("GPU-{used}"),
            name: "NVIDIA GeForce RTX 5090".into(),
            memory: Some(Memory {
                total: 34_190_917_632,
                used,
                free: 34_190_917_632 - used,
            }),
            processes,
            ..Gpu::default()
        };
        let someone = Process {
            pid: 5,
            ..Process::default()
        };
        let workers = vec![
            someone,
            worker(77_123, "digits#17", Some(9_500_000_000)),
            worker(77_124, "digits#18", None),
        ];
        Gpus {
            gpus: vec![
                card(Some(1), 12_000_000_000, workers),
                card(Some(0), 30_000_000_000, vec![]),
                card(None, 1, vec![]),
            ],
            ..Gpus::default()
        }
    }

    fn limit(text: &str) -> Limit {
        let file = ".explr/gpu_memory.json".into();
        Limit::choose([(Source::Project(file), text.to_owned())]).unwrap()
    }

    #[test]
    fn the_page_says_what_each_worker_holds_and_the_next_trial_gets() {
        insta::assert_snapshot!(Page::new(&limit("24"), 2, &Ok(gpus())).text());
    }

    #[test]
    fn without_a_limit_the_card_is_one() {
        insta::assert_snapshot!(Page::new(&limit("0"), 1, &Ok(gpus())).text());
    }

    #[test]
    fn gpus_that_are_hidden_are_none() {
        let mut hidden = gpus();
        hidden.gpus.truncate(0);
        hidden.cuda_visible_devices = Some("-1".into());
        let text = Page::new(&limit("24"), 1, &Ok(hidden)).text();
        assert!(
            text.contains("none: CUDA_VISIBLE_DEVICES=-1 hides them"),
            "{text}"
        );
        let text = Page::new(&limit("24"), 1, &Err(NoGpu::NoCard)).text();
        assert!(
            text.contains("none: the NVIDIA driver is there, and no GPU"),
            "{text}"
        );
    }
}
