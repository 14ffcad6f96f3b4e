use super::MetricError;
use std::collections::BTreeMap;
use tch::{Device, Kind, TchError, Tensor};

/// What a metric gathers: named fields that know how to be reset, merged and
/// saved.
///
/// They are on the CPU at first, and move to the device of what is added.
#[derive(Debug, Default)]
pub struct Store {
    fields: BTreeMap<&'static str, Field>,
}

#[derive(Debug)]
enum Field {
    /// Grows by what is added. Starts with zeros.
    Sum(Tensor),
    /// Batches one after the other, joined along the first dimension.
    Rows(Vec<Tensor>),
    /// Count, mean, and sum of squared distances from the mean.
    Moments(Tensor),
}

impl Store {
    /// Without a field.
    pub fn new() -> Self {
        Self::default()
    }

    /// A further field: the sum of all that is [added](Store::add).
    pub fn sum(mut self, name: &'static str, shape: &[i64], kind: Kind) -> Self {
        let zeros = Tensor::zeros(shape, (kind, Device::Cpu));
        self.fields.insert(name, Field::Sum(zeros));
        self
    }

    /// A further field: all rows that are [added](Store::add). It grows with
    /// the data.
    pub fn rows(mut self, name: &'static str) -> Self {
        self.fields.insert(name, Field::Rows(Vec::new()));
        self
    }

    /// A further field: the count, the mean, and the sum of squared distances
    /// from the mean of all values that are [added](Store::add), by Chan,
    /// Golub and `LeVeque`'s (1983) formula, which does not lose the variance
    /// of large values.
    pub fn moments(mut self, name: &'static str) -> Self {
        let zeros = Tensor::zeros([3], (Kind::Double, Device::Cpu));
        self.fields.insert(name, Field::Moments(zeros));
        self
    }

    /// Adds to a sum, a row to rows, or values to moments.
    pub fn add(&mut self, name: &str, value: &Tensor) -> Result<(), MetricError> {
        let value = value.f_detach()?;
        match self.field_mut(name)? {
            Field::Sum(sum) => *sum = sum.f_to_device(value.device())?.f_add(&value)?,
            Field::Rows(rows) => rows.push(value.f_detach_copy()?),
            Field::Moments(moments) if value.numel() > 0 => {
                *moments = combine(&moments.f_to_device(value.device())?, &moments_of(&value)?)?;
            }
            Field::Moments(_) => {}
        }
        Ok(())
    }

    /// Adds one to the elements of a sum of one dimension that `index` names,
    /// as often as it names them.
    pub fn count(&mut self, name: &str, index: &Tensor) -> Result<(), MetricError> {
        let index = index.f_flatten(0, -1)?;
        if let Field::Sum(sum) = self.field_mut(name)? {
            *sum = sum.f_to_device(index.device())?;
            let ones = index.f_ones_like()?.f_to_kind(sum.kind())?;
            let _ = sum.f_index_add_(0, &index, &ones)?;
        }
        Ok(())
    }

    /// What a field holds. `None` for rows when there are none.
    pub fn get(&self, name: &str) -> Result<Option<Tensor>, MetricError> {
        let field = self.fields.get(name).ok_or_else(|| no_field(name))?;
        Ok(field.tensor()?)
    }

    /// What a sum or the moments hold.
    pub fn total(&self, name: &str) -> Result<Tensor, MetricError> {
        self.get(name)?.ok_or_else(|| no_field(name))
    }

    pub(super) fn reset(&mut self) {
        for field in self.fields.values_mut() {
            match field {
                Field::Sum(tensor) | Field::Moments(tensor) => *tensor = tensor.zeros_like(),
                Field::Rows(rows) => rows.clear(),
            }
        }
    }

    /// All fields on the CPU.
    pub(super) fn tensors(&self) -> Result<BTreeMap<String, Tensor>, MetricError> {
        let mut tensors = BTreeMap::new();
        for (name, field) in &self.fields {
            if let Some(tensor) = field.tensor()? {
                let tensor = tensor
                    .f_to_device(Device::Cpu)?
                    .f_contiguous()?
                    .f_detach_copy()?;
                tensors.insert((*name).to_owned(), tensor);
            }
        }
        Ok(tensors)
    }

    /// Takes in all fields of another store of this kind.
    pub(super) fn merge(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), MetricError> {
        self.check(tensors)?;
        for (name, tensor) in tensors {
            match self.field_mut(name)? {
                Field::Sum(sum) => *sum = sum.f_add(&tensor.f_to_device(sum.device())?)?,
                Field::Rows(rows) => {
                    let device = rows.first().map_or(Device::Cpu, Tensor::device);
                    rows.push(tensor.f_to_device(device)?.f_detach_copy()?);
                }
                Field::Moments(moments) => {
                    *moments = combine(moments, &tensor.f_to_device(moments.device())?)?;
                }
            }
        }
        Ok(())
    }

    /// Has the fields of another store of this kind in the place of its own.
    pub(super) fn replace(
        &mut self,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<(), MetricError> {
        self.check(tensors)?;
        self.reset();
        for (name, tensor) in tensors {
            match self.field_mut(name)? {
                Field::Rows(rows) => rows.push(tensor.f_detach_copy()?),
                Field::Sum(mine) | Field::Moments(mine) => {
                    *mine = tensor.f_to_device(mine.device())?.f_detach_copy()?;
                }
            }
        }
        Ok(())
    }

    /// Whether tensors are those of a store of this kind.
    pub(super) fn check(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), MetricError> {
        let bad = |problem| Err(MetricError::BadState { problem });
        if let Some(name) = tensors.keys().find(|name| !self.has(name)) {
            return bad(format!("it has a further field `{name}`"));
        }
        for (name, field) in &self.fields {
            match (field, tensors.get(*name)) {
                (Field::Rows(_), _) => {}
                (_, None) => return bad(format!("it has no field `{name}`")),
                (Field::Sum(mine) | Field::Moments(mine), Some(saved)) => {
                    if (mine.size(), mine.kind()) != (saved.size(), saved.kind()) {
                        return bad(format!(
                            "its field `{name}` is {:?} of {:?}, not {:?} of {:?}",
                            saved.size(),
                            saved.kind(),
                            mine.size(),
                            mine.kind()
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn field_mut(&mut self, name: &str) -> Result<&mut Field, MetricError> {
        self.fields.get_mut(name).ok_or_else(|| no_field(name))
    }
}

impl Field {
    fn tensor(&self) -> Result<Option<Tensor>, TchError> {
        Ok(match self {
            Self::Sum(tensor) | Self::Moments(tensor) => Some(tensor.shallow_clone()),
            Self::Rows(rows) if rows.is_empty() => None,
            Self::Rows(rows) => Some(Tensor::f_cat(rows, 0)?),
        })
    }
}

fn no_field(name: &str) -> MetricError {
    MetricError::BadState {
        problem: format!("it has no field `{name}`"),
    }
}

/// The moments of some values.
fn moments_of(values: &Tensor) -> Result<Tensor, TchError> {
    let values = values.f_to_kind(Kind::Double)?;
    let mean = values.f_mean(Kind::Double)?;
    let distance = values.f_sub(&mean)?.f_square()?.f_sum(Kind::Double)?;
    let count = mean.f_full_like(values.numel() as f64)?;
    Tensor::f_stack(&[count, mean, distance], 0)
}

/// The moments of two sets of values together.
fn combine(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    let part = |tensor: &Tensor, index| tensor.f_select(0, index);
    let (count_a, count_b) = (part(a, 0)?, part(b, 0)?);
    let count = count_a.f_add(&count_b)?;
    let share = count_b.f_div(&count.f_clamp_min(1.0)?)?;
    let delta = part(b, 1)?.f_sub(&part(a, 1)?)?;
    let mean = part(a, 1)?.f_add(&delta.f_mul(&share)?)?;
    let between = delta.f_square()?.f_mul(&count_a)?.f_mul(&share)?;
    let distance = part(a, 2)?.f_add(&part(b, 2)?)?.f_add(&between)?;
    Tensor::f_stack(&[count, mean, distance], 0)
}
