//! Tables of refusals: what must not go through, and what is said of it.

/// What came of a try: the kind of the error and its message, or nothing where it went through.
pub type Answer = Option<(String, String)>;

/// The crate's answer; its kind is the name that [`limbeck::Error`] has for it.
pub fn answer<T>(result: limbeck::Result<T>) -> Answer {
    let error = result.err()?;
    let kind = format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
    Some((kind, error.to_string()))
}

/// One row: what was tried and what came of it, the kind of error it must end in, and words of its message.
pub struct Row {
    pub name: String,
    pub answer: Answer,
    pub kind: &'static str,
    pub says: Vec<String>,
}

impl Row {
    /// What is wrong with the answer.
    fn fault(&self) -> Option<String> {
        let Row { name, answer, kind, says } = self;
        let Some((found, message)) = answer else { return Some(format!("{name}: it went through")) };
        let missing: Vec<&String> = says.iter().filter(|words| !message.contains(*words)).collect();
        let right = found == kind && missing.is_empty();
        (!right).then(|| format!("{name}: {found}, not {kind}, or without {missing:?}: {message}"))
    }
}

/// Fails with the name of every row that went through, or was answered otherwise.
pub fn assert_refused(rows: &[Row]) {
    let faults: Vec<String> = rows.iter().filter_map(Row::fault).collect();
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));
    let twice = rows.iter().enumerate().find(|(i, row)| rows[..*i].iter().any(|earlier| earlier.name == row.name));
    assert!(twice.is_none(), "two rows have the name {:?}", twice.map(|(_, row)| &row.name));
    assert!(rows.iter().all(|row| !row.says.is_empty()), "a row expects no words");
    eprintln!("{} refusals", rows.len());
}
