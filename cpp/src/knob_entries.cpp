#include "knob_entries.hpp"

#include <utility>

#include "dyncompile/errors.hpp"
#include "knob_values.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

std::variant<double, std::string> level_value(const Json& entry, const std::string& what) {
  if (entry.is_string()) return entry.get<std::string>();
  return want_number(entry, what);
}

Levels levels_from_entry(const Json& entry, const std::string& what) {
  Levels levels;
  for (const Json& value : want_list(field(entry, "values"), "the levels of " + what)) {
    levels.values.push_back(level_value(value, "a level of " + what));
  }
  levels.default_level = want_count(field(entry, "default"), "the default of " + what);
  if (static_cast<std::uint64_t>(levels.default_level) >= levels.values.size()) {
    throw BadJson("the default of " + what + " is " + std::to_string(levels.default_level) +
                  "; it has " + std::to_string(levels.values.size()) + " levels");
  }
  return levels;
}

std::vector<double> numbers_from_entry(const Json& entry, const std::string& what) {
  if (!entry.is_array()) return {want_number(entry, what)};
  if (entry.empty()) throw BadJson(what + " is empty");
  std::vector<double> numbers;
  numbers.reserve(entry.size());
  for (const Json& number : entry) numbers.push_back(want_number(number, what));
  return numbers;
}

Threshold threshold_from_entry(const Json& entry, const std::string& what) {
  Threshold threshold;
  const Json& given = field(entry, "default");
  threshold.defaults = numbers_from_entry(given, "the default of " + what);
  threshold.is_vector = given.is_array();
  const Json &low = field(entry, "low"), &high = field(entry, "high");
  threshold.low = want_number(low, "low of " + what);
  threshold.high = want_number(high, "high of " + what);
  if (threshold.low > threshold.high) throw BadJson("the range of " + what + " is empty");
  return threshold;
}

/// Whether the knob can have the value.
bool can_be(const Knob& knob, const OwnedValue& value) {
  try {
    check_knob(knob, value);
  } catch (const KnobError&) {
    return false;
  }
  return true;
}

Json entry_from_numbers(const std::vector<double>& numbers) {
  Json entry = Json::array();
  for (const double number : numbers) entry.push_back(json_from_number(number));
  return entry;
}

Json entry_from_value(const OwnedValue& value) {
  if (const auto* level = std::get_if<std::int64_t>(&value)) return *level;
  if (const auto* number = std::get_if<double>(&value)) return json_from_number(*number);
  return entry_from_numbers(std::get<std::vector<double>>(value));
}

Json entry_from_levels(const Levels& levels) {
  Json values = Json::array();
  for (const auto& value : levels.values) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      values.push_back(*text);
    } else {
      values.push_back(json_from_number(std::get<double>(value)));
    }
  }
  return {{"kind", "levels"}, {"values", std::move(values)}, {"default", levels.default_level}};
}

}  // namespace

Knob knob_from_entry(const std::string& name, const Json& entry) {
  const std::string what = "the knob " + in_quotes(name);
  want_object(entry, what);
  const std::string& kind =
      want_one_of({"levels", "threshold"}, field(entry, "kind"), "the kind of " + what);
  if (kind == "levels") return {name, levels_from_entry(entry, what)};
  const Knob knob{name, threshold_from_entry(entry, what)};
  if (!can_be(knob, default_of(knob))) {
    throw BadJson("the default of " + what + " is out of range");
  }
  return knob;
}

Json entry_from_knob(const Knob& knob) {
  if (const Levels* levels = knob.levels()) return entry_from_levels(*levels);
  const Threshold& threshold = *knob.threshold();
  Json numbers = entry_from_numbers(threshold.defaults);
  return {{"kind", "threshold"},
          {"default", threshold.is_vector ? std::move(numbers) : std::move(numbers.at(0))},
          {"low", json_from_number(threshold.low)},
          {"high", json_from_number(threshold.high)}};
}

OwnedValue value_from_entry(const Knob& knob, const Json& entry) {
  const std::string what = "the value of " + in_quotes(knob.name) + " at an operating point";
  if (const Levels* levels = knob.levels()) {
    const std::int64_t level = want_count(entry, what);
    if (static_cast<std::uint64_t>(level) >= levels->values.size()) {
      throw BadJson(what + " is " + std::to_string(level) + "; the knob has " +
                    std::to_string(levels->values.size()) + " levels");
    }
    return level;
  }
  std::vector<double> numbers = numbers_from_entry(entry, what);
  const OwnedValue value =
      entry.is_array() ? OwnedValue(std::move(numbers)) : OwnedValue(numbers.front());
  if (!can_be(knob, value)) throw BadJson(what + " is out of range");
  return value;
}

Json entry_from_point(const OperatingPoint& point) {
  Json entry = Json::object();
  for (const auto& [name, value] : point) entry[name] = entry_from_value(value);
  return entry;
}

}  // namespace dyncompile::detail
