//! Checks for names that a server does not take, or can't tell apart.

use std::collections::HashSet;

use crate::encode::dialect::Dialect;
use crate::encode::name::{cleaned, push_name};
use crate::encode::rules::Rules;
use crate::point::point_error::{Element, PointError};

/// Refuses what only one dialect can't read.
pub(crate) fn check_name(element: Element, name: &str, rules: &Rules) -> Result<(), PointError> {
    let most = rules.dialect.longest_name(element);
    // These are written as two characters each, which the server keeps.
    let escaped = name.bytes().filter(|byte| matches!(byte, b'\n' | b'\r' | b'\t'));
    let bytes = name.len() + escaped.count();
    if bytes > most {
        return Err(PointError::NameTooLong { element, bytes, most });
    }
    match rules.dialect {
        Dialect::VictoriaMetrics if element == Element::FieldKey && name.contains('"') => {
            Err(PointError::QuoteInFieldKey {
                field: name.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Looks for two keys that are written alike; called only if a key is ambiguous.
pub(crate) fn check_same<'a>(
    element: Element,
    keys: impl Iterator<Item = &'a str>,
    rules: &Rules,
) -> Result<(), PointError> {
    let mut seen = HashSet::new();
    for key in keys {
        let mut written = String::new();
        push_name(&mut written, element, &cleaned(key, rules), rules)?;
        if !written.is_empty() && !seen.insert(written.clone()) {
            return Err(PointError::SameKeys { element, written });
        }
    }
    Ok(())
}
