#include "text.hpp"

namespace dyncompile::detail {

std::string in_quotes(std::string_view name) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text = "'";
  for (const char letter : name) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < 0x20 || byte == 0x7F) {
      text += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    } else {
      text += letter;
    }
  }
  return text + "'";
}

}  // namespace dyncompile::detail
