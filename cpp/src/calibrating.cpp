#include "calibrating.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>

#include "calibration_samples.hpp"
#include "encoded_point.hpp"
#include "machine.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

std::vector<OperatingPoint> without_repeats(const std::vector<OperatingPoint>& points) {
  std::vector<OperatingPoint> found;
  for (const OperatingPoint& point : points) {
    if (std::find(found.begin(), found.end(), point) == found.end()) found.push_back(point);
  }
  return found;
}

std::vector<std::vector<Setting>> settings_of(const std::vector<OperatingPoint>& points) {
  std::vector<std::vector<Setting>> settings;
  for (const OperatingPoint& point : points) {
    settings.emplace_back();
    for (const auto& [name, value] : point) settings.back().push_back({name, value});
  }
  return settings;
}

void check_seconds(double seconds) {
  if (!(seconds > 0 && std::isfinite(seconds))) {
    throw InputError(exact_number(seconds) + " is no time to spend.", "seconds",
                     "Give a positive number of seconds.");
  }
}

}  // namespace

Calibration calibrate(const Call& call, const Measured& network, Conditions conditions,
                      const std::vector<Sample>& samples, const std::vector<OperatingPoint>& points,
                      double seconds) {
  check_seconds(seconds);
  const std::vector<OperatingPoint> chosen =
      without_repeats(full_points(network.knobs, points, network.points));
  const bool is_drawn = samples.empty();
  check_samples(network.inputs, samples);
  const DrawnSamples noise = is_drawn ? draw_samples(network.inputs) : DrawnSamples{};
  const std::vector<Sample>& feeds = is_drawn ? noise.samples : samples;
  const auto run = [&](Inputs inputs, Settings settings) { call.run(inputs, settings); };
  std::vector<std::vector<double>> ms;
  try {
    ms = time_points(run, settings_of(chosen), feeds, seconds, steady_ns);
  } catch (const InputError& error) {
    if (!is_drawn) throw;
    throw InputError("drawn inputs do not do: " + error.problem(), error.where(), "Give samples.");
  }
  Calibration found;
  found.conditions = std::move(conditions);
  found.defaults = full_point(network.knobs, {});
  const auto count = static_cast<std::int64_t>(std::min(feeds.size(), ms.front().size()));
  for (std::size_t number = 0; number < chosen.size(); ++number) {
    found.latencies.push_back(Latency::of(chosen[number], ms[number], count, is_drawn));
  }
  found.date = today();
  return found;
}

std::vector<std::vector<double>> time_points(const std::function<void(Inputs, Settings)>& call,
                                             const std::vector<std::vector<Setting>>& points,
                                             const std::vector<Sample>& samples, double seconds,
                                             const Clock& clock) {
  std::vector<std::vector<double>> taken(points.size());
  std::vector<std::size_t> order(points.size()), turns(samples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::iota(turns.begin(), turns.end(), std::size_t{0});
  std::mt19937_64 generator;
  const Sample* previous = &samples.front();
  for (std::size_t lap = 0; lap < warm_up_calls; ++lap) {
    for (const std::vector<Setting>& point : points) call(*previous, point);
  }
  const double deadline = static_cast<double>(clock()) + seconds * 1e9;
  while (true) {
    std::shuffle(turns.begin(), turns.end(), generator);
    for (const std::size_t number : turns) {
      for (const std::size_t place : order) {
        call(*previous, points[place]);
        const std::int64_t start = clock();
        call(samples[number], points[place]);
        taken[place].push_back(static_cast<double>(clock() - start) / 1e6);
      }
      previous = &samples[number];
      std::rotate(order.begin(), order.begin() + 1, order.end());
      const bool is_over = static_cast<double>(clock()) >= deadline;
      if (is_over && taken.front().size() >= least_calls) return taken;
    }
  }
}

}  // namespace dyncompile::detail
