// JSON that is read back: strictly, field by field, and what is wrong if it is not as it should be.
//
// dyncompile/json_fields.py reads the same texts by the same rules, and refuses them in the same
// words.
#ifndef DYNCOMPILE_SRC_JSON_HPP
#define DYNCOMPILE_SRC_JSON_HPP

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace dyncompile::detail {

using Json = nlohmann::json;

/// What is wrong with a text, such as "format is missing"; the reader of a file adds the rest.
class BadJson : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reads UTF-8 as RFC 8259 has it. Throws BadJson for anything else, and for two fields of one
/// name, numbers that 64 bits do not hold, half of a surrogate pair, and more than 64 objects and
/// lists inside of each other.
Json parse_json(std::string_view text);

/// Writes JSON with sorted keys, indented by `indent` if it is not negative. Throws InputError if a
/// text is not UTF-8; `what` is to be written.
std::string dump_json(const Json& value, int indent, const char* what);

/// A field of an object. Throws BadJson if it is missing.
const Json& field(const Json& object, const char* name);

/// The value, if it is of that type; bools are no numbers. `what` it is begins the message.
/// Throws BadJson if it is of another.
const Json& want_object(const Json& value, const std::string& what);
const Json& want_list(const Json& value, const std::string& what);
const std::string& want_string(const Json& value, const std::string& what);
std::int64_t want_whole(const Json& value, const std::string& what);

/// A whole number that is not negative.
std::int64_t want_count(const Json& value, const std::string& what);
/// A number; infinities are "inf" and "-inf".
double want_number(const Json& value, const std::string& what);
/// One of several strings.
const std::string& want_one_of(std::initializer_list<const char*> options, const Json& value,
                               const std::string& what);
/// A sha256: 64 hexadecimal digits, none of them a capital.
const std::string& want_digest(const Json& value);

/// As `want_number` reads it. Throws InputError if it is NaN.
Json json_from_number(double number);

}  // namespace dyncompile::detail

#endif
