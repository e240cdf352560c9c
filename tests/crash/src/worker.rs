//! The worker under test: started as an operator would, on a state folder that outlives it, and killed without warning.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// One worker over all its starts.
pub struct Worker {
    pub address: SocketAddr,
    /// How often it threw its memory away because of a panic.
    pub traps: Arc<AtomicU64>,
    variables: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Option<Child>,
}

/// The project.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// What the operator's command line prints.
pub fn claviger(arguments: &[&str], secrets: &str) -> io::Result<String> {
    let binary = std::env::var_os("CLAVIGER_BIN").map_or_else(|| root().join("target/debug/claviger"), PathBuf::from);
    let ran = Command::new(binary).args(arguments).env("ROOT_SECRETS", secrets).stderr(Stdio::null()).output()?;
    if !ran.status.success() {
        return Err(io::Error::other(format!("claviger {arguments:?}: {}", ran.status)));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

impl Worker {
    /// A worker that serves the module in `build` from the folder `state`, both made already.
    pub fn new(build: &Path, folder: &Path, secrets: &str, policy: &str) -> io::Result<Self> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let variables = vec![
            ("PORT", address.port().to_string()),
            ("STATE", folder.join("state").display().to_string()),
            ("BUILD", build.display().to_string()),
            ("STAGE", "dev".to_owned()),
            ("DEPLOYMENT", "local".to_owned()),
            ("ROOT_SECRETS", secrets.to_owned()),
            ("POLICY_TOML", policy.to_owned()),
            ("CLIENT_ADDRESS_HEADER", "X-Client".to_owned()),
        ];
        let log = folder.join("logs/worker.log");
        Ok(Self { address, traps: Arc::default(), variables, log, child: None })
    }

    /// Starts it. The calling thread must outlive it: the worker dies with whoever started it.
    pub fn start(&mut self) -> io::Result<()> {
        let kept = ["PATH", "HOME", "TMPDIR"].map(|name| (name, std::env::var(name).ok()));
        let kept = kept.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let mut child = Command::new(root().join("tools/run"))
            .env_clear()
            .envs(kept.chain(self.variables.iter().cloned()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
            let traps = self.traps.clone();
            thread::spawn(move || keep_the_unusual(BufReader::new(stderr), log, &traps));
        }
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// One line per request is too much for a campaign: only what is no such line is kept.
fn keep_the_unusual(lines: impl io::BufRead, mut log: File, traps: &AtomicU64) {
    for line in lines.split(b'\n').map_while(Result::ok) {
        if line.starts_with(b"{") {
            continue;
        }
        if line.windows(6).any(|word| word == b"trap: ") {
            traps.fetch_add(1, Ordering::Relaxed);
        }
        let _ = log.write_all(&line).and_then(|()| log.write_all(b"\n"));
    }
}
