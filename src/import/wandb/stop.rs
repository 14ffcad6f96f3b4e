use super::reader::Reader;
use crate::config::node::Entry;
use std::fmt::Write;

/// explr's pruner for W&B's `hyperband`: at the first step of `min_resource`
/// and at its multiples by `reduction_factor`, one trial of so many goes on.
pub(super) struct Halving {
    pub(super) min_resource: u32,
    pub(super) reduction_factor: u32,
}

/// Reads `early_terminate`.
///
/// W&B's hyperband has a single bracket, so it is what explr and Optuna call
/// successive halving.
pub(super) fn read(reader: &mut Reader, entry: &Entry) -> Option<Halving> {
    if !reader.is_map("early_terminate", entry) {
        return None;
    }
    let node = &entry.value;
    let keys = ["type", "min_iter", "max_iter", "s", "eta", "strict"];
    reader.only(node, "`early_terminate`", "early termination", &keys);
    if let Some(kind) = node.entry("type") {
        reader.word("early_terminate.type", kind, &["hyperband"])?;
    } else {
        let help = "add `type: hyperband`";
        reader.error(entry.key_span, "`early_terminate` has no `type`", help);
    }
    let mut count = |key: &str| {
        let entry = node.entry(key)?;
        Some((
            entry,
            reader.count(&format!("early_terminate.{key}"), entry),
        ))
    };
    let (min_iter, max_iter, brackets) = (count("min_iter"), count("max_iter"), count("s"));
    let eta = match count("eta") {
        Some((entry, Some(1))) => {
            let message = "`early_terminate.eta` must be at least 2, and not 1";
            let help = "one of so many trials goes on";
            reader.error(entry.value.span, message, help);
            None
        }
        Some((_, eta)) => eta,
        None => Some(3),
    }?;
    let min_resource = match (max_iter, brackets, min_iter) {
        (Some((at, max_iter)), Some((_, brackets)), _) => {
            let (max_iter, brackets) = (max_iter?, brackets?);
            let first = first_rung(max_iter, eta, brackets);
            if first.is_none() {
                let message = format!(
                    "with `eta: {eta}`, `early_terminate.max_iter` must be at least {eta}, and \
                     not {max_iter}"
                );
                let help = "trials are compared first at `max_iter` divided by `eta`";
                reader.error(at.value.span, message, help);
            }
            first?
        }
        (_, _, Some((_, min_iter))) => min_iter?,
        _ => {
            let message = "`early_terminate` says not when trials are compared first";
            let help = "add `min_iter`, or both `max_iter` and `s`";
            reader.error(entry.key_span, message, help);
            return None;
        }
    };
    let rung = |power| u64::from(min_resource).saturating_mul(u64::from(eta).saturating_pow(power));
    let mut text = format!(
        "`early_terminate` became `asha`: trials are compared at steps {}, {}, {} and so on of \
         `ctx.report`, where W&B counts how often the metric was logged",
        rung(0),
        rung(1),
        rung(2)
    );
    if let Some((_, Some(max_iter))) = max_iter {
        let _ = write!(text, ", and compares no more after {}", max_iter / eta);
    }
    reader.note(entry.key_span, text);
    if let Some(strict) = node.entry("strict") {
        let text = "`early_terminate.strict` is left out: `asha` has one rule only, the best \
                    `1 / eta` at a step go on";
        reader.note(strict.key_span, text);
    }
    Some(Halving {
        min_resource,
        reduction_factor: eta,
    })
}

/// The last of `brackets` divisions by `eta` that leaves an iteration.
fn first_rung(max_iter: u32, eta: u32, brackets: u32) -> Option<u32> {
    std::iter::successors(Some(max_iter), |rung| Some(rung / eta))
        .take_while(|rung| *rung > 0)
        .skip(1)
        .take(usize::try_from(brackets).unwrap_or(usize::MAX))
        .last()
}
