use super::output::emit;
use explr::Exit;
use explr::store::RunDir;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its id, a unique start of it, its short form, or `last`.
    run: String,
    #[command(flatten)]
    store: super::StoreArgs,
    /// Go on printing until the run ends.
    #[arg(long, short)]
    follow: bool,
    /// Only the last N lines.
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
}

/// How often a log that is followed is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open_reconciled()?;
    let run = store.run(&args.run)?;
    let mut log = Log::new(&run);
    if !log.path.exists() && !args.follow {
        eprintln!("run {} printed nothing", run.id().short());
        return Ok(Exit::Ok);
    }
    match args.lines {
        None => log.print_old()?,
        Some(lines) => log.skip_to_last(lines)?,
    }
    loop {
        // Asked before the last look, so that no last words are missed.
        let going_on = args.follow && run.is_locked()?;
        if !log.print_new()? || !going_on {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// A run's log, as far as it was printed.
struct Log {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
}

impl Log {
    fn new(run: &RunDir) -> Self {
        let path = run.log_path();
        let file = File::open(&path).ok();
        Self {
            path,
            file,
            offset: 0,
        }
    }

    /// What was moved away when the log grew too large.
    fn rotated(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        name.into()
    }

    fn print_old(&self) -> io::Result<()> {
        match File::open(self.rotated()) {
            Ok(mut old) => copy(&mut old).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Prints the last lines, from the rotated file too if the log has fewer.
    fn skip_to_last(&mut self, lines: usize) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let (offset, found) = last_lines(file, lines)?;
        self.offset = offset;
        if found < lines
            && let Ok(mut old) = File::open(self.rotated())
        {
            let (offset, _) = last_lines(&old, lines - found)?;
            old.seek(SeekFrom::Start(offset))?;
            copy(&mut old)?;
        }
        Ok(())
    }

    /// Prints what is new. False when nobody reads any more.
    fn print_new(&mut self) -> io::Result<bool> {
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(self.offset))?;
            match copy(file)? {
                Some(bytes) => self.offset += bytes,
                None => return Ok(false),
            }
        }
        // Rotated: the rest of the old file is printed by now.
        if !same_file(self.file.as_ref(), &self.path)
            && let Ok(mut file) = File::open(&self.path)
        {
            match copy(&mut file)? {
                Some(bytes) => (self.file, self.offset) = (Some(file), bytes),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn same_file(open: Option<&File>, path: &Path) -> bool {
    let open = open.and_then(|file| file.metadata().ok());
    match (open, path.metadata()) {
        (Some(open), Ok(now)) => (open.dev(), open.ino()) == (now.dev(), now.ino()),
        (None, Ok(_)) => false,
        (_, Err(_)) => true,
    }
}

/// Copies to the output; `None` when the reader is gone.
fn copy(file: &mut File) -> io::Result<Option<u64>> {
    let mut out = io::stdout().lock();
    let mut block = vec![0; 64 << 10];
    let mut copied = 0;
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            break;
        }
        match out.write_all(&block[..count]) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
            result => result?,
        }
        copied += count as u64;
    }
    drop(out);
    emit("")?;
    Ok(Some(copied))
}

/// Where the last `wanted` lines begin, and how many there are.
fn last_lines(file: &File, wanted: usize) -> io::Result<(u64, usize)> {
    const BLOCK: u64 = 64 << 10;
    let len = file.metadata()?.len();
    let mut block = vec![0; 64 << 10];
    let mut end = len;
    let mut found = 0;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let bytes = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(bytes, start)?;
        for (index, byte) in bytes.iter().enumerate().rev() {
            let at = start + index as u64;
            // The newline that ends the file begins no line.
            if *byte == b'\n' && at + 1 < len {
                found += 1;
                if found == wanted {
                    return Ok((at + 1, found));
                }
            }
        }
        end = start;
    }
    Ok((0, if len == 0 { 0 } else { found + 1 }))
}

#[cfg(test)]
mod tests {
    use super::last_lines;
    use std::io::Write;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let of = |text: &str, wanted| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let (offset, found) = last_lines(&file, wanted).unwrap();
            (text[usize::try_from(offset).unwrap()..].to_owned(), found)
        };
        assert_eq!(of("a\nb\nc\n", 2), ("b\nc\n".to_owned(), 2));
        assert_eq!(of("a\nb\nc", 2), ("b\nc".to_owned(), 2));
        assert_eq!(of("a\nb\n", 5), ("a\nb\n".to_owned(), 2));
        assert_eq!(of("", 5), (String::new(), 0));
        let long = "x".repeat(70_000) + "\n";
        assert_eq!(of(&long.repeat(4), 3).0.len(), 3 * 70_001);
    }
}
