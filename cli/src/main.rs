//! The operator's command line, `claviger`: all of it stands in the library beside it.

fn main() -> std::process::ExitCode {
    claviger_cli::main()
}
