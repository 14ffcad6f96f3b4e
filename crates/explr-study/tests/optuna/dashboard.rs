use crate::python::interpreter;
use crate::writers::open;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server, which ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.contains(" 200 "), "{answer}");
    serde_json::from_str(body).ok()
}

#[test]
fn the_dashboard_shows_the_study() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut study = open(&path);
    study
        .optimize(12, |trial| Ok(trial.f64("x")?.powi(2)))
        .unwrap();
    study.ask().unwrap();

    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let _server = Server(
        Command::new(interpreter().with_file_name("optuna-dashboard"))
            .arg(&path)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let begin = Instant::now();
    let studies = loop {
        if let Some(studies) = get(port, "/api/studies") {
            break studies;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "no answer");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(studies["study_summaries"][0]["study_name"], "s");
    let shown = get(port, "/api/studies/0?after=0").unwrap();
    let trials = shown["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 13);
    for (shown, trial) in trials.iter().zip(study.history().trials()) {
        assert_eq!(shown["number"], trial.number);
        if let [value] = trial.values[..] {
            assert_eq!(shown["state"], "Complete");
            assert_eq!(shown["values"][0].as_f64(), Some(value));
        } else {
            assert_eq!(shown["state"], "Running");
        }
    }
}
