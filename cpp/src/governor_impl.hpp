// What is behind a governor, and how one is made.
#ifndef DYNCOMPILE_SRC_GOVERNOR_IMPL_HPP
#define DYNCOMPILE_SRC_GOVERNOR_IMPL_HPP

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "call.hpp"
#include "dyncompile/governor.hpp"
#include "dyncompile/net.hpp"
#include "encoded_point.hpp"
#include "fixed_knobs.hpp"
#include "ladder.hpp"
#include "load_estimate.hpp"
#include "stepping.hpp"

namespace dyncompile {

struct Governor::Impl {
 public:
  /// `rungs` are what has been measured, in any order; at least one.
  /// Throws KnobError if a rung has values that the knobs cannot have.
  Impl(detail::Call call, std::vector<Knob> knobs, std::vector<detail::Rung> rungs, Budget budget,
       detail::Clock clock);

  /// Makes one call: `run` gets the settings of all knobs.
  template <class Run>
  void govern(Settings given, Pick* pick, const Run& run);

  Pick picked() const;
  const std::vector<OperatingPoint>& points() const noexcept { return points_; }
  const detail::Call& call() const noexcept { return call_; }

 private:
  /// What was picked for a call.
  struct Choice {
    const detail::Rung* rung;  ///< Null if none agrees with the fixed knobs.
    const detail::Rung* free;  ///< What would run without them.
    double expected_ms, load;
  };
  class Loan;

  Choice begin(const detail::FixedKnobs* fixed);
  void end(const detail::Rung* rung, std::int64_t start);
  Choice choice(const detail::Rung* rung) const;
  const detail::Rung* agreeing(const detail::FixedKnobs& fixed) const;
  Pick pick_of(const Choice& choice, const detail::EncodedPoint& laid_over) const;
  std::size_t number_of(const detail::Rung& rung) const noexcept;

  const detail::Call call_;
  const std::vector<Knob> knobs_;
  const std::vector<detail::Rung> rungs_;
  const Budget budget_;
  const detail::Clock clock_;
  const detail::Rungs by_time_;
  std::vector<detail::EncodedPoint> encoded_;   // one per rung
  std::vector<std::vector<Setting>> settings_;  // one list per rung
  std::vector<OperatingPoint> points_;

  mutable std::mutex mutex_;  // for what follows
  detail::LoadEstimate load_;
  detail::Stepper stepper_;
  std::size_t running_ = 0;
  double last_end_s_ = std::numeric_limits<double>::infinity();
  double new_from_s_ = -std::numeric_limits<double>::infinity();
  Choice picked_;
  detail::EncodedPoint laid_over_;  // what runs, where no rung agrees
  std::vector<std::unique_ptr<detail::FixedKnobs>> idle_;
  std::size_t made_ = 0;
};

namespace detail {

/// As `Net::within`, but for the conditions: who calls this has compared them.
///
/// `default_points` are the operating points of the artifact.
/// Throws InputError and KnobError as `Net::within` does.
Governor make_governor(Call call, const std::vector<Knob>& knobs,
                       const std::vector<Decision>& decisions, const Calibration& known, double ms,
                       const GovernOptions& options,
                       const std::vector<OperatingPoint>& default_points);

}  // namespace detail
}  // namespace dyncompile

#endif
