#include "dyncompile/calibration.hpp"
#include "dyncompile/manifest.hpp"
#include "encoded_point.hpp"
#include "probe.hpp"
#include "probe_points.hpp"

namespace {

using dyncompile::Calibration;
using nlohmann::json;

Calibration calibration_from(const json& request, const char* name) {
  const std::string text = bytes_from_hex(request.at(name).get<std::string>());
  return Calibration::from_json(text, request.at("where").get<std::string>());
}

json summary_of(const std::vector<double>& ms) {
  const auto latency = dyncompile::Latency::of({}, ms, 1, false);
  return {json_from_number(latency.median_ms), json_from_number(latency.mean_ms),
          json_from_number(latency.p95_ms), latency.calls};
}

json full_points_of(const json& request) {
  const auto manifest =
      dyncompile::Manifest::from_json(request.at("manifest").get<std::string>(), "the probe");
  json points = json::array();
  for (const auto& point : points_from(request.at("full"))) {
    points.push_back(json_from_point(dyncompile::detail::full_point(manifest.knobs, point)));
  }
  return points;
}

json numbers_at(const Calibration& known, const json& points) {
  json numbers = json::array();
  for (const auto& point : points_from(points)) {
    const dyncompile::Latency* found = known.at(point);
    numbers.push_back(found ? json(found - known.latencies.data()) : json());
  }
  return numbers;
}

}  // namespace

json probe_calibration(const json& request) {
  if (request.contains("ms")) return summary_of(numbers_from(request.at("ms")));
  if (request.contains("full")) return full_points_of(request);
  Calibration known = calibration_from(request, "text");
  if (request.contains("newer")) known = known.merged(calibration_from(request, "newer"));
  return {{"text", known.to_json()},
          {"at", numbers_at(known, request.value("points", json::array()))}};
}
