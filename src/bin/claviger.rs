//! The operator's command line, `claviger`: see `src/cli/`.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    claviger::cli::main()
}

/// The edge has no command line.
#[cfg(target_arch = "wasm32")]
fn main() {}
