// Calls within a budget of time, at the best operating point that fits.
#ifndef DYNCOMPILE_GOVERNOR_HPP
#define DYNCOMPILE_GOVERNOR_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dyncompile/knobs.hpp"
#include "dyncompile/lists.hpp"
#include "dyncompile/outputs.hpp"

namespace dyncompile {

/// What a call may take.
struct Budget {
  /// Milliseconds; infinite for no limit.
  double ms = 0;
  /// Of the calls at one point that have to be in time: 50 or 95.
  int percentile = 95;
};

/// What a governor chose for a call.
struct Pick {
  /// The values of all knobs.
  OperatingPoint point;
  /// What the call may take.
  Budget budget;
  /// What calls there take under the present load, at the percentile of the budget; none if the
  /// point has not been measured.
  std::optional<double> expected_ms;
  /// How many times longer than measured calls take at present; 1 if they do not.
  double load = 1;

  /// Whether it is known to be in time; what is known not to be is the fastest choice.
  bool fits() const noexcept { return expected_ms && *expected_ms <= budget.ms; }

  /// As "level=2: 3.1 ms (p95, load 1.00) of 4 ms".
  std::string to_string() const;
};

/// A network that keeps within a budget of time; safe to call from several threads. One that was
/// moved from may be assigned to or destroyed, nothing else.
///
/// `Net::within` makes it; it keeps the network alive. All calls share one estimate of the load.
/// Where it runs is decided as a call begins, by the calls that have ended; nothing else but the
/// clock is read, so the same times give the same picks, here and in Python.
class Governor {
 public:
  struct Impl;

  explicit Governor(std::unique_ptr<Impl> impl) noexcept;
  Governor(Governor&&) noexcept;
  Governor& operator=(Governor&&) noexcept;
  ~Governor();

  /// Runs the network where it fits; as `Net::run`. Knobs that are given are fixed: among the
  /// points that agree with them, the best that is not slower than what would run without them is
  /// taken, else the fastest; if none agrees, they replace the values of what would run. `pick`,
  /// if given, is set to what was picked for this call.
  Outputs run(Inputs&& inputs, Settings&& fixed = {}, Pick* pick = nullptr) const;
  void run(Inputs&& inputs, Settings&& fixed, Buffers&& outputs, Pick* pick = nullptr) const;

  /// What the call that began last runs at; before the first call, what it would.
  Pick picked() const;

  /// What there is to choose from, from fastest to best, without what is both slower and no better
  /// than another.
  const std::vector<OperatingPoint>& points() const noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace dyncompile

#endif
