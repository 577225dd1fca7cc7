//! Where output goes: results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

/// The process's outputs and what they can show.
pub struct Io {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// stdout shows colour.
    pub out_colour: bool,
    /// stderr shows colour.
    pub err_colour: bool,
    /// stderr is a terminal that can redraw a line.
    pub err_terminal: bool,
    /// Columns of stdout.
    pub width: usize,
}

impl Io {
    /// Those of this process.
    pub fn of_process() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
        let colour = |terminal: bool| !plain && (terminal || forced);
        let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let columns = terminal_size::terminal_size().filter(|_| out_terminal).map(|(width, _)| usize::from(width.0));
        Io {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            out_colour: colour(out_terminal),
            err_colour: colour(err_terminal),
            err_terminal: err_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            width: columns.unwrap_or(100),
        }
    }

    /// Writes a result. A reader that has gone away is no error: it had what it wanted.
    pub fn result(&mut self, text: &str) -> io::Result<()> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// The writer of results.
    pub fn out(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.out
    }

    /// Writes a message. There is nowhere left to report that stderr is closed.
    pub fn note(&mut self, text: &str) {
        self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush()).ok();
    }
}
