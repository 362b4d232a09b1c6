#include <cmath>

#include "dyncompile/calibration.hpp"
#include "dyncompile/errors.hpp"
#include "json.hpp"
#include "knob_entries.hpp"

namespace dyncompile {

namespace {

using detail::entry_from_point;
using detail::field;
using detail::Json;
using detail::json_from_number;

constexpr std::int64_t format = 2;

// --- written ----------------------------------------------------------------------------------

Json json_from(const Conditions& conditions) {
  return {{"processor", conditions.processor},
          {"cores", conditions.cores},
          {"runtime", conditions.runtime},
          {"threads", conditions.threads ? Json(*conditions.threads) : Json()},
          {"providers", conditions.providers}};
}

Json json_from(const Latency& latency) {
  return {{"point", entry_from_point(latency.point)},
          {"median_ms", json_from_number(latency.median_ms)},
          {"mean_ms", json_from_number(latency.mean_ms)},
          {"p95_ms", json_from_number(latency.p95_ms)},
          {"calls", latency.calls},
          {"samples", latency.samples},
          {"drawn", latency.drawn}};
}

// --- read -------------------------------------------------------------------------------------

OwnedValue value_from(const Json& entry) {
  if (entry.is_number_integer()) return detail::want_whole(entry, "a value");
  if (!entry.is_array()) return detail::want_number(entry, "a value");
  std::vector<double> numbers;
  for (const Json& number : entry) numbers.push_back(detail::want_number(number, "a value"));
  return numbers;
}

OperatingPoint point_from(const Json& entry) {
  OperatingPoint point;
  for (const auto& [name, value] : detail::want_object(entry, "a point").items()) {
    point[name] = value_from(value);
  }
  return point;
}

Conditions conditions_from(const Json& entry) {
  Conditions conditions;
  conditions.processor = detail::want_string(field(entry, "processor"), "processor");
  conditions.cores = detail::want_whole(field(entry, "cores"), "cores");
  conditions.runtime = detail::want_string(field(entry, "runtime"), "runtime");
  const Json& threads = field(entry, "threads");
  if (!threads.is_null()) conditions.threads = detail::want_whole(threads, "threads");
  for (const Json& provider : detail::want_list(field(entry, "providers"), "providers")) {
    conditions.providers.push_back(detail::want_string(provider, "a provider"));
  }
  return conditions;
}

double ms_from(const Json& entry, const char* name) {
  const double ms = detail::want_number(field(entry, name), name);
  if (!(ms >= 0 && std::isfinite(ms))) throw detail::BadJson(std::string(name) + " is no time");
  return ms;
}

std::int64_t count_from(const Json& entry, const char* name) {
  const std::int64_t count = detail::want_count(field(entry, name), name);
  if (!count) throw detail::BadJson(std::string(name) + " is 0");
  return count;
}

bool flag_from(const Json& entry, const char* name) {
  const Json& flag = field(entry, name);
  if (!flag.is_boolean()) throw detail::BadJson(std::string(name) + " is neither true nor false");
  return flag.get<bool>();
}

Latency latency_from(const Json& entry) {
  Latency latency;
  latency.point = point_from(field(entry, "point"));
  latency.median_ms = ms_from(entry, "median_ms");
  latency.mean_ms = ms_from(entry, "mean_ms");
  latency.p95_ms = ms_from(entry, "p95_ms");
  latency.calls = count_from(entry, "calls");
  latency.samples = count_from(entry, "samples");
  latency.drawn = flag_from(entry, "drawn");
  return latency;
}

Calibration calibration_from(const Json& entry) {
  const std::int64_t found = detail::want_whole(field(entry, "format"), "format");
  if (found != format) throw detail::BadJson("its format is " + std::to_string(found));
  Calibration calibration;
  calibration.conditions = conditions_from(field(entry, "conditions"));
  calibration.defaults = point_from(field(entry, "defaults"));
  for (const Json& latency : detail::want_list(field(entry, "latencies"), "latencies")) {
    calibration.latencies.push_back(latency_from(latency));
  }
  calibration.date = detail::want_string(field(entry, "date"), "date");
  if (entry.contains("artifact")) calibration.artifact = detail::want_digest(entry["artifact"]);
  return calibration;
}

}  // namespace

std::string Calibration::to_json() const {
  Json entry = {{"format", format},
                {"conditions", json_from(conditions)},
                {"defaults", entry_from_point(defaults)},
                {"latencies", Json::array()},
                {"date", date}};
  if (!artifact.empty()) entry["artifact"] = artifact;
  for (const Latency& latency : latencies) entry["latencies"].push_back(json_from(latency));
  return detail::dump_json(entry, -1, "a calibration");
}

Calibration Calibration::from_json(std::string_view text, const std::string& where) {
  try {
    return calibration_from(detail::parse_json(text));
  } catch (const detail::BadJson&) {
    throw ArtifactError("no latencies that this version can read.", where, "Measure them again.");
  }
}

}  // namespace dyncompile
