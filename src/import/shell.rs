//! Words of a command line, as a POSIX shell makes them: quotes, backslashes, `$'…'`, continued lines. What a shell would
//! put in (variables, commands) is refused: the line comes to us without a shell. Main function: [`words`].

use super::sample::ImportError;

/// The words of the first command of a line; what follows a pipe, a semicolon or a redirection is left out.
pub(super) fn words(line: &str) -> Result<Vec<String>, ImportError> {
    refuse_windows(line)?;
    let mut lexer = Lexer { letters: line.chars().collect(), at: 0 };
    let mut words = Vec::new();
    while lexer.skip_blanks() {
        match lexer.word()? {
            Some(word) => words.push(word),
            None => break,
        }
    }
    Ok(words)
}

/// cmd.exe quotes with `^`, PowerShell continues lines with a backtick: neither is a shell's line.
fn refuse_windows(line: &str) -> Result<(), ImportError> {
    let caret = line.contains("^\"") || line.lines().any(|line| line.trim_end().ends_with('^'));
    let backtick = line.lines().any(|line| line.trim_end().ends_with(" `"));
    if caret || backtick {
        let whose = if caret { "cmd.exe (`^`)" } else { "PowerShell (a backtick)" };
        return Err(ImportError::new(format!("the curl line is quoted for {whose}"))
            .hint("in the browser choose “Copy as cURL (bash)”, or quote it as a POSIX shell does"));
    }
    Ok(())
}

struct Lexer {
    letters: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek();
        self.at += 1;
        letter
    }

    /// Goes on to the next word; whether there is one.
    fn skip_blanks(&mut self) -> bool {
        loop {
            match (self.peek(), self.letters.get(self.at + 1)) {
                (Some('\\'), Some('\n')) => self.at += 2,
                (Some('\\'), Some('\r')) if self.letters.get(self.at + 2) == Some(&'\n') => self.at += 3,
                (Some(letter), _) if letter.is_whitespace() => self.at += 1,
                (letter, _) => return letter.is_some(),
            }
        }
    }

    /// The next word; none where the command ends.
    fn word(&mut self) -> Result<Option<String>, ImportError> {
        let mut word = String::new();
        let mut first = true;
        while let Some(letter) = self.peek() {
            match letter {
                _ if letter.is_whitespace() => break,
                // At the start of a word; within one, as in a URL without quotes, they are meant as they are.
                '|' | ';' | '&' | '>' | '<' | '#' if first => return Ok(None),
                '\'' => self.single(&mut word)?,
                '"' => self.double(&mut word)?,
                '\\' => self.escape(&mut word),
                '$' if self.letters.get(self.at + 1) == Some(&'\'') => self.ansi(&mut word)?,
                '$' => self.dollar(&mut word)?,
                '`' => return Err(left_to_a_shell("`…`")),
                _ => {
                    word.push(letter);
                    self.at += 1;
                }
            }
            first = false;
        }
        Ok(Some(word))
    }

    fn escape(&mut self, word: &mut String) {
        self.at += 1;
        match self.next() {
            Some('\n') | None => {}
            Some('\r') if self.peek() == Some('\n') => self.at += 1,
            Some(letter) => word.push(letter),
        }
    }

    fn single(&mut self, word: &mut String) -> Result<(), ImportError> {
        self.at += 1;
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(letter) => word.push(letter),
                None => return Err(unclosed('\'')),
            }
        }
    }

    fn double(&mut self, word: &mut String) -> Result<(), ImportError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some('"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some('\\') => match self.letters.get(self.at + 1) {
                    Some('$' | '`' | '"' | '\\' | '\n') => self.escape(word),
                    _ => {
                        word.push('\\');
                        self.at += 1;
                    }
                },
                Some('$') => self.dollar(word)?,
                Some('`') => return Err(left_to_a_shell("`…`")),
                Some(letter) => {
                    word.push(letter);
                    self.at += 1;
                }
                None => return Err(unclosed('"')),
            }
        }
    }

    /// A dollar sign that is one; a variable's or a command's is an error.
    fn dollar(&mut self, word: &mut String) -> Result<(), ImportError> {
        let rest: String = self.letters[self.at + 1..].iter().take(40).collect();
        let name: String = rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        if rest.starts_with(['(', '{']) {
            return Err(left_to_a_shell(&format!("${}…", &rest[..1])));
        }
        if name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') {
            return Err(left_to_a_shell(&format!("${name}")));
        }
        word.push('$');
        self.at += 1;
        Ok(())
    }

    /// `$'…'`, in which browsers write texts that are not ASCII.
    fn ansi(&mut self, word: &mut String) -> Result<(), ImportError> {
        self.at += 2;
        let mut units: Vec<u16> = Vec::new();
        loop {
            let letter = self.next().ok_or_else(|| unclosed('\''))?;
            // Letters beyond the first 65,536 are written as two halves, which belong together.
            if let ('\\', Some('u')) = (letter, self.peek()) {
                self.at += 1;
                units.push(u16::try_from(self.number(16, 4)?).unwrap_or(u16::MAX));
                continue;
            }
            word.push_str(&String::from_utf16_lossy(&std::mem::take(&mut units)));
            match letter {
                '\'' => return Ok(()),
                '\\' => self.ansi_escape(word)?,
                letter => word.push(letter),
            }
        }
    }

    fn ansi_escape(&mut self, word: &mut String) -> Result<(), ImportError> {
        let letter = self.next().ok_or_else(|| unclosed('\''))?;
        let plain = match letter {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' | 'E' => '\u{1b}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'x' => char::from_u32(self.number(16, 2)?).unwrap_or('\u{fffd}'),
            'U' => char::from_u32(self.number(16, 8)?).unwrap_or('\u{fffd}'),
            '0'..='7' => {
                self.at -= 1;
                char::from_u32(self.number(8, 3)?).unwrap_or('\u{fffd}')
            }
            other => other,
        };
        word.push(plain);
        Ok(())
    }

    fn number(&mut self, radix: u32, most: usize) -> Result<u32, ImportError> {
        let digits: String = self.letters[self.at.min(self.letters.len())..]
            .iter()
            .take(most)
            .take_while(|letter| letter.is_digit(radix))
            .collect();
        self.at += digits.len();
        u32::from_str_radix(&digits, radix)
            .map_err(|_| ImportError::new("a `\\` in `$'…'` is not followed by its number"))
    }
}

fn unclosed(quote: char) -> ImportError {
    ImportError::new(format!("a quote ({quote}) of the curl line is not closed"))
        .hint("give the whole line as one argument: in single quotes, with the body in double quotes inside, or the other way round")
}

fn left_to_a_shell(what: &str) -> ImportError {
    ImportError::new(format!("the curl line leaves {what} to a shell, and no shell reads it here"))
        .hint("put the value itself there, or quote it with single quotes if it is meant as it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let cases: [(&str, &[&str]); 14] = [
            ("a b  c", &["a", "b", "c"]),
            ("a'b c'd", &["ab cd"]),
            (r#"'it'\''s'"#, &["it's"]),
            (r#""a \"b\" \\ \n $ 5""#, &[r#"a "b" \ \n $ 5"#]),
            ("''", &[""]),
            ("a \\\n  b \\\r\n c", &["a", "b", "c"]),
            ("a\\\nb", &["ab"]),
            (r"a\ b\'", &["a b'"]),
            (r"$'it\'s\n\u00e9\ud83d\ude00\x41\101'", &["it's\né😀AA"]),
            ("http://h/?a=1&b=2;c", &["http://h/?a=1&b=2;c"]),
            ("a | jq . ", &["a"]),
            ("a > out; b", &["a"]),
            ("a && b", &["a"]),
            ("'$HOME' '`x`' 'ü'", &["$HOME", "`x`", "ü"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).as_deref(), Ok(expected.map_strings().as_slice()), "{line}");
        }
    }

    trait Strings {
        fn map_strings(&self) -> Vec<String>;
    }

    impl Strings for &[&str] {
        fn map_strings(&self) -> Vec<String> {
            self.iter().map(|word| (*word).to_owned()).collect()
        }
    }

    #[test]
    fn what_no_shell_reads_is_refused() {
        for (line, what) in [
            ("a 'b", "is not closed"),
            ("a \"b", "is not closed"),
            ("a $'b", "is not closed"),
            ("a $TOKEN", "$TOKEN"),
            ("a \"x ${TOKEN}\"", "to a shell"),
            ("a \"$(date)\"", "to a shell"),
            ("a `date`", "to a shell"),
            ("curl ^\n  -X POST", "cmd.exe"),
            ("curl ^\"http://x^\"", "cmd.exe"),
            ("curl `\n -X POST", "PowerShell"),
            (r"$'\xzz'", "number"),
        ] {
            let error = words(line).unwrap_err();
            assert!(error.message.contains(what), "{line}: {error}");
        }
    }
}
