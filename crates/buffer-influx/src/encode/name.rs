//! Writes a measurement, a key or a tag value with its escapes, or says why the server could not read it back.

use std::borrow::Cow;

use crate::encode::byte_class::{Class, IN_KEY, IN_MEASUREMENT};
use crate::encode::rules::{ControlCharacters, Rules, TrailingBackslash};
use crate::point::point_error::{Element, PointError};

/// Leaves out of `name` what the rules say is to be left out.
pub(crate) fn cleaned<'a>(name: &'a str, rules: &Rules) -> Cow<'a, str> {
    let mut cleaned = Cow::Borrowed(name);
    if rules.control_characters == ControlCharacters::Remove
        && name.bytes().any(|byte| byte.is_ascii_control())
    {
        cleaned = name
            .chars()
            .filter(|character| !character.is_ascii_control())
            .collect();
    }
    if rules.trailing_backslash == TrailingBackslash::Trim && cleaned.ends_with('\\') {
        cleaned = cleaned.trim_end_matches('\\').to_owned().into();
    }
    cleaned
}

/// Appends `name` to `line`, escaped as an `element`.
///
/// Line breaks and tabs become the two characters that programmers write for them, because a raw line break would end the line
/// and make the rest of the name a point of its own. Says whether there were any: another name may be written alike then.
pub(crate) fn push_name(
    line: &mut String,
    element: Element,
    name: &str,
    rules: &Rules,
) -> Result<bool, PointError> {
    let classes = match element {
        Element::Measurement => &IN_MEASUREMENT,
        Element::TagKey | Element::TagValue | Element::FieldKey => &IN_KEY,
    };
    if name
        .bytes()
        .fold(0, |seen, byte| seen | classes[usize::from(byte)] as u8)
        == Class::Plain as u8
    {
        line.push_str(name);
        return Ok(false);
    }
    let bytes = name.as_bytes();
    let (mut written, mut ambiguous) = (0, false);
    for (at, byte) in bytes.iter().enumerate() {
        match classes[usize::from(*byte)] {
            Class::Plain => {}
            Class::Separator => {
                line.push_str(&name[written..at]);
                line.push('\\');
                written = at;
            }
            Class::Break if rules.control_characters == ControlCharacters::Escape => {
                line.push_str(&name[written..at]);
                line.push_str(match byte {
                    b'\n' => r"\n",
                    b'\r' => r"\r",
                    _ => r"\t",
                });
                written = at + 1;
                ambiguous = true;
            }
            Class::Backslash => {
                if is_doubled(element, name, bytes.get(at + 1), rules)? {
                    line.push_str(&name[written..at]);
                    line.push('\\');
                    written = at;
                }
            }
            Class::Break | Class::Control => {
                let text = name.to_owned();
                return Err(PointError::ControlCharacter {
                    element,
                    text,
                    character: char::from(*byte),
                });
            }
        }
    }
    line.push_str(&name[written..]);
    Ok(ambiguous)
}

/// Whether a backslash before `next` is doubled; refuses those that the server would take for the beginning of an escape.
///
/// InfluxDB 1 keeps `\\` as two characters. 1.6.7 drops a backslash before any of `,` ` ` `=` `"` in measurements and field
/// keys. In a tag it keeps them, but one before a space makes it miss where the line ends as soon as a quote follows, and the
/// neighbours are lost too.
fn is_doubled(element: Element, name: &str, next: Option<&u8>, rules: &Rules) -> Result<bool, PointError> {
    let Some(next) = next else {
        return Err(PointError::TrailingBackslash {
            element,
            text: name.to_owned(),
        });
    };
    if rules.dialect.doubles_backslashes() {
        return Ok(b"\\, =\n\r\t".contains(next));
    }
    let misread: &[u8] = match element {
        Element::Measurement | Element::FieldKey => b", =\"",
        Element::TagKey | Element::TagValue => b" ",
    };
    if misread.contains(next) {
        return Err(PointError::MisreadBackslash {
            element,
            text: name.to_owned(),
            before: char::from(*next),
        });
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::dialect::Dialect;

    fn written(element: Element, name: &str) -> Result<String, PointError> {
        written_by(&Rules::new(Dialect::Influx1), element, name)
    }

    fn written_by(rules: &Rules, element: Element, name: &str) -> Result<String, PointError> {
        let mut line = String::new();
        push_name(&mut line, element, &cleaned(name, rules), rules).map(|_| line)
    }

    #[test]
    fn a_backslash_is_doubled_where_the_server_takes_two_for_one() {
        let rules = Rules::new(Dialect::Influx3);
        for (name, text) in [
            (r"C:\x", r"C:\x"),
            (r"a\\b", r"a\\\b"),
            (r"a\,b", r"a\\\,b"),
            (r"a\ b", r"a\\\ b"),
            ("a\\\nb", r"a\\\nb"),
        ] {
            for element in ELEMENTS {
                assert_eq!(
                    written_by(&rules, element, name).as_deref(),
                    Ok(text),
                    "{element}"
                );
            }
        }
        assert_eq!(
            written_by(&rules, Element::TagValue, r"a\=b").as_deref(),
            Ok(r"a\\\=b")
        );
        assert_eq!(
            written_by(&rules, Element::Measurement, r"a\=b").as_deref(),
            Ok(r"a\\=b")
        );
    }

    #[test]
    fn control_characters_and_backslashes_at_the_end_are_left_out_if_asked_for() {
        let rules = Rules {
            control_characters: ControlCharacters::Remove,
            trailing_backslash: TrailingBackslash::Trim,
            ..Rules::new(Dialect::Influx1)
        };
        for element in ELEMENTS {
            assert_eq!(
                written_by(&rules, element, "a\0\n\u{7f}b\\\\\t").as_deref(),
                Ok("ab")
            );
        }
    }

    #[test]
    fn every_control_character_is_refused_if_asked_for() {
        let rules = Rules {
            control_characters: ControlCharacters::Refuse,
            ..Rules::new(Dialect::Influx1)
        };
        for element in ELEMENTS {
            assert!(matches!(
                written_by(&rules, element, "a\nb"),
                Err(PointError::ControlCharacter { character: '\n', .. })
            ));
        }
    }

    #[test]
    fn separators_are_escaped_and_an_equals_sign_only_outside_measurements() {
        assert_eq!(
            written(Element::Measurement, "a,b c=d").as_deref(),
            Ok(r"a\,b\ c=d")
        );
        for element in [Element::TagKey, Element::TagValue, Element::FieldKey] {
            assert_eq!(
                written(element, ",a,b c=d ").as_deref(),
                Ok(r"\,a\,b\ c\=d\ "),
                "{element}"
            );
        }
    }

    #[test]
    fn quotes_and_single_backslashes_and_other_scripts_stay_as_they_are() {
        for element in ELEMENTS {
            for name in [r#"a"b'c"#, r"C:\dir\\x", "größe\u{85}", "🦀"] {
                assert_eq!(written(element, name).as_deref(), Ok(name), "{element}");
            }
        }
    }

    #[test]
    fn line_breaks_and_tabs_become_two_characters() {
        for element in ELEMENTS {
            assert_eq!(
                written(element, "a\nb\r\n\tc\n").as_deref(),
                Ok(r"a\nb\r\n\tc\n"),
                "{element}"
            );
        }
    }

    #[test]
    fn a_backslash_at_the_end_is_refused() {
        for element in ELEMENTS {
            let text = r"a\".to_owned();
            assert_eq!(
                written(element, &text),
                Err(PointError::TrailingBackslash { element, text })
            );
        }
    }

    #[test]
    fn a_backslash_that_the_server_misreads_is_refused() {
        for element in ELEMENTS {
            for before in [',', ' ', '=', '"'] {
                let text = format!(r"a\{before}b");
                if matches!(element, Element::TagKey | Element::TagValue) && before != ' ' {
                    let escaped = if before == '"' {
                        text.clone()
                    } else {
                        format!(r"a\\{before}b")
                    };
                    assert_eq!(written(element, &text), Ok(escaped), "{element}");
                } else {
                    assert_eq!(
                        written(element, &text),
                        Err(PointError::MisreadBackslash {
                            element,
                            text,
                            before
                        })
                    );
                }
            }
        }
    }

    #[test]
    fn every_other_control_character_is_refused() {
        for character in (0..0x20_u8)
            .chain([0x7f])
            .map(char::from)
            .filter(|c| !"\n\r\t".contains(*c))
        {
            for element in ELEMENTS {
                let text = format!("a{character}b");
                assert_eq!(
                    written(element, &text),
                    Err(PointError::ControlCharacter {
                        element,
                        text,
                        character
                    })
                );
            }
        }
    }

    const ELEMENTS: [Element; 4] = [
        Element::Measurement,
        Element::TagKey,
        Element::TagValue,
        Element::FieldKey,
    ];
}
