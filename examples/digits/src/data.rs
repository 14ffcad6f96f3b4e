//! The pictures, and how they are split.

use explr_sdk::tch::{Device, Tensor};
use explr_sdk::{Dataset, Result};
use flate2::read::GzDecoder;
use std::io::Read;

/// Pixels of a picture.
pub const PIXELS: i64 = 64;
/// Number of digits.
pub const CLASSES: i64 = 10;

/// In the plugin itself, so that it is found wherever the plugin runs.
static FILE: &[u8] = include_bytes!("../data/digits.csv.gz");

/// Pictures and what they show.
#[derive(Debug)]
pub struct Part {
    /// Pixels from 0 to 1, `[count, 64]`.
    pub pictures: Tensor,
    /// Digits as `i64`, `[count]`.
    pub digits: Tensor,
}

impl Part {
    /// Number of pictures.
    pub fn len(&self) -> i64 {
        self.digits.size()[0]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of batches of `size` pictures; the last may be smaller.
    pub fn batches(&self, size: i64) -> u64 {
        ((self.len() + size - 1) / size).cast_unsigned()
    }

    fn new(rows: &[&Row], device: Device) -> Result<Self> {
        let pixels: Vec<f32> = rows.iter().flat_map(|row| row.pixels.clone()).collect();
        let digits: Vec<i64> = rows.iter().map(|row| row.digit).collect();
        let pictures = Tensor::f_from_slice(&pixels)?.f_view([-1, PIXELS])?;
        Ok(Self {
            pictures: pictures.f_to_device(device)?,
            digits: Tensor::f_from_slice(&digits)?.f_to_device(device)?,
        })
    }
}

/// The data set, split.
#[derive(Debug)]
pub struct Digits {
    /// To learn from: 7 of 10 pictures of each digit.
    pub train: Part,
    /// To choose the best epoch by: 1 of 10.
    pub validation: Part,
    /// To measure the chosen model with, once: 2 of 10.
    pub test: Part,
}

impl Digits {
    /// Unpacks and splits the pictures. The split depends on their order in
    /// the file alone, not on a seed: results of different runs compare.
    pub fn load(device: Device) -> Result<Self> {
        let rows = rows()?;
        let mut parts: [Vec<&Row>; 3] = Default::default();
        for digit in 0..CLASSES {
            for (index, row) in rows.iter().filter(|row| row.digit == digit).enumerate() {
                let part = match index % 10 {
                    0..=6 => 0,
                    7 => 1,
                    _ => 2,
                };
                parts[part].push(row);
            }
        }
        let [train, validation, test] = parts;
        Ok(Self {
            train: Part::new(&train, device)?,
            validation: Part::new(&validation, device)?,
            test: Part::new(&test, device)?,
        })
    }
}

/// What the tracker is told of the data set.
pub fn description(context: &str, part: &Part) -> Dataset {
    Dataset {
        name: "digits-8x8".to_owned(),
        digest: format!("{:016x}", fnv1a(FILE)),
        context: Some(context.to_owned()),
        source: Some(
            "https://archive.ics.uci.edu/ml/datasets/\
             Optical+Recognition+of+Handwritten+Digits"
                .to_owned(),
        ),
        schema: None,
        profile: Some([("num_rows", part.len())].into_iter().collect()),
    }
}

struct Row {
    pixels: Vec<f32>,
    digit: i64,
}

fn rows() -> Result<Vec<Row>> {
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text)?;
    let row = |line: &str| -> Result<Row> {
        let mut pixels = line
            .split(',')
            .map(|field| Ok(field.trim().parse::<f32>()?))
            .collect::<Result<Vec<_>>>()?;
        // As floating point the digit is exact.
        let digit = pixels.pop().ok_or("an empty line")? as i64;
        pixels.iter_mut().for_each(|pixel| *pixel /= 16.0);
        Ok(Row { pixels, digit })
    };
    text.lines().map(row).collect()
}

/// A hash that needs no crate; it tells versions of the file apart.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, Digits, rows};
    use explr_sdk::tch::Device;

    #[test]
    fn the_file_holds_1797_pictures_of_64_pixels() {
        let rows = rows().unwrap();
        assert_eq!(rows.len(), 1797);
        for row in &rows {
            assert_eq!(row.pixels.len(), 64);
            assert!(row.pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
            assert!((0..CLASSES).contains(&row.digit));
        }
    }

    #[test]
    fn the_parts_hold_every_picture_once_and_every_digit_alike() {
        let digits = Digits::load(Device::Cpu).unwrap();
        let sizes = [&digits.train, &digits.validation, &digits.test].map(super::Part::len);
        assert_eq!(sizes.iter().sum::<i64>(), 1797);
        assert_eq!(sizes, [1266, 178, 353]);
        let least = digits
            .test
            .digits
            .bincount::<&explr_sdk::tch::Tensor>(None, CLASSES)
            .min();
        assert!(least.int64_value(&[]) >= 34);
    }
}
