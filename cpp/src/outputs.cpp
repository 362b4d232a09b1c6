#include "dyncompile/outputs.hpp"

#include "fitting.hpp"
#include "text.hpp"

namespace dyncompile {

std::string Port::to_string() const {
  std::string text = std::string(name_of(type)) + "[";
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    if (axis) text += ", ";
    if (sizes[axis] >= 0) {
      text += std::to_string(sizes[axis]);
    } else {
      text += axis < symbols.size() && !symbols[axis].empty() ? symbols[axis] : "?";
    }
  }
  return text + "]";
}

std::size_t Outputs::place(std::string_view name) const {
  for (std::size_t number = 0; number < tensors_.size(); ++number) {
    if ((*ports_)[number].name == name) return number;
  }
  throw InputError("the network has no such output.", "output " + detail::in_quotes(name),
                   "Its outputs are " + detail::names_of(*ports_) + ".");
}

void Outputs::refuse(const std::string& number) const {
  throw InputError("the network has no such output.", "output " + number,
                   "Count from 0; it has " + std::to_string(size()) + ".");
}

}  // namespace dyncompile
