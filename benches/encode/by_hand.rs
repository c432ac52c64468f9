//! The bound: an encoder written by hand for this one form of a reading, without a check.
//!
//! It knows the types and the order of everything, refuses nothing, and does no more than what the protocol asks for: names
//! escaped by a table, integers by itoa, floats by zmij.

use crate::readings::Reading;

/// Appends `reading` to `line` in the line protocol.
pub(crate) fn push_line(line: &mut String, reading: &Reading) {
    push_escaped(line, reading.measurement, &IN_MEASUREMENT);
    for (key, value) in &reading.tags {
        line.push(',');
        push_escaped(line, key, &IN_KEY);
        line.push('=');
        push_escaped(line, value, &IN_KEY);
    }
    let mut separator = ' ';
    for (key, value) in &reading.floats {
        line.push(separator);
        separator = ',';
        push_escaped(line, key, &IN_KEY);
        line.push('=');
        line.push_str(zmij::Buffer::new().format_finite(*value));
    }
    let (key, value) = reading.integer;
    line.push(',');
    push_escaped(line, key, &IN_KEY);
    line.push('=');
    line.push_str(itoa::Buffer::new().format(value));
    line.push('i');
    let (key, value) = reading.boolean;
    line.push(',');
    push_escaped(line, key, &IN_KEY);
    line.push_str(if value { "=true" } else { "=false" });
    let (key, value) = &reading.text;
    line.push(',');
    push_escaped(line, key, &IN_KEY);
    line.push_str("=\"");
    push_escaped(line, value, &IN_TEXT);
    line.push_str("\" ");
    line.push_str(itoa::Buffer::new().format(reading.nanoseconds));
}

static IN_MEASUREMENT: [bool; 256] = table(b", ");
static IN_KEY: [bool; 256] = table(b", =");
static IN_TEXT: [bool; 256] = table(b"\"\\");

const fn table(special: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut index = 0;
    while index < special.len() {
        table[special[index] as usize] = true;
        index += 1;
    }
    table
}

/// One look over all bytes first, without a branch for each: most names have nothing to escape, and are copied as a whole.
fn push_escaped(line: &mut String, name: &str, is_special: &[bool; 256]) {
    if !name
        .bytes()
        .fold(false, |seen, byte| seen | is_special[usize::from(byte)])
    {
        line.push_str(name);
        return;
    }
    let mut written = 0;
    for (at, byte) in name.bytes().enumerate() {
        if is_special[usize::from(byte)] {
            line.push_str(&name[written..at]);
            line.push('\\');
            written = at;
        }
    }
    line.push_str(&name[written..]);
}
