//! Not an example, but what several of them need: their arguments, and the port they ask for.
#![allow(dead_code, reason = "each example takes what it needs")]

use std::env;
use std::future::Future;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use anyrt::{Backend, BoxError, Run};

/// The port of those that keep running, unless another one is asked for.
const PORT: u16 = 8000;

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) backend: Option<Backend>,
    /// To keep running, rather than to ask oneself and end.
    pub(crate) serve: bool,
    port: Option<u16>,
}

impl Arguments {
    /// Reads the arguments of the program. It takes those options that its usage names.
    ///
    /// # Errors
    ///
    /// The program has nothing more to do and ends with this code: help was asked for, or an argument is
    /// wrong. Which one is has been said.
    pub(crate) fn read(usage: &str) -> Result<Arguments, ExitCode> {
        let given: Vec<String> = env::args_os().skip(1).map(|text| text.to_string_lossy().into()).collect();
        if given.iter().any(|text| text == "--help" || text == "-h") {
            println!("{usage}");
            return Err(ExitCode::SUCCESS);
        }
        Arguments::parse(usage, given).map_err(|wrong| {
            eprintln!("{wrong}\n\n{usage}");
            ExitCode::from(2)
        })
    }

    fn parse(usage: &str, given: Vec<String>) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        let mut given = given.into_iter();
        while let Some(text) = given.next() {
            // `--port 8000` and `--port=8000`
            let (option, value) = match text.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (text.as_str(), None),
            };
            let known = usage.split([' ', '[', ']', '\n']).any(|word| word == option);
            match option {
                "--backend" if known => {
                    let name = value.or_else(|| given.next()).ok_or("`--backend` needs a name")?;
                    arguments.backend =
                        Some(name.parse().map_err(|error: anyrt::BackendError| error.to_string())?);
                }
                "--port" if known => {
                    let port = value.or_else(|| given.next()).ok_or("`--port` needs a number")?;
                    let no_port = |_| format!("`{port}` is no port: give a number from 0 to 65535");
                    arguments.port = Some(port.parse().map_err(no_port)?);
                }
                "--serve" if known && value.is_none() => arguments.serve = true,
                _ => return Err(format!("unknown argument `{text}`")),
            }
        }
        Ok(arguments)
    }

    /// A socket that listens on this machine alone: on the port that was asked for, else on a well-known
    /// one if the program keeps running, and on any free one if not.
    ///
    /// A std socket, since every runtime adopts those.
    pub(crate) fn listen(&self) -> Result<TcpListener, BoxError> {
        let port = self.port.unwrap_or(if self.serve { PORT } else { 0 });
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {port} is in use: end the program that listens on it, or choose another with `--port N` \
                 (0 takes a free one)"
            )
            .into(),
            _ => format!("cannot listen on port {port}: {error}; choose another with `--port N`").into(),
        })
    }
}

/// A program that serves until it is told to end: on the backend that its arguments name, with `settings`.
pub(crate) fn keep_running<F>(
    program: &str,
    usage: &str,
    settings: impl FnOnce(Run) -> Run,
    serve: impl FnOnce(Arguments) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), BoxError>>,
{
    let asked = match Arguments::read(usage) {
        Ok(asked) => Arguments { serve: true, ..asked },
        Err(code) => return code,
    };
    let run = asked.backend.map_or_else(anyrt::builder, Run::on);
    let ended = settings(run.name(program)).run(serve(asked));
    exit_code(program, ended.unwrap_or_else(|not_started| Err(not_started.into())))
}

/// What a program ends with.
pub(crate) fn exit_code(program: &str, ended: Result<(), BoxError>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
