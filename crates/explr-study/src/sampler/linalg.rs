//! The little linear algebra that samplers need.

/// Numbers summed side by side, which lets the compiler use vector
/// instructions: it never reorders a sum of floats itself.
const LANES: usize = 8;

/// The scalar product of two slices of one length.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f64>()
}

/// The Cholesky factor L of a positive definite matrix A = L Lᵀ, row by row.
#[derive(Debug, Clone, Default)]
pub(super) struct Cholesky {
    /// Row `i` has `i + 1` entries.
    rows: Vec<Vec<f64>>,
}

impl Cholesky {
    /// Factors a matrix of which `entry(i, j)` is asked for `j <= i`. None if
    /// it is not positive definite.
    pub(super) fn new(size: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let mut factor = Self {
            rows: Vec::with_capacity(size),
        };
        for i in 0..size {
            let row: Vec<f64> = (0..=i).map(|j| entry(i, j)).collect();
            if !factor.push(row) {
                return None;
            }
        }
        Some(factor)
    }

    /// Adds a row of the matrix, its diagonal entry last. False, and nothing
    /// added, if the matrix would no longer be positive definite.
    pub(super) fn push(&mut self, mut row: Vec<f64>) -> bool {
        let Some(diagonal) = row.pop() else {
            return false;
        };
        self.forward(&mut row);
        let pivot = diagonal - dot(&row, &row);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return false;
        }
        row.push(pivot.sqrt());
        self.rows.push(row);
        true
    }

    /// Replaces `b` by the x of L x = b.
    pub(super) fn forward(&self, b: &mut [f64]) {
        for (i, row) in self.rows.iter().enumerate().take(b.len()) {
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Replaces `b` by the x of Lᵀ x = b.
    pub(super) fn backward(&self, b: &mut [f64]) {
        for (i, row) in self.rows.iter().enumerate().rev() {
            b[i] /= row[i];
            let (before, rest) = b.split_at_mut(i);
            for (before, entry) in before.iter_mut().zip(row) {
                *before -= entry * rest[0];
            }
        }
    }

    /// L x.
    pub(super) fn times(&self, x: &[f64]) -> Vec<f64> {
        self.rows
            .iter()
            .map(|row| dot(row, &x[..row.len()]))
            .collect()
    }

    /// The logarithm of the matrix's determinant.
    pub(super) fn log_determinant(&self) -> f64 {
        let pivots = self.rows.iter().filter_map(|row| row.last());
        2.0 * pivots.map(|pivot| pivot.ln()).sum::<f64>()
    }

    /// The inverse of the matrix: its rows, each to the diagonal.
    pub(super) fn inverse(&self) -> Vec<Vec<f64>> {
        let size = self.rows.len();
        // Column `i` of L⁻¹ from its diagonal entry on; above, it is zero.
        let columns: Vec<Vec<f64>> = (0..size)
            .map(|i| {
                let mut column: Vec<f64> = Vec::with_capacity(size - i);
                for (k, row) in self.rows.iter().enumerate().skip(i) {
                    let given = if k == i { 1.0 } else { 0.0 };
                    column.push((given - dot(&row[i..k], &column)) / row[k]);
                }
                column
            })
            .collect();
        (0..size)
            .map(|i| {
                (0..=i)
                    .map(|j| dot(&columns[i], &columns[j][i - j..]))
                    .collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Cholesky;

    const MATRIX: [[f64; 3]; 3] = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];

    fn factor() -> Cholesky {
        Cholesky::new(3, |i, j| MATRIX[i][j]).unwrap()
    }

    #[test]
    fn solving_undoes_multiplying() {
        let x = [1.0, -2.0, 0.5];
        let mut b: Vec<f64> = MATRIX.iter().map(|row| super::dot(row, &x)).collect();
        factor().forward(&mut b);
        factor().backward(&mut b);
        for (found, wanted) in b.iter().zip(x) {
            assert!((found - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let inverse = factor().inverse();
        for (i, row) in MATRIX.iter().enumerate() {
            for j in 0..3 {
                let product: f64 = (0..3).map(|k| row[k] * inverse[k.max(j)][k.min(j)]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_determinant_is_that_of_the_matrix() {
        let determinant: f64 = 4.0 * (15.0 - 1.0) - 2.0 * (6.0 - 0.6) + 0.6 * (2.0 - 3.0);
        assert!((factor().log_determinant() - determinant.ln()).abs() < 1e-12);
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_factor() {
        assert!(Cholesky::new(2, |_, _| 1.0).is_none());
        assert!(Cholesky::new(1, |_, _| f64::NAN).is_none());
    }
}
