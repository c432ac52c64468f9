//! Finds the lines that the server names in its answer.

use std::collections::HashMap;

use crate::line::Line;
use crate::response::split_dropped;

/// The lines that a message names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedLines<'a> {
    /// Their indices in the batch, each with the server's reason.
    pub(crate) lines: Vec<(usize, &'a str)>,
    /// Whether these are shown to be all that were dropped: the message names nothing else, and goes on to its end.
    pub(crate) complete: bool,
}

const BEFORE_LINE: &str = "unable to parse '";
const AFTER_LINE: &str = "': ";

impl<'a> NamedLines<'a> {
    /// Reads `unable to parse 'LINE': reason`, repeated, from `message`.
    ///
    /// A line may hold quotes and line breaks itself, so its end is where the text is one of `lines`.
    pub(crate) fn of(message: &'a str, lines: &[Line]) -> Self {
        let mut sent: HashMap<&str, Vec<usize>> = HashMap::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            sent.entry(line.as_str()).or_default().push(index);
        }
        let longest = lines.iter().map(|line| line.as_str().len()).max().unwrap_or(0);
        let (mut rest, dropped) = split_dropped(message);
        let mut named = Self {
            lines: Vec::new(),
            complete: dropped == Some(0) && rest.contains(BEFORE_LINE),
        };
        while let Some((_, after)) = rest.split_once(BEFORE_LINE) {
            rest = after;
            let ends = rest
                .match_indices(AFTER_LINE)
                .map(|(end, _)| end)
                .take_while(|end| *end <= longest);
            let Some(end) = ends.into_iter().find(|end| sent.contains_key(&rest[..*end])) else {
                named.complete = false;
                continue;
            };
            let (line, after) = rest.split_at(end);
            rest = &after[AFTER_LINE.len()..];
            let reason = rest.lines().next().unwrap_or_default();
            // A line that was sent twice is named twice; the first time settles both.
            let indices = sent.get_mut(line).map(std::mem::take).unwrap_or_default();
            named
                .lines
                .extend(indices.into_iter().map(|index| (index, reason)));
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line::new(*text)).collect()
    }

    #[test]
    fn lines_are_found_with_their_reasons() {
        let message = "partial write: unable to parse 'bad': missing fields\nunable to parse 'bad2 x': invalid field format\n\
                       unable to parse 'm v=': missing field value dropped=0";
        let lines = lines(&["m v=", "good v=1", "bad", "bad2 x"]);
        let named = NamedLines::of(message, &lines);
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

    #[test]
    fn a_line_may_hold_quotes_line_breaks_and_the_very_words() {
        let odd = "m s=\"it's': \nunable to parse 'x': no\"";
        let lines = lines(&["x", odd]);
        let message = format!("unable to parse '{odd}': bad timestamp dropped=0");
        assert_eq!(
            NamedLines::of(&message, &lines),
            NamedLines {
                lines: vec![(1, "bad timestamp")],
                complete: true
            }
        );
    }

    #[test]
    fn a_line_that_was_sent_twice_is_found_once_for_each() {
        let lines = lines(&["x", "x"]);
        let named = NamedLines::of("unable to parse 'x': no\nunable to parse 'x': no", &lines);
        assert_eq!(named.lines, [(0, "no"), (1, "no")]);
    }

    #[test]
    fn what_was_not_sent_or_not_named_or_cut_off_makes_it_incomplete() {
        let lines = lines(&["x", "y"]);
        let named = NamedLines::of(
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
            assert!(!NamedLines::of(message, &lines).complete, "{message}");
        }
    }
}
