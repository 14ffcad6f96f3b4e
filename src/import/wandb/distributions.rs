const RANGE: &[&str] = &["distribution", "min", "max"];
const STEPS: &[&str] = &["distribution", "min", "max", "q"];
const NORMAL: &[&str] = &["distribution", "mu", "sigma"];
const STEPS_OF_NORMAL: &[&str] = &["distribution", "mu", "sigma", "q"];
const BETA: &[&str] = &["distribution", "a", "b"];
const CATEGORIES: &[&str] = &["distribution", "values", "probabilities"];

/// W&B's distributions with the keys that each has.
pub(super) const DISTRIBUTIONS: [(&str, &[&str]); 18] = [
    ("constant", &["distribution", "value"]),
    ("categorical", CATEGORIES),
    ("categorical_w_probabilities", CATEGORIES),
    ("int_uniform", RANGE),
    ("uniform", RANGE),
    ("q_uniform", STEPS),
    ("log_uniform", RANGE),
    ("log_uniform_values", RANGE),
    ("q_log_uniform", STEPS),
    ("q_log_uniform_values", STEPS),
    ("inv_log_uniform", RANGE),
    ("inv_log_uniform_values", RANGE),
    ("normal", NORMAL),
    ("q_normal", STEPS_OF_NORMAL),
    ("log_normal", NORMAL),
    ("q_log_normal", STEPS_OF_NORMAL),
    ("beta", BETA),
    ("q_beta", &["distribution", "a", "b", "q"]),
];

/// The keys of all of them.
pub(super) const EVERY_KEY: [&str; 11] = [
    "distribution",
    "value",
    "values",
    "probabilities",
    "min",
    "max",
    "q",
    "mu",
    "sigma",
    "a",
    "b",
];

/// The distributions of which a grid can try every value.
pub(super) const COUNTABLE: [&str; 4] = ["constant", "categorical", "int_uniform", "q_uniform"];
