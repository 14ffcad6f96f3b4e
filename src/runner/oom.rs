//! What PyTorch says when a GPU's memory is used up, in the words in which the
//! limit was given, with advice.

use crate::gpu::gb;

/// The message, with what was asked for, in use and allowed as far as it says,
/// and what to do.
pub(super) fn explain(message: &str) -> String {
    let facts = [
        ("asked for", after(message, "Tried to allocate ")),
        ("in use", after(message, "this process has ")),
        ("limit", before(message, " allowed;")),
    ];
    let facts: Vec<String> = facts
        .into_iter()
        .filter_map(|(name, bytes)| Some(format!("{name} {} GB", gb(bytes?))))
        .collect();
    let facts = if facts.is_empty() {
        String::new()
    } else {
        format!("\n{}", facts.join(", "))
    };
    format!(
        "{message}{facts}\n\
         help: use a smaller batch or model, let fewer trials share the GPU (`resources.gpus`), or \
         raise the limit; `explr memory --show` tells what there is"
    )
}

/// The size that stands behind `words`, in bytes.
fn after(message: &str, words: &str) -> Option<u64> {
    let (_, rest) = message.split_once(words)?;
    let mut rest = rest.split_whitespace();
    bytes(rest.next()?, rest.next()?)
}

/// The size that stands before `words`.
fn before(message: &str, words: &str) -> Option<u64> {
    let (front, _) = message.split_once(words)?;
    let mut front = front.split_whitespace().rev();
    let unit = front.next()?;
    bytes(front.next()?, unit)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn bytes(number: &str, unit: &str) -> Option<u64> {
    let unit = match unit.trim_end_matches(['.', ',', ';']) {
        "bytes" => 1_u64,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    (number >= 0.0).then_some((number * unit as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn the_numbers_are_in_the_unit_of_the_limit() {
        let message = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total \
                       capacity of 31.36 GiB of which 28.40 GiB is free. Including non-PyTorch \
                       memory, this process has 2.50 GiB memory in use. 22.35 GiB allowed; Of the \
                       allocated memory 2.10 GiB is allocated by PyTorch";
        let said = explain(message);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], message);
        assert_eq!(lines[1], "asked for 21.5 GB, in use 2.7 GB, limit 24 GB");
        assert!(lines[2].starts_with("help: "), "{said}");
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let said = explain("CUDA out of memory. Tried to allocate 512.00 MiB.");
        assert!(said.contains("\nasked for 0.5 GB\nhelp: "), "{said}");
        let said = explain("CUDA error: CUBLAS_STATUS_ALLOC_FAILED");
        assert!(
            said.starts_with("CUDA error: CUBLAS_STATUS_ALLOC_FAILED\nhelp: "),
            "{said}"
        );
        let said = explain("CUDA out of memory. Tried to allocate more than 1EB memory.");
        assert!(said.contains("memory.\nhelp: "), "{said}");
    }
}
