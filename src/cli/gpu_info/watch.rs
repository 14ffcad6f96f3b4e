use super::page::{label, memory, power, work};
use crate::cli::runs::{now_ms, text};
use explr::gpu::{Driver, Gpu, Gpus};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

/// Shows the GPUs again and again, until a signal ends the program, or its
/// reader has seen enough.
pub(super) fn watch(driver: &Driver, every: Duration, json: bool) -> anyhow::Result<()> {
    match show(driver, every, json) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => Ok(ended?),
    }
}

fn show(driver: &Driver, every: Duration, json: bool) -> io::Result<()> {
    let live = !json && stdout().is_terminal() && stderr().is_terminal();
    let mut bars = Bars::default();
    loop {
        let gpus = driver.read();
        if live {
            bars.show(&gpus);
        } else if json {
            print(&(serde_json::to_string(&gpus)? + "\n"))?;
        } else {
            let now = text::moment(now_ms());
            let lines = gpus
                .gpus
                .iter()
                .map(|gpu| format!("{now}  {}\n", line(gpu)));
            print(&lines.collect::<String>())?;
        }
        std::thread::sleep(every);
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A GPU's state in a line.
fn line(gpu: &Gpu) -> String {
    let facts = [
        Some(label(gpu)),
        gpu.utilisation.map(|busy| format!("{} %", busy.gpu)),
        gpu.memory.map(memory),
        beside(gpu),
    ];
    let workers = gpu.processes.iter().filter_map(work);
    let words: Vec<String> = facts.into_iter().flatten().chain(workers).collect();
    words.join("  ")
}

fn beside(gpu: &Gpu) -> Option<String> {
    let degrees = gpu.temperature_c.map(|degrees| format!("{degrees} °C"));
    let slowed = gpu.throttled_by.first().map(|by| format!("slowed by {by}"));
    let words: Vec<String> = [degrees, power(gpu), slowed]
        .into_iter()
        .flatten()
        .collect();
    (!words.is_empty()).then(|| words.join("  "))
}

/// Three live lines for each GPU.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    lines: Vec<[ProgressBar; 3]>,
}

impl Bars {
    fn show(&mut self, gpus: &Gpus) {
        for (at, gpu) in gpus.gpus.iter().enumerate() {
            if at == self.lines.len() {
                self.add(gpu);
            }
            let [busy, held, workers] = &self.lines[at];
            let share = gpu.utilisation.map(|busy| busy.gpu);
            let percent = share.map_or("unknown".to_owned(), |share| format!("{share} %"));
            busy.set_position(share.unwrap_or(0).into());
            busy.set_message(format!("{percent}  {}", beside(gpu).unwrap_or_default()));
            if let Some(now) = gpu.memory {
                held.set_length(now.total);
                held.set_position(now.used);
                held.set_message(memory(now));
            }
            let work: Vec<String> = gpu.processes.iter().filter_map(work).collect();
            workers.set_message(work.join("; "));
        }
    }

    fn add(&mut self, gpu: &Gpu) {
        let bar = |template: &str| {
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            self.all.add(ProgressBar::new(100).with_style(style))
        };
        let lines = [
            bar("{prefix:<8} busy    {bar:24} {msg}"),
            bar("         memory  {bar:24} {msg}"),
            bar("         explr   {msg}"),
        ];
        lines[0].set_prefix(label(gpu));
        self.lines.push(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::line;
    use explr::gpu::{Gpu, Memory, Process, Utilisation, Work};

    #[test]
    fn a_line_tells_of_a_gpu_what_changes() {
        let gpu = Gpu {
            device: Some(1),
            utilisation: Some(Utilisation { gpu: 97, memory: 1 }),
            memory: Some(Memory {
                total: 34_000_000_000,
                used: 4_000_000_000,
                free: 30_000_000_000,
            }),
            temperature_c: Some(71),
            power_mw: Some(561_480),
            throttled_by: vec!["power limit"],
            processes: vec![Process {
                explr: Some(Work {
                    run: "01935c0e-0001-7000-8000-000000000001".parse().unwrap(),
                    trial: Some("digits#17".into()),
                }),
                ..Process::default()
            }],
            ..Gpu::default()
        };
        assert_eq!(
            line(&gpu),
            "cuda:1  97 %  4 of 34 GB used, 30 free  71 °C  561 W  slowed by power limit  \
             digits#17, run 00000001"
        );
        assert_eq!(line(&Gpu::default()), "hidden");
    }
}
