// What every function of the shim does: it returns null, or a message that the
// caller frees with explr_shim_free. No exception leaves it.

#pragma once

#include <cstring>
#include <exception>

template <class F>
static char* guarded(F run) {
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
