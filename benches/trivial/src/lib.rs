//! Trials that cost nothing but themselves.

use explr_sdk::tch::{Kind, Tensor};
use explr_sdk::{Result, TrainingContext, TrainingResult};

/// One step of gradient descent on a parabola in 8 dimensions.
fn one_step(ctx: &mut TrainingContext) -> Result<TrainingResult> {
    let lr = ctx.f64_or("lr", 0.1)?;
    let x = Tensor::f_ones([8], (Kind::Float, ctx.device()))?.f_set_requires_grad(true)?;
    let loss = x.f_square()?.f_sum(Kind::Float)?;
    loss.f_backward()?;
    let stepped = x.f_detach()?.f_sub(&(x.f_grad()? * lr))?;
    let loss = stepped
        .f_square()?
        .f_sum(Kind::Float)?
        .f_double_value(&[])?;
    ctx.tracker().log_metric("val_loss", loss, 0)?;
    Ok(TrainingResult::new(loss))
}

explr_sdk::export!(one_step);
