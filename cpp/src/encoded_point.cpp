#include "encoded_point.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "dyncompile/errors.hpp"
#include "knob_values.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

/// The double with the fewest digits of those that are this float.
double plain_number(float number) {
  if (!std::isfinite(number)) return static_cast<double>(number);
  return std::strtod(exact_number(number).c_str(), nullptr);
}

}  // namespace

EncodedValue::EncodedValue(const Knob& knob) : EncodedValue(knob, default_of(knob)) {}

EncodedValue::EncodedValue(const Knob& knob, const KnobValue& value)
    : thresholds_(knob.levels() ? 0 : count_of(knob)) {
  set(knob, value);
}

void EncodedValue::set(const Knob& knob, const KnobValue& value) {
  if (knob.levels()) {
    level_ = level_of(knob, value);
  } else {
    write_thresholds(knob, value, thresholds_.data());
  }
}

OwnedValue EncodedValue::plain(const Knob& knob) const {
  if (knob.levels()) return level_;
  if (!knob.threshold()->is_vector) return plain_number(thresholds_.front());
  std::vector<double> numbers(thresholds_.size());
  std::transform(thresholds_.begin(), thresholds_.end(), numbers.begin(), plain_number);
  return numbers;
}

bool operator==(const EncodedValue& one, const EncodedValue& other) noexcept {
  const std::size_t count = one.thresholds_.size();
  return one.level_ == other.level_ && count == other.thresholds_.size() &&
         (count == 0 || std::memcmp(one.thresholds_.data(), other.thresholds_.data(),
                                    count * sizeof(float)) == 0);
}

EncodedPoint encoded_point(const std::vector<Knob>& knobs, const OperatingPoint& point) {
  for (const auto& [name, value] : point) {
    const auto has_name = [&name = name](const Knob& knob) { return knob.name == name; };
    if (std::none_of(knobs.begin(), knobs.end(), has_name)) {
      throw KnobError("the network has no such knob.", "knob " + in_quotes(name),
                      "Its knobs are " + names_of(knobs) + ".");
    }
  }
  EncodedPoint encoded;
  encoded.reserve(knobs.size());
  for (const Knob& knob : knobs) {
    const auto given = point.find(knob.name);
    if (given == point.end()) {
      encoded.emplace_back(knob);
    } else {
      encoded.emplace_back(knob, given->second);
    }
  }
  return encoded;
}

OperatingPoint plain_point(const std::vector<Knob>& knobs, const EncodedPoint& point) {
  OperatingPoint plain;
  for (std::size_t number = 0; number < knobs.size(); ++number) {
    plain[knobs[number].name] = point[number].plain(knobs[number]);
  }
  return plain;
}

OperatingPoint full_point(const std::vector<Knob>& knobs, const OperatingPoint& point) {
  return plain_point(knobs, encoded_point(knobs, point));
}

std::vector<OperatingPoint> full_points(const std::vector<Knob>& knobs,
                                        const std::vector<OperatingPoint>& points,
                                        const std::vector<OperatingPoint>& default_points) {
  const std::vector<OperatingPoint>& wanted = points.empty() ? default_points : points;
  std::vector<OperatingPoint> full;
  for (const OperatingPoint& point : wanted) full.push_back(full_point(knobs, point));
  if (full.empty()) full.push_back(full_point(knobs, {}));
  return full;
}

}  // namespace dyncompile::detail
