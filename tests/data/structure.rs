//! The order of the crate, read from its `use` lines: no two files know each other, and no room knows one above it.
//!
//! A file may know its own child modules and they it; what is asked of a module that passes a name on (`pub use`) is asked of the file
//! that the name comes from. Tests at the end of a file are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms from the cellar to the street; what `lib.rs` says of them.
const ROOMS: &[&str] = &[
    "error",
    "hash",
    "files",
    "plot",
    "shape",
    "geometry",
    "gpu",
    "tensor",
    "reference",
    "kernels",
    "tape",
    "params",
    "nn",
    "optim",
    "metrics",
    "setting",
    "settings",
    "data",
    "loss",
    "tasks",
    "distill",
    "balance",
    "config",
    "checkpoint",
    "train",
    "experiment",
    "predict",
    "report",
    "bench",
    "cli",
];

/// A module's path from the crate's root.
type Module = Vec<String>;

/// Files by module, without comments and tests.
type Files = BTreeMap<Module, String>;

/// Which modules each module knows.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    match path {
        "lib" | "main" => Vec::new(),
        _ => path.split('/').map(str::to_string).collect(),
    }
}

/// The text without line comments, and without a module of tests at its end.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn read(folder: &Path, root: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, root, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            // The program's two files of the root know all rooms and nobody them.
            let module = module_of(&name);
            if !module.is_empty() || name == "lib.rs" {
                files.insert(module, code_of(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

/// `a::{b, c::{d, e as f}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((start, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_string()];
    };
    let (mut depth, mut part, mut all) = (0, String::new(), Vec::new());
    for c in rest.trim_end().trim_end_matches('}').chars().chain([',']) {
        match c {
            ',' if depth == 0 => {
                if !part.trim().is_empty() {
                    all.extend(expand(part.trim()).into_iter().map(|p| format!("{}{p}", start.trim())));
                }
                part.clear();
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        part.push(c);
    }
    // `rest` may have lost one brace too many at its end.
    if !part.trim().is_empty() {
        all.extend(expand(part.trim()).into_iter().map(|p| format!("{}{p}", start.trim())));
    }
    all
}

/// A path as it stands in `module`, from the root; `None` for other crates'.
fn absolute(path: &str, module: &Module, files: &Files) -> Option<Vec<String>> {
    let mut parts: Vec<String> = path.split("::").map(|p| p.trim().to_string()).collect();
    let mut base = match parts[0].as_str() {
        "crate" | "limbeck" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        child if files.contains_key(&[module.as_slice(), &[child.to_string()]].concat()) => {
            return Some([module.as_slice(), &parts].concat());
        }
        _ => return None,
    };
    parts.remove(0);
    while parts.first().is_some_and(|p| p == "super") {
        base.pop();
        parts.remove(0);
    }
    base.extend(parts);
    Some(base)
}

/// The `use` items of a file: whether each is passed on, and its path.
fn uses(code: &str) -> Vec<(bool, String)> {
    let mut all = Vec::new();
    for item in code.split(';') {
        let lines = item.trim_start();
        let Some(at) = lines.rfind("use ").filter(|at| {
            let before = lines[..*at].rsplit('\n').next().unwrap_or_default().trim();
            before.is_empty() || before.starts_with("pub")
        }) else {
            continue;
        };
        let passed_on = lines[..at].rsplit('\n').next().unwrap_or_default().contains("pub");
        let tree = lines[at + 4..].split_whitespace().collect::<Vec<_>>().join(" ");
        all.extend(expand(&tree).into_iter().map(|path| (passed_on, path)));
    }
    all
}

/// Paths that stand in expressions and types: `crate::a::b`, `super::c`.
fn inline(code: &str) -> Vec<String> {
    let mut all = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let path: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            all.push(path.trim_end_matches(':').to_string());
        }
    }
    all
}

/// The siblings whose names a file with `use super::*` writes without a path, `sibling::name`.
fn siblings(module: &Module, code: &str, files: &Files) -> Vec<Module> {
    if !code.contains("use super::*;") || module.is_empty() {
        return Vec::new();
    }
    let parent = &module[..module.len() - 1];
    let named = |start: &str| {
        let name: String = start.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let alone = !start[..start.len() - name.len()].ends_with("::");
        alone.then(|| [parent, &[name.chars().rev().collect()]].concat())
    };
    let all = code.match_indices("::").filter_map(|(at, _)| named(&code[..at]));
    all.filter(|sibling| sibling != module && files.contains_key(sibling)).collect()
}

/// The module that a path from the root leads to, through names that are passed on.
fn resolve(
    path: &[String],
    files: &Files,
    passed: &BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    depth: u8,
) -> Module {
    for end in (0..=path.len()).rev() {
        let (module, rest) = path.split_at(end);
        if !files.contains_key(module) {
            continue;
        }
        let target = rest.first().and_then(|name| passed.get(module)?.get(name));
        return match target {
            Some(target) if target != path && depth < 8 => {
                resolve(&[target.as_slice(), &rest[1..]].concat(), files, passed, depth + 1)
            }
            _ => module.to_vec(),
        };
    }
    Vec::new()
}

fn graph(files: &Files) -> Graph {
    let mut passed: BTreeMap<Module, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for (module, code) in files {
        for (on, path) in uses(code) {
            if let (true, Some(path)) = (on, absolute(&path, module, files)) {
                passed.entry(module.clone()).or_default().insert(path.last().cloned().unwrap_or_default(), path);
            }
        }
    }
    let known = |(module, code): (&Module, &String)| {
        let named = uses(code).into_iter().filter(|(on, _)| !on).map(|(_, path)| path);
        let paths = named.chain(inline(code)).filter_map(|path| absolute(&path, module, files));
        let paths = paths.chain(siblings(module, code, files));
        let targets = paths.map(|path| resolve(&path, files, &passed, 0));
        (module.clone(), targets.filter(|t| t != module && !t.is_empty()).collect())
    };
    files.iter().map(known).collect()
}

/// Whether one contains the other.
fn kin(a: &Module, b: &Module) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// A way from `from` back to itself that is more than a module and its own children.
fn circle(from: &Module, graph: &Graph) -> Option<Vec<Module>> {
    let mut ways = vec![vec![from.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in graph.get(way.last()?).into_iter().flatten().filter(|next| !kin(way.last().unwrap_or(from), next)) {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

/// What is wrong with the order of `files`.
fn faults(files: &Files) -> Vec<String> {
    let graph = graph(files);
    let name = |module: &Module| module.join("::");
    let mut all: Vec<String> = Vec::new();
    for (module, known) in &graph {
        if let Some(way) = circle(module, &graph) {
            all.push(format!("a circle: {}", way.iter().map(name).collect::<Vec<_>>().join(" -> ")));
        }
        let rank = |m: &Module| ROOMS.iter().position(|room| Some(*room) == m.first().map(String::as_str));
        for other in known.iter().filter(|other| module.first() != other.first()) {
            match (rank(module), rank(other)) {
                (Some(own), Some(there)) if there > own => {
                    all.push(format!("upward: {} -> {}", name(module), name(other)))
                }
                (None, _) if !module.is_empty() => all.push(format!("{} is in no room of ROOMS", name(module))),
                _ => {}
            }
        }
    }
    all
}

#[test]
fn no_two_files_know_each_other_and_no_room_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Files::new();
    read(&root, &root, &mut files);
    assert!(files.len() > 200, "only {} files were found", files.len());
    let edges: usize = graph(&files).values().map(BTreeSet::len).sum();
    assert!(edges > 800, "only {edges} uses were read");
    let found = faults(&files);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn circles_and_upward_imports_are_seen() {
    let check = |files: &[(&str, &str)]| {
        faults(&files.iter().map(|(name, text)| (module_of(name), code_of(text))).collect::<Files>())
    };
    // A parent and its child, a name that is passed on, and what only tests or comments say are no circle.
    let sound = [
        ("gpu/mod.rs", "mod pool;\npub use pool::Pool;\nuse pool::size;\n"),
        ("gpu/pool.rs", "use super::Limit;\n"),
        ("tensor.rs", "use crate::{\n    Result,\n    gpu::{Pool as P},\n};\n// use crate::train::Config;\n"),
        ("train/mod.rs", "use crate::tensor::Tensor;\n#[cfg(test)]\nmod tests {\n    use crate::cli::Args;\n}\n"),
        ("cli/mod.rs", "fn run() -> crate::train::Config { todo!() }\n"),
    ];
    assert_eq!(check(&sound), Vec::<String>::new());
    assert_eq!(
        check(&[("tensor.rs", "use crate::train::Config;\n"), ("train/mod.rs", "")]),
        ["upward: tensor -> train"]
    );
    let pair = [
        ("train/mod.rs", "pub(super) use self::b::B;\n"),
        ("train/a.rs", "use super::B;\n"),
        ("train/b.rs", "fn f(x: &super::a::A) {}\n"),
    ];
    assert_eq!(
        check(&pair),
        ["a circle: train::a -> train::b -> train::a", "a circle: train::b -> train::a -> train::b"]
    );
    let glob = [
        ("train/mod.rs", "mod a;\nmod b;\n"),
        ("train/a.rs", "use super::*;\nfn f() { b::g() }\n"),
        ("train/b.rs", "use super::a::f;\n"),
    ];
    assert_eq!(check(&glob).len(), 2, "{:?}", check(&glob));
    assert_eq!(check(&[("attic.rs", "use crate::gpu::Gpu;\n"), ("gpu/mod.rs", "")]), ["attic is in no room of ROOMS"]);
}

#[test]
fn use_trees_are_expanded() {
    assert_eq!(expand("a::{b, c::{d, e as f}, self}"), ["a::b", "a::c::d", "a::c::e", "a::self"]);
    assert_eq!(expand("a::b as c"), ["a::b"]);
}
