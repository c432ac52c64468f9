//! Draws what came out: a bar for each contender, load by load.

use std::path::Path;

use plotters::prelude::*;

use crate::results::{Cell, Row, figure};

const LINE: i32 = 18;
const NAMES: i32 = 260;
const BARS: i32 = 520;
const OURS: RGBColor = RGBColor(0xC0, 0x44, 0x1C);
const THEIRS: RGBColor = RGBColor(0x8A, 0x99, 0xA8);

/// Draws `rows` into a file. Each load has its own scale, from zero to its slowest contender.
pub(crate) fn draw(file: &Path, title: &str, unit: &str, rows: &[Row]) {
    let lines: i32 = 3 + rows.iter().map(|row| row.cells.len() as i32 + 2).sum::<i32>();
    let area =
        SVGBackend::new(file, ((NAMES + BARS + 220) as u32, (lines * LINE) as u32)).into_drawing_area();
    let canvas = Canvas(&area);
    canvas.fill();
    let mut y = LINE;
    canvas.text(&format!("{title}, {unit}"), 10, y, 16);
    y += 2 * LINE;
    for Row { load, cells } in rows {
        canvas.text(load, 10, y, 14);
        y += LINE;
        let slowest = cells
            .iter()
            .map(|cell| cell.cost)
            .fold(f64::MIN_POSITIVE, f64::max);
        for (index, cell) in cells.iter().enumerate() {
            canvas.bar(cell, index == 0, slowest, y);
            y += LINE;
        }
        y += LINE;
    }
    area.present().expect("target can be written to");
}

struct Canvas<'a, 'b>(&'a DrawingArea<SVGBackend<'b>, plotters::coord::Shift>);

impl Canvas<'_, '_> {
    fn fill(&self) {
        self.0.fill(&WHITE).expect("text is all that is written");
    }

    fn text(&self, text: &str, x: i32, y: i32, size: i32) {
        let text = Text::new(text.to_owned(), (x, y), ("sans-serif", size).into_font());
        self.0.draw(&text).expect("text is all that is written");
    }

    fn bar(&self, cell: &Cell, is_ours: bool, slowest: f64, y: i32) {
        let length = (cell.cost / slowest * f64::from(BARS)).round() as i32;
        let color = if is_ours { OURS } else { THEIRS };
        let bar = Rectangle::new(
            [(NAMES, y), (NAMES + length.max(1), y + LINE - 5)],
            color.filled(),
        );
        self.0.draw(&bar).expect("text is all that is written");
        self.text(cell.contender, 20, y, 12);
        let ratio = match is_ours {
            true => String::new(),
            false => format!("   ours is {:.2} of it", cell.ratio),
        };
        self.text(
            &format!("{}{ratio}", figure(cell.cost)),
            NAMES + length + 6,
            y,
            12,
        );
    }
}
