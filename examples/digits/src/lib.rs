//! Reads handwritten digits of 8 x 8 pixels: a complete explr plugin.
//!
//! - [`data`] unpacks the 1797 pictures and splits them once and for all;
//! - [`net`] builds the two networks;
//! - [`train`] is the train function: it resumes, trains, validates, saves;
//! - [`confusion`] draws the confusion matrix.
//!
//! ```sh
//! explr run configs/digits.yaml
//! explr run configs/digits-cnn.yaml
//! ```

pub mod confusion;
pub mod data;
pub mod net;
pub mod train;

use explr_sdk::{Result, TrainingContext, TrainingResult};

/// Trains a multi-layer perceptron.
pub fn train_mlp(ctx: &mut TrainingContext) -> Result<TrainingResult> {
    train::train(ctx, net::mlp)
}

/// Trains a small convolutional network.
pub fn train_cnn(ctx: &mut TrainingContext) -> Result<TrainingResult> {
    train::train(ctx, net::cnn)
}

explr_sdk::export!(train_mlp, train_cnn);
