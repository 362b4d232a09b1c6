#include "json.hpp"

#include <cmath>
#include <limits>

#include "dyncompile/errors.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

/// As Python calls it.
const char* type_name(const Json& value) noexcept {
  switch (value.type()) {
    case Json::value_t::object:
      return "dict";
    case Json::value_t::array:
      return "list";
    case Json::value_t::string:
      return "str";
    case Json::value_t::boolean:
      return "bool";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "int";
    case Json::value_t::number_float:
      return "float";
    default:
      return "NoneType";
  }
}

void check(bool is_right, const Json& value, const std::string& what, const char* wanted) {
  if (!is_right) throw BadJson(what + " is " + type_name(value) + ", not " + wanted);
}

}  // namespace

std::string dump_json(const Json& value, int indent, const char* what) {
  try {
    return value.dump(indent, ' ', true);
  } catch (const Json::exception&) {
    throw InputError("a text is not UTF-8.", what, "Give names and texts as UTF-8.");
  }
}

const Json& field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw BadJson(std::string(name) + " is missing");
  return *found;
}

const Json& want_object(const Json& value, const std::string& what) {
  check(value.is_object(), value, what, "dict");
  return value;
}

const Json& want_list(const Json& value, const std::string& what) {
  check(value.is_array(), value, what, "list");
  return value;
}

const std::string& want_string(const Json& value, const std::string& what) {
  check(value.is_string(), value, what, "str");
  return value.get_ref<const std::string&>();
}

std::int64_t want_whole(const Json& value, const std::string& what) {
  check(value.is_number_integer(), value, what, "int");
  return value.get<std::int64_t>();
}

std::int64_t want_count(const Json& value, const std::string& what) {
  const std::int64_t count = want_whole(value, what);
  if (count < 0) throw BadJson(what + " is " + std::to_string(count));
  return count;
}

double want_number(const Json& value, const std::string& what) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
    throw BadJson(what + " is " + in_quotes(text) + ", not a number");
  }
  check(value.is_number(), value, what, "a number");
  return value.get<double>();
}

const std::string& want_one_of(std::initializer_list<const char*> options, const Json& value,
                               const std::string& what) {
  const std::string& found = want_string(value, what);
  std::string names;
  for (const char* option : options) {
    if (found == option) return found;
    names += (names.empty() ? "" : " or ") + std::string(option);
  }
  throw BadJson(what + " is " + in_quotes(found) + ", not " + names);
}

const std::string& want_digest(const Json& value) {
  const std::string& found = want_string(value, "sha256");
  if (found.size() != 64 || found.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw BadJson("sha256 is " + in_quotes(found));
  }
  return found;
}

Json json_from_number(double number) {
  if (std::isfinite(number)) return number;
  if (std::isnan(number)) {
    throw InputError("a number is NaN.", "a manifest", "Give a number, or an infinity.");
  }
  return number > 0 ? "inf" : "-inf";
}

}  // namespace dyncompile::detail
