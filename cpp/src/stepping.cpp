#include "stepping.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace dyncompile::detail {

namespace {

constexpr double odds_ratio = 4.0;
constexpr double calls_per_false_alarm = 1e6;

}  // namespace

MissTest::MissTest(int percentile) noexcept {
  const double usual = 1 - static_cast<double>(percentile) / 100;
  const double odds = odds_ratio * usual / (1 - usual);
  const double high = odds / (1 + odds);
  hit_step_ = std::log((1 - high) / (1 - usual));
  miss_step_ = std::log(high / usual);
}

void MissTest::add(bool is_missed) noexcept {
  sum_ = std::max(0.0, sum_ + (is_missed ? miss_step_ : hit_step_));
}

bool MissTest::has_failed() const noexcept { return sum_ >= std::log(calls_per_false_alarm); }

Stepper::Stepper(Rungs rungs, double budget_ms, int percentile)
    : rungs_(std::move(rungs)),
      budget_ms_(budget_ms),
      misses_(percentile),
      at_(best_that_fits(1.0, rungs_.size())) {}

void Stepper::observe(const Rung& ran, double ms, double started_s) noexcept {
  if (&ran == &rung() && started_s >= moved_s_) misses_.add(ms > budget_ms_);
}

void Stepper::move(double estimate, double now_s) noexcept {
  const bool is_late = rung().expected_ms(estimate) > budget_ms_;
  if (at_ > 0 && (is_late || misses_.has_failed())) {
    learn(now_s);
    go(best_that_fits(estimate, at_), now_s, false);
    return;
  }
  const std::optional<std::size_t> roomy = best_with_room(estimate);
  if (!roomy) {
    next_.reset();
    return;
  }
  if (!next_) next_ = Goal{*roomy, now_s};
  next_->number = std::min(next_->number, *roomy);
  if (now_s - next_->since_s >= hold_s_) go(next_->number, now_s, true);
}

void Stepper::go(std::size_t to, double now_s, bool is_climb) noexcept {
  at_ = to;
  moved_s_ = now_s;
  is_on_trial_ = is_climb;
  next_.reset();
  misses_.reset();
}

/// Waits longer next time if the climb before came to nothing.
void Stepper::learn(double now_s) noexcept {
  if (!is_on_trial_) return;
  const bool was_held = now_s - moved_s_ >= 2 * hold_s_;
  hold_s_ = was_held ? hold_s : std::min(2 * hold_s_, longest_hold_s);
}

/// The best of the lowest rungs; the fastest if none of them fits.
std::size_t Stepper::best_that_fits(double estimate, std::size_t below) const noexcept {
  for (std::size_t number = below - 1; number > 0; --number) {
    if (rungs_[number]->expected_ms(estimate) <= budget_ms_) return number;
  }
  return 0;
}

/// The best above the present one, if any has room.
std::optional<std::size_t> Stepper::best_with_room(double estimate) const noexcept {
  for (std::size_t number = rungs_.size() - 1; number > at_; --number) {
    if (rungs_[number]->has_room(estimate, budget_ms_)) return number;
  }
  return std::nullopt;
}

}  // namespace dyncompile::detail
