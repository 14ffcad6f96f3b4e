//! The confusion matrix as a picture.

use explr_sdk::Result;

const CLASSES: usize = 10;
/// Sizes in pixels.
const CELL: usize = 44;
const MARGIN: usize = 72;
const SIDE: usize = MARGIN + CLASSES * CELL + 12;
/// A glyph is 5 x 7 dots of this size, and a dot from the next.
const DOT: usize = 2;
const ADVANCE: usize = 6 * DOT;

const WHITE: [u8; 3] = [255, 255, 255];
const BLACK: [u8; 3] = [32, 32, 32];
const GREY: [u8; 3] = [210, 210, 210];

/// Draws counts, row by row: the row is the digit in the picture, the column
/// the network's answer. The diagonal is blue, mistakes are red.
pub fn png(counts: &[i64]) -> Result<Vec<u8>> {
    if counts.len() != CLASSES * CLASSES {
        return Err(format!("{} counts instead of 100", counts.len()).into());
    }
    let mut canvas = Canvas(vec![255; SIDE * SIDE * 3]);
    let width = CLASSES * CELL;
    canvas.text_centred(MARGIN + width / 2, 12, "PREDICTED", BLACK);
    for (index, letter) in "ACTUAL".chars().enumerate() {
        let y = MARGIN + width / 2 - 54 + index * 18;
        canvas.text_centred(18, y, &letter.to_string(), BLACK);
    }
    for class in 0..CLASSES {
        let middle = MARGIN + class * CELL + CELL / 2;
        let name = class.to_string();
        canvas.text_centred(middle, MARGIN - 26, &name, BLACK);
        canvas.text_centred(MARGIN - 20, middle - 7, &name, BLACK);
    }
    for (row, line) in counts.chunks(CLASSES).enumerate() {
        let total = line.iter().sum::<i64>().max(1) as f64;
        for (column, count) in line.iter().enumerate() {
            let share = *count as f64 / total;
            let colour = shade(share, row == column);
            let (x, y) = (MARGIN + column * CELL, MARGIN + row * CELL);
            canvas.fill(x, y, CELL, CELL, GREY);
            canvas.fill(x + 1, y + 1, CELL - 1, CELL - 1, colour);
            if *count > 0 {
                let ink = if share > 0.5 { WHITE } else { BLACK };
                canvas.text_centred(x + CELL / 2, y + CELL / 2 - 7, &count.to_string(), ink);
            }
        }
    }
    encode(&canvas.0)
}

/// White for none, full colour for all of a row. A single mistake among many
/// right answers must still be seen, so colours rise with the root.
fn shade(share: f64, right: bool) -> [u8; 3] {
    let full = if right {
        [31.0, 90.0, 166.0]
    } else {
        [200.0, 40.0, 40.0]
    };
    full.map(|end: f64| (255.0 + (end - 255.0) * share.sqrt()).round() as u8)
}

/// Rows of RGB.
struct Canvas(Vec<u8>);

impl Canvas {
    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, colour: [u8; 3]) {
        for y in top..top + height {
            for x in left..left + width {
                let at = (y * SIDE + x) * 3;
                self.0[at..at + 3].copy_from_slice(&colour);
            }
        }
    }

    fn text_centred(&mut self, middle: usize, top: usize, text: &str, colour: [u8; 3]) {
        let width = text.len() * ADVANCE - DOT;
        for (index, letter) in text.chars().enumerate() {
            let left = middle - width / 2 + index * ADVANCE;
            for (row, bits) in glyph(letter).iter().enumerate() {
                for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                    self.fill(left + column * DOT, top + row * DOT, DOT, DOT, colour);
                }
            }
        }
    }
}

/// Seven rows of five dots, the leftmost in bit 4.
fn glyph(letter: char) -> [u8; 7] {
    match letter {
        '0' => [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e],
        '1' => [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e],
        '2' => [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f],
        '3' => [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e],
        '4' => [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02],
        '5' => [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e],
        '6' => [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e],
        '7' => [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
        '8' => [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e],
        '9' => [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c],
        'A' => [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
        'C' => [0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e],
        'D' => [0x1c, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1c],
        'E' => [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f],
        'I' => [0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e],
        'L' => [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f],
        'P' => [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10],
        'R' => [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11],
        'T' => [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04],
        'U' => [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
        _ => [0; 7],
    }
}

fn encode(rgb: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let side = SIDE as u32;
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{png, shade};

    #[test]
    fn a_matrix_becomes_a_picture_and_other_counts_an_error() {
        let mut counts = vec![0; 100];
        for digit in 0..10 {
            counts[digit * 11] = 35;
        }
        let bytes = png(&counts).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"));
        let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        let info = decoder.read_info().unwrap();
        assert_eq!((info.info().width, info.info().height), (524, 524));
        assert!(png(&counts[1..]).is_err());
    }

    #[test]
    fn one_mistake_in_a_hundred_is_seen() {
        assert_eq!(shade(0.0, false), [255, 255, 255]);
        let [_, green, _] = shade(0.01, false);
        assert!(green < 240);
    }
}
