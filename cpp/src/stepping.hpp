// Which rung to run: down at once, up after a while.
#ifndef DYNCOMPILE_SRC_STEPPING_HPP
#define DYNCOMPILE_SRC_STEPPING_HPP

#include <cstddef>
#include <limits>
#include <optional>

#include "ladder.hpp"

namespace dyncompile::detail {

/// Whether more calls miss the budget than the percentile allows.
///
/// Page's cumulative sum (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954): of
/// the share that may miss against four times its odds. Where just that share misses, it errs once
/// in a million calls at most.
class MissTest {
 public:
  /// `percentile` of the calls have to be in time.
  explicit MissTest(int percentile) noexcept;

  /// Counts a call.
  void add(bool is_missed) noexcept;
  /// Begins anew.
  void reset() noexcept { sum_ = 0.0; }
  /// Whether too many missed.
  bool has_failed() const noexcept;

 private:
  double hit_step_, miss_step_;
  double sum_ = 0.0;
};

/// The position on a ladder.
///
/// It goes down when what runs does not fit under the estimated load, or when too many calls miss;
/// as far as it has to, and at once. It goes up to what has had room, with a margin, for a second
/// without break. That wait doubles, up to a minute, each time that what it led to could not be
/// held for twice as long; a climb that lasts longer ends this.
class Stepper {
 public:
  static constexpr double hold_s = 1.0;
  static constexpr double longest_hold_s = 60.0;

  /// `rungs` are at least one, from fastest to best; they live longer than this.
  Stepper(Rungs rungs, double budget_ms, int percentile);

  /// What is to run.
  const Rung& rung() const noexcept { return *rungs_[at_]; }

  /// Counts a call, if it ran where calls run now.
  void observe(const Rung& rung, double ms, double started_s) noexcept;

  /// Steps up or down as the load demands.
  void move(double estimate, double now_s) noexcept;

 private:
  struct Goal {
    std::size_t number;
    double since_s;
  };

  void go(std::size_t to, double now_s, bool is_climb) noexcept;
  void learn(double now_s) noexcept;
  std::size_t best_that_fits(double estimate, std::size_t below) const noexcept;
  std::optional<std::size_t> best_with_room(double estimate) const noexcept;

  Rungs rungs_;
  double budget_ms_;
  MissTest misses_;
  std::size_t at_;
  double moved_s_ = -std::numeric_limits<double>::infinity();
  double hold_s_ = hold_s;
  bool is_on_trial_ = false;
  std::optional<Goal> next_;
};

}  // namespace dyncompile::detail

#endif
