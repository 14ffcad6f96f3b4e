/// Longer records are no scalars; a length beyond this is damage.
const MAX: u64 = 256 << 20;
/// Length and its checksum; and the data's checksum.
const HEAD: usize = 12;
const FOOT: usize = 4;

/// What bytes begin with.
pub(super) enum Record<'a> {
    /// A record, `length` bytes in all.
    Whole { data: &'a [u8], length: usize },
    /// Not all of one.
    Part,
}

/// Reads the record at the beginning of `bytes`.
pub(super) fn next(bytes: &[u8]) -> Result<Record<'_>, String> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(Record::Part);
    };
    let Some((length, checksum)) = head.split_first_chunk::<8>() else {
        return Ok(Record::Part);
    };
    check(length, checksum)?;
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length)
        .ok()
        .filter(|_| length <= MAX)
        .ok_or_else(|| format!("a record of {length} bytes"))?;
    let Some((data, rest)) = rest.split_at_checked(length) else {
        return Ok(Record::Part);
    };
    let Some(checksum) = rest.first_chunk::<FOOT>() else {
        return Ok(Record::Part);
    };
    check(data, checksum)?;
    Ok(Record::Whole {
        data,
        length: HEAD + length + FOOT,
    })
}

fn check(data: &[u8], checksum: &[u8]) -> Result<(), String> {
    // Masked, so that a checksum of data with checksums in it stays useful.
    let sum = crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8);
    if sum.to_le_bytes() == *checksum {
        Ok(())
    } else {
        Err("a record's checksum is wrong".to_owned())
    }
}
