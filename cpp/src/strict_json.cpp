// The text of JSON, before anybody asks what it says.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "json.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

constexpr std::size_t deepest_allowed = 64;
constexpr const char* not_json = "it is not JSON";
constexpr const char* beyond = "a number is beyond 64 bits";

/// Bytes of the UTF-8 sequence that begins the text; 0 if none does.
std::size_t sequence_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (first > 0xF4 || length == 0 || text.size() < length) return 0;
  for (std::size_t at = 1; at < length; ++at) {
    if ((byte(at) & 0xC0) != 0x80) return 0;
  }
  const bool is_overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool is_surrogate = first == 0xED && byte(1) >= 0xA0;
  const bool is_beyond_unicode = first == 0xF4 && byte(1) >= 0x90;
  return is_overlong || is_surrogate || is_beyond_unicode ? 0 : length;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// The four hexadecimal digits behind `\u`, if the text begins so.
std::optional<unsigned> escaped_unit(std::string_view text) noexcept {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  unsigned unit = 0;
  for (const char digit : text.substr(2, 4)) {
    unsigned value = 0;
    if (digit >= '0' && digit <= '9') {
      value = static_cast<unsigned>(digit - '0');
    } else if ((digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F')) {
      value = static_cast<unsigned>((digit | 0x20) - 'a') + 10;
    } else {
      return std::nullopt;
    }
    unit = unit * 16 + value;
  }
  return unit;
}

bool has_lone_surrogate(std::string_view text) noexcept {
  while (true) {
    const std::size_t at = text.find('\\');
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at);
    const std::optional<unsigned> unit = escaped_unit(text);
    if (unit && (*unit & 0xF800) == 0xD800) {
      const std::optional<unsigned> next = escaped_unit(text.substr(6));
      if ((*unit & 0xFC00) != 0xD800 || !next || (*next & 0xFC00) != 0xDC00) return true;
      text.remove_prefix(12);
    } else {
      text.remove_prefix(text.size() < 2 ? 1 : 2);
    }
  }
}

/// How many brackets are open at most; those in strings do not count.
std::size_t depth_of(std::string_view text) noexcept {
  std::ptrdiff_t depth = 0, deepest = 0;
  bool is_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    if (letter == '"') {
      is_string = !is_string;
    } else if (is_string) {
      at += letter == '\\';
    } else if (letter == '[' || letter == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (letter == ']' || letter == '}') {
      --depth;
    }
  }
  return static_cast<std::size_t>(deepest);
}

/// Builds the value, and stops at what RFC 8259 allows and we do not.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Json take() { return std::move(root_); }
  const std::string& problem() const noexcept { return problem_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
      return fail(beyond);
    }
    return add(static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    const bool is_whole = text.find_first_of(".eE") == string_t::npos;
    return is_whole || !std::isfinite(value) ? fail(beyond) : add(value);
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return fail(not_json); }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool key(string_t& name) override {
    Level& level = open_.back();
    auto [place, is_new] = level.value->get_ref<Json::object_t&>().try_emplace(name);
    if (!is_new && !level.repeated) level.repeated = name;
    level.field = &place->second;
    return true;
  }
  bool end_object() override {
    const std::optional<std::string> repeated = std::move(open_.back().repeated);
    open_.pop_back();
    return !repeated || fail(in_quotes(*repeated) + " is there twice");
  }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    constexpr int number_overflow = 406;
    return fail(error.id == number_overflow ? beyond : not_json);
  }

 private:
  struct Level {
    Json* value;
    Json* field = nullptr;  ///< Of an object: what the value that comes next is.
    std::optional<std::string> repeated = {};
  };

  bool fail(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  Json* place(Json value) {
    Json* at = &root_;
    if (!open_.empty() && open_.back().field) {
      at = open_.back().field;
    } else if (!open_.empty()) {
      at = &open_.back().value->emplace_back();
    }
    *at = std::move(value);
    return at;
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    open_.push_back({place(std::move(value))});
    return true;
  }

  Json root_;
  std::vector<Level> open_;
  std::string problem_;
};

}  // namespace

Json parse_json(std::string_view text) {
  if (!is_utf8(text)) throw BadJson(not_json);
  if (has_lone_surrogate(text)) throw BadJson("its text is not Unicode");
  if (depth_of(text) > deepest_allowed) throw BadJson("it is nested too deeply");
  if (text.substr(0, 3) == "\xEF\xBB\xBF")
    throw BadJson(not_json);  // the parser would pass it over
  Builder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) throw BadJson(builder.problem());
  if (text.find('\0') != std::string_view::npos) throw BadJson(not_json);  // it would end there
  return builder.take();
}

}  // namespace dyncompile::detail
