//! Finds the lines that the server names in its answer.

use std::collections::{BTreeSet, HashMap};

use crate::line::Line;
use crate::response::kind::split_dropped;
use crate::response::refusal::{NamedByNumber, Refusal};

/// The lines that a refusal names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedLines<'a> {
    /// Their indices among the lines that were sent, each with the server's reason.
    pub(crate) lines: Vec<(usize, &'a str)>,
    /// Whether these are shown to be all that were dropped.
    pub(crate) complete: bool,
}

impl Refusal {
    /// The lines that the server names, as indices in `sent`, each with the server's reason; `sent` are the lines that it answered
    /// to. A server that refuses lines does not always name all of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Dialect, Encoder, Point, Refusal};
    ///
    /// let encoder = Encoder::new(Dialect::Influx1);
    /// let line = |n: i64| encoder.encode(&Point::new("m").field("v", n).timestamp_ns(n));
    /// let body = r#"{"error":"partial write: unable to parse 'm v=1i 1': no dropped=0"}"#;
    /// let refusal = Refusal::from_answer(400, None, body).ok_or("taken")?;
    /// assert_eq!(refusal.named_lines(&[line(0)?, line(1)?]), [(1, "no")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn named_lines(&self, sent: &[Line]) -> Vec<(usize, &str)> {
        NamedLines::of(self, &sent.iter().collect::<Vec<_>>()).lines
    }
}

impl<'a> NamedLines<'a> {
    /// Finds the lines that `refusal`, the answer to `sent`, names: by their text in versions 1 and 2, by their number in version 3.
    pub(crate) fn of(refusal: &'a Refusal, sent: &[&Line]) -> Self {
        if refusal.named.is_empty() {
            return Self::by_text(&refusal.message, sent);
        }
        Self::by_number(&refusal.named, sent)
    }

    /// A server names at most 100 lines in one answer, and does not say whether there are more.
    fn by_number(named: &'a [NamedByNumber], sent: &[&Line]) -> Self {
        const NAMED_AT_MOST: usize = 100;
        let mut complete = named.len() < NAMED_AT_MOST;
        let mut unknown = 0;
        let mut lines: Vec<(usize, &str)> = Vec::with_capacity(named.len());
        for NamedByNumber {
            number,
            shown,
            reason,
        } in named
        {
            match index_of(*number, shown, sent) {
                Some(index) => lines.push((index, reason)),
                None => {
                    complete = false;
                    unknown += 1;
                    if unknown > NAMED_AT_MOST {
                        break;
                    }
                }
            }
        }
        lines.sort_by_key(|(index, _)| *index);
        lines.dedup_by_key(|(index, _)| *index);
        Self { lines, complete }
    }

    /// Reads `unable to parse 'LINE': reason`, repeated, from `message`.
    ///
    /// A line may itself hold quotes and line breaks, so it ends where the text equals one of those sent. They are all that were
    /// dropped if the message names nothing else and runs on to its end.
    fn by_text(message: &'a str, sent: &[&Line]) -> Self {
        const BEFORE_LINE: &str = "unable to parse '";
        const AFTER_LINE: &str = "': ";
        // Of an answer that means other lines, the rest tells nothing.
        const UNKNOWN_AT_MOST: usize = 100;
        const LONGEST_REASON: usize = 1024;
        let mut unknown = 0;
        let mut left: HashMap<&str, Vec<usize>> = HashMap::with_capacity(sent.len());
        for (index, line) in sent.iter().enumerate() {
            left.entry(line.as_str()).or_default().push(index);
        }
        // A text may be full of what looks like the end of a line.
        let lengths: BTreeSet<usize> = left.keys().map(|line| line.len()).collect();
        let (mut rest, dropped) = split_dropped(message);
        let mut named = Self {
            lines: Vec::new(),
            complete: dropped == Some(0) && rest.contains(BEFORE_LINE),
        };
        while let Some((_, after)) = rest.split_once(BEFORE_LINE) {
            rest = after;
            let is_end = |end: usize| rest.get(end..).is_some_and(|after| after.starts_with(AFTER_LINE));
            let mut ends = lengths.iter().copied().filter(|end| is_end(*end));
            let Some(end) = ends.find(|end| left.contains_key(&rest[..*end])) else {
                named.complete = false;
                unknown += 1;
                if unknown > UNKNOWN_AT_MOST {
                    break;
                }
                continue;
            };
            let (line, after) = rest.split_at(end);
            rest = &after[AFTER_LINE.len()..];
            // The next line is named behind a line break, but a header has none.
            let reason = &rest[..rest.floor_char_boundary(LONGEST_REASON)];
            let reason = reason.lines().next().unwrap_or_default();
            let reason = reason
                .split_once(BEFORE_LINE)
                .map_or(reason, |(reason, _)| reason.trim_end());
            // A line that was sent twice is named twice; the first time settles both.
            let indices = left.get_mut(line).map(std::mem::take).unwrap_or_default();
            named
                .lines
                .extend(indices.into_iter().map(|index| (index, reason)));
        }
        named
    }
}

/// The line with this number, if it looks like the one that is shown; without a number, the only one that is exactly that text. A
/// number that does not fit names no other line: InfluxDB 3 may show the one behind it.
fn index_of(number: Option<usize>, shown: &str, sent: &[&Line]) -> Option<usize> {
    let Some(number) = number else {
        let mut same = (0..sent.len()).filter(|index| sent[*index].as_str() == shown);
        return same.next().filter(|_| same.next().is_none());
    };
    let index = number.checked_sub(1)?;
    let line = sent.get(index)?;
    is_series_of(line, shown).then_some(index)
}

/// Whether `shown` begins with the series of `line`, as far as it goes: the server leaves out quotes, writes numbers in its own way
/// and cuts what is long.
fn is_series_of(line: &Line, shown: &str) -> bool {
    let mut escaped = false;
    let series = line.as_str().chars().take_while(|character| {
        let ends = *character == ' ' && !escaped;
        escaped = *character == '\\' && !escaped;
        !ends
    });
    let is_letter = |character: &char| !matches!(character, '\\' | '"');
    // Lazily: an answer may name lines again and again.
    let shown = shown.trim_end_matches('.').chars().filter(is_letter);
    shown
        .zip(series.filter(is_letter))
        .all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line::new(*text)).collect()
    }

    fn by_text<'a>(message: &'a str, lines: &[Line]) -> NamedLines<'a> {
        NamedLines::by_text(message, &lines.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_line_is_found_by_its_number_if_it_looks_like_the_one_that_is_shown() {
        let texts = [r#"m,t=a\ b s="x" 1"#, "m v=1 2", "m v=1 3", "n v=1 4"];
        let (lines, reason) = (lines(&texts), "no");
        let sent: Vec<&Line> = lines.iter().collect();
        let find = |number: Option<usize>, shown: &str| {
            let named = [NamedByNumber {
                number,
                shown: shown.to_owned(),
                reason: reason.to_owned(),
            }];
            let NamedLines { lines, complete } = NamedLines::by_number(&named, &sent);
            assert_eq!(complete, !lines.is_empty());
            lines.first().map(|(index, _)| *index)
        };
        assert_eq!(find(Some(1), "m,t=a b s=x 1"), Some(0));
        assert_eq!(find(Some(2), "m v=1.0 2"), Some(1));
        assert_eq!(find(Some(3), ""), Some(2));
        assert_eq!(find(Some(4), "n v..."), Some(3));
        assert_eq!(find(Some(4), "m v=1 3"), None);
        assert_eq!(find(None, "n v=1 4"), Some(3));
        assert_eq!(find(Some(4), "else v=1 4"), None);
        assert_eq!(find(Some(0), ""), None);
        assert_eq!(find(Some(5), ""), None);
        assert_eq!(find(Some(usize::MAX), ""), None);
        assert_eq!(find(None, ""), None);
    }

    #[test]
    fn a_hundred_named_lines_may_be_more() {
        let lines = vec![Line::new("m v=1 1"); 200];
        let sent: Vec<&Line> = lines.iter().collect();
        let named = |count: usize| -> Vec<NamedByNumber> {
            (1..=count)
                .map(|number| NamedByNumber {
                    number: Some(number),
                    shown: String::new(),
                    reason: "no".to_owned(),
                })
                .collect()
        };
        assert!(NamedLines::by_number(&named(99), &sent).complete);
        assert!(!NamedLines::by_number(&named(100), &sent).complete);
    }

    /// Hangs when each place that looks like an end is compared with all lines.
    #[test]
    fn a_text_that_is_full_of_what_looks_like_its_end_is_found_at_once() {
        let long = format!("m s=\"{}\" 1", "{'a': 1, 'b': 2}, ".repeat(1 << 18));
        let message = format!("partial write: unable to parse '{long}': no dropped=0");
        let lines = lines(&["m v=1 1", &long, &format!("{long}0")]);
        let found = by_text(&message, &lines);
        assert_eq!((found.lines, found.complete), (vec![(1, "no")], true));
    }

    #[test]
    fn lines_are_found_with_their_reasons() {
        let message = "partial write: unable to parse 'bad': missing fields\nunable to parse 'bad2 x': invalid field format\n\
                       unable to parse 'm v=': missing field value dropped=0";
        let lines = lines(&["m v=", "good v=1", "bad", "bad2 x"]);
        let named = by_text(message, &lines);
        let expected = vec![
            (2, "missing fields"),
            (3, "invalid field format"),
            (0, "missing field value"),
        ];
        assert_eq!(
            named,
            NamedLines {
                lines: expected,
                complete: true
            }
        );
    }

    /// Each would have all that follows for its reason.
    #[test]
    fn a_reason_ends_where_the_next_line_is_named() {
        let lines = lines(&["x", "y"]);
        let message = "partial write: unable to parse 'x': no unable to parse 'y': neither dropped=0";
        let named = by_text(message, &lines);
        assert_eq!(
            (named.lines, named.complete),
            (vec![(0, "no"), (1, "neither")], true)
        );
        let long = format!("unable to parse 'x': {}", "n".repeat(1 << 20));
        assert_eq!(by_text(&long, &lines).lines[0].1.len(), 1_024);
    }

    /// A list of millions would take minutes: each entry without a number is compared with all lines.
    #[test]
    fn behind_a_hundred_entries_that_name_no_line_nothing_is_looked_at() {
        let line = Line::new("m v=1 1");
        let last = NamedByNumber {
            number: Some(1),
            ..NamedByNumber::default()
        };
        for (unknown, is_named) in [(100, true), (101, false)] {
            let mut named = vec![NamedByNumber::default(); unknown];
            named.push(last.clone());
            let found = NamedLines::by_number(&named, &[&line, &line]);
            assert_eq!(
                (found.lines.len() == 1, found.complete),
                (is_named, false),
                "{unknown}"
            );
        }
    }

    #[test]
    fn all_lines_are_named_though_the_server_says_where_they_were_dropped() {
        let message =
            "partial write: unable to parse 'x': no dropped=0 for database: db for retention policy: autogen";
        let lines = lines(&["x", "y"]);
        let named = by_text(message, &lines);
        assert_eq!((named.lines, named.complete), (vec![(0, "no")], true));
    }

    #[test]
    fn a_line_may_hold_quotes_line_breaks_and_the_very_words() {
        let odd = "m s=\"it's': \nunable to parse 'x': no\"";
        let lines = lines(&["x", odd]);
        let message = format!("unable to parse '{odd}': bad timestamp dropped=0");
        assert_eq!(
            by_text(&message, &lines),
            NamedLines {
                lines: vec![(1, "bad timestamp")],
                complete: true
            }
        );
    }

    #[test]
    fn a_line_that_was_sent_twice_is_found_once_for_each() {
        let lines = lines(&["x", "x"]);
        let named = by_text("unable to parse 'x': no\nunable to parse 'x': no", &lines);
        assert_eq!(named.lines, [(0, "no"), (1, "no")]);
    }

    #[test]
    fn what_was_not_sent_or_not_named_or_cut_off_makes_it_incomplete() {
        let lines = lines(&["x", "y"]);
        let named = by_text(
            "partial write: unable to parse 'z': no\nunable to parse 'y': no dropped=0",
            &lines,
        );
        assert_eq!(
            named,
            NamedLines {
                lines: vec![(1, "no")],
                complete: false
            }
        );
        for message in [
            "partial write: unable to parse 'x': no dropped=1",
            "partial write: points beyond retention policy dropped=2",
            "partial write: unable to parse 'x",
            "partial write: unable to parse 'x': no",
            "",
        ] {
            assert!(!by_text(message, &lines).complete, "{message}");
        }
    }
}
