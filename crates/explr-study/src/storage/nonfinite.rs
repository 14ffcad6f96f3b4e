//! Numbers as Python's `json` writes them: `NaN`, `Infinity` and `-Infinity`
//! stand bare, which is no JSON.

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, Visitor};
use std::fmt;

/// A number that may not be finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Num(pub(super) f64);

/// A whole number; `3.0` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Int(pub(super) i64);

const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

/// Reads JSON in which numbers may be bare words. Where any JSON may stand,
/// such a word becomes a text.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| match quoted(text) {
        Some(quoted) => serde_json::from_slice(&quoted),
        None => Err(error),
    })
}

/// Writes a number as Python does.
pub(super) fn push(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        out.push_str(&serde_json::Value::from(value).to_string());
    }
}

/// The text with its bare words in quotes; none if there are none.
fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let (mut in_text, mut found) = (false, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let word = WORDS
            .iter()
            .find(|word| !in_text && text[at..].starts_with(word.as_bytes()));
        let length = if let Some(word) = word {
            found = true;
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
            word.len()
        } else {
            let length = if in_text && byte == b'\\' { 2 } else { 1 };
            in_text ^= byte == b'"';
            out.extend_from_slice(&text[at..text.len().min(at + length)]);
            length
        };
        at += length;
    }
    found.then_some(out)
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Num;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Num, E> {
                Ok(Num(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Num, E> {
                Ok(Num(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Num, E> {
                Ok(Num(value as f64))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Num, E> {
                match value {
                    "NaN" => Ok(Num(f64::NAN)),
                    "Infinity" => Ok(Num(f64::INFINITY)),
                    "-Infinity" => Ok(Num(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Int;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E>(self, value: i64) -> Result<Int, E> {
                Ok(Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Int, E> {
                i64::try_from(value)
                    .map(Int)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Int, E> {
                #[expect(clippy::cast_possible_truncation, reason = "checked")]
                if value.fract() == 0.0 && value.abs() < 9e18 {
                    Ok(Int(value as i64))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(value), &self))
                }
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::{Int, Num, parse, push};
    use serde_json::{Value, json};

    #[test]
    fn bare_words_are_numbers_and_words_in_texts_are_left_alone() {
        let numbers: Vec<Num> = parse(b"[NaN,1,-Infinity,Infinity,2.5]").unwrap();
        assert!(numbers[0].0.is_nan());
        assert_eq!(numbers[1].0.to_bits(), 1.0_f64.to_bits());
        assert_eq!(numbers[2], Num(f64::NEG_INFINITY));
        assert_eq!(numbers[3], Num(f64::INFINITY));
        let any: Value = parse(br#"{"a":NaN,"NaN":"say \"NaN\", Infinity"}"#).unwrap();
        assert_eq!(any, json!({"a": "NaN", "NaN": "say \"NaN\", Infinity"}));
        assert!(parse::<Value>(b"[NaNa]").is_err());
        assert!(parse::<Vec<Num>>(br#"["one"]"#).is_err());
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        assert_eq!(parse::<Vec<Int>>(b"[3,3.0]").unwrap(), [Int(3), Int(3)]);
        assert!(parse::<Int>(b"3.5").is_err());
    }

    #[test]
    fn numbers_are_written_so_that_python_reads_them() {
        let written = |value| {
            let mut out = String::new();
            push(&mut out, value);
            out
        };
        assert_eq!(written(f64::NAN), "NaN");
        assert_eq!(written(f64::NEG_INFINITY), "-Infinity");
        assert_eq!(written(f64::INFINITY), "Infinity");
        assert_eq!(written(1.0), "1.0");
        assert_eq!(written(0.1), "0.1");
    }
}
