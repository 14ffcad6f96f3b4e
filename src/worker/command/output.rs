use super::source::Sample;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use regex::Regex;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longer lines are no text for people, and are matched in pieces.
const MAX_LINE: usize = 64 << 10;

/// What a command prints: passed on as it is, and searched for metrics.
pub(super) struct Output {
    pipe: File,
    pattern: Regex,
    pending: Vec<u8>,
    is_open: bool,
}

impl Output {
    pub(super) fn new(pipe: OwnedFd, pattern: &str) -> Result<Self, String> {
        let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|error| error.to_string())?;
        Ok(Self {
            pipe: pipe.into(),
            pattern,
            pending: Vec::new(),
            is_open: true,
        })
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.is_open.then(|| self.pipe.as_fd())
    }

    pub(super) fn take(&mut self, has_ended: bool) -> Vec<Result<Sample, String>> {
        let mut samples = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        while self.is_open {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(length) => {
                    let bytes = &buffer[..length];
                    // Nobody is there to hear of an output that is gone.
                    let _ = io::stdout()
                        .write_all(bytes)
                        .and_then(|()| io::stdout().flush());
                    self.pending.extend_from_slice(bytes);
                    self.search(&mut samples);
                    if !has_ended {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if has_ended {
            self.pending.push(b'\n');
            self.search(&mut samples);
        }
        samples
    }

    /// Searches the lines that are whole. Progress bars end theirs with `\r`.
    fn search(&mut self, samples: &mut Vec<Result<Sample, String>>) {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let whole = match self.pending.iter().rposition(is_end) {
            Some(end) => end + 1,
            None if self.pending.len() > MAX_LINE => self.pending.len(),
            None => return,
        };
        let lines: Vec<u8> = self.pending.drain(..whole).collect();
        let lines = lines.split(|byte| is_end(byte));
        samples.extend(lines.filter_map(|line| sample(&self.pattern, line)).map(Ok));
    }
}

fn sample(pattern: &Regex, line: &[u8]) -> Option<Sample> {
    let line = String::from_utf8_lossy(line);
    let found = pattern.captures(&line)?;
    let number = |name: &str| found.name(name)?.as_str().trim().parse::<f64>().ok();
    let names = pattern.capture_names().flatten();
    let values: std::collections::BTreeMap<_, _> = names
        .filter(|name| *name != "step")
        .filter_map(|name| Some((name.to_owned(), number(name)?)))
        .collect();
    (!values.is_empty()).then(|| Sample {
        values,
        step: number("step").map(whole),
    })
}

/// A step as a whole number; epochs such as `2.5` are written too.
#[expect(clippy::cast_possible_truncation, reason = "no run has so many steps")]
pub(super) fn whole(step: f64) -> i64 {
    step as i64
}

#[cfg(test)]
mod tests {
    use super::Output;
    use std::io::Write;

    #[test]
    fn lines_are_found_however_they_come() {
        let (read, write) = std::io::pipe().unwrap();
        let pattern = r"epoch (?P<step>\d+): loss=(?P<loss>\S+)(?: acc=(?P<acc>\S+))?";
        let mut output = Output::new(read.into(), pattern).unwrap();
        let mut write = std::fs::File::from(std::os::fd::OwnedFd::from(write));
        let mut said = |text: &str, has_ended| {
            write.write_all(text.as_bytes()).unwrap();
            let samples = output.take(has_ended).into_iter();
            let samples: Vec<_> = samples
                .map(|sample| {
                    let sample = sample.unwrap();
                    format!("{:?} {:?}", sample.step, sample.values)
                })
                .collect();
            samples.join("; ")
        };
        assert_eq!(said("epoch 1: lo", false), "");
        assert_eq!(said("ss=0.5\nother\n", false), r#"Some(1) {"loss": 0.5}"#);
        let two = "epoch 2: loss=nan acc=1e-1\repoch 3: loss=-- acc=2\n";
        assert_eq!(
            said(two, false),
            r#"Some(2) {"acc": 0.1, "loss": NaN}; Some(3) {"acc": 2.0}"#
        );
        assert_eq!(said("epoch 4: loss=4", true), r#"Some(4) {"loss": 4.0}"#);
    }
}
