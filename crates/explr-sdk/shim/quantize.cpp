// Linear layers with int8 weights that quantise their input, which tch lacks:
// their weights are packed for the processor into an object that is no tensor.
//
// The rules of state.cpp hold. It calls only what libtorch_cpu exports:
//   c10::Dispatcher: quantized::linear_prepack    ATen/core/dispatch/Dispatcher.h
//   LinearPackedParamsBase::apply_dynamic()       ATen/native/quantized/PackedParams.h

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/native/quantized/PackedParams.h>
#include <torch/types.h>

#include <optional>

#include "guarded.h"

using torch::Tensor;

namespace {

using Packed = c10::intrusive_ptr<LinearPackedParamsBase>;

}  // namespace

extern "C" {

// Packs a quantised weight and a bias, which may be null. The caller frees what
// is put into `packed`.
char* explr_linear_pack(const Tensor* weight, const Tensor* bias, void** packed) {
  return guarded([&] {
    static const auto pack =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow("quantized::linear_prepack", "")
            .typed<Packed(Tensor, std::optional<Tensor>)>();
    std::optional<Tensor> optional_bias;
    if (bias != nullptr) optional_bias = *bias;
    *packed = new Packed(pack.call(*weight, optional_bias));
  });
}

// Quantises the input by its range, multiplies, and gives floats. Seven bits
// of the input are used, as products of eight overflow on processors without
// VNNI.
char* explr_linear_apply(void* packed, const Tensor* input, Tensor** output) {
  return guarded([&] {
    auto& linear = *static_cast<Packed*>(packed);
    *output = new Tensor(linear->apply_dynamic(*input, /*reduce_range=*/true));
  });
}

void explr_linear_free(void* packed) { delete static_cast<Packed*>(packed); }

}  // extern "C"
