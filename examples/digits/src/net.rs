//! The two networks. Both take pixels `[count, 64]` and give one score for
//! each digit, `[count, 10]`.

use crate::data::{CLASSES, PIXELS};
use crate::train::Params;
use explr_sdk::tch::nn::{self, Path, SequentialT};

/// A multi-layer perceptron with dropout after each hidden layer.
pub fn mlp(path: &Path, params: &Params) -> SequentialT {
    let dropout = params.dropout;
    let mut net = nn::seq_t();
    let mut width = PIXELS;
    for (index, hidden) in params.hidden.iter().enumerate() {
        let layer = path / format!("hidden{index}");
        net = net
            .add(nn::linear(
                layer,
                width,
                *hidden,
                nn::LinearConfig::default(),
            ))
            .add_fn_t(move |x, train| x.relu().dropout(dropout, train));
        width = *hidden;
    }
    net.add(nn::linear(
        path / "output",
        width,
        CLASSES,
        nn::LinearConfig::default(),
    ))
}

/// Two convolutions of 3 x 3, pooling, and a linear layer.
pub fn cnn(path: &Path, params: &Params) -> SequentialT {
    let dropout = params.dropout;
    let same = nn::ConvConfig {
        padding: 1,
        ..nn::ConvConfig::default()
    };
    nn::seq_t()
        .add_fn(|x| x.view([-1, 1, 8, 8]))
        .add(nn::conv2d(path / "conv1", 1, 32, 3, same))
        .add_fn(|x| x.relu())
        .add(nn::conv2d(path / "conv2", 32, 64, 3, same))
        .add_fn_t(move |x, train| {
            x.relu()
                .max_pool2d_default(2)
                .dropout(dropout, train)
                .flatten(1, -1)
        })
        .add(nn::linear(
            path / "output",
            64 * 4 * 4,
            CLASSES,
            nn::LinearConfig::default(),
        ))
}
