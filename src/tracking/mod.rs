//! stub
#![allow(missing_docs, dead_code)]
use crate::store::{RunDir, Store};
use std::path::Path;
use std::time::Duration;
#[derive(Debug, Clone, PartialEq)]
pub enum ServerStatus {
    Starting,
    Up { url: String },
    Down { reason: String },
}
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub server: ServerStatus,
    pub run_url: Option<String>,
    pub shipped: u64,
    pub total: u64,
    pub warnings: Vec<String>,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub left: u64,
    pub set_aside: u64,
    pub run_url: Option<String>,
    pub error: Option<String>,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct TrackingError;
impl TrackingError {
    pub fn exit(&self) -> crate::Exit {
        crate::Exit::Tracking
    }
}
pub struct Settings;
impl Settings {
    pub fn resolve(
        _: &crate::config::Mlflow,
        _: &Path,
        _: &Store,
    ) -> Result<Option<Self>, TrackingError> {
        Ok(None)
    }
}
pub struct Shipper;
impl Shipper {
    pub fn start(_: Settings, _: Store, _: RunDir) -> Self {
        Self
    }
    pub fn status(&self) -> Status {
        Status {
            server: ServerStatus::Starting,
            run_url: None,
            shipped: 0,
            total: 0,
            warnings: vec![],
        }
    }
    pub fn finish(self, _: Duration, _: impl FnMut(&Status)) -> Report {
        Report {
            left: 0,
            set_aside: 0,
            run_url: None,
            error: None,
        }
    }
}
