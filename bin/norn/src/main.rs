//! The server. `norn -help` lists what can be set; without arguments it runs every role in one
//! process on loopback.

use std::process::ExitCode;

use norn_config::{Config, Loaded};

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1);
    match Config::load(arguments, |name| std::env::var(name).ok()) {
        Ok(Loaded::Run(run)) => match norn_node::run(&run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => fail(&*e),
        },
        Ok(Loaded::Help(text)) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
        Ok(Loaded::Version) => {
            println!("norn, version {} (revision {})", norn_node::VERSION, norn_node::REVISION);
            ExitCode::SUCCESS
        }
        Ok(Loaded::Modules(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(e) => fail(&e),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("norn: {error}");
    ExitCode::FAILURE
}
