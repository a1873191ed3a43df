//! `limbeck keys`: what a run's file may say.

use super::args::{Keys, KeysFormat};
use super::say;
use limbeck::config::{TableReference, reference};
use limbeck::{Error, Result};
use std::fmt::Write;
use std::process::ExitCode;

/// Prints the tables that were asked for, or all.
pub fn dispatch(args: &Keys) -> Result<ExitCode> {
    let all = reference();
    let asked = |table: &TableReference| args.table.as_ref().is_none_or(|name| is_called(table, name));
    let chosen: Vec<&TableReference> = all.iter().filter(|table| asked(table)).collect();
    if let (true, Some(name)) = (chosen.is_empty(), &args.table) {
        let mut known: Vec<&str> = Vec::new();
        for table in &all {
            if !own_name(table).is_empty() && !known.contains(&own_name(table)) {
                known.push(own_name(table));
            }
        }
        return Err(Error::Invalid(format!("a run's file has no table [{name}]; it has {}", known.join(", "))));
    }
    match args.format {
        KeysFormat::Text => say(text(&chosen).trim_end())?,
        KeysFormat::Markdown => say(markdown(&chosen).trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The table's name, without the source that it is for.
fn own_name(table: &TableReference) -> &str {
    table.table.split(',').next().unwrap_or_default()
}

/// Whether it is the table of that name, or lies in it; `tasks.mask` is `tasks.TASK`, `student.train` is `train`, and a table whose keys the
/// user chooses (`teacher.paths`) is a key of the table it lies in.
fn is_called(table: &TableReference, name: &str) -> bool {
    let (own, name) = (own_name(table), name.trim_matches(['[', ']']));
    if let Some((outer, key)) = name.rsplit_once('.')
        && table.rows.iter().any(|row| row.key == key && row.allowed.starts_with("a table"))
        && own == outer
    {
        return true;
    }
    let name = if name.ends_with(".train") && name != "data.train" { "train" } else { name };
    let inner = own.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    own == name || inner || own.strip_suffix("TASK").is_some_and(|table| name.starts_with(table))
}

fn title(table: &TableReference) -> String {
    match table.table.split_once(", ") {
        Some((name, source)) => format!("[{name}], {source}"),
        None if table.table.is_empty() => "Top of the file".into(),
        None => format!("[{}]", table.table),
    }
}

fn text(tables: &[&TableReference]) -> String {
    let mut out = String::new();
    for table in tables {
        let _ = writeln!(out, "{}  {}", title(table), table.about);
        for row in &table.rows {
            let _ = writeln!(out, "  {} = {}", row.key, row.default);
            let _ = writeln!(out, "      {}", row.meaning);
            let _ = writeln!(out, "      {}", row.allowed);
        }
        out.push('\n');
    }
    out
}

fn markdown(tables: &[&TableReference]) -> String {
    let mut out = String::from(
        "# Every key of a run's file\n\nWritten by `limbeck keys --format markdown`; `limbeck keys TABLE` shows one table.\n",
    );
    // What stands between bars must not hold one.
    let cell = |text: &str| text.replace('|', "\\|");
    for table in tables {
        let _ = write!(out, "\n## {}\n\n", title(table));
        if !table.about.is_empty() {
            let _ = write!(out, "{}\n\n", table.about);
        }
        out.push_str("| key | may be | default | meaning |\n|---|---|---|---|\n");
        for row in &table.rows {
            let cells = [&row.allowed, &row.default, row.meaning].map(cell);
            let _ = writeln!(out, "| `{}` | {} | {} | {} |", row.key, cells[0], cells[1], cells[2]);
        }
    }
    out
}
