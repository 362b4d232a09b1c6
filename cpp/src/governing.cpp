// From what a caller asks of `Net::within` to a governor.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "governor_impl.hpp"
#include "grading.hpp"
#include "knob_values.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

void check_budget(const Budget& budget) {
  if (!(budget.ms > 0)) {
    throw InputError(exact_number(budget.ms) + " is no time that a call could take.",
                     "milliseconds", "Give a positive number.");
  }
  if (budget.percentile != 50 && budget.percentile != 95) {
    throw InputError(std::to_string(budget.percentile) + " is not measured.", "percentile",
                     "Give 50 or 95.");
  }
}

void check_quality(const std::vector<double>& quality, std::size_t count) {
  const auto is_nan = [](double grade) { return std::isnan(grade); };
  if (quality.empty()) return;
  if (quality.size() != count || std::any_of(quality.begin(), quality.end(), is_nan)) {
    throw InputError("not a number for each of " + std::to_string(count) + " points.", "quality",
                     "Give one per point, higher for better, such as accuracies.");
  }
}

/// What there is to choose from, with the values of all knobs.
std::vector<OperatingPoint> chosen_points(const std::vector<Knob>& knobs,
                                          const std::vector<OperatingPoint>& points,
                                          const std::vector<OperatingPoint>& default_points) {
  if (points.empty() && !knobs.empty() && default_points.size() < 2) {
    throw InputError(
        "the artifact has one operating point, so there is nothing to choose from.", "points",
        "Give points, as in {{{name, value}}, ...}, of its knobs " + names_of(knobs) + ".");
  }
  return full_points(knobs, points, default_points);
}

std::string spelt(const std::vector<Knob>& knobs, const OperatingPoint& point) {
  std::string text;
  for (const Knob& knob : knobs) {
    if (!text.empty()) text += " ";
    text += knob.name + "=" + KnobValue(point.at(knob.name)).to_string();
  }
  return text.empty() ? "the network" : text;
}

/// What was measured at the points, all of them.
std::vector<Latency> measured(const Calibration& known, const std::vector<Knob>& knobs,
                              const std::vector<OperatingPoint>& points) {
  std::vector<Latency> latencies;
  std::vector<OperatingPoint> missing;
  for (const OperatingPoint& point : points) {
    if (const Latency* latency = known.at(point)) {
      latencies.push_back(*latency);
    } else if (std::find(missing.begin(), missing.end(), point) == missing.end()) {
      missing.push_back(point);
    }
  }
  if (!missing.empty()) {
    const std::string others =
        missing.size() > 1 ? " and " + std::to_string(missing.size() - 1) + " more points" : "";
    throw InputError(spelt(knobs, missing.front()) + others + " not measured on this machine.",
                     "latencies", "Measure them with Net::calibrate, and give what it returns.");
  }
  return latencies;
}

}  // namespace

Governor make_governor(Call call, const std::vector<Knob>& knobs,
                       const std::vector<Decision>& decisions, const Calibration& known, double ms,
                       const GovernOptions& options,
                       const std::vector<OperatingPoint>& default_points) {
  const Budget budget{ms, options.percentile};
  check_budget(budget);
  const std::vector<OperatingPoint> points = chosen_points(knobs, options.points, default_points);
  check_quality(options.quality, points.size());
  const std::vector<Latency> latencies = measured(known, knobs, points);
  const std::vector<double> by_time = grades_by_time(latencies, knobs, decisions);
  const std::vector<double>& grades = options.quality.empty() ? by_time : options.quality;
  std::vector<Rung> rungs;
  for (std::size_t number = 0; number < latencies.size(); ++number) {
    rungs.push_back(Rung::of(latencies[number], budget.percentile, grades[number]));
  }
  return Governor(std::make_unique<Governor::Impl>(std::move(call), knobs, std::move(rungs), budget,
                                                   options.clock ? options.clock : steady_ns));
}

}  // namespace dyncompile::detail
