#include "dyncompile/governor.hpp"

#include <algorithm>
#include <utility>

#include "governor_impl.hpp"

namespace dyncompile {

using detail::EncodedPoint;
using detail::FixedKnobs;
using detail::Rung;

/// Fixed knobs, lent for one call.
class Governor::Impl::Loan {
 public:
  Loan(Impl& owner, Settings given) : owner_(owner) {
    if (given.size() == 0) return;
    take();
    try {
      fixed_->set(owner_.knobs_, given);
    } catch (...) {
      give_back();
      throw;
    }
  }
  ~Loan() { give_back(); }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

  /// Null if there are none.
  FixedKnobs* get() const noexcept { return fixed_.get(); }

 private:
  void take() {
    const std::lock_guard<std::mutex> lock(owner_.mutex_);
    if (owner_.idle_.empty()) {
      owner_.idle_.reserve(owner_.made_ + 1);  // giving back must not fail
      fixed_ = std::make_unique<FixedKnobs>(owner_.knobs_);
      ++owner_.made_;
    } else {
      fixed_ = std::move(owner_.idle_.back());
      owner_.idle_.pop_back();
    }
  }

  void give_back() noexcept {
    if (!fixed_) return;
    const std::lock_guard<std::mutex> lock(owner_.mutex_);
    owner_.idle_.push_back(std::move(fixed_));
  }

  Impl& owner_;
  std::unique_ptr<FixedKnobs> fixed_;
};

Governor::Impl::Impl(detail::Call call, std::vector<Knob> knobs, std::vector<Rung> rungs,
                     Budget budget, detail::Clock clock)
    : call_(std::move(call)),
      knobs_(std::move(knobs)),
      rungs_(std::move(rungs)),
      budget_(budget),
      clock_(std::move(clock)),
      by_time_(detail::by_time(rungs_)),
      stepper_(detail::ladder(by_time_), budget.ms, budget.percentile),
      picked_(choice(&stepper_.rung())) {
  for (const Rung& rung : rungs_) {
    encoded_.push_back(detail::encoded_point(knobs_, rung.point));
    settings_.emplace_back();
    for (const Knob& knob : knobs_) {
      settings_.back().push_back({knob.name, rung.point.at(knob.name)});
    }
  }
  for (const Rung* rung : detail::ladder(by_time_)) points_.push_back(rung->point);
  laid_over_ = encoded_.front();
}

template <class Run>
void Governor::Impl::govern(Settings given, Pick* pick, const Run& run) {
  const Loan loan(*this, given);
  FixedKnobs* const fixed = loan.get();
  const Choice chosen = begin(fixed);
  std::int64_t start = 0;
  try {
    const std::size_t number = number_of(chosen.rung ? *chosen.rung : *chosen.free);
    if (pick) {
      EncodedPoint laid_over = encoded_[number];
      if (fixed) fixed->lay_over(laid_over);
      *pick = pick_of(chosen, laid_over);
    }
    const Settings settings = fixed ? fixed->with(settings_[number]) : Settings(settings_[number]);
    start = clock_();
    run(settings);
  } catch (...) {
    end(nullptr, start);
    throw;
  }
  end(chosen.rung, start);
}

Governor::Impl::Choice Governor::Impl::begin(const FixedKnobs* fixed) {
  const bool is_fixed = fixed && fixed->is_any();
  const std::lock_guard<std::mutex> lock(mutex_);
  const double now_s = static_cast<double>(clock_()) / 1e9;
  if (!running_) load_.rest(now_s - last_end_s_);
  stepper_.move(load_.value(), now_s);
  picked_ = choice(is_fixed ? agreeing(*fixed) : &stepper_.rung());
  if (!picked_.rung) {
    laid_over_ = encoded_[number_of(*picked_.free)];
    fixed->lay_over(laid_over_);
  }
  ++running_;
  return picked_;
}

/// Counts a call; none that failed, or ran where nothing has been measured.
void Governor::Impl::end(const Rung* rung, std::int64_t start) {
  const std::int64_t now = clock_();
  const double start_s = static_cast<double>(start) / 1e9, end_s = static_cast<double>(now) / 1e9;
  const std::lock_guard<std::mutex> lock(mutex_);
  --running_;
  last_end_s_ = end_s;
  if (!rung) return;
  const double ms = static_cast<double>(now - start) / 1e6;
  const bool is_new = start_s >= new_from_s_;
  load_.observe(*rung, ms, is_new);
  if (is_new) {
    new_from_s_ = end_s;
    stepper_.observe(*rung, ms, start_s);
  }
}

/// Among what agrees, the best that is not slower than what would run, else the fastest; null if
/// nothing agrees.
const Rung* Governor::Impl::agreeing(const FixedKnobs& fixed) const {
  const Rung& free = stepper_.rung();
  const Rung* found = nullptr;
  bool do_all_agree = true;
  for (const Rung* rung : by_time_) {
    if (!fixed.agree_with(encoded_[number_of(*rung)])) {
      do_all_agree = false;
    } else if (!found || (rung->ms <= free.ms && rung->quality > found->quality)) {
      found = rung;
    }
  }
  return do_all_agree ? &free : found;
}

Governor::Impl::Choice Governor::Impl::choice(const Rung* rung) const {
  const Rung& free = stepper_.rung();
  const double estimate = load_.value();
  if (!rung) return {nullptr, &free, 0.0, free.load(estimate)};
  return {rung, &free, rung->expected_ms(estimate), rung->load(estimate)};
}

Pick Governor::Impl::pick_of(const Choice& chosen, const EncodedPoint& laid_over) const {
  Pick pick;
  pick.budget = budget_;
  pick.load = chosen.load;
  if (chosen.rung) {
    pick.point = chosen.rung->point;
    pick.expected_ms = chosen.expected_ms;
  } else {
    pick.point = detail::plain_point(knobs_, laid_over);
  }
  return pick;
}

Pick Governor::Impl::picked() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return pick_of(picked_, laid_over_);
}

std::size_t Governor::Impl::number_of(const Rung& rung) const noexcept {
  return static_cast<std::size_t>(&rung - rungs_.data());
}

Governor::Governor(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Governor::Governor(Governor&&) noexcept = default;
Governor& Governor::operator=(Governor&&) noexcept = default;
Governor::~Governor() = default;

Outputs Governor::run(Inputs&& inputs, Settings&& fixed, Pick* pick) const {
  std::optional<Outputs> outputs;
  impl_->govern(fixed, pick,
                [&](Settings settings) { outputs.emplace(impl_->call().run(inputs, settings)); });
  return std::move(*outputs);
}

void Governor::run(Inputs&& inputs, Settings&& fixed, Buffers&& outputs, Pick* pick) const {
  impl_->govern(fixed, pick,
                [&](Settings settings) { impl_->call().run_into(inputs, settings, outputs); });
}

Pick Governor::picked() const { return impl_->picked(); }

const std::vector<OperatingPoint>& Governor::points() const noexcept { return impl_->points(); }

}  // namespace dyncompile
