//! Files of a run on their way to the server.

use super::TrackingError;
use super::client::{CallError, Client};
use super::cursor::Lines;
use crate::store::RunDir;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// What a server takes that doesn't pass artifacts on itself.
const LARGEST_WITHOUT_PROXY: u64 = 10_000_000;
/// How an address begins for which the server takes files itself.
const PROXY: &str = "mlflow-artifacts:";
const CHUNK: usize = 256 << 10;

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArtifactFile {
    /// Path below the run's artifacts, with `/`.
    pub(super) name: String,
    path: PathBuf,
}

/// What makes a file the same as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    name: String,
    size: u64,
    modified_ns: i128,
}

/// The files that the server has, so that none is sent twice.
#[derive(Debug)]
pub(super) struct Uploaded {
    known: HashMap<String, Stamp>,
    lines: Lines,
}

/// Why a file was not uploaded.
#[derive(Debug)]
pub(super) enum UploadError {
    Call(CallError),
    /// It can't be read, or is too large for this server.
    File(String),
    Store(TrackingError),
}

impl Uploaded {
    pub(super) fn load(run: &RunDir) -> Self {
        let lines = Lines::uploaded(run);
        let known = lines.read().into_iter();
        Self {
            known: known
                .map(|stamp: Stamp| (stamp.name.clone(), stamp))
                .collect(),
            lines,
        }
    }

    /// The server has nothing any more.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.lines.remove();
    }

    fn add(&mut self, stamp: Stamp) -> Result<(), TrackingError> {
        self.lines.append(&stamp)?;
        self.known.insert(stamp.name.clone(), stamp);
        Ok(())
    }
}

/// The files of an artifact: itself, or all below it. Links that lead out of
/// the run's artifacts are left out and told about.
pub(super) fn files(run: &RunDir, name: &str) -> Result<(Vec<ArtifactFile>, Vec<String>), String> {
    let path = run.artifact(name).map_err(|error| error.to_string())?;
    let real = (run.artifact_dir().canonicalize()).map_err(|error| error.to_string())?;
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    let name = name.trim_end_matches('/').to_owned();
    let mut open = vec![ArtifactFile { name, path }];
    while let Some(file) = open.pop() {
        let unreadable = |error: std::io::Error| format!("{}: {error}", file.path.display());
        let meta = file.path.symlink_metadata().map_err(unreadable)?;
        if meta.is_dir() {
            for entry in fs::read_dir(&file.path).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                match entry.file_name().to_str() {
                    Some(part) => open.push(ArtifactFile {
                        name: format!("{}/{part}", file.name),
                        path: entry.path(),
                    }),
                    None => {
                        left_out.push(format!("{}: its name is not UTF-8", entry.path().display()));
                    }
                }
            }
        } else if meta.is_file() || leads_to_file_in(&file.path, &real) {
            found.push(file);
        } else {
            left_out.push(format!(
                "{}: not a file within the artifacts",
                file.path.display()
            ));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((found, left_out))
}

fn leads_to_file_in(link: &Path, folder: &Path) -> bool {
    link.canonicalize()
        .is_ok_and(|target| target.starts_with(folder) && target.is_file())
}

/// Where files go.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) artifact_uri: String,
    pub(super) run_id: String,
    /// The logged model that the files are of, whose own folder is not part of
    /// their names there.
    pub(super) model: Option<(String, String)>,
}

impl Destination {
    /// The file's name below the address.
    fn name<'a>(&self, file: &'a ArtifactFile) -> &'a str {
        let folder = self.model.as_ref().map(|(_, folder)| folder);
        folder
            .and_then(|folder| file.name.strip_prefix(folder)?.strip_prefix('/'))
            .unwrap_or(&file.name)
    }

    /// The file's name among all that was uploaded for a run.
    fn key(&self, file: &ArtifactFile) -> String {
        match &self.model {
            Some((id, _)) => format!("{id}:{}", file.name),
            None => file.name.clone(),
        }
    }
}

/// Whether a server takes files for any of its addresses that look like this.
pub(super) fn is_proxied(artifact_uri: &str) -> bool {
    artifact_uri.starts_with(PROXY)
}

/// Sends a file as it is read, unless the server has it.
pub(super) async fn upload(
    client: &Client,
    to: &Destination,
    file: &ArtifactFile,
    uploaded: &mut Uploaded,
) -> Result<(), UploadError> {
    let unreadable =
        |error: std::io::Error| UploadError::File(format!("{}: {error}", file.path.display()));
    let handle = fs::File::open(&file.path).map_err(unreadable)?;
    let meta = handle.metadata().map_err(unreadable)?;
    let stamp = Stamp {
        name: to.key(file),
        size: meta.len(),
        modified_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
    };
    if uploaded.known.get(&stamp.name) == Some(&stamp) {
        return Ok(());
    }
    let (method, path) = place(&to.artifact_uri, &to.run_id, to.name(file));
    if method == Method::POST && stamp.size > LARGEST_WITHOUT_PROXY {
        return Err(UploadError::File(format!(
            "{}: the server keeps artifacts in {} and takes none over 10 MB for it; \
             `mlflow server --artifacts-destination` makes it take them",
            file.name, to.artifact_uri
        )));
    }
    // A file that grows meanwhile is sent as long as it was.
    let content = tokio::fs::File::from_std(handle).take(stamp.size);
    let body = reqwest::Body::wrap_stream(ReaderStream::with_capacity(content, CHUNK));
    client
        .upload(method, &path, content_type(&file.name), stamp.size, body)
        .await
        .map_err(UploadError::Call)?;
    uploaded.add(stamp).map_err(UploadError::Store)
}

/// Sends a text as a file.
pub(super) async fn upload_text(
    client: &Client,
    artifact_uri: &str,
    run_id: &str,
    name: &str,
    text: &str,
) -> Result<(), CallError> {
    let (method, path) = place(artifact_uri, run_id, name);
    let length = text.len() as u64;
    client
        .upload(method, &path, "text/plain", length, text.to_owned().into())
        .await
}

/// Where to send a file: through the server's proxy if it is one, else to the
/// route that its own pages use.
fn place(artifact_uri: &str, run_id: &str, name: &str) -> (Method, String) {
    let Some(rest) = artifact_uri.strip_prefix(PROXY) else {
        let (run, name) = (encode(run_id, ""), encode(name, ""));
        let path = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={name}");
        return (Method::POST, path);
    };
    // `mlflow-artifacts:/1/abc` or `mlflow-artifacts://host:port/1/abc`.
    let root = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest.trim_start_matches('/'),
    };
    let path = encode(&format!("{}/{name}", root.trim_end_matches('/')), "/");
    (
        Method::PUT,
        format!("/api/2.0/mlflow-artifacts/artifacts/{path}"),
    )
}

/// Text as a part of an address.
pub(super) fn encode(text: &str, also_plain: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            let c = char::from(byte);
            if c.is_ascii_alphanumeric() || "-._~".contains(c) || also_plain.contains(c) {
                out.push(c);
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "json" => "application/json",
        "txt" | "log" | "md" | "yaml" | "yml" => "text/plain",
        "csv" => "text/csv",
        "html" => "text/html",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "svg" => "image/svg+xml",
        "gif" => "image/gif",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::place;
    use reqwest::Method;

    #[test]
    fn artifacts_go_where_the_server_says() {
        for uri in [
            "mlflow-artifacts:/1/abc/artifacts",
            "mlflow-artifacts://host:5000/1/abc/artifacts",
        ] {
            assert_eq!(
                place(uri, "abc", "plots/a b?.png"),
                (
                    Method::PUT,
                    "/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/plots/a%20b%3F.png".into()
                )
            );
        }
        assert_eq!(
            place("s3://bucket/1/abc", "abc", "plots/a&b"),
            (
                Method::POST,
                "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=abc&path=plots%2Fa%26b".into()
            )
        );
    }
}
