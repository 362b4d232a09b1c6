// Words of messages.
#ifndef DYNCOMPILE_SRC_TEXT_HPP
#define DYNCOMPILE_SRC_TEXT_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace dyncompile::detail {

/// A name in quotes, on one line.
std::string in_quotes(std::string_view name);

/// The elements with ", " between them; `otherwise` if there are none. `name` gives the text of
/// one.
template <class Elements, class Name>
std::string joined(const Elements& elements, Name name, const char* otherwise = "") {
  std::string text;
  for (const auto& element : elements) {
    if (!text.empty()) text += ", ";
    text += name(element);
  }
  return text.empty() ? otherwise : text;
}

/// Names, with ", " between them.
inline std::string listed(const std::vector<std::string>& names) {
  return joined(names, [](const std::string& name) { return name; });
}

/// Whole numbers, as "[1, 3]".
inline std::string listed(const std::vector<std::int64_t>& numbers) {
  return "[" + joined(numbers, [](std::int64_t number) { return std::to_string(number); }) + "]";
}

/// Six significant digits at most.
inline std::string short_number(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

/// The fewest digits that mean the same number of the type; "nan" whatever its sign.
template <class T>
std::string exact_number(T number) {
  if (number != number) return "nan";
  char text[32];
  for (int digits = 1; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(number));
    if (static_cast<T>(std::strtod(text, nullptr)) == number) break;
  }
  return text;
}

/// What a foreign error says, on one line, shortened, without a full stop.
inline std::string one_line(std::string_view said) {
  constexpr std::size_t most = 300;
  std::string line;
  for (const char letter : said) {
    const bool is_space = letter == ' ' || (letter >= '\t' && letter <= '\r');
    if (!is_space) {
      line += letter;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
    if (line.size() == most) break;
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == '.')) line.pop_back();
  return line.empty() ? "no message" : line;
}

}  // namespace dyncompile::detail

#endif
