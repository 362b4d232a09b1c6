#include "dyncompile/calibration.hpp"

#include <algorithm>
#include <cstddef>

#include "knob_values.hpp"

namespace dyncompile {

namespace {

/// Whether two values are the same floats; one number stands for as many as there are.
bool is_equal(const OwnedValue& known, const OwnedValue& wanted) {
  const KnobValue one = known, other = wanted;
  if (other.count() != 1 && other.count() != one.count()) return false;
  for (std::size_t index = 0; index < one.count(); ++index) {
    const double number = other.number(other.count() == 1 ? 0 : index);
    if (!(detail::as_float(one.number(index)) == detail::as_float(number))) return false;
  }
  return true;
}

bool is_same(const OperatingPoint& known, const OperatingPoint& wanted) {
  return std::equal(known.begin(), known.end(), wanted.begin(), wanted.end(),
                    [](const auto& one, const auto& other) {
                      return one.first == other.first && is_equal(one.second, other.second);
                    });
}

}  // namespace

bool operator==(const Conditions& one, const Conditions& other) {
  return one.processor == other.processor && one.cores == other.cores &&
         one.runtime == other.runtime && one.threads == other.threads &&
         one.providers == other.providers;
}

const Latency* Calibration::at(const OperatingPoint& point) const {
  OperatingPoint wanted = point;
  wanted.insert(defaults.begin(), defaults.end());
  const auto found = std::find_if(latencies.begin(), latencies.end(), [&](const Latency& known) {
    return is_same(known.point, wanted);
  });
  return found == latencies.end() ? nullptr : &*found;
}

Calibration Calibration::merged(const Calibration& newer) const {
  Calibration both = newer;
  both.latencies = latencies;
  for (const Latency& latency : newer.latencies) {
    const Latency* old = at(latency.point);
    if (!old) {
      both.latencies.push_back(latency);
    } else if (old->drawn || !latency.drawn) {
      both.latencies[static_cast<std::size_t>(old - latencies.data())] = latency;
    }
  }
  return both;
}

}  // namespace dyncompile
