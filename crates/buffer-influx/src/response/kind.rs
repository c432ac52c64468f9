//! Which kind of refusal an answer is.

use reqwest::StatusCode;

use crate::response::answer_body::BEHIND_NUMBER;
use crate::response::refusal::RefusalKind;

/// What the kind of a refusal is read from.
pub(crate) struct Evidence<'a> {
    pub(crate) status: StatusCode,
    pub(crate) message: &'a str,
    /// Whether the message came in InfluxDB's own form.
    pub(crate) in_form: bool,
    /// Whether InfluxDB has signed the answer with its version: when it panics, it answers in another form.
    pub(crate) is_signed: bool,
    /// Whether a code of version 2 came with it.
    pub(crate) has_code: bool,
    /// Whether lines are named by their numbers.
    pub(crate) names_lines: bool,
}

/// What an answer means, by its words before its status; none if the lines are taken after all.
pub(crate) fn kind(evidence: &Evidence<'_>) -> Option<RefusalKind> {
    let Evidence {
        status,
        message,
        in_form,
        is_signed,
        has_code,
        names_lines,
    } = *evidence;
    // Another server answers, such as one that shows each caller a page or repeats the request, whose lines may hold any words.
    if status.is_success() && !in_form {
        return Some(RefusalKind::Misconfigured);
    }
    // What follows repeats lines, which may hold any words. VictoriaMetrics repeats the rest of the body.
    let (message, _) = message
        .split_once("incorrect influx line \"")
        .unwrap_or((message, ""));
    let message = without_request(message);
    // InfluxDB 3's, which it also has in plain text.
    const WRAPPER: &str = "write buffer error: ";
    let is_influx = in_form || is_signed || message.starts_with(WRAPPER);
    let (head, repeats) = match message.split_once("unable to parse '") {
        Some((head, _)) if is_influx => (head, true),
        _ => (message, false),
    };
    // What follows a number is about that line, and may repeat it.
    let head = match head.split_once(BEHIND_NUMBER) {
        Some((before, _)) if names_lines => before,
        _ => head,
    };
    // Anything else may be the page of another server, which may repeat the lines: there only what it begins with counts.
    let says = |words: &[&str]| {
        words.iter().any(|words| match is_influx {
            true => head.contains(words),
            false => head.starts_with(words),
        })
    };
    if is_influx && !status.is_success() && is_in_trouble(head, status) {
        return Some(RefusalKind::Busy);
    }
    let says_partial = in_form && says(&["partial write"]);
    // A cluster says no more than these words when too few of its nodes have the lines.
    if says_partial
        && status.is_server_error()
        && !repeats
        && !names_lines
        && split_dropped(message).1.is_none()
    {
        return Some(RefusalKind::Failed);
    }
    if says_partial || in_form && split_dropped(message).1.is_some() {
        return Some(RefusalKind::PartialWrite);
    }
    if status.is_success() {
        // InfluxDB's cloud has stored some lines. Anything else comes from another server: a gateway may have a code for its success.
        return Some(match names_lines || has_code && says(&["line protocol"]) {
            true => RefusalKind::PartialWrite,
            false => RefusalKind::Misconfigured,
        });
    }
    if repeats || names_lines {
        return Some(RefusalKind::Unreadable);
    }
    // A cluster has taken the lines and passes them on later.
    if in_form && says(&["hinted handoff queue not empty"]) {
        return None;
    }
    if says(&["database not found"]) {
        return Some(RefusalKind::DatabaseNotFound);
    }
    if says(&[
        "retention policy not found",
        "database is required",
        "invalid consistency level",
    ]) {
        return Some(RefusalKind::Misconfigured);
    }
    // Names from the target, which InfluxDB 3 and 2 refuse in the way they refuse a line. Only at the beginning: a measurement or a
    // field that is repeated further on may hold such words.
    let (inner, wrapped) = match head.strip_prefix(WRAPPER) {
        Some(inner) => (
            inner.strip_prefix("catalog update error: ").unwrap_or(inner),
            true,
        ),
        None => (head, false),
    };
    let begins = |words: &[&str]| words.iter().any(|words| inner.starts_with(words));
    if begins(&[
        "invalid character in database",
        "db name ",
        "Adding a new database would exceed limit",
        "Please provide either orgID or org",
        // A database that was deleted, or a server that only reads or compacts.
        "cannot write to ",
    ]) {
        return Some(RefusalKind::Misconfigured);
    }
    // When InfluxDB 3 itself fails, it tells a client of version 2 that the request is invalid.
    let blames_lines = matches!(status.as_u16(), 400 | 422);
    if wrapped && blames_lines && !says(&["line protocol", "catalog update error", "column type mismatch"]) {
        return Some(RefusalKind::Failed);
    }
    // The body broke on its way, behind something that has cut or unpacked it. Version 2 says so behind words of its own.
    let of_body = inner.strip_prefix("unable to read data: ").unwrap_or(inner);
    const BROKEN: [&str; 5] = [
        "unexpected EOF",
        "gzip: ",
        "flate: ",
        "invalid byte in chunk length",
        "writing requires points",
    ];
    if in_form && BROKEN.iter().any(|words| of_body.starts_with(words)) {
        return Some(RefusalKind::Busy);
    }
    if begins(&["Authorization header was malformed"]) {
        return Some(RefusalKind::Unauthorized);
    }
    if says(&[
        "request too large",
        "Request Entity Too Large",
        "points batch is too large",
        "max request size (",
    ]) {
        return Some(RefusalKind::TooLarge);
    }
    // A new field comes in two types. InfluxDB 2 and the late versions 1 answer this with 500.
    if says(&["field type conflict"]) {
        return Some(RefusalKind::Rejected);
    }
    // VictoriaMetrics names no line. It has words of its own, and puts them before whatever else is wrong with it, too.
    if blames_lines
        && says(&[
            "too long line",
            "cannot read influx line protocol data: too long line",
            "cannot process influx line protocol",
            "cannot parse influx line protocol",
        ])
    {
        return Some(RefusalKind::Rejected);
    }
    if wrapped && status == StatusCode::INTERNAL_SERVER_ERROR {
        return Some(RefusalKind::Failed);
    }
    Some(kind_by_status(evidence))
}

/// Whether InfluxDB has no room or no time for any lines at present, or is deleting the shard that they belong to. It may call that a
/// partial write.
fn is_in_trouble(head: &str, status: StatusCode) -> bool {
    const TROUBLES: [&str; 13] = [
        "cache-max-memory-size exceeded",
        "no space left on device",
        "No space left on device",
        "There is not enough space on the disk",
        "disk quota exceeded",
        "read-only file system",
        "engine is closed",
        "store is closed",
        "shard is disabled",
        "is pending deletion",
        "shard is being deleted",
        "too many open files",
        "cannot allocate memory",
    ];
    // What it repeats of the lines is in quotes.
    let own_words = head.split('"').next().unwrap_or_default();
    let is_late = head == "timeout" || head.ends_with(": timeout");
    TROUBLES.iter().any(|words| own_words.contains(words)) || is_late && status.is_server_error()
}

/// A message without the request that VictoriaMetrics names before its words.
fn without_request(message: &str) -> &str {
    fn behind<'a>(text: &'a str, name: &str) -> &'a str {
        let named = text.strip_prefix(name).and_then(|rest| rest.split_once("; "));
        named.map_or(text, |(_, rest)| rest)
    }
    behind(behind(message, "remoteAddr: "), "requestURI: ")
}

/// A message without the number of dropped lines at its end, and that number. After the number, InfluxDB 1.12 and 2.7.12 say where
/// the lines were dropped.
///
/// The number leaves out lines that could not be parsed: InfluxDB 1.6.7 names each of them and then says `dropped=0`.
pub(crate) fn split_dropped(message: &str) -> (&str, Option<u64>) {
    const BEHIND: [&str; 2] = [" for database: ", " for retention policy: "];
    let split = message.rsplit_once(" dropped=").and_then(|(before, rest)| {
        let rest = rest.trim_end();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let is_end = behind.is_empty() || BEHIND.iter().any(|words| behind.starts_with(words));
        Some((before, number.parse().ok().filter(|_| is_end)?))
    });
    match split {
        Some((before, number)) => (before, Some(number)),
        None => (message, None),
    }
}

fn kind_by_status(evidence: &Evidence<'_>) -> RefusalKind {
    match evidence.status.as_u16() {
        401 | 403 => RefusalKind::Unauthorized,
        413 => RefusalKind::TooLarge,
        // Something in front of the server has not got the request in time.
        408 | 425 | 429 | 502 | 503 | 504 | 507 | 509 | 529 => RefusalKind::Busy,
        400 | 422 if evidence.in_form => RefusalKind::Rejected,
        500..=599 if evidence.in_form || evidence.is_signed => RefusalKind::Failed,
        // A wrong path, or the words of another server, such as one that speaks TLS, or of a proxy: no line is to blame.
        _ => RefusalKind::Misconfigured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_dropped_lines_is_found_whatever_is_said_behind_it() {
        for (behind, expected) in [
            ("", Some(5)),
            ("\n", Some(5)),
            (" for database: X for retention policy: autogen", Some(5)),
            (" for retention policy: autogen", Some(5)),
            ("\": no", None),
            (" and more", None),
            ("x", None),
        ] {
            let message = format!("partial write: no dropped=5{behind}");
            let before = if expected.is_some() {
                "partial write: no"
            } else {
                &message
            };
            assert_eq!(split_dropped(&message), (before, expected), "{behind}");
        }
        assert_eq!(split_dropped("no dropped=").1, None);
        assert_eq!(split_dropped("no").1, None);
    }
}
