//! Integer expressions of the preprocessor: `+ - * / % == != < <= > >= && || !`, parentheses and `defined(NAME)`.

use std::collections::BTreeMap;

/// The values a permutation is compiled with, by name.
pub type Defines = BTreeMap<String, i64>;

/// Evaluates `text`; comparisons give 0 or 1, an unknown name is an error.
pub(super) fn eval(text: &str, env: &Defines) -> Result<i64, String> {
    let tokens = tokenize(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, env, text };
    let value = parser.binary(0)?;
    if parser.at != tokens.len() {
        return Err(format!("cannot read the expression `{text}`"));
    }
    Ok(value)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(i64),
    Name(String),
    Op(&'static str),
}

/// Two-character operators first, so that `<=` is not read as `<`.
const OPS: [&str; 16] = ["==", "!=", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "<", ">", "!", "(", ")"];

/// Binding strength of binary operators, weakest first.
const LEVELS: [&[&str]; 5] = [&["||"], &["&&"], &["==", "!=", "<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"]];

fn tokenize(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if word > 0 {
            let (head, tail) = rest.split_at(word);
            tokens.push(match head.parse() {
                Ok(number) => Token::Number(number),
                Err(_) => Token::Name(head.into()),
            });
            rest = tail.trim_start();
        } else if let Some(op) = OPS.iter().find(|op| rest.starts_with(**op)) {
            tokens.push(Token::Op(op));
            rest = rest[op.len()..].trim_start();
        } else {
            return Err(format!("unexpected `{rest}` in the expression `{text}`"));
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    env: &'a Defines,
    text: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, op: &str) -> bool {
        let hit = matches!(self.tokens.get(self.at), Some(Token::Op(o)) if *o == op);
        self.at += usize::from(hit);
        hit
    }

    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(ops) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(op) = ops.iter().copied().find(|op| self.take(op)) {
            let right = self.binary(level + 1)?;
            left = match op {
                "||" => i64::from(left != 0 || right != 0),
                "&&" => i64::from(left != 0 && right != 0),
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                "<" => i64::from(left < right),
                "<=" => i64::from(left <= right),
                ">" => i64::from(left > right),
                ">=" => i64::from(left >= right),
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                _ if right == 0 => return Err(format!("division by zero in `{}`", self.text)),
                "/" => left / right,
                _ => left % right,
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i64, String> {
        if self.take("!") {
            return Ok(i64::from(self.unary()? == 0));
        }
        if self.take("-") {
            return Ok(-self.unary()?);
        }
        if self.take("(") {
            let value = self.binary(0)?;
            return if self.take(")") { Ok(value) } else { Err(format!("missing `)` in `{}`", self.text)) };
        }
        match self.tokens.get(self.at).cloned() {
            Some(Token::Number(value)) => {
                self.at += 1;
                Ok(value)
            }
            Some(Token::Name(name)) if name == "defined" => {
                self.at += 1;
                match self.tokens.get(self.at..self.at + 3) {
                    Some([Token::Op("("), Token::Name(inner), Token::Op(")")]) => {
                        self.at += 3;
                        Ok(i64::from(self.env.contains_key(inner)))
                    }
                    _ => Err("expected `defined(NAME)`".into()),
                }
            }
            Some(Token::Name(name)) => {
                self.at += 1;
                self.env.get(&name).copied().ok_or_else(|| format!("`{name}` is not defined"))
            }
            _ => Err(format!("cannot read the expression `{}`", self.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_and_precedence() {
        let env = crate::defines! { N = 8 };
        for (text, value) in
            [("1 + 2 * 3", 7), ("(1+2)*3", 9), ("N / 4 - -1", 3), ("N % 3 == 2 && !(N < 8)", 1), ("7-2-1", 4)]
        {
            assert_eq!(eval(text, &env), Ok(value), "{text}");
        }
        for text in ["", "1 +", "M", "1 / 0", "(1", "1 2", "a $ b"] {
            assert!(eval(text, &env).is_err(), "{text}");
        }
    }
}
