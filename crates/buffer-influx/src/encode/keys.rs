//! Checks for names that a server does not take, or can't tell apart.

use std::collections::HashSet;

use crate::encode::dialect::Dialect;
use crate::encode::name::{cleaned, push_name};
use crate::encode::rules::Rules;
use crate::point::point_error::{Element, PointError};

/// Refuses what only one dialect can't read. InfluxDB 3 has columns, and bounds the name of each; the others bound the series.
pub(crate) fn check_name(element: Element, name: &str, rules: &Rules) -> Result<(), PointError> {
    const LONGEST_NAME: usize = 65_536;
    match rules.dialect {
        Dialect::Influx3 if name.len() > LONGEST_NAME => Err(PointError::NameTooLong {
            element,
            bytes: name.len(),
            most: LONGEST_NAME,
        }),
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
