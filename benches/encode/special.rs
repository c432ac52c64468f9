//! Readings with something to escape in every name and text.

use crate::readings::{Reading, plain};

/// The plain readings under other names.
pub(crate) fn special() -> Vec<Reading> {
    plain().into_iter().map(renamed).collect()
}

fn renamed(reading: Reading) -> Reading {
    let [_, (_, host), ..] = &reading.tags;
    let [(_, user), (_, system), (_, load)] = reading.floats;
    Reading {
        measurement: "cpu, all",
        tags: [
            ("clus ter", "production, eu".to_owned()),
            ("ho=st", host.replace('-', " ")),
            ("reg,ion", "eu central = 1".to_owned()),
            ("ser vice", "check,out".to_owned()),
        ],
        floats: [("us er", user), ("sys=tem", system), ("lo,ad", load)],
        integer: ("proc esses", reading.integer.1),
        boolean: ("thrott,led", reading.boolean.1),
        text: ("gover=nor", r#"the "performance" one of C:\power"#.to_owned()),
        nanoseconds: reading.nanoseconds,
    }
}
