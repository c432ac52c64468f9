//! Reads the JSON in which the servers answer, in all the shapes that they give it.

use serde_json::{Map, Value};

use crate::response::refusal::NamedByNumber;

/// What the body of an answer tells, as far as it has one of the known forms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswerBody {
    /// The server's words, from `error` (versions 1 and 3) or from the `message` beside a `code` or an `error` (version 2).
    pub(crate) message: Option<String>,
    /// Whether a `code` stands beside them, as in version 2.
    pub(crate) has_code: bool,
    /// The lines that InfluxDB 3 names in `data`, and other products on its engine in the text.
    pub(crate) named: Vec<NamedByNumber>,
    /// What InfluxDB 3 answers to a ping.
    pub(crate) version: Option<String>,
}

impl AnswerBody {
    /// A body that is not JSON, or JSON of another form, tells nothing. One that was cut tells what is there.
    pub(crate) fn of(body: &str) -> Self {
        match serde_json::from_str(body) {
            Ok(Value::Object(body)) => Self::of_object(body),
            Ok(_) => Self::default(),
            Err(error) if error.is_eof() => Self::of_cut(body),
            Err(_) => Self::default(),
        }
    }

    /// Reads the beginning of a body.
    fn of_cut(body: &str) -> Self {
        // Half of an escape can't be read: at most eleven characters of a pair.
        let ends = body.char_indices().rev().map(|(end, _)| end).take(11);
        let ends = [body.len()].into_iter().chain(ends);
        let bodies = ends.map(|end| &body[..end]).chain([before_last_comma(body)]);
        let Some(Value::Object(body)) = { bodies }.find_map(|body| serde_json::from_str(&closed(body)).ok())
        else {
            return Self::default();
        };
        let mut answer = Self::of_object(body);
        if let Some(last) = answer.named.last_mut() {
            // Its number may go on, and there may be more.
            *last = NamedByNumber::default();
        }
        answer
    }

    fn of_object(mut body: Map<String, Value>) -> Self {
        // Web frameworks have an `error`, too, such as "Bad Request" from whatever stands in front of the server.
        const FOREIGN: [&str; 5] = ["status", "statusCode", "timestamp", "error_description", "reason"];
        let is_a_framework_s = FOREIGN.iter().any(|key| body.contains_key(*key));
        if is_a_framework_s && body.contains_key("error") {
            return Self::default();
        }
        let mut text = |key: &str| match body.get_mut(key).map(Value::take) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (error, message) = (text("error"), text("message"));
        let (has_code, version) = (text("code").is_some(), text("version"));
        let message = match (error, message) {
            // InfluxDB Cloud repeats a code in `error`; then the words are in `message`.
            (Some(_), Some(message)) => Some(message),
            // Many a gateway says no more than a `message`.
            (None, Some(message)) => has_code.then_some(message),
            (error, None) => error,
        };
        let (message, mut named) = match (message, body.get_mut("data").map(Value::take)) {
            (Some(message), Some(Value::String(more))) => (Some(format!("{message}: {more}")), Vec::new()),
            (message, Some(Value::Array(lines))) => (message, all_named_by_number(&lines)),
            (message, Some(line @ Value::Object(_))) => {
                (message, named_by_number(&line).into_iter().collect())
            }
            (message, _) => (message, Vec::new()),
        };
        if has_code && named.is_empty() {
            named = message.as_deref().map(named_in_text).unwrap_or_default();
        }
        Self {
            message,
            has_code,
            named,
            version,
        }
    }
}

/// A beginning of JSON with an end for the text, the lists and the objects that are open there.
fn closed(body: &str) -> String {
    let (mut open, mut in_text) = (Vec::new(), false);
    for (_, character) in tokens(body) {
        match character {
            '"' => in_text = !in_text,
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => _ = open.pop(),
            _ => {}
        }
    }
    let quote = if in_text { "\"" } else { "" };
    let ends: String = open.into_iter().rev().collect();
    format!("{body}{quote}{ends}")
}

fn before_last_comma(body: &str) -> &str {
    let last = tokens(body).filter(|(_, character)| *character == ',').last();
    last.map_or("", |(at, _)| &body[..at])
}

/// The characters that mean something in JSON, with their places: those of texts are left out, except for the quotes around them.
fn tokens(body: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut in_text, mut escaped) = (false, false);
    body.char_indices().filter(move |(_, character)| {
        let begins_escape = in_text && !escaped && *character == '\\';
        let is_escaped = std::mem::replace(&mut escaped, begins_escape);
        let is_quote = *character == '"' && !is_escaped;
        in_text ^= is_quote;
        is_quote || !in_text
    })
}

/// An entry that names no line is kept beside those that do, or the lines that are named would pass for all. If no entry names one,
/// the list tells nothing.
fn all_named_by_number(lines: &[Value]) -> Vec<NamedByNumber> {
    // Far more than any server names.
    const MOST: usize = 10_000;
    let beyond = (lines.len() > MOST).then_some(&Value::Null);
    let named: Vec<_> = lines
        .iter()
        .take(MOST)
        .chain(beyond)
        .map(named_by_number)
        .collect();
    if named.iter().all(Option::is_none) {
        return Vec::new();
    }
    named.into_iter().map(Option::unwrap_or_default).collect()
}

/// Stands behind the number of a line in the text of products on version 3's engine.
pub(crate) const BEHIND_NUMBER: &str = " (1-based): ";

/// Reads `error parsing line N (1-based): reason`: products on version 3's engine say one in each line of their text.
fn named_in_text(message: &str) -> Vec<NamedByNumber> {
    // Within quotes, such as in a field's key, these words could be anybody's.
    let is_quote = |character: char| matches!(character, '"' | '\'');
    let is_own = |(before, _): (&str, &str)| !before.contains(is_quote);
    if !message.split_once(BEHIND_NUMBER).is_some_and(is_own) {
        return Vec::new();
    }
    let mut is_quoted = false;
    let mut named = Vec::new();
    for line in message.lines() {
        if let Some((before, reason)) = line.split_once(BEHIND_NUMBER) {
            let number = before
                .rsplit_once("line ")
                .and_then(|(_, number)| number.parse().ok());
            named.push(match is_quoted {
                false => NamedByNumber {
                    number,
                    shown: String::new(),
                    reason: reason.to_owned(),
                },
                // A reason may repeat a key with line breaks, or have an apostrophe. It is left open which line is meant.
                true => NamedByNumber::default(),
            });
        }
        is_quoted ^= line.matches(is_quote).count() % 2 == 1;
    }
    named
}

/// An entry that is not an object, or has no reason, names no line.
fn named_by_number(line: &Value) -> Option<NamedByNumber> {
    let reason = line.get("error_message")?.as_str()?;
    let number = line
        .get("line_number")
        .and_then(Value::as_u64)
        .and_then(|number| usize::try_from(number).ok());
    let shown = line.get("original_line").and_then(Value::as_str);
    Some(NamedByNumber {
        number,
        shown: shown.unwrap_or_default().to_owned(),
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: Option<usize>, shown: &str, reason: &str) -> NamedByNumber {
        NamedByNumber {
            number,
            shown: shown.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_words_of_all_versions_are_found() {
        for (body, message) in [
            (r#"{"error":"no"}"#, Some("no")),
            (r#"{"code":"invalid","message":"no"}"#, Some("no")),
            (
                r#"{"code":"invalid","message":"no","op":"x","line":3}"#,
                Some("no"),
            ),
            (r#"{"error":"internal error","message":"no"}"#, Some("no")),
            (r#"{"error":"no","data":null}"#, Some("no")),
            (r#"{"error":"no","data":"and this"}"#, Some("no: and this")),
            (r#"{"error":null}"#, None),
            (r#"{"error":"Bad Request","statusCode":400,"message":"no"}"#, None),
            (r#"{"timestamp":7,"error":"Bad Request","path":"/write"}"#, None),
            (
                r#"{"error":"Bad Request","status":400,"code":"no","message":"no"}"#,
                None,
            ),
            (r#"{"message":"no"}"#, None),
            (r#"{"code":3,"message":"no"}"#, None),
            (r#"{"error":{"code":3}}"#, None),
            (r#"{}"#, None),
            (r#"[]"#, None),
            (r#""no""#, None),
            ("", None),
            ("<html>", None),
            (r#"{"error":"no"#, Some("no")),
            (r#"{"error":"no\"#, Some("no")),
            (r#"{"error":"no\u00"#, Some("no")),
            (r#"{"error":"no \"x"#, Some("no \"x")),
            (r#"{"code":"invalid","message":"no"#, Some("no")),
            (
                r#"{"error":"no","data":[{"line_number":2,"error_mess"#,
                Some("no"),
            ),
            (r#"{"error":"no","data":"#, Some("no")),
            (r#"{"error":"no","statusCode":400,"message":"no"#, None),
            (r#"{"error"#, None),
            ("{", None),
        ] {
            assert_eq!(AnswerBody::of(body).message.as_deref(), message, "{body}");
        }
    }

    #[test]
    fn the_lines_that_are_named_are_found_in_every_shape() {
        for (data, expected) in [
            (
                r#"[{"original_line":"a b","line_number":2,"error_message":"no"}]"#,
                vec![named(Some(2), "a b", "no")],
            ),
            (
                r#"{"original_line":"a b","line_number":2,"error_message":"no"}"#,
                vec![named(Some(2), "a b", "no")],
            ),
            (
                r#"[null,{"error_message":"no"},"odd",7]"#,
                vec![
                    NamedByNumber::default(),
                    named(None, "", "no"),
                    NamedByNumber::default(),
                    NamedByNumber::default(),
                ],
            ),
            (
                r#"[{"line_number":2,"error_message":"no"},{"line_number":5,"error_message":null}]"#,
                vec![named(Some(2), "", "no"), NamedByNumber::default()],
            ),
            (r#"[null,{"line_number":2}]"#, vec![]),
            (
                r#"[{"line_number":null,"original_line":null,"error_message":"no"}]"#,
                vec![named(None, "", "no")],
            ),
            (
                r#"[{"line_number":"2","original_line":"a","error_message":"no"}]"#,
                vec![named(None, "a", "no")],
            ),
            (
                r#"[{"line_number":-2,"error_message":"no"}]"#,
                vec![named(None, "", "no")],
            ),
            (r#"[{"line_number":2,"original_line":"a b"}]"#, vec![]),
            (r#"[{"line_number":2,"error_message":{"code":1}}]"#, vec![]),
            ("[]", vec![]),
            ("{}", vec![]),
            ("null", vec![]),
            ("7", vec![]),
            ("true", vec![]),
            (r#""text""#, vec![]),
        ] {
            let body = format!(r#"{{"error":"partial write of line protocol occurred","data":{data}}}"#);
            assert_eq!(AnswerBody::of(&body).named, expected, "{data}");
        }
    }

    #[test]
    fn of_an_answer_that_was_cut_the_last_line_is_left_open() {
        let body = r#"{"error":"no","data":[{"error_message":"no","line_number":2},{"error_message":"{]","line_number":3},{"error_message":"no","line_number":45}]}"#;
        let all = AnswerBody::of(body).named;
        assert_eq!(all.len(), 3);
        let places = |end: usize| AnswerBody::of(&body[..end]).named;
        for end in 0..body.len() {
            let named = places(end);
            let (last, whole) = named.split_last().unwrap_or((&all[2], &[]));
            assert_eq!(whole, &all[..whole.len()], "{}", &body[..end]);
            assert!(
                named.is_empty() || *last == NamedByNumber::default(),
                "{}",
                &body[..end]
            );
        }
        assert_eq!(places(body.len() - 2).len(), 3);
    }

    #[test]
    fn the_lines_that_the_text_names_are_found() {
        let two = vec![
            named(Some(2), "", "no, line 7 (1-based): no"),
            named(Some(4), "", "'x'"),
        ];
        for (message, expected) in [
            (
                r"errors encountered on line(s):\nerror parsing line 2 (1-based): no, line 7 (1-based): no\nerror parsing line 4 (1-based): 'x'",
                two.clone(),
            ),
            (
                r"line 2 (1-based): no, line 7 (1-based): no\nline 4 (1-based): 'x'",
                two,
            ),
            (
                r"error parsing line 2 (1-based): no\nand more",
                vec![named(Some(2), "", "no")],
            ),
            (
                r"error parsing line two (1-based): no",
                vec![named(None, "", "no")],
            ),
            (
                r"error parsing line 2 (1-based): column 'a\nerror parsing line 1 (1-based): y' is no\nerror parsing line 4 (1-based): no",
                vec![
                    named(Some(2), "", "column 'a"),
                    NamedByNumber::default(),
                    named(Some(4), "", "no"),
                ],
            ),
            (r#"unable to parse 'm s=\"line 2 (1-based): \"': no"#, vec![]),
            (
                r#"partial write: input field \"line 2 (1-based): \" is type integer dropped=1"#,
                vec![],
            ),
            ("no", vec![]),
        ] {
            let body = format!(r#"{{"code":"invalid","line":2,"message":"{message}"}}"#);
            assert_eq!(AnswerBody::of(&body).named, expected, "{message}");
        }
        let body = r#"{"error":"error parsing line 2 (1-based): no"}"#;
        assert_eq!(AnswerBody::of(body).named, vec![]);
    }

    #[test]
    fn the_version_is_found() {
        let body = r#"{"version":"3.2.0","revision":"abc"}"#;
        assert_eq!(AnswerBody::of(body).version.as_deref(), Some("3.2.0"));
    }
}
