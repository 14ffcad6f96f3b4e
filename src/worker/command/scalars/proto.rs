//! The few fields of `TensorBoard`'s protobuf messages that scalars need.

use super::super::source::Sample;

const DT_FLOAT: u64 = 1;
const DT_DOUBLE: u64 = 2;

/// A field's value, as it is on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
    Four([u8; 4]),
}

/// Gives the fields of a message, in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// The next field's number and value; none when the bytes are no field.
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Eight(self.fixed()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Four(self.fixed()?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

/// Calls `take` with each field of a message.
fn each<'a>(message: &'a [u8], mut take: impl FnMut(u64, Wire<'a>)) -> Result<(), String> {
    let mut fields = Fields(message);
    while !fields.0.is_empty() {
        let (number, value) = fields
            .field()
            .ok_or("a record is no message of TensorBoard's")?;
        take(number, value);
    }
    Ok(())
}

/// The scalars of an `Event`.
pub(super) fn scalars(event: &[u8]) -> Result<impl Iterator<Item = Sample>, String> {
    let (mut step, mut summaries) = (0, Vec::new());
    each(event, |number, value| match (number, value) {
        (2, Wire::Varint(value)) => step = value.cast_signed(),
        (5, Wire::Bytes(summary)) => summaries.push(summary),
        _ => {}
    })?;
    let mut samples = Vec::new();
    for summary in summaries {
        let mut values = Vec::new();
        each(summary, |number, value| {
            if let (1, Wire::Bytes(value)) = (number, value) {
                values.push(value);
            }
        })?;
        for value in values {
            samples.extend(scalar(value)?.map(|(tag, value)| Sample {
                values: [(tag, value)].into(),
                step: Some(step),
            }));
        }
    }
    Ok(samples.into_iter())
}

/// The tag and value of a `Summary.Value`, if it is a scalar.
fn scalar(message: &[u8]) -> Result<Option<(String, f64)>, String> {
    let (mut tag, mut simple, mut tensor, mut metadata) = (None, None, None, None);
    each(message, |number, value| match (number, value) {
        (1, Wire::Bytes(text)) => tag = Some(String::from_utf8_lossy(text).into_owned()),
        (2, Wire::Four(bytes)) => simple = Some(f64::from(f32::from_le_bytes(bytes))),
        (8, Wire::Bytes(bytes)) => tensor = Some(bytes),
        (9, Wire::Bytes(bytes)) => metadata = Some(bytes),
        _ => {}
    })?;
    let value = match (simple, tensor, metadata) {
        (Some(value), ..) => Some(value),
        (None, Some(tensor), Some(metadata)) if plugin(metadata)? == Some(b"scalars") => {
            number(tensor)?
        }
        _ => None,
    };
    Ok(tag.zip(value))
}

/// The plugin that a `SummaryMetadata` names.
fn plugin(metadata: &[u8]) -> Result<Option<&[u8]>, String> {
    let mut data = None;
    each(metadata, |number, value| {
        if let (1, Wire::Bytes(bytes)) = (number, value) {
            data = Some(bytes);
        }
    })?;
    let mut name = None;
    each(data.unwrap_or_default(), |number, value| {
        if let (1, Wire::Bytes(bytes)) = (number, value) {
            name = Some(bytes);
        }
    })?;
    Ok(name)
}

/// The one number of a `TensorProto`.
fn number(tensor: &[u8]) -> Result<Option<f64>, String> {
    let (mut dtype, mut bytes) = (0, None::<Vec<u8>>);
    each(tensor, |number, value| match (number, value) {
        (1, Wire::Varint(value)) => dtype = value,
        // The tensor's content, and packed or single values by type.
        (4..=6, Wire::Bytes(value)) => bytes = Some(value.to_vec()),
        (5, Wire::Four(value)) => bytes = Some(value.to_vec()),
        (6, Wire::Eight(value)) => bytes = Some(value.to_vec()),
        _ => {}
    })?;
    let bytes = bytes.unwrap_or_default();
    Ok(match dtype {
        DT_FLOAT => <[u8; 4]>::try_from(bytes)
            .ok()
            .map(|b| f32::from_le_bytes(b).into()),
        DT_DOUBLE => <[u8; 8]>::try_from(bytes).ok().map(f64::from_le_bytes),
        _ => None,
    })
}
