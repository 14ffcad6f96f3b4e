//! One attempt: a worker process from its start to its end.

use super::classify::{Evidence, Exited};
use super::limits::{Action, Limit, Limits, Watch};
use super::output::{Output, Shown};
use super::spawn::{Spawn, Worker, end_strays};
use super::stop::{StopLevel, StopReason};
use super::{RunError, Sink};
use crate::report::RunEvent;
use crate::worker::system_metrics::{self, Sampler};
use explr_protocol::control::{Assignment, Code, FromWorker, ToWorker};
use explr_protocol::{Answer, Ask, Outcome};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;

/// How long the output may go on after the worker's end: a process that the
/// train function started and that has left the group may hold the pipe.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Time between two looks at news from elsewhere.
const ASIDE: Duration = Duration::from_millis(200);

/// A worker that speaks every second is heard within this time.
const SILENCE: Duration = Duration::from_secs(5);

/// How an attempt ended.
pub(super) struct Ended {
    pub(super) evidence: Evidence,
    /// It was asked to stop by someone, not by a limit.
    pub(super) stopped: Option<StopReason>,
}

struct Supervisor<'a, 's> {
    watch: Watch,
    output: Output,
    sink: &'a mut Sink<'s>,
    to_worker: OwnedWriteHalf,
    pid: Pid,
    attempt: u32,
    spawned: Instant,
    grace: Duration,
    outcome: Option<Outcome>,
    limit: Option<Limit>,
    stopped: Option<StopReason>,
    killed: bool,
    journal_failure: Option<String>,
}

/// Starts a worker on `assignment` and sees it through. `aside` is asked now
/// and then for news from elsewhere; `answer` speaks for the study, at once.
pub(super) async fn supervise(
    spawn: &Spawn,
    assignment: Assignment,
    limits: Limits,
    mut stop: watch::Receiver<StopLevel>,
    aside: &mut dyn FnMut() -> Option<RunEvent>,
    answer: &mut dyn FnMut(Ask) -> Answer,
    sink: &mut Sink<'_>,
) -> Result<Ended, RunError> {
    let spawned = Instant::now();
    let oom_kills = oom_kills();
    let output = Output::open(&spawn.log, spawned).map_err(|source| RunError::NotWritable {
        path: spawn.log.clone(),
        source,
    })?;
    let Worker {
        mut process,
        pid,
        control,
        output: mut pipe,
    } = spawn.start().await.map_err(|source| RunError::Spawn {
        program: spawn.program.clone(),
        source,
    })?;
    let (from_worker, to_worker) = control.into_split();
    let mut lines = BufReader::new(from_worker).lines();
    let mut supervisor = Supervisor {
        grace: limits.grace,
        watch: Watch::new(limits, spawned),
        output,
        sink,
        to_worker,
        pid,
        attempt: assignment.context.attempt,
        spawned,
        outcome: None,
        limit: None,
        stopped: None,
        killed: false,
        journal_failure: None,
    };
    let (sampler, mut samples) = sample_for(&assignment);
    supervisor
        .send(&ToWorker::Start(Box::new(assignment)))
        .await;

    let mut buffer = vec![0; 64 << 10];
    let (mut talks, mut prints) = (true, true);
    let mut ticks = tokio::time::interval(ASIDE);
    let exited = loop {
        let next_look = supervisor.watch.next_look();
        tokio::select! {
            biased;
            // First, so that a worker that is stopped over its question counts
            // as stopped whatever it says to the answer.
            level = changed(&mut stop) => supervisor.obey(level).await,
            line = lines.next_line(), if talks => match line {
                Ok(Some(line)) => if let Some(question) = supervisor.hear(&line) {
                    supervisor.send(&ToWorker::Answer(answer(question))).await;
                },
                Ok(None) | Err(_) => talks = false,
            },
            read = pipe.read(&mut buffer), if prints => match read {
                Ok(0) | Err(_) => prints = false,
                Ok(length) => supervisor.print(&buffer[..length]),
            },
            exited = process.wait() => break exited.map_err(RunError::Wait)?,
            () = sleep_until(next_look) => supervisor.look().await,
            Some(sample) = samples.recv() => supervisor.pass_on(sample).await,
            _ = ticks.tick() => if let Some(event) = aside() {
                (supervisor.sink)(event);
            },
        }
    };
    if let Some(sampler) = sampler {
        // It may be in the middle of a look.
        tokio::task::spawn_blocking(|| sampler.stop());
    }
    supervisor.end_group();
    end_strays(&spawn.run_id);
    let last_words = tokio::time::Instant::now() + LAST_WORDS;
    while let Ok(Ok(Some(line))) = tokio::time::timeout_at(last_words, lines.next_line()).await {
        supervisor.hear(&line);
    }
    while let Ok(Ok(length @ 1..)) =
        tokio::time::timeout_at(last_words, pipe.read(&mut buffer)).await
    {
        supervisor.print(&buffer[..length]);
    }
    let shown = supervisor.output.end();
    supervisor.show(shown);
    Ok(supervisor.conclude(exited, self::oom_kills() > oom_kills))
}

impl Supervisor<'_, '_> {
    /// Takes a message in; a question is the caller's to answer.
    fn hear(&mut self, line: &str) -> Option<Ask> {
        let now = Instant::now();
        self.watch.saw_life(now);
        let message = match serde_json::from_str(line) {
            Ok(message) => message,
            Err(error) => {
                let text = format!("explr: a message of the worker can't be read: {error}");
                (self.sink)(RunEvent::Output(text));
                return None;
            }
        };
        match message {
            FromWorker::Started => {
                self.watch.saw_progress(now);
                (self.sink)(RunEvent::Started {
                    pid: u32::try_from(self.pid.as_raw()).ok(),
                    attempt: self.attempt,
                    after: now - self.spawned,
                });
            }
            FromWorker::Heartbeat => {}
            FromWorker::Ask(question) => {
                self.watch.saw_progress(now);
                return Some(question);
            }
            FromWorker::Progress(progress) => {
                self.watch.saw_progress(now);
                (self.sink)(RunEvent::Progress(progress));
            }
            FromWorker::Log { level, message } => {
                self.watch.saw_progress(now);
                (self.sink)(RunEvent::Log { level, message });
            }
            FromWorker::JournalFailed { message } => {
                (self.sink)(RunEvent::JournalFailed {
                    message: message.clone(),
                });
                self.journal_failure.get_or_insert(message);
            }
            FromWorker::Finished { outcome } => {
                self.watch.saw_outcome(now);
                self.outcome.get_or_insert(outcome);
            }
        }
        None
    }

    fn print(&mut self, bytes: &[u8]) {
        let shown = self.output.take(bytes, Instant::now());
        self.show(shown);
    }

    fn show(&mut self, shown: Vec<Shown>) {
        for piece in shown {
            (self.sink)(match piece {
                Shown::Line(line) => RunEvent::Output(line),
                Shown::Hidden(lines) => RunEvent::OutputHidden(lines),
            });
        }
    }

    async fn obey(&mut self, level: StopLevel) {
        match level {
            StopLevel::None => {}
            StopLevel::Gentle(reason) => {
                self.stopped.get_or_insert(reason);
                self.ask(reason.to_string()).await;
            }
            StopLevel::Now(reason) => {
                self.stopped.get_or_insert(reason);
                self.kill();
            }
        }
    }

    async fn look(&mut self) {
        match self.watch.due(Instant::now()) {
            None => {}
            Some(Action::Ask(limit)) => {
                self.limit.get_or_insert(limit);
                self.ask(format!("the worker {limit}")).await;
            }
            Some(Action::Kill) => self.kill(),
        }
    }

    async fn ask(&mut self, reason: String) {
        self.watch.asked_to_stop(Instant::now());
        (self.sink)(RunEvent::Stopping {
            reason,
            grace: self.grace,
        });
        self.send(&ToWorker::Stop).await;
        // To the worker alone: what the train function started must live
        // until the function has put an end to it in good order.
        let _ = kill(self.pid, Signal::SIGTERM);
    }

    /// Gives the worker a sample of the machine, unless it is silent: it might
    /// not read it, and this process would wait for it to do so.
    async fn pass_on(&mut self, sample: ToWorker) {
        if self.watch.silence(Instant::now()) < SILENCE {
            self.send(&sample).await;
        }
    }

    fn kill(&mut self) {
        self.killed = true;
        self.end_group();
    }

    fn end_group(&self) {
        let _ = killpg(self.pid, Signal::SIGKILL);
    }

    /// A worker that hears nothing any more is dying, which `wait` will tell.
    async fn send(&mut self, message: &ToWorker) {
        if let Ok(mut line) = serde_json::to_vec(message) {
            line.push(b'\n');
            let _ = self.to_worker.write_all(&line).await;
        }
    }

    fn conclude(self, exited: Exited, oom_kill: bool) -> Ended {
        Ended {
            stopped: self.stopped,
            evidence: Evidence {
                exited,
                outcome: self.outcome,
                limit: self.limit,
                oom_kill,
                killed_by_us: self.killed,
                journal_failure: self.journal_failure,
                log_tail: self.output.tail(),
            },
        }
    }
}

/// Looks at the machine for a worker that can't do so itself.
fn sample_for(assignment: &Assignment) -> (Option<Sampler>, UnboundedReceiver<ToWorker>) {
    let (sender, samples) = mpsc::unbounded_channel();
    let interval = assignment.system_metrics_interval;
    let interval = interval.filter(|_| matches!(assignment.code, Code::Python(_)));
    let sampler = interval.map(|interval| {
        system_metrics::start(&assignment.journal, interval, move |sample, step| {
            let metrics = sample.into_iter().collect();
            let _ = sender.send(ToWorker::Sample { metrics, step });
        })
    });
    (sampler, samples)
}

async fn changed(stop: &mut watch::Receiver<StopLevel>) -> StopLevel {
    match stop.changed().await {
        Ok(()) => *stop.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// The kernel's count of processes that it killed for want of memory.
pub(crate) fn oom_kills() -> u64 {
    std::fs::read_to_string("/proc/vmstat")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("oom_kill "))
                .and_then(|count| count.trim().parse().ok())
        })
        .unwrap_or(0)
}
