//! A worker that answers by a script and remembers what it was sent; and the command line, run against it as a process.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

/// A deploy key in form: what stands in it is nobody's.
pub const DEPLOY_KEY: &str = "dev:local|clv_dk_AWsFaGVsbG8wMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg";
/// A server key in form.
pub const SERVER_KEY: &str = "clv_test_Loc8tor0SecretSecretSecretcheck6";
/// What the scripts hand out.
pub const NEW_SECRET: &str = "clv_live_Loc8tor1FreshFreshFreshFrecheck6";
/// A credential's id.
pub const ID: &str = "wk_0123456789abcdefghij_acme";

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Sent {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A status, the lines of more headers, and a body.
pub type Reply = (u16, String, String);

pub fn ok(body: serde_json::Value) -> Reply {
    (200, String::new(), body.to_string())
}

/// A refusal in the form of `docs/http.md`.
pub fn refusal(status: u16, code: &str) -> Reply {
    let body = serde_json::json!({
        "success": false, "code": code, "error": "It did not work.", "fix": "Do it differently.", "request_id": "req_1",
    });
    (status, String::new(), body.to_string())
}

pub struct Worker {
    pub url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Worker {
    /// Answers each request as the script says, which is told how many came before.
    pub fn start(mut script: impl FnMut(usize, &Sent) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&sent);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                let before = log.lock().unwrap().len();
                let (status, headers, body) = script(before, &request);
                log.lock().unwrap().push(request);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
                // Whoever has gone away does not want it.
                let _ = stream.write_all(format!("{head}{headers}connection: close\r\n\r\n{body}").as_bytes());
            }
        });
        Self { url, sent }
    }

    /// Answers everything with this.
    pub fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone())
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The only request.
    pub fn only(&self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// Runs `claviger credentials …` against it, with the deploy key.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_as(DEPLOY_KEY, arguments)
    }

    pub fn run_as(&self, key: &str, arguments: &[&str]) -> Run {
        let arguments = [&["credentials"], arguments].concat();
        let ended = run(&[("CLAVIGER_URL", &self.url), ("CLAVIGER_KEY", key)], &arguments, "");
        assert!(!ended.stdout.contains(key) && !ended.stderr.contains(key), "the key was printed");
        ended
    }
}

fn read(stream: &TcpStream) -> Option<Sent> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Sent { method, path, headers, body: String::from_utf8(body).unwrap() })
}

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// What a good run printed.
    pub fn good(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.trim_end()
    }

    /// What a good run printed, as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.good()).unwrap()
    }

    /// The only line on standard error, of a run that answered nothing.
    pub fn error(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        let line = self.stderr.strip_suffix('\n').expect("a whole line");
        assert!(line.starts_with("claviger: ") && !line.contains('\n'), "{self:?}");
        line
    }
}

fn command(variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
    command.env_clear().envs(variables.iter().copied()).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts the binary with these variables and no others.
pub fn start(variables: &[(&str, &str)], arguments: &[&str]) -> Child {
    command(variables, arguments).spawn().expect("the binary runs")
}

/// Runs it, with this on standard input.
pub fn run(variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Run {
    let mut child = start(variables, arguments);
    // Whoever reads no input has closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    end(child)
}

pub fn end(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Run { code: output.status.code(), stdout, stderr }
}
