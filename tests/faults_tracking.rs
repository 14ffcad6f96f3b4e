//! A run goes its way whatever MLflow does (P7); only `--require-tracking`
//! makes it a condition.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, metrics, stderr};
use std::net::TcpListener;

fn closed_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn at(port: u16) -> String {
    format!("mlflow: {{tracking_uri: \"http://127.0.0.1:{port}\", sync_timeout: 1s}}")
}

#[test]
fn a_server_that_is_down_costs_a_run_nothing() {
    let project = Project::new("descend", &at(closed_port()));
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(metrics(&project.only_run()).len(), 40);
    let shown = stderr(&output);
    assert!(shown.contains("not in MLflow yet"), "{shown}");
    assert!(shown.contains("explr sync"), "{shown}");
}

#[test]
fn a_server_that_never_answers_costs_a_run_nothing() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let project = Project::new("descend", &at(silent.local_addr().unwrap().port()));
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(metrics(&project.only_run()).len(), 40);
}

#[test]
fn a_required_server_that_is_down_is_found_before_the_training() {
    let project = Project::new("descend", &at(closed_port()));
    let output = project.run(&["--require-tracking"]);
    let shown = stderr(&output);
    assert_eq!(output.status.code(), Some(10), "{shown}");
    assert!(shown.contains("MLflow is required"), "{shown}");
    assert!(metrics(&project.only_run()).is_empty());
}

#[test]
fn an_address_that_only_python_understands_is_refused() {
    let project = Project::new("descend", "mlflow: {tracking_uri: \"sqlite:///mlflow.db\"}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_folder_as_address_means_the_journal_alone() {
    let project = Project::new("descend", "mlflow: {tracking_uri: \"file:./mlruns\"}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!stderr(&output).contains("MLflow"));
}
