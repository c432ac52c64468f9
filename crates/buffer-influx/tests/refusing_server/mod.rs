//! What a server answers that stores lines and refuses the bad ones, in each of the documented ways.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::scripted_server::{Request, Step, json, no_content};

/// A server that stores lines and refuses those that hold `bad=`.
pub(crate) struct Refusing {
    pub(crate) stored: Mutex<HashSet<String>>,
    pub(crate) how: How,
}

/// In which way it refuses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// Version 1: names each line, stores the others.
    Named,
    /// Version 1: stores the others, and says how many it dropped.
    Counted,
    /// Version 1: stores nothing, and says nothing of the line; the late ones with status 500.
    AsAWhole(u16),
    /// Version 2: names each line, stores nothing.
    NamedAsAWhole,
    /// Version 2: as `Counted`, in its own form; 2.0 with status 500.
    CountedBy(u16),
    /// Version 3: names up to 100 lines by their numbers, stores the others.
    Numbered,
    /// As `Numbered`, but says of every second one this.
    NumberedInPart(&'static str),
    /// Version 3 with `accept_partial=false`: numbers the first line, stores nothing.
    NumberedAsAWhole(&'static str),
    /// A cloud: stores the others, and names up to 100 lines in its text; with status 201, or 400.
    NumberedInText(u16),
    /// Version 3: stores the others, and says this in place of the lines.
    Odd(&'static str),
    /// Any version: takes at most so many bytes, and refuses no line.
    Bytes(usize),
    /// Version 3: the same, with 500 and in plain text.
    BytesInText(usize),
}

impl Refusing {
    pub(crate) fn answer(&self, request: &Request) -> Step {
        let lines: Vec<&str> = request.body.lines().collect();
        let bad: Vec<usize> = (0..lines.len())
            .filter(|at| lines[*at].contains("bad="))
            .collect();
        let store = |except_bad: bool| {
            let good = lines.iter().filter(|line| !except_bad || !line.contains("bad="));
            self.stored
                .lock()
                .expect("no panic")
                .extend(good.map(|line| (*line).to_owned()));
        };
        if let How::Bytes(most) = self.how
            && request.body.len() > most
        {
            return json(
                413,
                "",
                r#"{"code":"request too large","message":"cannot read data: points batch is too large"}"#,
            );
        }
        if let How::BytesInText(most) = self.how
            && request.body.len() > most
        {
            return json(500, "", &format!("max request size ({most} bytes) exceeded"));
        }
        if bad.is_empty() {
            store(false);
            return no_content();
        }
        let unparsed = bad
            .iter()
            .map(|at| format!("unable to parse '{}': it is bad", lines[*at]));
        let unparsed = unparsed.collect::<Vec<_>>().join("\n");
        let numbered = |at: &usize| {
            serde_json::json!({
                "original_line": lines[*at].replace('"', "").chars().take(20).collect::<String>(),
                "line_number": at + 1,
                "error_message": "it is bad",
            })
        };
        match self.how {
            How::Named => {
                store(true);
                error(400, &format!("partial write: {unparsed} dropped=0"))
            }
            How::Counted => {
                store(true);
                error(
                    400,
                    &format!(
                        "partial write: field type conflict: it is bad dropped={}",
                        bad.len()
                    ),
                )
            }
            How::AsAWhole(status) => error(status, "field type conflict"),
            How::NamedAsAWhole => {
                let body = serde_json::json!({"code": "invalid", "message": unparsed});
                json(400, "", &body.to_string())
            }
            How::CountedBy(status) => {
                store(true);
                let message = format!(
                    "failure writing points to database: partial write: it is bad dropped={}",
                    bad.len()
                );
                let body = serde_json::json!({"code": "unprocessable entity", "message": message});
                json(status, "", &body.to_string())
            }
            How::Numbered => {
                store(true);
                let data: Vec<_> = bad.iter().take(100).map(numbered).collect();
                let body =
                    serde_json::json!({"error": "partial write of line protocol occurred", "data": data});
                json(400, "", &body.to_string())
            }
            How::NumberedInPart(entry) => {
                store(true);
                let odd: serde_json::Value = serde_json::from_str(entry).expect("JSON");
                let named = |(place, at): (usize, &usize)| match place % 2 {
                    0 => numbered(at),
                    _ => odd.clone(),
                };
                let data: Vec<_> = bad.iter().take(100).enumerate().map(named).collect();
                let body =
                    serde_json::json!({"error": "partial write of line protocol occurred", "data": data});
                json(400, "", &body.to_string())
            }
            How::NumberedAsAWhole(words) => {
                let body = serde_json::json!({"error": words, "data": numbered(&bad[0])});
                json(400, "", &body.to_string())
            }
            How::NumberedInText(status) => {
                store(true);
                let lines = bad.iter().take(100);
                let lines = lines.map(|at| format!("\nerror parsing line {} (1-based): it is bad", at + 1));
                let message = format!(
                    "failed to parse line protocol: errors encountered on line(s):{}",
                    lines.collect::<String>()
                );
                let body = serde_json::json!({"code": "invalid", "line": bad[0] + 1, "message": message});
                json(status, "", &body.to_string())
            }
            How::Odd(data) => {
                store(true);
                let body = format!(r#"{{"error":"partial write of line protocol occurred","data":{data}}}"#);
                json(400, "", &body)
            }
            How::Bytes(_) | How::BytesInText(_) => unreachable!("none is bad"),
        }
    }
}

fn error(status: u16, message: &str) -> Step {
    json(status, "", &serde_json::json!({"error": message}).to_string())
}
