//! One line: record to bytes and back.
//!
//! Metrics are most of every journal, so they have a fast path each way; the
//! bytes are the same as serde's, and anything unusual goes through serde.

use explr_protocol::{Event, Record, number};
use std::io::Write;

/// Appends a record and its newline to `out`.
pub(crate) fn write_record(out: &mut Vec<u8>, record: &Record) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.push(b'\n');
    Ok(())
}

/// Appends a metric and its newline to `out`, without allocating.
pub(super) fn write_metric(
    out: &mut Vec<u8>,
    seq: u64,
    ts: u64,
    key: &str,
    value: f64,
    step: i64,
) -> serde_json::Result<()> {
    out.extend_from_slice(b"{\"seq\":");
    serde_json::to_writer(&mut *out, &seq)?;
    out.extend_from_slice(b",\"ts\":");
    serde_json::to_writer(&mut *out, &ts)?;
    out.extend_from_slice(b",\"type\":\"metric\",\"key\":");
    serde_json::to_writer(&mut *out, key)?;
    out.extend_from_slice(b",\"value\":");
    match number::name(value) {
        None => serde_json::to_writer(&mut *out, &value)?,
        Some(name) => serde_json::to_writer(&mut *out, name)?,
    }
    out.extend_from_slice(b",\"step\":");
    serde_json::to_writer(&mut *out, &step)?;
    out.write_all(b"}\n").map_err(serde_json::Error::io)
}

/// Reads a line, newline excluded. The error says what is wrong with it.
pub(crate) fn parse(line: &[u8]) -> Result<Record, String> {
    if let Some(record) = parse_metric(line) {
        return Ok(record);
    }
    serde_json::from_slice(line).map_err(|error| explain(line, &error))
}

fn explain(line: &[u8], error: &serde_json::Error) -> String {
    if line.is_empty() {
        "the line is empty".to_owned()
    } else if line.contains(&0) {
        "there are NUL bytes, as a power cut leaves them".to_owned()
    } else if std::str::from_utf8(line).is_err() {
        "there are bytes that are not UTF-8".to_owned()
    } else {
        // serde_json counts lines within this one line: always 1.
        let text = error.to_string();
        let end = text.rfind(" at line ").unwrap_or(text.len());
        match error.column() {
            0 => text[..end].to_owned(),
            column => format!("{} at column {column}", &text[..end]),
        }
    }
}

/// A metric exactly as [`write_metric`] writes it, with a plain key and a
/// finite value; `None` for everything else, damaged or not.
fn parse_metric(line: &[u8]) -> Option<Record> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let (seq, rest) = integer(rest)?;
    let (ts, rest) = integer(rest.strip_prefix(b",\"ts\":")?)?;
    let rest = rest.strip_prefix(b",\"type\":\"metric\",\"key\":\"")?;
    let quote = memchr::memchr2(b'"', b'\\', rest)?;
    let (key, rest) = rest.split_at(quote);
    if key.iter().any(|byte| *byte < 0x20) {
        return None;
    }
    let rest = rest.strip_prefix(b"\",\"value\":")?;
    let comma = memchr::memchr(b',', rest)?;
    let (value, rest) = rest.split_at(comma);
    let rest = rest.strip_prefix(b",\"step\":")?;
    let (negative, rest) = match rest.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (step, rest) = integer(rest)?;
    // To serde, `-0` is a floating-point number.
    if rest != b"}" || negative && step == 0 {
        return None;
    }
    let step = i64::try_from(step).ok()?;
    Some(Record {
        seq,
        ts,
        event: Event::Metric {
            key: std::str::from_utf8(key).ok()?.to_owned(),
            value: float(value)?,
            step: if negative { -step } else { step },
        },
    })
}

/// Digits of at most 18 places, so that they can't overflow.
fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 || digits > 18 || (digits > 1 && bytes[0] == b'0') {
        return None;
    }
    let value = bytes[..digits]
        .iter()
        .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    Some((value, &bytes[digits..]))
}

/// A number in the form that `serde_json` writes: `1.5`, `-0.0`, `1e-300`.
fn float(bytes: &[u8]) -> Option<f64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let plain = match digits {
        [b'0', next, ..] => *next == b'.',
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    let last = *bytes.last()?;
    if !plain || !last.is_ascii_digit() || memchr::memmem::find(bytes, b".e").is_some() {
        return None;
    }
    let allowed = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'.' | b'e' | b'+');
    if !bytes.iter().all(allowed) {
        return None;
    }
    let value: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(seq: u64, ts: u64, key: &str, value: f64, step: i64) -> Record {
        let event = Event::Metric {
            key: key.to_owned(),
            value,
            step,
        };
        Record { seq, ts, event }
    }

    /// Bit patterns, so that NaN, infinities, -0 and subnormals come up too.
    fn any_float() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            any::<f32>().prop_map(f64::from),
            any::<i32>().prop_map(f64::from),
            proptest::sample::select(vec![
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                -0.0,
                0.0,
                f64::MIN_POSITIVE,
                f64::MAX,
                f64::MIN,
                5e-324,
                1e16,
                1e-7,
            ]),
        ]
    }

    fn any_key() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z/_]{1,20}",
            "[\\x00-\\x7f]{0,20}",
            "[\"\\\\é😀\n]{0,8}"
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_fast_writer_writes_what_serde_writes(
            seq: u64, ts: u64, key in any_key(), value in any_float(), step: i64,
        ) {
            let mut fast = Vec::new();
            write_metric(&mut fast, seq, ts, &key, value, step).unwrap();
            let mut slow = Vec::new();
            write_record(&mut slow, &record(seq, ts, &key, value, step)).unwrap();
            prop_assert_eq!(String::from_utf8(fast).unwrap(), String::from_utf8(slow).unwrap());
        }

        #[test]
        fn a_metric_reads_back_to_the_bit(
            seq: u64, ts: u64, key in any_key(), value in any_float(), step: i64,
        ) {
            let mut line = Vec::new();
            write_metric(&mut line, seq, ts, &key, value, step).unwrap();
            let back = parse(&line[..line.len() - 1]).unwrap();
            let Event::Metric { key: read_key, value: read, step: read_step } = back.event else {
                return Err(TestCaseError::fail("not a metric"));
            };
            prop_assert_eq!((back.seq, back.ts, read_key, read_step), (seq, ts, key, step));
            prop_assert!(read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan());
        }

        #[test]
        fn the_fast_reader_never_disagrees_with_serde(
            value in "-?[0-9.e+-]{0,8}", step in "-?[0-9]{0,20}", seq in "[0-9]{0,20}",
            flip in any::<(u16, u8)>(),
        ) {
            let text = format!(
                r#"{{"seq":{seq},"ts":1,"type":"metric","key":"a","value":{value},"step":{step}}}"#
            );
            let mut line = text.into_bytes();
            let at = usize::from(flip.0) % (4 * line.len());
            if let Some(byte) = line.get_mut(at) {
                *byte = flip.1;
            }
            if let Some(fast) = parse_metric(&line) {
                let slow: Record = serde_json::from_slice(&line).unwrap();
                prop_assert_eq!(fast, slow);
            }
        }
    }

    #[test]
    fn the_fast_reader_takes_the_lines_that_the_fast_writer_writes() {
        for (value, step) in [
            (0.5, 3),
            (-0.0, -1),
            (1e-300, i64::from(i32::MAX)),
            (3.0, 0),
        ] {
            let mut line = Vec::new();
            write_metric(&mut line, 7, 1_732_412_345_678, "val/loss é", value, step).unwrap();
            assert!(parse_metric(&line[..line.len() - 1]).is_some(), "{value}");
        }
    }

    #[test]
    fn a_step_of_minus_zero_is_left_to_serde() {
        let line = br#"{"seq":1,"ts":1,"type":"metric","key":"a","value":1.5,"step":-0}"#;
        assert_eq!(parse_metric(line), None);
    }

    #[test]
    fn damage_is_explained() {
        let of = |line: &[u8]| parse(line).unwrap_err();
        insta::assert_snapshot!(of(b""), @"the line is empty");
        insta::assert_snapshot!(of(b"\0\0\0"), @"there are NUL bytes, as a power cut leaves them");
        insta::assert_snapshot!(of(b"{\"seq\":\xff"), @"there are bytes that are not UTF-8");
        insta::assert_snapshot!(of(b"{\"seq\":1,\"ts\":2,\"type\":\"metr"), @"EOF while parsing a string at column 28");
        insta::assert_snapshot!(of(b"{\"seq\":1,\"ts\":2,\"type\":\"meltric\"}"), @"unknown variant `meltric`, expected one of `state`, `metric`, `param`, `tag`, `artifact`, `dataset`, `checkpoint`, `report`, `log`, `result`, `resumed` at column 33");
        insta::assert_snapshot!(of(b"{\"seq\":1,\"ts\":2,\"type\":\"metric\",\"key\":\"a\"}"), @"missing field `value` at column 42");
        insta::assert_snapshot!(of(b"[]"), @"invalid type: sequence, expected struct Record");
    }
}
