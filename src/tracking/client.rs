//! HTTP to an MLflow server: one call at a time, no retries.

use super::auth::{Credentials, Tls};
use super::{TrackingError, retry};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The server closes idle connections after 5 s. Using one at that moment
/// costs a reset.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time for one call, unless `MLFLOW_HTTP_REQUEST_TIMEOUT` says
/// otherwise.
pub(super) const CALL: Duration = Duration::from_mins(1);
/// An upload that is slower than this has stalled.
const SLOWEST_UPLOAD: u64 = 50_000;
/// Longest piece of an unexpected answer that is kept.
const LONGEST_MESSAGE: usize = 1000;

/// How a client connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) credentials: Credentials,
    pub(super) tls: Tls,
    pub(super) timeout: Option<Duration>,
    /// `MLFLOW_WORKSPACE`.
    pub(super) workspace: Option<String>,
}

/// A connection to one server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
    workspace: Option<String>,
    timeout: Duration,
}

/// What went wrong with one call.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// No answer: refused, reset, too slow.
    #[error("{0}")]
    NoAnswer(String),
    /// An answer other than 2xx.
    #[error("{}", answer(*.status, .code.as_deref(), .message))]
    Status {
        status: StatusCode,
        /// MLflow's `error_code`; none where the answer is not MLflow's.
        code: Option<String>,
        message: String,
        retry_after: Option<Duration>,
    },
    /// A 2xx that is not what MLflow answers.
    #[error("the answer is not MLflow's: {0}")]
    Nonsense(String),
}

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The server can't be used now; the same request will do later.
    Wait(Option<Duration>),
    /// The server stumbled; perhaps over this very request.
    WaitBriefly,
    /// The server is there and will never take this request.
    SetAside,
}

impl CallError {
    pub(super) fn remedy(&self) -> Remedy {
        let Self::Status {
            status,
            code,
            retry_after,
            ..
        } = self
        else {
            return Remedy::Wait(None);
        };
        match status.as_u16() {
            500 => Remedy::WaitBriefly,
            400 | 409 | 413 | 422 | 501 => Remedy::SetAside,
            // Without a code it is another program's answer, or another path.
            404 if code.is_some() => Remedy::SetAside,
            _ => Remedy::Wait(*retry_after),
        }
    }

    /// Whether MLflow says that the thing named doesn't exist.
    pub(super) fn is_missing(&self) -> bool {
        self.code() == Some("RESOURCE_DOES_NOT_EXIST")
    }

    /// Whether the server is too old to know the call. MLflow answers with a
    /// page, another back end with one of these codes.
    pub(super) fn is_unknown_call(&self) -> bool {
        let Self::Status { status, code, .. } = self else {
            return false;
        };
        match (status.as_u16(), code.as_deref()) {
            (404, code) => matches!(code, None | Some("ENDPOINT_NOT_FOUND")),
            (status, _) => status == 405 || status == 501,
        }
    }

    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Status { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}

fn answer(status: StatusCode, code: Option<&str>, message: &str) -> String {
    match (status.as_u16(), code) {
        (401 | 403, _) => format!(
            "the server refuses access ({status}); MLFLOW_TRACKING_USERNAME and \
             MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, say who you are. {message}"
        ),
        (300..=399, _) => format!("the server redirects ({status}): {message}"),
        (_, Some(code)) => format!("{code}: {message}"),
        (404, None) => "there is no MLflow server at this address (404)".to_owned(),
        (_, None) => format!("the server answered {status}: {message}"),
    }
}

impl Client {
    pub(super) fn new(base: &str, options: &Options) -> Result<Self, TrackingError> {
        // An error means that the program has chosen its own already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("explr/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            // A redirected POST becomes a GET, and takes credentials elsewhere.
            .redirect(redirect::Policy::none());
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: options
                .tls
                .apply(builder)?
                .build()
                .map_err(|error| TrackingError::Client(chain(&error)))?,
            base: base.trim_end_matches('/').to_owned(),
            credentials: options.credentials.clone(),
            workspace: options.workspace.clone(),
            timeout: options.timeout.unwrap_or(CALL),
        })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// A GET of the tracking API.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let request = self
            .request(Method::GET, &format!("/api/2.0/mlflow/{path}"))
            .query(query);
        json(self.send(request).await?).await
    }

    /// The same, with a header of the answer.
    pub(super) async fn get_with_header<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        header: &str,
    ) -> Result<(Option<String>, T), CallError> {
        let request = self
            .request(Method::GET, &format!("/api/2.0/mlflow/{path}"))
            .query(query);
        let response = self.send(request).await?;
        let value = response.headers().get(header);
        let value = value.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        Ok((value, json(response).await?))
    }

    /// A POST of the tracking API.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        self.send_json(Method::POST, path, body).await
    }

    /// A call of the tracking API with a body.
    pub(super) async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let body =
            serde_json::to_vec(body).map_err(|error| CallError::Nonsense(error.to_string()))?;
        self.send_bytes(method, path, body).await
    }

    /// The same whose body is JSON already.
    pub(super) async fn send_bytes<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, CallError> {
        let request = self
            .request(method, &format!("/api/2.0/mlflow/{path}"))
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        json(self.send(request).await?).await
    }

    /// The text at a path outside the API.
    pub(super) async fn text(&self, path: &str) -> Result<String, CallError> {
        let response = self.send(self.request(Method::GET, path)).await?;
        response.text().await.map_err(|error| no_answer(&error))
    }

    /// Sends a body of known length as it is read.
    pub(super) async fn upload(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        length: u64,
        body: reqwest::Body,
    ) -> Result<(), CallError> {
        let limit = self.timeout + Duration::from_secs(length / SLOWEST_UPLOAD);
        let request = self
            .request(method, path)
            .timeout(limit)
            .header(CONTENT_TYPE, content_type)
            // Without it the body would be chunked, which the server refuses.
            .header(CONTENT_LENGTH, length)
            .body(body);
        self.send(request).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .timeout(self.timeout);
        let request = match &self.workspace {
            Some(workspace) => request.header("X-MLFLOW-WORKSPACE", workspace),
            None => request,
        };
        self.credentials.sign(request)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|error| no_answer(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }
}

async fn refusal(response: Response) -> CallError {
    let status = response.status();
    let header = |name| response.headers().get(name)?.to_str().ok();
    let retry_after = header(RETRY_AFTER).and_then(retry::retry_after);
    let location = header(reqwest::header::LOCATION).map(str::to_owned);
    let body = response.text().await.unwrap_or_default();
    let parsed: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |key: &str| parsed[key].as_str().map(str::to_owned);
    let mut message = location
        .or_else(|| text("message"))
        .unwrap_or_else(|| body.lines().next().unwrap_or_default().to_owned());
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message.push('…');
    }
    CallError::Status {
        status,
        code: text("error_code"),
        message,
        retry_after,
    }
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, CallError> {
    let body = response.bytes().await.map_err(|error| no_answer(&error))?;
    serde_json::from_slice(&body).map_err(|error| CallError::Nonsense(error.to_string()))
}

/// The address is left out: it may hold credentials, and callers name it.
fn no_answer(error: &reqwest::Error) -> CallError {
    CallError::NoAnswer(if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        root_cause(error)
    })
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

fn is_loopback(base: &str) -> bool {
    reqwest::Url::parse(base).is_ok_and(|url| match url.host_str() {
        Some(host) => {
            host == "localhost"
                || host
                    .trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::{CallError, Remedy, is_loopback};
    use reqwest::StatusCode;
    use std::time::Duration;

    fn status(status: u16, code: Option<&str>) -> CallError {
        CallError::Status {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.map(str::to_owned),
            message: String::new(),
            retry_after: None,
        }
    }

    #[test]
    fn only_what_will_never_be_taken_is_set_aside() {
        for (error, remedy) in [
            (
                status(400, Some("INVALID_PARAMETER_VALUE")),
                Remedy::SetAside,
            ),
            (status(400, None), Remedy::SetAside),
            (status(413, None), Remedy::SetAside),
            (
                status(404, Some("RESOURCE_DOES_NOT_EXIST")),
                Remedy::SetAside,
            ),
            (status(404, None), Remedy::Wait(None)),
            (status(401, None), Remedy::Wait(None)),
            (status(403, None), Remedy::Wait(None)),
            (status(408, None), Remedy::Wait(None)),
            (status(429, None), Remedy::Wait(None)),
            (status(500, None), Remedy::WaitBriefly),
            (status(502, None), Remedy::Wait(None)),
            (
                status(503, Some("TEMPORARILY_UNAVAILABLE")),
                Remedy::Wait(None),
            ),
            (CallError::NoAnswer(String::new()), Remedy::Wait(None)),
        ] {
            assert_eq!(error.remedy(), remedy, "{error:?}");
        }
    }

    #[test]
    fn the_server_may_ask_for_patience() {
        let error = CallError::Status {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: None,
            message: String::new(),
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(error.remedy(), Remedy::Wait(Some(Duration::from_secs(7))));
    }

    #[test]
    fn proxies_are_not_for_this_machine() {
        for local in [
            "http://127.0.0.1:5000",
            "http://localhost:1",
            "http://[::1]:5000",
        ] {
            assert!(is_loopback(local), "{local}");
        }
        assert!(!is_loopback("https://mlflow.example.com"));
    }
}
