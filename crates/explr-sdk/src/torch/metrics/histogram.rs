use tch::{Kind, TchError, Tensor};

/// What is computed of a curve.
#[derive(Debug, Clone, Copy)]
pub(super) enum Area {
    Roc,
    AveragePrecision,
}

/// How often each score occurs, from low to high, in the last dimension: with
/// those that belong to the class, and with those that don't.
pub(super) struct Histogram {
    pub(super) positive: Tensor,
    pub(super) negative: Tensor,
}

impl Histogram {
    /// Of the scores that are kept.
    pub(super) fn of(scores: &Tensor, positive: &Tensor, kept: &Tensor) -> Result<Self, TchError> {
        let scores = match scores.kind() {
            Kind::Double => scores.f_masked_select(kept)?,
            _ => scores.f_to_kind(Kind::Float)?.f_masked_select(kept)?,
        };
        let positive = positive.f_masked_select(kept)?.f_to_kind(Kind::Int64)?;
        let (values, place, _) = scores.f_internal_unique2(true, true, false)?;
        let zeros = values.f_zeros_like()?.f_to_kind(Kind::Int64)?;
        let negative = positive.f_rsub_scalar(1)?;
        Ok(Self {
            positive: zeros.f_index_add(0, &place, &positive)?,
            negative: zeros.f_index_add(0, &place, &negative)?,
        })
    }

    /// The area under the curve: a scalar of `Double`.
    pub(super) fn area(&self, area: Area) -> Result<Tensor, TchError> {
        let Self { positive, negative } = self;
        let found = from_high(positive)?;
        let all = positive.f_sum(Kind::Int64)?;
        let others = negative.f_sum(Kind::Int64)?;
        match area {
            Area::Roc => {
                // Twice the trapezoids of the curve in steps of one example.
                let twice = found.f_mul_scalar(2)?.f_sub(positive)?.f_mul(negative)?;
                let whole = all.f_mul(&others)?.f_mul_scalar(2)?;
                double(&twice.f_sum(Kind::Int64)?)?.f_div(&whole)
            }
            Area::AveragePrecision => {
                let taken = found.f_add(&from_high(negative)?)?;
                let precision = double(&found)?.f_div(&taken.f_clamp_min(1)?)?;
                let sum = precision.f_mul(positive)?.f_sum(Kind::Double)?;
                sum.f_div(&all.f_clamp_min(1)?)
            }
        }
    }
}

fn double(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_to_kind(Kind::Double)
}

/// For each score, the sum over it and all higher ones.
fn from_high(counts: &Tensor) -> Result<Tensor, TchError> {
    counts.f_flip([-1])?.f_cumsum(-1, Kind::Int64)?.f_flip([-1])
}
