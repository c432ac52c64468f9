//! The text of an error with those of all its causes, as an error's own text leaves its cause out.

use std::error::Error;

pub(crate) fn text_with_causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
