// Numbers and operating points of requests and answers; "inf", "-inf" and "nan" are strings.
#ifndef DYNCOMPILE_TESTS_PROBE_POINTS_HPP
#define DYNCOMPILE_TESTS_PROBE_POINTS_HPP

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dyncompile/knobs.hpp"

inline double number_from(const nlohmann::json& value) {
  return value.is_string() ? std::stod(value.get<std::string>()) : value.get<double>();
}

inline nlohmann::json json_from_number(double number) {
  if (std::isfinite(number)) return number;
  return std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
}

inline std::vector<double> numbers_from(const nlohmann::json& list) {
  std::vector<double> numbers;
  for (const nlohmann::json& number : list) numbers.push_back(number_from(number));
  return numbers;
}

inline dyncompile::OperatingPoint point_from(const nlohmann::json& entry) {
  dyncompile::OperatingPoint point;
  for (const auto& [name, value] : entry.items()) {
    if (value.is_number_integer()) {
      point[name] = value.get<std::int64_t>();
    } else if (value.is_array()) {
      point[name] = numbers_from(value);
    } else {
      point[name] = number_from(value);
    }
  }
  return point;
}

inline std::vector<dyncompile::OperatingPoint> points_from(const nlohmann::json& list) {
  std::vector<dyncompile::OperatingPoint> points;
  for (const nlohmann::json& point : list) points.push_back(point_from(point));
  return points;
}

inline nlohmann::json json_from_value(const dyncompile::KnobValue& value) {
  if (value.is_level()) return value.level();
  if (!value.is_list()) return json_from_number(value.number(0));
  nlohmann::json list = nlohmann::json::array();
  for (std::size_t index = 0; index < value.count(); ++index) {
    list.push_back(json_from_number(value.number(index)));
  }
  return list;
}

inline nlohmann::json json_from_point(const dyncompile::OperatingPoint& point) {
  nlohmann::json entry = nlohmann::json::object();
  for (const auto& [name, value] : point) entry[name] = json_from_value(value);
  return entry;
}

#endif
