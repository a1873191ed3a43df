//! The WGSL preprocessor: plain WGSL plus five directives, each on a line of its own.
//!
//! ```text
//! #import shared/index           the text of shaders/shared/index.wgsl, once
//! #define TILE 8                 a default; a value given by the launcher wins
//! #if TILE > 4 && defined(BIAS)  #elif … #else … #endif
//! #for i in 0..TILE              the body once for each i, unrolled  … #endfor
//! ${TILE * 2 + i}                anywhere in a line: the value of an integer expression
//! ```
//!
//! naga writes every `for` as a `loop`, which drivers seldom unroll; register tiles are therefore unrolled in the text.

use std::collections::HashSet;

use super::expr::{self, Defines};
use crate::{Error, Result};

/// A shader's file: its name without the ending, and its text.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// `conv2d` for `shaders/conv2d.wgsl`.
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// What may be imported.
const SHARED: &[Source] = &[
    Source { name: "shared/index", text: include_str!("../../shaders/shared/index.wgsl") },
    Source { name: "shared/map", text: include_str!("../../shaders/shared/map.wgsl") },
    Source { name: "shared/quad", text: include_str!("../../shaders/shared/quad.wgsl") },
    Source { name: "shared/rows", text: include_str!("../../shaders/shared/rows.wgsl") },
    Source { name: "shared/detection", text: include_str!("../../shaders/shared/detection.wgsl") },
    Source { name: "shared/logistic", text: include_str!("../../shaders/shared/logistic.wgsl") },
    Source { name: "shared/places", text: include_str!("../../shaders/shared/places.wgsl") },
    Source { name: "shared/present", text: include_str!("../../shaders/shared/present.wgsl") },
    Source { name: "shared/warp", text: include_str!("../../shaders/shared/warp.wgsl") },
    Source { name: "shared/finite", text: include_str!("../../shaders/shared/finite.wgsl") },
    Source { name: "shared/relu", text: include_str!("../../shaders/shared/relu.wgsl") },
    Source { name: "shared/matrix", text: include_str!("../../shaders/shared/matrix.wgsl") },
    Source { name: "shared/matrix_step", text: include_str!("../../shaders/shared/matrix_step.wgsl") },
    Source { name: "shared/tile", text: include_str!("../../shaders/shared/tile.wgsl") },
    Source { name: "shared/tile_step", text: include_str!("../../shaders/shared/tile_step.wgsl") },
];

/// Preprocessed WGSL that remembers where each line came from.
#[derive(Debug, Clone, Default)]
pub struct Expanded {
    /// Plain WGSL.
    pub text: String,
    /// For each line of `text`: the file and line it was written in.
    pub origin: Vec<(&'static str, usize)>,
}

impl Expanded {
    /// The file and line behind line `line` (1-based) of the expanded text.
    pub fn origin_of(&self, line: usize) -> (&'static str, usize) {
        self.origin.get(line.saturating_sub(1)).copied().unwrap_or(("?", 0))
    }
}

/// Expands `source` with `defines`.
pub fn preprocess(source: Source, defines: &Defines) -> Result<Expanded> {
    let mut state = State { out: Expanded::default(), imported: HashSet::new(), env: defines.clone() };
    state.file(source)?;
    Ok(state.out)
}

struct State {
    out: Expanded,
    imported: HashSet<&'static str>,
    env: Defines,
}

type Line<'a> = (usize, &'a str);

impl State {
    fn file(&mut self, source: Source) -> Result<()> {
        let lines: Vec<Line> = source.text.lines().enumerate().map(|(i, l)| (i + 1, l)).collect();
        self.block(source.name, &lines)
    }

    fn block(&mut self, file: &'static str, lines: &[Line]) -> Result<()> {
        let mut i = 0;
        while i < lines.len() {
            let (number, line) = lines[i];
            let fail = |m: String| Error::Shader { name: file.into(), line: number, message: m };
            let Some((word, rest)) = directive(line) else {
                let text = self.substitute(line).map_err(fail)?;
                self.out.text.push_str(&text);
                self.out.text.push('\n');
                self.out.origin.push((file, number));
                i += 1;
                continue;
            };
            match word {
                "import" => {
                    let found = SHARED.iter().find(|s| s.name == rest);
                    let shared = found.ok_or_else(|| fail(format!("#import {rest}: no such shared shader")))?;
                    if self.imported.insert(shared.name) {
                        self.file(*shared)?;
                    }
                    i += 1;
                }
                "define" => {
                    let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, "1"));
                    if !self.env.contains_key(name) {
                        let value = expr::eval(value, &self.env).map_err(fail)?;
                        self.env.insert(name.into(), value);
                    }
                    i += 1;
                }
                "if" => i = self.conditional(file, lines, i)?,
                "for" => i = self.unroll(file, lines, i)?,
                other => return Err(fail(format!("#{other} without its opening directive, or unknown"))),
            }
        }
        Ok(())
    }

    /// Handles `#if … #endif` opening at `start`; returns the line after it.
    fn conditional(&mut self, file: &'static str, lines: &[Line], start: usize) -> Result<usize> {
        let (branches, end) = split_block(file, lines, start, "endif")?;
        for &(head, ref body) in &branches {
            let (number, line) = lines[head];
            let (word, rest) = directive(line).unwrap_or(("else", ""));
            let taken = word == "else"
                || expr::eval(rest, &self.env).map_err(|m| Error::Shader {
                    name: file.into(),
                    line: number,
                    message: m,
                })? != 0;
            if taken {
                self.block(file, &lines[body.clone()])?;
                break;
            }
        }
        Ok(end + 1)
    }

    /// Handles `#for … #endfor` opening at `start`; returns the line after it.
    fn unroll(&mut self, file: &'static str, lines: &[Line], start: usize) -> Result<usize> {
        let (branches, end) = split_block(file, lines, start, "endfor")?;
        let (number, line) = lines[start];
        let fail = |m: String| Error::Shader { name: file.into(), line: number, message: m };
        let (_, head) = directive(line).unwrap_or(("for", ""));
        let parts = head.split_once(" in ").and_then(|(v, r)| r.split_once("..").map(|(a, b)| (v.trim(), a, b)));
        let (name, from, to) = parts.ok_or_else(|| fail("expected `#for NAME in FROM..TO`".into()))?;
        let (from, to) = (expr::eval(from, &self.env).map_err(fail)?, expr::eval(to, &self.env).map_err(fail)?);
        let shadowed = self.env.get(name).copied();
        for value in from..to {
            self.env.insert(name.into(), value);
            self.block(file, &lines[branches[0].1.clone()])?;
        }
        match shadowed {
            Some(value) => self.env.insert(name.into(), value),
            None => self.env.remove(name),
        };
        Ok(end + 1)
    }

    fn substitute(&self, line: &str) -> Result<String, String> {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find("${") {
            out.push_str(&rest[..at]);
            let end = rest[at..].find('}').ok_or("`${` without `}`")? + at;
            out.push_str(&expr::eval(&rest[at + 2..end], &self.env)?.to_string());
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The directive's word and the rest of a line that opens with `#`.
fn directive(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start().strip_prefix('#')?;
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.split("//").next().unwrap_or("");
    Some((word.trim(), rest.trim()))
}

type Branches = Vec<(usize, std::ops::Range<usize>)>;

/// Splits a block opened at `start` into branches (head line, body lines); nested blocks stay whole.
fn split_block(file: &'static str, lines: &[Line], start: usize, close: &str) -> Result<(Branches, usize)> {
    let mut depth = 0;
    let mut branches = Vec::new();
    let mut head = start;
    for (i, (_, line)) in lines.iter().enumerate().skip(start + 1) {
        match directive(line).map(|d| d.0) {
            Some("if" | "for") => depth += 1,
            Some(word @ ("endif" | "endfor")) if depth == 0 => {
                if word != close {
                    break;
                }
                branches.push((head, head + 1..i));
                return Ok((branches, i));
            }
            Some("endif" | "endfor") => depth -= 1,
            Some("else" | "elif") if depth == 0 => {
                branches.push((head, head + 1..i));
                head = i;
            }
            _ => {}
        }
    }
    Err(Error::Shader { name: file.into(), line: lines[start].0, message: format!("no #{close} closes this block") })
}

/// `defines! { TM = 8, VEC = 4 }` as [`Defines`].
#[macro_export]
macro_rules! defines {
    ($($name:ident = $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut defines = $crate::gpu::Defines::new();
        $(defines.insert(stringify!($name).to_string(), ($value) as i64);)*
        defines
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &'static str, defines: &Defines) -> Result<String> {
        preprocess(Source { name: "t", text }, defines).map(|e| e.text)
    }

    #[test]
    fn unrolls_nested_loops_and_substitutes() {
        let out = run("#for i in 0..2\n#for j in i..2\na${i}_${j * 2}\n#endfor\n#endfor\n", &Defines::new());
        assert_eq!(out.unwrap(), "a0_0\na0_2\na1_2\n");
    }

    #[test]
    fn conditions_choose_one_branch() {
        let text = "#define A 1\n#if A == 1 && !defined(B)\nx\n#elif A == 2\ny\n#else\nz\n#endif\n";
        assert_eq!(run(text, &Defines::new()).unwrap(), "x\n");
        assert_eq!(run(text, &defines! { A = 2 }).unwrap(), "y\n");
        assert_eq!(run(text, &defines! { B = 1 }).unwrap(), "z\n");
    }

    #[test]
    fn errors_name_file_and_line() {
        let error = run("a\n#if X\nb\n#endif\n", &Defines::new()).unwrap_err();
        assert!(matches!(&error, Error::Shader { line: 2, .. }), "{error}");
        assert!(run("#for i in 0..2\na\n", &Defines::new()).is_err());
        assert!(run("#endif\n", &Defines::new()).is_err());
        assert!(run("#import nowhere\n", &Defines::new()).is_err());
    }

    #[test]
    fn lines_remember_their_origin() {
        let out =
            preprocess(Source { name: "t", text: "a\n#for i in 0..2\nb\nc\n#endfor\nd" }, &Defines::new()).unwrap();
        let lines: Vec<_> = out.origin.iter().map(|o| o.1).collect();
        assert_eq!(lines, [1, 3, 4, 3, 4, 6]);
    }
}
