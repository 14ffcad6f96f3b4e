/// The candidate that was most likely meant, if one is near.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Long words are never typing slips, and the distance is quadratic.
    if text.len() > 80 {
        return None;
    }
    let folded = fold(text);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(text.len()) <= 3)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&folded, &fold(candidate)),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(text.len()) / 3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` did you mean `x`? ``, if there is a near candidate.
pub(crate) fn did_you_mean<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(text, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn alternatives<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    join(words, "or")
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    join(words, "and")
}

fn join<'a>(words: impl IntoIterator<Item = &'a str>, conjunction: &str) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} {conjunction} {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Case and the choice between `-` and `_` are no difference.
fn fold(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_finger_are_recognised_and_other_words_are_not() {
        let keys = ["experiment", "train", "hyperparameters", "seed", "device"];
        assert_eq!(nearest("hyperparameter", keys), Some("hyperparameters"));
        assert_eq!(nearest("Seed", keys), Some("seed"));
        assert_eq!(nearest("deivce", keys), Some("device"));
        assert_eq!(nearest("epochs", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
