//! The client side of the control socket, for `xdhcpd ctl`.

use super::message::Problem;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Why there is no answer. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the socket.
    #[error(
        "{}: no server answers on this control socket: {source}; start one, or name its socket with \
         --socket", path.display()
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{}: {source}; see the server's log", path.display())]
    Http {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The answer did not come.
    #[error("{}: the server did not answer within {} seconds; see its log", path.display(), TIMEOUT.as_secs())]
    Timeout {
        /// The socket.
        path: PathBuf,
    },
    /// The server says no.
    #[error("{}", lines.join("\n"))]
    Refused {
        /// Why, a line each.
        lines: Vec<String>,
    },
    /// The answer is not what was asked for.
    #[error("{}: the answer cannot be understood: {source}; use the `xdhcpd` of the same version", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Asks one server.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// The server behind this socket.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        self.decode(&self.exchange(Method::GET, target, Vec::new())?)
    }

    /// Has something done.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post<T: DeserializeOwned>(
        &self,
        target: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|source| self.answer(source))?;
        self.decode(&self.exchange(Method::POST, target, body)?)
    }

    /// Asks for a text.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn text(&self, target: &str) -> Result<String, ClientError> {
        let octets = self.exchange(Method::GET, target, Vec::new())?;
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }

    fn decode<T: DeserializeOwned>(&self, octets: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(octets).map_err(|source| self.answer(source))
    }

    fn answer(&self, source: serde_json::Error) -> ClientError {
        ClientError::Answer {
            path: self.path.clone(),
            source,
        }
    }

    fn exchange(&self, method: Method, target: &str, body: Vec<u8>) -> Result<Bytes, ClientError> {
        let connect = |source| ClientError::Connect {
            path: self.path.clone(),
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(connect)?;
        runtime.block_on(async {
            let stream = tokio::net::UnixStream::connect(&self.path)
                .await
                .map_err(connect)?;
            let exchange = self.over(stream, method, target, body);
            match tokio::time::timeout(TIMEOUT, exchange).await {
                Ok(answer) => answer,
                Err(_) => Err(ClientError::Timeout {
                    path: self.path.clone(),
                }),
            }
        })
    }

    async fn over(
        &self,
        stream: tokio::net::UnixStream,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<Bytes, ClientError> {
        let http = |source| ClientError::Http {
            path: self.path.clone(),
            source,
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(http)?;
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|_| ClientError::Refused {
            lines: vec![format!("{target:?} is no path")],
        })?;
        let headers = request.headers_mut();
        headers.insert("host", hyper::header::HeaderValue::from_static("localhost"));
        let json = hyper::header::HeaderValue::from_static("application/json");
        headers.insert("content-type", json);
        let response = sender.send_request(request).await.map_err(http)?;
        let status = response.status();
        let octets = response
            .into_body()
            .collect()
            .await
            .map_err(http)?
            .to_bytes();
        if status.is_success() {
            return Ok(octets);
        }
        let problem: Problem = serde_json::from_slice(&octets).unwrap_or_default();
        match problem.errors.as_slice() {
            [] => Err(ClientError::Refused {
                lines: vec![format!("the server answers {status}")],
            }),
            lines => Err(ClientError::Refused {
                lines: lines.to_vec(),
            }),
        }
    }
}
