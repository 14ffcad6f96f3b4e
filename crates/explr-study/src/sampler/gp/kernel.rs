//! The Matérn kernel with smoothness 5/2: functions with two derivatives
//! (Rasmussen and Williams 2006, "Gaussian processes for machine learning",
//! equation 4.17).

/// The square root of 5.
const ROOT: f64 = 2.236_067_977_499_79;

/// Correlation at this squared distance.
pub(super) fn correlation(square: f64) -> f64 {
    let r = ROOT * square.sqrt();
    (1.0 + r + r * r / 3.0) * (-r).exp()
}

/// Derivative of the correlation by the squared distance.
pub(super) fn slope(square: f64) -> f64 {
    let r = ROOT * square.sqrt();
    -5.0 / 6.0 * (1.0 + r) * (-r).exp()
}
