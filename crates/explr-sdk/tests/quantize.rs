//! Linear layers in int8 give PyTorch's values and keep a model's accuracy.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::metrics::{Accuracy, Metric, Task};
use explr_sdk::quantize::{Linear, Method, QuantizeError, Weight};
use explr_sdk::tch::nn::{self, Module, ModuleT, OptimizerConfig};
use explr_sdk::tch::{self, Device, Kind, Tensor};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::io::Read;

/// Made by `reference/quantize.py`.
#[derive(Deserialize)]
struct Reference {
    weight: Vec<Vec<f32>>,
    bias: Vec<f32>,
    input: Vec<Vec<f32>>,
    int8: Vec<Vec<i8>>,
    output: Vec<Vec<f32>>,
}

fn reference() -> (nn::Linear, Reference) {
    let reference: Reference =
        serde_json::from_str(include_str!("reference/quantize.json")).unwrap();
    let layer = nn::Linear {
        ws: Tensor::from_slice2(&reference.weight),
        bs: Some(Tensor::from_slice(&reference.bias)),
    };
    (layer, reference)
}

fn largest(difference: &Tensor) -> f64 {
    difference.abs().max().double_value(&[])
}

#[test]
fn a_dynamic_layer_has_the_values_of_pytorch() {
    let (layer, reference) = reference();
    let weight = Weight::of(&layer).unwrap();
    assert!(weight.values.equal(&Tensor::from_slice2(&reference.int8)));
    let linear = Linear::new(weight, Method::Dynamic).unwrap();
    let input = Tensor::from_slice2(&reference.input);
    let wanted = Tensor::from_slice2(&reference.output);
    let output = linear.apply(&input).unwrap();
    assert!(largest(&(&output - &wanted)) < 1e-5, "{output}");
    // Not the values of the layer itself, but near.
    let error = largest(&(&output - layer.forward(&input)));
    assert!(error > 1e-4 && error < 0.5, "{error}");
    // More dimensions before the last, and not contiguous.
    let folded = linear
        .apply(&input.view([2, 3, 24]).transpose(0, 1))
        .unwrap();
    let wanted = wanted.view([2, 3, 5]).transpose(0, 1);
    assert!(largest(&(folded - wanted)) < 1e-5);
    let none = linear.apply(&input.narrow(0, 0, 0)).unwrap();
    assert_eq!(none.size(), [0, 5]);
}

#[test]
fn a_weight_only_layer_computes_with_the_rounded_weight() {
    let (layer, reference) = reference();
    let weight = Weight::of(&layer).unwrap();
    let rounded = weight.values.to_kind(Kind::Float) * weight.scales.unsqueeze(1);
    assert!(largest(&(&rounded - &layer.ws)) <= largest(&layer.ws) / 254.0 * 1.001);
    let input = Tensor::from_slice2(&reference.input).view([2, 3, 24]);
    let wanted = input.linear(&rounded, layer.bs.as_ref());
    let linear = Linear::new(weight, Method::WeightOnly).unwrap();
    for (kind, tolerance) in [
        (Kind::Float, 1e-4),
        (Kind::Double, 1e-4),
        (Kind::Half, 0.05),
        (Kind::BFloat16, 0.4),
    ] {
        let output = linear.apply(&input.to_kind(kind)).unwrap();
        assert_eq!(output.kind(), kind);
        assert_eq!(output.size(), [2, 3, 5]);
        let error = largest(&(output.to_kind(Kind::Float) - &wanted));
        assert!(error < tolerance, "{kind:?}: {error}");
    }
}

#[test]
fn a_layer_without_a_bias_stays_one() {
    let (mut layer, reference) = reference();
    layer.bs = None;
    let input = Tensor::from_slice2(&reference.input);
    let with_bias = Tensor::from_slice2(&reference.output);
    let wanted = with_bias - Tensor::from_slice(&reference.bias);
    for (method, tolerance) in [(Method::Dynamic, 1e-5), (Method::WeightOnly, 0.5)] {
        let linear = Linear::new(Weight::of(&layer).unwrap(), method).unwrap();
        let error = largest(&(linear.apply(&input).unwrap() - &wanted));
        assert!(error < tolerance, "{method:?}: {error}");
    }
}

#[test]
fn what_libtorch_has_no_operator_for_is_an_error_with_a_way_out() {
    let (layer, reference) = reference();
    let dynamic = Linear::new(Weight::of(&layer).unwrap(), Method::Dynamic).unwrap();
    let input = Tensor::from_slice2(&reference.input);
    let error = dynamic.apply(&input.to_kind(Kind::BFloat16)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the quantised layer can't compute with BFloat16 on Cpu: `Method::Dynamic` takes Float on \
         the CPU, `Method::WeightOnly` takes floats on any device"
    );
    let weight_only = Linear::new(Weight::of(&layer).unwrap(), Method::WeightOnly).unwrap();
    assert!(weight_only.apply(&input.to_kind(Kind::Int64)).is_err());
    let error = dynamic.apply(&input.narrow(1, 0, 20)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the quantised layer takes inputs of the shape (..., 24), not [6, 20]"
    );
}

#[test]
fn weights_that_can_not_be_quantised_are_refused() {
    let layer = |ws| nn::Linear { ws, bs: None };
    let refused = |ws| match Weight::of(&layer(ws)).unwrap_err() {
        QuantizeError::Weight { problem } => problem,
        other => panic!("{other}"),
    };
    let nan = Tensor::from_slice2(&[[1.0_f32, f32::NAN]]);
    assert!(refused(nan).contains("not a number"));
    let image = Tensor::zeros([2, 3, 3, 3], (Kind::Float, Device::Cpu));
    assert!(refused(image).contains("[2, 3, 3, 3]"));

    let (layer, _) = reference();
    let mut weight = Weight::of(&layer).unwrap();
    weight.scales = weight.scales.narrow(0, 0, 4);
    let error = Linear::new(weight, Method::Dynamic).unwrap_err();
    assert!(
        error.to_string().contains("its scales are [4], not [5]"),
        "{error}"
    );
}

#[test]
fn a_saved_weight_makes_the_same_layer() {
    let (layer, reference) = reference();
    let weight = Weight::of(&layer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.safetensors");
    let bias = weight.bias.as_ref().unwrap();
    let tensors = [
        ("values", &weight.values),
        ("scales", &weight.scales),
        ("bias", bias),
    ];
    Tensor::write_safetensors(&tensors, &path).unwrap();
    let mut saved: std::collections::HashMap<_, _> = Tensor::read_safetensors(&path)
        .unwrap()
        .into_iter()
        .collect();
    let saved = Weight {
        values: saved.remove("values").unwrap(),
        scales: saved.remove("scales").unwrap(),
        bias: saved.remove("bias"),
    };
    let input = Tensor::from_slice2(&reference.input);
    let output = |weight| {
        Linear::new(weight, Method::Dynamic)
            .unwrap()
            .forward(&input)
    };
    assert!(output(weight).equal(&output(saved)));
}

/// Pixels as floats in 0 to 1, and labels.
fn digits() -> (Tensor, Tensor) {
    const FILE: &[u8] = include_bytes!("../../../examples/digits/data/digits.csv.gz");
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text).unwrap();
    let numbers: Vec<f32> = text
        .split([',', '\n'])
        .filter(|field| !field.is_empty())
        .map(|field| field.trim().parse().unwrap())
        .collect();
    let table = Tensor::from_slice(&numbers).view([-1, 65]);
    let labels = table.select(1, 64).to_kind(Kind::Int64);
    (table.narrow(1, 0, 64) / 16.0, labels)
}

fn accuracy(model: &dyn Fn(&Tensor) -> Tensor, inputs: &Tensor, labels: &Tensor) -> f64 {
    let mut accuracy = Accuracy::new(Task::multi_class(10));
    accuracy.update(&model(inputs), labels).unwrap();
    accuracy.value().unwrap()
}

#[test]
fn a_model_of_digits_keeps_its_accuracy() {
    tch::set_num_threads(1);
    tch::manual_seed(0);
    let (inputs, labels) = digits();
    let rows = inputs.size()[0];
    let (train, test) = (
        inputs.narrow(0, 0, 1400),
        inputs.narrow(0, 1400, rows - 1400),
    );
    let (train_labels, test_labels) = (
        labels.narrow(0, 0, 1400),
        labels.narrow(0, 1400, rows - 1400),
    );
    let vs = nn::VarStore::new(Device::Cpu);
    let first = nn::linear(vs.root() / "first", 64, 64, nn::LinearConfig::default());
    let last = nn::linear(vs.root() / "last", 64, 10, nn::LinearConfig::default());
    let forward = |inputs: &Tensor| last.forward(&first.forward(inputs).relu());
    let mut optimizer = nn::Adam::default().build(&vs, 1e-2).unwrap();
    for _ in 0..150 {
        let loss = forward(&train).cross_entropy_for_logits(&train_labels);
        optimizer.backward_step(&loss);
    }
    let before = accuracy(&forward, &test, &test_labels);
    assert!(before > 0.9, "{before}");
    println!("before: {before:.4}");

    for method in [Method::Dynamic, Method::WeightOnly] {
        let layer = |layer| Linear::new(Weight::of(layer).unwrap(), method).unwrap();
        let model = nn::seq()
            .add(layer(&first))
            .add_fn(Tensor::relu)
            .add(layer(&last));
        let quantized = |inputs: &Tensor| model.forward_t(inputs, false);
        let after = accuracy(&quantized, &test, &test_labels);
        println!("{method:?}: {after:.4}");
        assert!(
            (before - after).abs() <= 0.01,
            "{method:?}: {before} became {after}"
        );
    }
}
