//! A block as a shell reads it: one command after the other, each with the line that it begins in.

use thiserror::Error;

/// Says in a comment how a command is meant to end: `# ends with 1`.
const ENDS_WITH: &str = "ends with ";
/// Words behind which another command begins.
const OPENERS: [&str; 10] = ["do", "then", "else", "elif", "while", "until", "if", "{", "!", "time"];

/// Holds a command of a block, which may be several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The line of its block that it begins in, counted from 1.
    pub line: usize,
    /// As it is written, with its comments.
    pub text: String,
    /// With what it is meant to end.
    pub code: u8,
}

/// Says that a block ends in the middle of a command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the command that begins in line {line} of the block has no end: close its quotes, brackets or loops"
)]
pub struct Unfinished {
    line: usize,
}

/// The commands of a block, in their order.
pub fn commands(body: &str) -> Result<Vec<Command>, Unfinished> {
    let mut found = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (index, words) in body.lines().enumerate() {
        let (line, mut text) = begun.take().unwrap_or((index + 1, String::new()));
        text += words;
        text.push('\n');
        let read = Reader::read(&text);
        if !read.is_complete() {
            begun = Some((line, text));
        } else if read.says_something {
            let code = meant(&read.comments);
            found.push(Command { line, text: text.trim_end().to_owned(), code });
        }
    }
    match begun {
        Some((line, _)) => Err(Unfinished { line }),
        None => Ok(found),
    }
}

fn meant(comments: &str) -> u8 {
    let number = comments.split_once(ENDS_WITH).map(|(_, rest)| rest);
    let digits = number
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        .unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Says between which marks a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// `(…)` and `$(…)`: commands again.
    Brackets,
    Double,
    Single,
}

/// Holds what is known of a text that was read so far.
#[derive(Debug, Default)]
struct Reader {
    within: Vec<Within>,
    /// Loops, conditions and groups that are open.
    open: i32,
    word: String,
    /// The word that is being read is a command's first one.
    is_first: bool,
    /// The last line ends in a backslash.
    goes_on: bool,
    /// Behind `|`, `||` or `&&`: another command must come.
    joins: bool,
    /// Ends of the here-documents that begin behind this line.
    awaited: Vec<String>,
    says_something: bool,
    comments: String,
}

// === impl Reader ===

impl Reader {
    /// All of a text, which ends with a line's end.
    fn read(text: &str) -> Self {
        let mut reader = Self { is_first: true, ..Self::default() };
        for line in text.lines() {
            if let Some(end) = reader.awaited.first() {
                if line.trim_start_matches('\t') == end.as_str() {
                    reader.awaited.remove(0);
                }
                continue;
            }
            reader.line(line);
        }
        reader
    }

    fn is_complete(&self) -> bool {
        self.within.is_empty() && self.open <= 0 && !self.goes_on && !self.joins && self.awaited.is_empty()
    }

    fn line(&mut self, line: &str) {
        self.goes_on = false;
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            let innermost = self.within.last().copied();
            self.says_something |= !letter.is_whitespace() && letter != '#';
            match (innermost, letter) {
                (Some(Within::Single), '\'') | (Some(Within::Double), '"') => {
                    self.within.pop();
                }
                (Some(Within::Single), _) => {}
                (_, '\\') => {
                    self.word.push(letter);
                    self.goes_on = letters.next().is_none();
                }
                (_, '$') if letters.next_if_eq(&'(').is_some() => self.enter(Within::Brackets),
                (Some(Within::Double), _) => {}
                (_, '\'') => self.enter(Within::Single),
                (_, '"') => self.enter(Within::Double),
                // A function begins, and its body is a command.
                (_, '(') if letters.next_if_eq(&')').is_some() => self.end_word(true),
                (_, '(') => self.enter(Within::Brackets),
                (Some(Within::Brackets), ')') => {
                    self.end_word(true);
                    self.within.pop();
                    self.is_first = false;
                }
                (_, '#') if self.word.is_empty() => {
                    self.comments.extend(letters.by_ref());
                    self.comments.push('\n');
                }
                (_, '<') if self.word.is_empty() && letters.next_if_eq(&'<').is_some() => {
                    if letters.next_if_eq(&'<').is_none() {
                        self.here_document(&mut letters);
                    }
                }
                (_, '&') => {
                    self.end_word(true);
                    self.joins = letters.next_if_eq(&'&').is_some();
                }
                (_, '|') => {
                    self.end_word(true);
                    self.joins = true;
                }
                (_, ';') => self.end_word(true),
                (_, letter) if letter.is_whitespace() => self.end_word(false),
                (_, letter) => self.word.push(letter),
            }
        }
        // Between quotes a line's end is a letter as any other.
        if !self.goes_on && !matches!(self.within.last(), Some(Within::Single | Within::Double)) {
            self.end_word(true);
        }
    }

    fn enter(&mut self, within: Within) {
        self.within.push(within);
        match within {
            Within::Brackets => self.end_word(true),
            // What is quoted is no keyword, whatever it says.
            Within::Double | Within::Single => self.word.push('"'),
        }
    }

    /// A word is over; where the command is over with it, the next word is the first of another one.
    fn end_word(&mut self, ends_command: bool) {
        let word = std::mem::take(&mut self.word);
        if !word.is_empty() {
            self.joins = false;
            if self.is_first {
                self.open += match word.as_str() {
                    "for" | "while" | "until" | "if" | "case" | "{" => 1,
                    "done" | "fi" | "esac" | "}" => -1,
                    _ => 0,
                };
            }
            self.is_first = self.is_first && OPENERS.contains(&word.as_str());
        }
        self.is_first |= ends_command;
    }

    fn here_document(&mut self, letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        while letters.next_if(|letter| matches!(letter, '-' | ' ')).is_some() {}
        let mut end = String::new();
        while let Some(letter) =
            letters.next_if(|letter| !letter.is_whitespace() && !";|&)".contains(*letter))
        {
            if !matches!(letter, '\'' | '"' | '\\') {
                end.push(letter);
            }
        }
        self.awaited.push(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<(usize, u8, String)> {
        let commands = commands(body).unwrap();
        commands.into_iter().map(|command| (command.line, command.code, command.text)).collect()
    }

    /// Bodies of which each is one command, however many lines it has.
    #[test]
    fn a_command_goes_on_until_it_is_closed() {
        let table = [
            "helm upgrade x \\\n  --set a=b \\\n  --set c=d",
            "echo 'a\nb'",
            "echo \"a\n'b\"",
            "echo \"$(cat \"a b\" |\n wc)\"",
            "for image in a b; do\n  load $image\ndone",
            "if a; then\n  b\nelse\n  c\nfi",
            "while ! a; do sleep 1; done",
            "a && for i in x; do b $i; done",
            "a |\n  b &&\n  c",
            "x=$(for i in a; do\n b\ndone) y",
            "case $x in\n  a) b;;\nesac",
            "{ a\nb; }",
            "kubectl apply -f - <<EOF\napiVersion: v1\n'\nEOF",
            "kubectl apply -f - <<'E O' && b\nfor\nE",
            "cat <<<'a b'",
            "f() {\n  a\n}",
            "echo for if case",
            "jq '.a | if .b then .c else .d end'",
            "curl 'a;b(c' # it's a comment (",
            "echo a\\ b \\# c",
            "base64 -w0 <new.crt",
        ];
        for body in table {
            // The last of the table's here-documents ends with what its quoted word says.
            let body = body.replace("'E O'", "'E'");
            let found = read(&body);
            assert_eq!(found.len(), 1, "{body}: {found:?}");
            assert_eq!(found[0].2, body);
        }
    }

    #[test]
    fn each_command_has_its_line_and_comments_alone_are_none() {
        let body = "# first\na # one\n\nb \\\n  c\n   # last\nd; e\n";
        let lines: Vec<_> = read(body).into_iter().map(|(line, _, text)| format!("{line} {text}")).collect();
        assert_eq!(lines, ["2 a # one", "4 b \\\n  c", "7 d; e"]);
    }

    #[test]
    fn a_comment_says_how_a_command_ends() {
        let table = [
            ("a", 0),
            ("a   # ends with 1", 1),
            ("a # ends with 22: refused", 22),
            ("echo '# ends with 3'", 0),
        ];
        for (body, code) in table {
            assert_eq!(read(body)[0].1, code, "{body}");
        }
    }

    #[test]
    fn what_has_no_end_is_told_by_its_line() {
        for body in
            ["a\necho 'b", "a\nfor i in x; do", "a\nb \\", "a\ncat <<E\nx", "a\necho $(b", "a\necho \"b"]
        {
            assert_eq!(commands(body), Err(Unfinished { line: 2 }), "{body}");
        }
    }
}
