//! Arithmetic over named counts, as bounds of the user's own invariants are written: `like.acknowledged + like.unknown`.
//! Main type: [`Expression`].
//!
//! Numbers, names, `+ - * /`, parentheses, `min(…)` and `max(…)`. A hyphen between letters belongs to a name, so that
//! `place-order.acknowledged` is one; a subtraction has blanks around it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// How deep parentheses may be nested: the parser and the evaluation recurse.
const DEEPEST: usize = 50;

/// An expression that was parsed.
#[derive(Clone, PartialEq)]
pub struct Expression {
    text: Arc<str>,
    root: Node,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Number(f64),
    Name(Arc<str>),
    Binary(char, Box<(Node, Node)>),
    Negative(Box<Node>),
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Min,
    Max,
}

/// Why a text is no expression, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionMistake {
    /// The part that is wrong.
    pub part: Range<usize>,
    /// What is wrong with it.
    pub message: String,
}

impl Expression {
    /// Parses a text.
    pub fn parse(text: &str) -> Result<Self, ExpressionMistake> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let root = parser.sum()?;
        parser.blanks();
        match parser.peek() {
            None => Ok(Expression { text: Arc::from(text), root }),
            Some(_) => Err(parser.mistake("an operator is wanted here")),
        }
    }

    /// A number.
    pub fn number(number: f64) -> Self {
        Expression { text: Arc::from(number.to_string()), root: Node::Number(number) }
    }

    /// Every name in it, in order, each once.
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        self.root.names(&mut names);
        names
    }

    /// Its value; `value_of` knows the names. A division by zero gives no finite number.
    pub fn value(&self, value_of: &dyn Fn(&str) -> f64) -> f64 {
        self.root.value(value_of)
    }
}

impl Node {
    fn names(&self, names: &mut Vec<Arc<str>>) {
        match self {
            Node::Number(_) => {}
            Node::Name(name) => {
                if !names.contains(name) {
                    names.push(Arc::clone(name));
                }
            }
            Node::Binary(_, sides) => {
                sides.0.names(names);
                sides.1.names(names);
            }
            Node::Negative(inner) => inner.names(names),
            Node::Call(_, arguments) => arguments.iter().for_each(|argument| argument.names(names)),
        }
    }

    fn value(&self, value_of: &dyn Fn(&str) -> f64) -> f64 {
        match self {
            Node::Number(number) => *number,
            Node::Name(name) => value_of(name),
            Node::Negative(inner) => -inner.value(value_of),
            Node::Binary(operator, sides) => {
                let (left, right) = (sides.0.value(value_of), sides.1.value(value_of));
                match operator {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    _ => left / right,
                }
            }
            Node::Call(function, arguments) => {
                let values = arguments.iter().map(|argument| argument.value(value_of));
                match function {
                    Function::Min => values.fold(f64::INFINITY, f64::min),
                    Function::Max => values.fold(f64::NEG_INFINITY, f64::max),
                }
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn blanks(&mut self) {
        while let Some(letter) = self.peek().filter(|letter| letter.is_whitespace()) {
            self.at += letter.len_utf8();
        }
    }

    fn mistake(&self, message: &str) -> ExpressionMistake {
        let end = self.peek().map_or(self.at, |letter| self.at + letter.len_utf8());
        let start = if end == self.at { 0 } else { self.at };
        ExpressionMistake { part: start..end, message: message.to_owned() }
    }

    /// The next letter, if it is one of these.
    fn one_of(&mut self, letters: &str) -> Option<char> {
        self.blanks();
        let letter = self.peek().filter(|letter| letters.contains(*letter))?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn sum(&mut self) -> Result<Node, ExpressionMistake> {
        let mut left = self.product()?;
        while let Some(operator) = self.one_of("+-") {
            left = Node::Binary(operator, Box::new((left, self.product()?)));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Node, ExpressionMistake> {
        let mut left = self.unit()?;
        while let Some(operator) = self.one_of("*/") {
            left = Node::Binary(operator, Box::new((left, self.unit()?)));
        }
        Ok(left)
    }

    fn unit(&mut self) -> Result<Node, ExpressionMistake> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.mistake("nested too deeply"));
        }
        let unit = self.unit_within();
        self.depth -= 1;
        unit
    }

    fn unit_within(&mut self) -> Result<Node, ExpressionMistake> {
        if self.one_of("-").is_some() {
            return self.unit().map(|inner| Node::Negative(Box::new(inner)));
        }
        if self.one_of("(").is_some() {
            let inner = self.sum()?;
            return match self.one_of(")") {
                Some(_) => Ok(inner),
                None => Err(self.mistake("`)` is wanted here")),
            };
        }
        self.blanks();
        match self.peek() {
            Some(letter) if letter.is_ascii_digit() => self.literal(),
            Some(letter) if letter.is_alphabetic() || letter == '_' => self.name(),
            _ => Err(self.mistake("a number or a name is wanted here")),
        }
    }

    fn literal(&mut self) -> Result<Node, ExpressionMistake> {
        let start = self.at;
        while self.peek().is_some_and(|letter| letter.is_ascii_digit() || letter == '.') {
            self.at += 1;
        }
        self.text[start..self.at].parse().map(Node::Number).map_err(|_| ExpressionMistake {
            part: start..self.at,
            message: format!("`{}` is no number", &self.text[start..self.at]),
        })
    }

    fn name(&mut self) -> Result<Node, ExpressionMistake> {
        let start = self.at;
        let belongs = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
        while let Some(letter) = self.peek() {
            let after = self.text[self.at + letter.len_utf8()..].chars().next();
            let hyphen = letter == '-' && after.is_some_and(char::is_alphanumeric);
            if !belongs(letter) && !hyphen {
                break;
            }
            self.at += letter.len_utf8();
        }
        let name = &self.text[start..self.at];
        let function = match name {
            "min" => Function::Min,
            "max" => Function::Max,
            _ => return Ok(Node::Name(Arc::from(name))),
        };
        if self.one_of("(").is_none() {
            return Err(self.mistake(&format!("`{name}` is a function: write `{name}(a, b)`")));
        }
        let mut arguments = vec![self.sum()?];
        while self.one_of(",").is_some() {
            arguments.push(self.sum()?);
        }
        match self.one_of(")") {
            Some(_) => Ok(Node::Call(function, arguments)),
            None => Err(self.mistake("`)` is wanted here")),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_the_usual_values() {
        let value_of = |name: &str| match name {
            "like.acknowledged" => 4.0,
            "place-order.unknown" => 2.0,
            "clients" => 8.0,
            _ => 0.0,
        };
        let cases = [
            ("4", 4.0),
            ("like.acknowledged + place-order.unknown", 6.0),
            ("clients - like.acknowledged", 4.0),
            ("1 + 2 * 3 - 4 / 2", 5.0),
            ("-(1 + 2) * 2", -6.0),
            ("min(clients, 3) + max(1, 2, like.acknowledged)", 7.0),
            (" 1.5*clients ", 12.0),
        ];
        for (text, expected) in cases {
            let found = Expression::parse(text).map(|expression| expression.value(&value_of));
            assert_eq!(found, Ok(expected), "{text}");
        }
        let names = Expression::parse("a.b + min(c, a.b) - place-order.unknown").unwrap().names();
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a.b", "c", "place-order.unknown"]);
    }

    #[test]
    fn mistakes_have_their_place() {
        let cases =
            [("", 0..0), ("1 +", 0..3), ("1 2", 2..3), ("(1", 0..2), ("a ! b", 2..3), ("1.2.3", 0..5), ("min 1", 4..5)];
        for (text, part) in cases {
            assert_eq!(Expression::parse(text).map_err(|mistake| mistake.part), Err(part), "{text}");
        }
        assert!(Expression::parse(&"(".repeat(10_000)).is_err());
    }
}
