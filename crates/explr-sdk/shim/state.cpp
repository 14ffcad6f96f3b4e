// What tch lacks: optimisers with their state, their fused kernels and
// closures, the state of the random generators, for an exact checkpoint, what
// the allocator holds of a GPU, how exactly libtorch computes, and on how many
// cores a thread does.
// Plain C, so that Rust can call it.
//
// Every function returns null, or a message that the caller frees with
// explr_shim_free. No exception leaves this file. Every tensor that is handed
// out is a new handle that the caller owns; every tensor that is taken in
// stays the caller's.
//
// It calls only what libtorch_cpu and libc10 export, so a plugin needs no
// CUDA library to load:
//   torch::optim::Optimizer::state(), param_groups(),   torch/optim/optimizer.h
//     defaults(), zero_grad(), step()
//   torch::optim::{Adagrad,LBFGS}                       torch/optim/*.h
//   torch::optim::{Adagrad,Adam,AdamW,LBFGS,RMSprop,SGD}ParamState,
//                 {Adagrad,Adam,AdamW,LBFGS,RMSprop,SGD}Options
//   at::_fused_{adagrad,adam,adamw,sgd}_                ATen/ops/_fused_*.h
//   at::_foreach_norm, _foreach_mul_                    ATen/ops/_foreach_*.h
//   at::empty_like, full, full_like, stack, tensor,     ATen/ops/*.h
//     zeros, zeros_like
//   at::globalContext().defaultGenerator(device)        ATen/Context.h
//   at::Generator::get_state(), set_state()             ATen/core/Generator.h
//   at::globalContext(): deterministicAlgorithms,       ATen/Context.h
//     deterministicCuDNN, benchmarkCuDNN, allowTF32CuDNN,
//     float32MatmulPrecision, and what sets them
//   at::hasCUDA()                                       ATen/Context.h
//   at::get_num_threads()                               ATen/Parallel.h
//   omp_set_num_threads, of the OpenMP that libtorch brings: looked up, as
//     a build of libtorch may have none
//   c10::DeviceAllocator                                c10/core/CachingDeviceAllocator.h
//   c10::CachingAllocator: setAllocatorSettings,        c10/core/AllocatorConfig.h
//     getAllocatorSettings, AcceleratorAllocatorConfig::getKeys

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adagrad.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <dlfcn.h>

#include <cmath>
#include <cstdlib>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "guarded.h"

using torch::Tensor;
namespace optim = torch::optim;

namespace {

// Tensors that the state of one parameter has at most. Their meaning:
//   Adagrad      sum
//   Adam, AdamW  exp_avg, exp_avg_sq, max_exp_avg_sq
//   LBFGS        d, H_diag, prev_flat_grad, old_dirs, old_stps, ro (the last
//                three stacked), and func_evals, t and prev_loss in one; it
//                keeps all of this with the first parameter
//   RMSprop      square_avg, momentum_buffer, grad_avg
//   SGD          momentum_buffer
constexpr size_t kSlots = 7;

const Tensor& parameter(optim::Optimizer& optimizer, size_t index) {
  for (auto& group : optimizer.param_groups()) {
    if (index < group.params().size()) return group.params()[index];
    index -= group.params().size();
  }
  throw std::out_of_range("the optimiser has fewer parameters");
}

Tensor stacked(const std::deque<Tensor>& parts) {
  if (parts.empty()) return {};
  return at::stack(std::vector<Tensor>(parts.begin(), parts.end()));
}

// Copies, so that each has memory of its own, aligned as it was.
std::deque<Tensor> unstacked(const Tensor& stack) {
  std::deque<Tensor> parts;
  if (!stack.defined()) return parts;
  for (auto& part : stack.unbind()) parts.push_back(part.clone());
  return parts;
}

// A state's tensor of the parameter's shape, with its layout in memory too.
Tensor laid_out_as(const Tensor& parameter, const Tensor& value) {
  if (!value.defined() || value.sizes() != parameter.sizes() ||
      value.strides() == parameter.strides() || !parameter.is_non_overlapping_and_dense())
    return value;
  return at::empty_like(parameter, value.options()).copy_(value);
}

void read(optim::AdagradParamState& s, int64_t* step, Tensor* slots) {
  *step = s.step();
  slots[0] = s.sum();
}
void read(optim::LBFGSParamState& s, int64_t* step, Tensor* slots) {
  *step = s.n_iter();
  slots[0] = s.d();
  slots[1] = s.H_diag();
  slots[2] = s.prev_flat_grad();
  slots[3] = stacked(s.old_dirs());
  slots[4] = stacked(s.old_stps());
  slots[5] = stacked(s.ro());
  slots[6] = at::tensor({static_cast<double>(s.func_evals()), s.t(), s.prev_loss()}, at::kDouble);
}
void read(optim::AdamParamState& s, int64_t* step, Tensor* slots) {
  *step = s.step();
  slots[0] = s.exp_avg();
  slots[1] = s.exp_avg_sq();
  slots[2] = s.max_exp_avg_sq();
}
void read(optim::AdamWParamState& s, int64_t* step, Tensor* slots) {
  *step = s.step();
  slots[0] = s.exp_avg();
  slots[1] = s.exp_avg_sq();
  slots[2] = s.max_exp_avg_sq();
}
void read(optim::RMSpropParamState& s, int64_t* step, Tensor* slots) {
  *step = s.step();
  slots[0] = s.square_avg();
  slots[1] = s.momentum_buffer();
  slots[2] = s.grad_avg();
}
void read(optim::SGDParamState& s, int64_t* step, Tensor* slots) {
  *step = 0;
  slots[0] = s.momentum_buffer();
}

void write(optim::AdagradParamState& s, int64_t step, const Tensor* slots) {
  s.step(step);
  s.sum(slots[0]);
}
void write(optim::LBFGSParamState& s, int64_t step, const Tensor* slots) {
  s.n_iter(step);
  s.d(slots[0]);
  s.H_diag(slots[1]);
  s.prev_flat_grad(slots[2]);
  s.old_dirs(unstacked(slots[3]));
  s.old_stps(unstacked(slots[4]));
  s.ro(unstacked(slots[5]));
  if (!slots[6].defined()) return;
  auto numbers = slots[6].to(at::kCPU);
  s.func_evals(static_cast<int64_t>(numbers[0].item<double>()));
  s.t(numbers[1].item<double>());
  s.prev_loss(numbers[2].item<double>());
}
void write(optim::AdamParamState& s, int64_t step, const Tensor* slots) {
  s.step(step);
  s.exp_avg(slots[0]);
  s.exp_avg_sq(slots[1]);
  s.max_exp_avg_sq(slots[2]);
}
void write(optim::AdamWParamState& s, int64_t step, const Tensor* slots) {
  s.step(step);
  s.exp_avg(slots[0]);
  s.exp_avg_sq(slots[1]);
  s.max_exp_avg_sq(slots[2]);
}
void write(optim::RMSpropParamState& s, int64_t step, const Tensor* slots) {
  s.step(step);
  s.square_avg(slots[0]);
  s.momentum_buffer(slots[1]);
  s.grad_avg(slots[2]);
}
void write(optim::SGDParamState& s, int64_t, const Tensor* slots) {
  s.momentum_buffer(slots[0]);
}

template <class State>
bool try_read(optim::OptimizerParamState& state, int64_t* step, Tensor* slots) {
  auto* known = dynamic_cast<State*>(&state);
  if (known != nullptr) read(*known, step, slots);
  return known != nullptr;
}

template <class Kind, class State>
std::unique_ptr<optim::OptimizerParamState> try_write(
    optim::Optimizer& optimizer, int64_t step, const Tensor* slots) {
  if (dynamic_cast<Kind*>(&optimizer) == nullptr) return nullptr;
  auto state = std::make_unique<State>();
  write(*state, step, slots);
  return state;
}

// What can be set while training: learning rate, momentum and weight decay,
// NaN where the algorithm has no such thing. Momentum is meant in tch's sense:
// the first beta of Adam and AdamW.
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

template <class Options>
void read_momentum(Options& o, double* values) {
  values[0] = o.lr();
  values[1] = o.momentum();
  values[2] = o.weight_decay();
}
template <class Options>
void read_beta(Options& o, double* values) {
  values[0] = o.lr();
  values[1] = std::get<0>(o.betas());
  values[2] = o.weight_decay();
}
void read(optim::AdamOptions& o, double* values) { read_beta(o, values); }
void read(optim::AdamWOptions& o, double* values) { read_beta(o, values); }
void read(optim::RMSpropOptions& o, double* values) { read_momentum(o, values); }
void read(optim::SGDOptions& o, double* values) { read_momentum(o, values); }
void read(optim::AdagradOptions& o, double* values) {
  values[0] = o.lr();
  values[1] = kNone;
  values[2] = o.weight_decay();
}
void read(optim::LBFGSOptions& o, double* values) {
  values[0] = o.lr();
  values[1] = kNone;
  values[2] = kNone;
}

template <class Options>
void write_momentum(Options& o, const double* values) {
  o.lr(values[0]);
  o.momentum(values[1]);
  o.weight_decay(values[2]);
}
template <class Options>
void write_beta(Options& o, const double* values) {
  o.lr(values[0]);
  o.betas(std::make_tuple(values[1], std::get<1>(o.betas())));
  o.weight_decay(values[2]);
}
void write(optim::AdamOptions& o, const double* values) { write_beta(o, values); }
void write(optim::AdamWOptions& o, const double* values) { write_beta(o, values); }
void write(optim::RMSpropOptions& o, const double* values) { write_momentum(o, values); }
void write(optim::SGDOptions& o, const double* values) { write_momentum(o, values); }
void write(optim::AdagradOptions& o, const double* values) {
  o.lr(values[0]);
  o.weight_decay(values[2]);
}
void write(optim::LBFGSOptions& o, const double* values) { o.lr(values[0]); }

template <class F>
void with_options(optim::OptimizerOptions& options, F f) {
  if (auto* adagrad = dynamic_cast<optim::AdagradOptions*>(&options)) {
    f(*adagrad);
  } else if (auto* adam = dynamic_cast<optim::AdamOptions*>(&options)) {
    f(*adam);
  } else if (auto* adamw = dynamic_cast<optim::AdamWOptions*>(&options)) {
    f(*adamw);
  } else if (auto* lbfgs = dynamic_cast<optim::LBFGSOptions*>(&options)) {
    f(*lbfgs);
  } else if (auto* rms = dynamic_cast<optim::RMSpropOptions*>(&options)) {
    f(*rms);
  } else if (auto* sgd = dynamic_cast<optim::SGDOptions*>(&options)) {
    f(*sgd);
  } else {
    throw std::invalid_argument("an optimiser of an unknown type");
  }
}

std::vector<Tensor> gradients(optim::Optimizer& optimizer) {
  std::vector<Tensor> gradients;
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      if (parameter.grad().defined()) gradients.push_back(parameter.grad());
    }
  }
  return gradients;
}

// The fused kernels read memory as it lies there: all tensors of a call have
// one type and device, and parameter, gradient and state the same layout.
bool can_be_fused(const std::vector<Tensor>& parameters) {
  for (auto& parameter : parameters) {
    auto& gradient = parameter.grad();
    if (!parameter.is_floating_point() || parameter.layout() != at::kStrided ||
        !parameter.is_non_overlapping_and_dense() || gradient.layout() != at::kStrided ||
        gradient.scalar_type() != parameter.scalar_type() ||
        gradient.device() != parameter.device() || gradient.strides() != parameter.strides() ||
        parameter.scalar_type() != parameters[0].scalar_type() ||
        parameter.device() != parameters[0].device())
      return false;
  }
  return true;
}

// The step of each parameter as a tensor on its device, made there. Most have
// the same.
class Steps {
 public:
  Tensor get(int64_t step, const Tensor& parameter) {
    auto& tensor = steps_[step];
    if (!tensor.defined())
      tensor = at::full({}, static_cast<double>(step), parameter.options().dtype(at::kFloat));
    return tensor;
  }

 private:
  std::map<int64_t, Tensor> steps_;
};

template <class State>
State& state_of(optim::Optimizer& optimizer, const Tensor& parameter, bool* is_new) {
  auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
  *is_new = state == nullptr;
  if (*is_new) state = std::make_unique<State>();
  return static_cast<State&>(*state);
}

template <class State, class Options, class Kernel>
void fused_adam(
    optim::Optimizer& optimizer, Options& o, std::vector<Tensor>& parameters,
    std::vector<Tensor>& gradients, Kernel kernel) {
  std::vector<Tensor> averages, squares, greatest, steps;
  Steps made;
  for (auto& parameter : parameters) {
    bool is_new = false;
    auto& state = state_of<State>(optimizer, parameter, &is_new);
    if (is_new) {
      state.step(0);
      state.exp_avg(at::zeros_like(parameter));
      state.exp_avg_sq(at::zeros_like(parameter));
    }
    // A state from a time without it may have been put here.
    if (o.amsgrad() && !state.max_exp_avg_sq().defined())
      state.max_exp_avg_sq(at::zeros_like(parameter));
    state.step(state.step() + 1);
    averages.push_back(state.exp_avg());
    squares.push_back(state.exp_avg_sq());
    if (o.amsgrad()) greatest.push_back(state.max_exp_avg_sq());
    steps.push_back(made.get(state.step(), parameter));
  }
  kernel(
      parameters, gradients, averages, squares, greatest, steps, o.lr(), std::get<0>(o.betas()),
      std::get<1>(o.betas()), o.weight_decay(), o.eps(), o.amsgrad(), /*maximize=*/false,
      std::nullopt, std::nullopt);
}

void fused(
    optim::Optimizer& optimizer, optim::AdamOptions& o, std::vector<Tensor>& parameters,
    std::vector<Tensor>& gradients) {
  fused_adam<optim::AdamParamState>(optimizer, o, parameters, gradients, [](auto&&... all) {
    at::_fused_adam_(std::forward<decltype(all)>(all)...);
  });
}
void fused(
    optim::Optimizer& optimizer, optim::AdamWOptions& o, std::vector<Tensor>& parameters,
    std::vector<Tensor>& gradients) {
  fused_adam<optim::AdamWParamState>(optimizer, o, parameters, gradients, [](auto&&... all) {
    at::_fused_adamw_(std::forward<decltype(all)>(all)...);
  });
}
void fused(
    optim::Optimizer& optimizer, optim::AdagradOptions& o, std::vector<Tensor>& parameters,
    std::vector<Tensor>& gradients) {
  std::vector<Tensor> sums, steps;
  Steps made;
  for (auto& parameter : parameters) {
    bool is_new = false;
    auto& state = state_of<optim::AdagradParamState>(optimizer, parameter, &is_new);
    if (is_new) state.sum(at::full_like(parameter, o.initial_accumulator_value()));
    state.step(state.step() + 1);
    sums.push_back(state.sum());
    steps.push_back(made.get(state.step(), parameter));
  }
  at::_fused_adagrad_(
      parameters, gradients, sums, steps, o.lr(), o.lr_decay(), o.weight_decay(), o.eps(),
      /*maximize=*/false);
}
void fused(
    optim::Optimizer& optimizer, optim::SGDOptions& o, std::vector<Tensor>& parameters,
    std::vector<Tensor>& gradients) {
  auto run = [&](std::vector<Tensor>& some, std::vector<Tensor>& theirs,
                 std::vector<Tensor>& buffers, bool first) {
    if (some.empty()) return;
    at::_fused_sgd_(
        some, theirs, buffers, o.weight_decay(), o.momentum(), o.lr(), o.dampening(), o.nesterov(),
        /*maximize=*/false, first);
  };
  if (o.momentum() == 0) {
    std::vector<Tensor> none;
    run(parameters, gradients, none, false);
    return;
  }
  // In the first step of a parameter its buffer becomes the gradient.
  std::vector<Tensor> fresh[3], known[3];
  for (size_t i = 0; i < parameters.size(); ++i) {
    bool is_new = false;
    auto& state = state_of<optim::SGDParamState>(optimizer, parameters[i], &is_new);
    bool first = !state.momentum_buffer().defined();
    if (first) state.momentum_buffer(at::zeros_like(parameters[i]));
    auto& part = first ? fresh : known;
    part[0].push_back(parameters[i]);
    part[1].push_back(gradients[i]);
    part[2].push_back(state.momentum_buffer());
  }
  run(fresh[0], fresh[1], fresh[2], true);
  run(known[0], known[1], known[2], false);
}
template <class Options>
void fused(optim::Optimizer&, Options&, std::vector<Tensor>&, std::vector<Tensor>&) {}

// One step: by a fused kernel for each group where all of it can be, else by
// libtorch's own, which goes from tensor to tensor.
void step(optim::Optimizer& optimizer) {
  bool has_kernel = dynamic_cast<optim::Adagrad*>(&optimizer) != nullptr ||
      dynamic_cast<optim::Adam*>(&optimizer) != nullptr ||
      dynamic_cast<optim::AdamW*>(&optimizer) != nullptr ||
      dynamic_cast<optim::SGD*>(&optimizer) != nullptr;
  std::vector<std::vector<Tensor>> parts;
  for (auto& group : optimizer.param_groups()) {
    auto& part = parts.emplace_back();
    for (auto& parameter : group.params()) {
      if (parameter.grad().defined()) part.push_back(parameter);
    }
    has_kernel = has_kernel && can_be_fused(part);
  }
  if (!has_kernel) {
    optimizer.step();
    return;
  }
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    std::vector<Tensor> gradients;
    for (auto& parameter : parts[i]) gradients.push_back(parameter.grad());
    with_options(optimizer.param_groups()[i].options(), [&](auto& options) {
      fused(optimizer, options, parts[i], gradients);
    });
  }
}

at::Generator generator(int64_t cuda_index) {
  auto device = cuda_index < 0
      ? at::Device(at::kCPU)
      : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(cuda_index));
  return at::globalContext().defaultGenerator(device);
}

// The allocator of the GPUs, once a tensor has been on one.
c10::DeviceAllocator* gpu_allocator() {
  if (!at::hasCUDA()) return nullptr;
  auto* allocator = c10::getDeviceAllocator(at::kCUDA);
  return allocator->initialized() ? allocator : nullptr;
}

}  // namespace

extern "C" {

// Frees a message.
void explr_shim_free(char* message) { std::free(message); }

// Number of parameter groups of an optimiser, and of parameters in all.
char* explr_optimizer_size(optim::Optimizer* optimizer, size_t* groups, size_t* parameters) {
  return guarded([&] {
    *groups = optimizer->param_groups().size();
    *parameters = 0;
    for (auto& group : optimizer->param_groups()) *parameters += group.params().size();
  });
}

// An optimiser by Adagrad, without parameters.
char* explr_optimizer_adagrad(
    double lr, double lr_decay, double weight_decay, double initial, double eps,
    optim::Optimizer** optimizer) {
  return guarded([&] {
    auto options = optim::AdagradOptions(lr)
                       .lr_decay(lr_decay)
                       .weight_decay(weight_decay)
                       .initial_accumulator_value(initial)
                       .eps(eps);
    *optimizer = new optim::Adagrad(std::vector<Tensor>(), options);
  });
}

// An optimiser by L-BFGS, without parameters. A `max_eval` below 0 stands for
// libtorch's own.
char* explr_optimizer_lbfgs(
    double lr, int64_t max_iter, int64_t max_eval, double tolerance_grad,
    double tolerance_change, int64_t history_size, bool strong_wolfe,
    optim::Optimizer** optimizer) {
  return guarded([&] {
    auto options = optim::LBFGSOptions(lr)
                       .max_iter(max_iter)
                       .tolerance_grad(tolerance_grad)
                       .tolerance_change(tolerance_change)
                       .history_size(history_size);
    if (max_eval >= 0) options.max_eval(max_eval);
    if (strong_wolfe) options.line_search_fn("strong_wolfe");
    *optimizer = new optim::LBFGS(std::vector<Tensor>(), options);
  });
}

// Adds a parameter to a group, which is made when there is none.
char* explr_optimizer_add(optim::Optimizer* optimizer, const Tensor* parameter, size_t group) {
  return guarded([&] {
    auto& groups = optimizer->param_groups();
    while (groups.size() <= group) groups.emplace_back(
        std::vector<Tensor>(), optimizer->defaults().clone());
    groups[group].params().push_back(*parameter);
    // libtorch's Adagrad makes the state of the parameters that it begins with.
    if (auto* options = dynamic_cast<optim::AdagradOptions*>(&optimizer->defaults())) {
      bool is_new = false;
      at::NoGradGuard no_grad;
      state_of<optim::AdagradParamState>(*optimizer, *parameter, &is_new)
          .sum(at::full_like(*parameter, options->initial_accumulator_value()));
    }
  });
}

// One step by the gradients that are there.
char* explr_optimizer_step(optim::Optimizer* optimizer) {
  return guarded([&] { step(*optimizer); });
}

// One step by a function that gives the loss as a handle that is ours, or null
// if it can't. It is called as often as the algorithm wants. Gives the first
// loss.
char* explr_optimizer_step_with(
    optim::Optimizer* optimizer, Tensor* (*loss)(void*), void* context, Tensor** first) {
  return guarded([&] {
    auto closure = [&] {
      optimizer->zero_grad();
      std::unique_ptr<Tensor> value(loss(context));
      if (!value) throw std::runtime_error("the loss can't be computed");
      value->backward();
      return value->detach();
    };
    if (dynamic_cast<optim::LBFGS*>(optimizer) != nullptr) {
      *first = new Tensor(optimizer->step(closure));
    } else {
      auto value = closure();
      step(*optimizer);
      *first = new Tensor(value);
    }
  });
}

// Limits the L2 norm of all gradients together, as
// torch.nn.utils.clip_grad_norm_ does, and gives what it was: a tensor on
// their device, so nothing waits for it.
char* explr_optimizer_clip_norm(optim::Optimizer* optimizer, double max, Tensor** norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto all = gradients(*optimizer);
    if (all.empty()) {
      *norm = new Tensor(at::zeros({}));
      return;
    }
    auto norms = at::_foreach_norm(all);
    auto total = norms.size() == 1 ? norms[0] : at::stack(norms).norm();
    at::_foreach_mul_(all, (max / (total + 1e-6)).clamp_max(1.0));
    *norm = new Tensor(total);
  });
}

// State of parameter `index`, counted through all groups. `step` becomes -1
// when there is none yet. The `slots` become handles, null where the
// algorithm has no such tensor.
char* explr_optimizer_state(
    optim::Optimizer* optimizer, size_t index, int64_t* step, Tensor** slots) {
  return guarded([&] {
    *step = -1;
    for (size_t i = 0; i < kSlots; ++i) slots[i] = nullptr;
    auto& all = optimizer->state();
    auto found = all.find(parameter(*optimizer, index).unsafeGetTensorImpl());
    if (found == all.end()) return;
    Tensor values[kSlots];
    auto& state = *found->second;
    if (!try_read<optim::AdagradParamState>(state, step, values) &&
        !try_read<optim::AdamParamState>(state, step, values) &&
        !try_read<optim::AdamWParamState>(state, step, values) &&
        !try_read<optim::LBFGSParamState>(state, step, values) &&
        !try_read<optim::RMSpropParamState>(state, step, values) &&
        !try_read<optim::SGDParamState>(state, step, values)) {
      throw std::invalid_argument("an optimiser of an unknown type");
    }
    for (size_t i = 0; i < kSlots; ++i) {
      if (values[i].defined()) slots[i] = new Tensor(values[i]);
    }
  });
}

// Replaces the state of parameter `index`. A `step` of -1 removes it. The
// tensors become the optimiser's own: pass copies.
char* explr_optimizer_set_state(
    optim::Optimizer* optimizer, size_t index, int64_t step, Tensor* const* slots) {
  return guarded([&] {
    auto& target = parameter(*optimizer, index);
    void* key = target.unsafeGetTensorImpl();
    if (step < 0) {
      optimizer->state().erase(key);
      return;
    }
    Tensor values[kSlots];
    for (size_t i = 0; i < kSlots; ++i) {
      if (slots[i] != nullptr) values[i] = laid_out_as(target, *slots[i]);
    }
    auto& o = *optimizer;
    auto state = try_write<optim::Adagrad, optim::AdagradParamState>(o, step, values);
    if (!state) state = try_write<optim::Adam, optim::AdamParamState>(o, step, values);
    if (!state) state = try_write<optim::AdamW, optim::AdamWParamState>(o, step, values);
    if (!state) state = try_write<optim::LBFGS, optim::LBFGSParamState>(o, step, values);
    if (!state) state = try_write<optim::RMSprop, optim::RMSpropParamState>(o, step, values);
    if (!state) state = try_write<optim::SGD, optim::SGDParamState>(o, step, values);
    if (!state) throw std::invalid_argument("an optimiser of an unknown type");
    optimizer->state()[key] = std::move(state);
  });
}

// Learning rate, momentum and weight decay of a parameter group, NaN for what
// the algorithm does not have.
char* explr_optimizer_options(optim::Optimizer* optimizer, size_t group, double* values) {
  return guarded([&] {
    with_options(optimizer->param_groups().at(group).options(), [&](auto& options) {
      read(options, values);
    });
  });
}

// Sets the same.
char* explr_optimizer_set_options(
    optim::Optimizer* optimizer, size_t group, const double* values) {
  return guarded([&] {
    with_options(optimizer->param_groups().at(group).options(), [&](auto& options) {
      write(options, values);
    });
  });
}

// State of the random generator of the CPU (index -1) or of a GPU.
char* explr_generator_state(int64_t cuda_index, Tensor** state) {
  return guarded([&] {
    auto source = generator(cuda_index);
    std::lock_guard<std::mutex> lock(source.mutex());
    *state = new Tensor(source.get_state());
  });
}

// Sets it.
char* explr_generator_set_state(int64_t cuda_index, const Tensor* state) {
  return guarded([&] {
    auto target = generator(cuda_index);
    std::lock_guard<std::mutex> lock(target.mutex());
    target.set_state(*state);
  });
}

// What the allocator holds of a GPU, in bytes: allocated, reserved, and the
// most of both. All 0 before the first tensor.
char* explr_memory_stats(int64_t cuda_index, uint64_t* values) {
  return guarded([&] {
    for (size_t i = 0; i < 4; ++i) values[i] = 0;
    auto* allocator = gpu_allocator();
    if (allocator == nullptr) return;
    auto stats = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(cuda_index));
    // The first of each array is the sum of all pools.
    values[0] = stats.allocated_bytes[0].current;
    values[1] = stats.reserved_bytes[0].current;
    values[2] = stats.allocated_bytes[0].peak;
    values[3] = stats.reserved_bytes[0].peak;
  });
}

// Lets the allocator take this part of each GPU's memory and no more, 0 to 1.
// It looks at its settings once, before the first tensor is on a GPU. Without
// a CUDA library there is nothing to limit.
char* explr_memory_set_fraction(double fraction) {
  return guarded([&] {
    namespace config = c10::CachingAllocator;
    const std::string key = "per_process_memory_fraction";
    if (gpu_allocator() != nullptr)
      throw std::logic_error("a tensor has been on a GPU already: it is too late for a limit");
    if (config::AcceleratorAllocatorConfig::getKeys().count(key) == 0) return;
    auto settings = config::getAllocatorSettings();
    if (!settings.empty()) settings += ',';
    config::setAllocatorSettings(settings + key + ':' + std::to_string(fraction));
  });
}

// Gives back what the allocator holds without need.
char* explr_memory_empty_cache() {
  return guarded([&] {
    auto* allocator = gpu_allocator();
    if (allocator != nullptr) allocator->emptyCache();
  });
}

// Whether operations without a repeatable implementation are refused, cuDNN's
// included. Gives what held before.
char* explr_set_deterministic(bool on, bool* before) {
  return guarded([&] {
    auto& context = at::globalContext();
    *before = context.deterministicAlgorithms();
    context.setDeterministicAlgorithms(on, /*warn_only=*/false);
    context.setDeterministicCuDNN(on);
  });
}

// How products of float32 matrices are computed: 0 in float32, 1 with TF32,
// 2 with bfloat16 where there is hardware for it. Gives what held before.
char* explr_set_matmul_precision(int level, int* before) {
  return guarded([&] {
    static const char* const names[] = {"highest", "high", "medium"};
    auto& context = at::globalContext();
    *before = static_cast<int>(context.float32MatmulPrecision());
    context.setFloat32MatmulPrecision(names[level]);
  });
}

// Whether cuDNN tries its algorithms and keeps the fastest. Gives what held
// before.
char* explr_set_cudnn_benchmark(bool on, bool* before) {
  return guarded([&] {
    *before = at::globalContext().benchmarkCuDNN();
    at::globalContext().setBenchmarkCuDNN(on);
  });
}

// Whether cuDNN may use TF32. Gives what held before.
char* explr_set_cudnn_tf32(bool on, bool* before) {
  return guarded([&] {
    *before = at::globalContext().allowTF32CuDNN();
    at::globalContext().setAllowTF32CuDNN(on);
  });
}

// Makes operations that are called on this thread run on it alone, and leaves
// other threads as they are. at::set_num_threads is no way: what it sets holds
// for all of MKL, and for every thread that calls libtorch for the first time.
char* explr_use_one_core() {
  return guarded([&] {
    // The first call on a thread takes over the process's number; what is set
    // before that is lost.
    at::get_num_threads();
    auto* set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (set != nullptr) set(1);
    auto* set_mkl =
        reinterpret_cast<int (*)(int)>(dlsym(RTLD_DEFAULT, "MKL_Set_Num_Threads_Local"));
    if (set_mkl != nullptr) set_mkl(1);
  });
}

static_assert(static_cast<int>(at::Float32MatmulPrecision::HIGHEST) == 0);
static_assert(static_cast<int>(at::Float32MatmulPrecision::HIGH) == 1);
static_assert(static_cast<int>(at::Float32MatmulPrecision::MEDIUM) == 2);

}  // extern "C"
