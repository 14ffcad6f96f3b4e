// What tch lacks: the state of libtorch's optimisers and of its random
// generators, for an exact checkpoint, what its allocator holds of a GPU, how
// exactly it computes, and on how many cores a thread does.
// Plain C, so that Rust can call it.
//
// Every function returns null, or a message that the caller frees with
// explr_shim_free. No exception leaves this file. Every tensor that is handed
// out is a new handle that the caller owns; every tensor that is taken in
// stays the caller's.
//
// It calls only what libtorch_cpu and libc10 export, so a plugin needs no
// CUDA library to load:
//   torch::optim::Optimizer::state(), param_groups()    torch/optim/optimizer.h
//   torch::optim::{Adam,AdamW,RMSprop,SGD}ParamState,
//                 {Adam,AdamW,RMSprop,SGD}Options       torch/optim/*.h
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
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

using torch::Tensor;
namespace optim = torch::optim;

namespace {

// Tensors that the state of one parameter has at most. Their meaning:
//   Adam, AdamW  exp_avg, exp_avg_sq, max_exp_avg_sq
//   RMSprop      square_avg, momentum_buffer, grad_avg
//   SGD          momentum_buffer
constexpr size_t kSlots = 3;

template <class F>
char* guarded(F run) {
  try {
    run();
    return nullptr;
  } catch (const std::exception& error) {
    char* message = strdup(error.what());
    return message != nullptr ? message : strdup("out of memory");
  } catch (...) {
    return strdup("an exception of an unknown type");
  }
}

const Tensor& parameter(optim::Optimizer& optimizer, size_t index) {
  for (auto& group : optimizer.param_groups()) {
    if (index < group.params().size()) return group.params()[index];
    index -= group.params().size();
  }
  throw std::out_of_range("the optimiser has fewer parameters");
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

// Momentum in tch's sense: the first beta of Adam and AdamW.
template <class F>
void with_options(optim::OptimizerOptions& options, F f) {
  auto betas = [](auto* o, double momentum) {
    o->betas(std::make_tuple(momentum, std::get<1>(o->betas())));
  };
  auto momentum = [](auto* o, double value) { o->momentum(value); };
  if (auto* adam = dynamic_cast<optim::AdamOptions*>(&options)) {
    f(adam, std::get<0>(adam->betas()), betas);
  } else if (auto* adamw = dynamic_cast<optim::AdamWOptions*>(&options)) {
    f(adamw, std::get<0>(adamw->betas()), betas);
  } else if (auto* rms = dynamic_cast<optim::RMSpropOptions*>(&options)) {
    f(rms, rms->momentum(), momentum);
  } else if (auto* sgd = dynamic_cast<optim::SGDOptions*>(&options)) {
    f(sgd, sgd->momentum(), momentum);
  } else {
    throw std::invalid_argument("an optimiser of an unknown type");
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

// State of parameter `index`, counted through all groups. `step` becomes -1
// when there is none yet. The three `slots` become handles, null where the
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
    if (!try_read<optim::AdamParamState>(state, step, values) &&
        !try_read<optim::AdamWParamState>(state, step, values) &&
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
    void* key = parameter(*optimizer, index).unsafeGetTensorImpl();
    if (step < 0) {
      optimizer->state().erase(key);
      return;
    }
    Tensor values[kSlots];
    for (size_t i = 0; i < kSlots; ++i) {
      if (slots[i] != nullptr) values[i] = *slots[i];
    }
    auto state = try_write<optim::Adam, optim::AdamParamState>(*optimizer, step, values);
    if (!state) state = try_write<optim::AdamW, optim::AdamWParamState>(*optimizer, step, values);
    if (!state) {
      state = try_write<optim::RMSprop, optim::RMSpropParamState>(*optimizer, step, values);
    }
    if (!state) state = try_write<optim::SGD, optim::SGDParamState>(*optimizer, step, values);
    if (!state) throw std::invalid_argument("an optimiser of an unknown type");
    optimizer->state()[key] = std::move(state);
  });
}

// Learning rate, momentum and weight decay of a parameter group.
char* explr_optimizer_options(optim::Optimizer* optimizer, size_t group, double* values) {
  return guarded([&] {
    with_options(
        optimizer->param_groups().at(group).options(),
        [&](auto* options, double momentum, auto) {
          values[0] = options->lr();
          values[1] = momentum;
          values[2] = options->weight_decay();
        });
  });
}

// Sets the same three.
char* explr_optimizer_set_options(
    optim::Optimizer* optimizer, size_t group, const double* values) {
  return guarded([&] {
    with_options(
        optimizer->param_groups().at(group).options(),
        [&](auto* options, double, auto set_momentum) {
          options->lr(values[0]);
          set_momentum(options, values[1]);
          options->weight_decay(values[2]);
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
