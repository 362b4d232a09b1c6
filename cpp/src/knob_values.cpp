#include "knob_values.hpp"

#include <cmath>
#include <limits>

#include "dyncompile/errors.hpp"
#include "small_buffer.hpp"
#include "text.hpp"

namespace dyncompile {

KnobValue::KnobValue(const OwnedValue& value) noexcept : kind_(Kind::level) {
  if (const auto* level = std::get_if<std::int64_t>(&value)) {
    *this = KnobValue(*level);
  } else if (const auto* number = std::get_if<double>(&value)) {
    *this = KnobValue(*number);
  } else if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    *this = KnobValue(*numbers);
  }
}

double KnobValue::number(std::size_t index) const noexcept {
  if (kind_ == Kind::singles) return static_cast<double>(singles_[index]);
  return kind_ == Kind::numbers ? numbers_[index] : number_;
}

std::string KnobValue::to_string() const {
  if (kind_ == Kind::level) return detail::exact_number(number_);
  std::string text;
  for (std::size_t index = 0; index < count_; ++index) {
    if (index) text += ", ";
    const bool is_single = kind_ == Kind::single || kind_ == Kind::singles;
    text += is_single ? detail::exact_number(static_cast<float>(number(index)))
                      : detail::exact_number(number(index));
  }
  return is_list() ? "[" + text + "]" : text;
}

namespace detail {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool is_legal(const Threshold& range, double number) noexcept {
  if (std::isinf(number)) return true;
  const float given = as_float(number);
  return std::isfinite(given) && as_float(range.low) <= given && given <= as_float(range.high);
}

KnobError not_a_threshold(const Knob& knob, const Threshold& range, const KnobValue& value) {
  const std::string count =
      range.is_vector ? std::to_string(range.defaults.size()) + " numbers" : "one number";
  return {value.to_string() + " is not a threshold.", "knob " + in_quotes(knob.name),
          "Give " + count + " from " + short_number(range.low) + " to " + short_number(range.high) +
              ", or an infinity."};
}

}  // namespace

float as_float(double number) noexcept {
  if (std::abs(number) <= static_cast<double>(std::numeric_limits<float>::max())) {
    return static_cast<float>(number);
  }
  return std::isnan(number) ? std::numeric_limits<float>::quiet_NaN()
                            : static_cast<float>(std::copysign(infinity, number));
}

Port port_of(const Knob& knob) {
  if (knob.levels()) return {knob.name, ElementType::int64, {}, {}};
  std::vector<std::int64_t> sizes;
  if (knob.threshold()->is_vector) sizes.push_back(static_cast<std::int64_t>(count_of(knob)));
  return {knob.name, ElementType::float32, sizes, std::vector<std::string>(sizes.size())};
}

std::size_t count_of(const Knob& knob) noexcept {
  const Threshold* range = knob.threshold();
  return range && range->is_vector ? range->defaults.size() : 1;
}

std::int64_t level_of(const Knob& knob, const KnobValue& value) {
  const auto count = static_cast<std::int64_t>(knob.levels()->values.size());
  if (value.level() < 0 || value.level() >= count) {
    std::string given = value.to_string();
    const bool looks_whole = given.find_first_not_of("-0123456789") == std::string::npos;
    if (looks_whole && !value.is_level()) given += ".0";  // a floating-point number
    throw KnobError(given + " is not a level.", "knob " + in_quotes(knob.name),
                    "Give a whole number from 0 to " + std::to_string(count - 1) + ".");
  }
  return value.level();
}

void write_thresholds(const Knob& knob, const KnobValue& value, float* thresholds) {
  const Threshold& range = *knob.threshold();
  const std::size_t count = count_of(knob);
  bool is_right = value.count() == 1 || (range.is_vector && value.count() == count);
  for (std::size_t index = 0; is_right && index < count; ++index) {
    const double number = value.number(value.count() == 1 ? 0 : index);
    is_right = is_legal(range, number);
    thresholds[index] = as_float(number);
  }
  if (!is_right) throw not_a_threshold(knob, range, value);
}

void check_knob(const Knob& knob, const KnobValue& value) {
  if (knob.levels()) {
    level_of(knob, value);
  } else {
    SmallBuffer<float, usual_count> thresholds(count_of(knob));
    write_thresholds(knob, value, thresholds.data());
  }
}

OwnedValue default_of(const Knob& knob) {
  if (const Levels* levels = knob.levels()) return levels->default_level;
  const Threshold& range = *knob.threshold();
  if (range.is_vector) return range.defaults;
  return range.defaults.front();
}

std::string names_of(const std::vector<Knob>& knobs) {
  return joined(knobs, [](const Knob& knob) { return knob.name; }, "none");
}

}  // namespace detail
}  // namespace dyncompile
