//! A request as it arrived: believed by nobody yet. Headers and body are asked of the world, only where they are needed.

/// What exists before any header or body is read.
pub struct Request {
    /// `req_…`: in every answer, log line and audit row.
    pub id: String,
    /// Upper-case method, as sent.
    pub method: String,
    /// The whole URL; its host is never believed.
    pub url: String,
    /// Bytes of the longest header value.
    pub longest_header: usize,
}

impl Request {
    /// The path exactly as sent: never decoded and never normalised, so that nothing can be hidden in it.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The query as sent, without its `?`; empty where there is none.
    pub fn query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// Path and query, without scheme, host and fragment.
    fn target(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let target = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        target.split('#').next().unwrap_or("/")
    }
}
