//! Builds what the edge runs: the crate as optimized wasm, the glue that loads it, and the entry, in one folder.
//!
//! ```text
//! cargo build ─▶ claviger.wasm ─▶ wasm-bindgen ─▶ index.js, index_bg.wasm ─▶ wasm-opt ─▶ build/
//!                                          edge/js/*.js ────────────────────────────▶ build/
//! ```
//!
//! The same folder serves both ways to run: wrangler bundles `entry.js`, the bare runtime loads the files as
//! modules. It is replaced as a whole, so nobody reads half a build, and left alone while its inputs are unchanged.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

const USAGE: &str = "usage: claviger-wasm [--features NAMES] [--out FOLDER] [--quick] [--suffixes]";
/// The profile of `Cargo.toml` that compiles in seconds.
const QUICK_PROFILE: &str = "quick";
const TARGET: &str = "wasm32-unknown-unknown";
/// What stands beside the glue, as it is.
const CARRIERS: [&str; 7] =
    ["entry.js", "object.js", "crypto.js", "passing.js", "reading.js", "upstream.js", "fetching.js"];
const CARRIERS_FOLDER: &str = "edge/js";
/// The crate that becomes the module.
const CRATE: &str = "claviger";
/// Among the static files of a deployment.
const SUFFIXES: &str = "www/public-suffixes.txt";

/// What rustc's output may use. wasm-opt refuses code with a feature that is not named.
const WASM_FEATURES: [&str; 7] = [
    "bulk-memory",
    "exception-handling",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("build: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    std::env::set_current_dir(project_root()?)?;

    suffixes()?;
    if options.suffixes {
        return Ok(());
    }
    let wasm = compile(options.features.as_deref(), options.quick)?;
    // While somebody works on it, a module in seconds beats a small one.
    let optimizer = if options.quick { None } else { Some(Optimizer::find()?) };
    let identity = optimizer.as_ref().map_or(&b""[..], |optimizer| &optimizer.identity);
    let stamp = stamp(&fs::read(&wasm)?, &carriers()?, identity);
    if fs::read_to_string(options.out.join(".stamp")).is_ok_and(|written| written == stamp) {
        return Ok(());
    }

    let fresh = sibling(&options.out, "new");
    remove(&fresh)?;
    bind(&wasm, &fresh)?;
    if let Some(optimizer) = optimizer {
        optimizer.run(&fresh.join("index_bg.wasm"))?;
    }
    for name in CARRIERS {
        fs::copy(Path::new(CARRIERS_FOLDER).join(name), fresh.join(name))?;
    }
    fs::write(fresh.join(".stamp"), stamp)?;
    replace(&options.out, &fresh)
}

/// Makes the deployment's file of the Public Suffix List, which the crate `psl` brings: one rule a line, as browsers write hosts.
fn suffixes() -> Result<()> {
    let metadata =
        Command::new("cargo").args(["metadata", "--locked", "--format-version", "1"]).output().context("cargo")?;
    ensure!(metadata.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    let list = packages.iter().find(|package| package["name"] == "psl").context("no package `psl`")?;
    let manifest = list["manifest_path"].as_str().context("no manifest of `psl`")?;
    let rules = fs::read_to_string(Path::new(manifest).with_file_name("data").join("rules.txt"))?;
    let mut text = format!(
        "// The Public Suffix List (publicsuffix.org, MPL-2.0), from the crate psl {}\n",
        list["version"].as_str().unwrap_or_default()
    );
    for rule in rules.lines().filter(|rule| !rule.is_empty()) {
        let (mark, name) =
            ["!", "*."].iter().find_map(|mark| Some((*mark, rule.strip_prefix(mark)?))).unwrap_or(("", rule));
        let name = idna::domain_to_ascii(name).with_context(|| format!("no host: {rule}"))?;
        text.extend([mark, &name, "\n"]);
    }
    text.push_str("// end\n");
    if fs::read_to_string(SUFFIXES).is_ok_and(|written| written == text) {
        return Ok(());
    }
    Ok(fs::write(SUFFIXES, text)?)
}

fn carriers() -> Result<Vec<u8>> {
    let read = |name| fs::read(Path::new(CARRIERS_FOLDER).join(name)).context(name);
    Ok(CARRIERS.into_iter().map(read).collect::<Result<Vec<_>>>()?.concat())
}

struct Options {
    features: Option<String>,
    out: PathBuf,
    /// For `make dev`: not optimised, and built in seconds.
    quick: bool,
    /// Only the list of public suffixes is made.
    suffixes: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Options> {
        let mut options = Options { features: None, out: "build".into(), quick: false, suffixes: false };
        while let Some(name) = args.next() {
            let mut value = || args.next().context(USAGE);
            match name.as_str() {
                "--features" => options.features = Some(value()?),
                "--out" => options.out = value()?.into(),
                "--quick" => options.quick = true,
                "--suffixes" => options.suffixes = true,
                _ => bail!(USAGE),
            }
        }
        ensure!(options.out.file_name().is_some(), USAGE);
        Ok(options)
    }
}

/// `cargo run` says where this manifest is; what was compiled in may be another checkout with the same target folder.
fn project_root() -> Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo run`")?;
    Ok(Path::new(&manifest).join("../..").canonicalize()?)
}

/// Compiles the library and answers the path of its wasm, as cargo itself reports it.
fn compile(features: Option<&str>, quick: bool) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--package", CRATE, "--lib", "--target", TARGET]);
    let profile = if quick { QUICK_PROFILE } else { "release" };
    cargo.args(["--profile", profile]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    // wasm-bindgen reads sections that a stripped file lacks. wasm-opt drops them at the end.
    cargo.args(["--config", &format!("profile.{profile}.strip=false")]);
    // Panics name the file they stand in: without the folders of the machine that built it.
    let home = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let sources = format!("--remap-path-prefix={}=", home.join("registry/src").display());
    cargo.args(["--config", &format!("target.{TARGET}.rustflags=[{sources:?}]")]);
    if let Some(features) = features {
        cargo.args(["--features", features]);
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("cargo")?;
    ensure!(output.status.success(), "the crate does not compile for {TARGET}");

    // The last artifact is the crate itself: everything before it is a dependency.
    let messages = String::from_utf8(output.stdout)?;
    let artifact = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .rfind(|message| message["reason"] == "compiler-artifact")
        .context("cargo reported no artifact")?;
    let files = artifact["filenames"].as_array().map(Vec::as_slice).unwrap_or_default();
    files
        .iter()
        .filter_map(|file| file.as_str())
        .find(|file| file.ends_with(".wasm"))
        .map(PathBuf::from)
        .context("the library is no `cdylib`")
}

fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Writes `index.js` and `index_bg.wasm`.
///
/// `reset_state_function` gives the entry `__wbg_reset_state()`: a fresh instance after a trap. The abort handler of
/// wasm-bindgen stays off: it works only for code that unwinds, and ours aborts.
fn bind(wasm: &Path, out: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        .module(true)?
        .reset_state_function(true)
        .generate(out)?;

    // Neither esbuild nor the runtime knows source phase imports: both give the compiled module as the default import.
    let glue = out.join("index.js");
    let source = fs::read_to_string(&glue)?;
    ensure!(source.matches("import source ").count() == 1, "wasm-bindgen writes other imports than before");
    fs::write(&glue, source.replace("import source ", "import "))?;
    ensure!(!out.join("snippets").exists(), "inline JavaScript in the crate: it belongs into {CARRIERS_FOLDER}");
    Ok(())
}

/// wasm-opt as npm brings it. Without it the build would be a third larger than what was measured, so it must be there.
struct Optimizer {
    node: PathBuf,
    script: PathBuf,
    identity: Vec<u8>,
}

impl Optimizer {
    fn find() -> Result<Optimizer> {
        let package = Path::new("node_modules/binaryen");
        let identity = fs::read(package.join("package.json")).context("wasm-opt is missing: run `npm ci`")?;
        let ours = Path::new("node_modules/.bin/node");
        let node = if ours.exists() { ours } else { Path::new("node") };
        Ok(Optimizer { node: node.into(), script: package.join("bin/wasm-opt"), identity })
    }

    fn run(&self, wasm: &Path) -> Result<()> {
        let optimized = wasm.with_extension("opt");
        let status = Command::new(&self.node)
            .args([&self.script, wasm, Path::new("-o"), &optimized])
            .args(["-O3", "--strip-debug", "--strip-producers"])
            // Without a limit it inlines whatever has one caller: a tenth more after compression, and twice the time.
            .arg("--one-caller-inline-max-function-size=15")
            .args(WASM_FEATURES.map(|feature| format!("--enable-{feature}")))
            .status()
            .context("node")?;
        ensure!(status.success(), "wasm-opt failed");
        Ok(fs::rename(optimized, wasm)?)
    }
}

/// Everything the output follows from: the inputs, and this tool with its dependencies.
fn stamp(wasm: &[u8], carriers: &[u8], optimizer: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    (wasm, carriers, optimizer, include_str!("main.rs"), include_str!("../Cargo.lock")).hash(&mut hasher);
    format!("{:016x}\n", hasher.finish())
}

/// Puts the finished folder in place of the old one.
fn replace(out: &Path, fresh: &Path) -> Result<()> {
    let old = sibling(out, "old");
    remove(&old)?;
    if out.exists() {
        fs::rename(out, &old)?;
    }
    fs::rename(fresh, out)?;
    remove(&old)
}

/// A hidden neighbour: a rename must not leave the file system.
fn sibling(out: &Path, what: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".{name}-{what}-{}", std::process::id()))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
