// The network, as what measures and governs it sees it.
#ifndef DYNCOMPILE_SRC_CALL_HPP
#define DYNCOMPILE_SRC_CALL_HPP

#include <chrono>
#include <cstdint>
#include <functional>

#include "dyncompile/lists.hpp"
#include "dyncompile/outputs.hpp"

namespace dyncompile::detail {

/// Runs a network that it keeps alive; as `Net::run`.
struct Call {
  std::function<Outputs(Inputs, Settings)> run;
  std::function<void(Inputs, Settings, Buffers)> run_into;
};

/// Nanoseconds; it never goes back.
using Clock = std::function<std::int64_t()>;

/// Time on the wall counts whatever the machine does meanwhile.
inline std::int64_t steady_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace dyncompile::detail

#endif
