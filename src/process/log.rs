//! What the log of a process says, for errors.

use std::path::Path;

/// Frames of a stack that are quoted where more stand one after the other: what went wrong may stand before all of them.
const FRAMES: usize = 2;

/// The last lines of a log; what cannot be read is said in their place, because this goes into an error.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    match std::fs::read(log) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes), lines),
        Err(error) => format!("(cannot read {}: {error})", log.display()),
    }
}

/// The last lines of what a process has said.
pub(crate) fn last_lines(text: &str, lines: usize) -> String {
    let all = folded(text);
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The lines of a text, with one in the place of all but the first frames of a stack.
fn folded(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let runs = lines.chunk_by(|one, other| is_frame(one) == is_frame(other));
    let fold = |run: &[&str]| {
        let is_long = run.first().is_some_and(|line| is_frame(line)) && run.len() > FRAMES + 1;
        let shown = if is_long { &run[..FRAMES] } else { run };
        let more = is_long.then(|| format!("    … and {} more frames", run.len() - FRAMES));
        shown.iter().map(|line| (*line).to_owned()).chain(more).collect::<Vec<String>>()
    };
    runs.flat_map(fold).collect()
}

/// Whether a line is a frame of a stack, as Node, Java, Ruby and Rust print them.
fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    let is_indented = text.len() < line.len();
    is_indented && (text.starts_with("at ") || text.starts_with("from "))
        || text.contains(":in `")
        || text.contains(":in '")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_among_the_last_lines_however_long_the_stack_is() {
        let frames: String = (1..40).map(|line| format!("\tfrom /app/a.rb:{line}:in `work'\n")).collect();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("service.log");
        std::fs::write(&log, format!("starting\n/app/a.rb:1:in `start': no such key (KeyError)\n{frames}bye\n"))
            .unwrap();
        let told = tail(&log, 6);
        assert!(told.starts_with("starting\n/app/a.rb:1:in `start': no such key (KeyError)\n"), "{told}");
        assert!(told.ends_with("    … and 38 more frames\nbye"), "{told}");
        // Short stacks, and lines that only begin alike, stay as they are.
        let text =
            "Error: no\n    at a (x.js:1)\n    at b (x.js:2)\n    at c (x.js:3)\nat last\n  from there\nat home\n";
        assert_eq!(folded(text).join("\n") + "\n", text);
        assert!(tail(&folder.path().join("none"), 3).starts_with("(cannot read "));
    }
}
