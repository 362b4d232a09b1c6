#include "dyncompile/outputs.hpp"

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

const Tensor& Outputs::operator[](std::size_t index) const {
  if (index >= tensors_.size()) {
    throw InputError("there are " + std::to_string(tensors_.size()) + " outputs.",
                     "output " + std::to_string(index), "Count from 0.");
  }
  return tensors_[index];
}

const Tensor& Outputs::operator[](std::string_view name) const {
  for (std::size_t index = 0; index < tensors_.size(); ++index) {
    if ((*ports_)[index].name == name) return tensors_[index];
  }
  const auto name_of_port = [](const Port& port) { return port.name; };
  throw InputError("the network has no such output.", "output " + detail::in_quotes(name),
                   "Its outputs are " + detail::joined(*ports_, name_of_port) + ".");
}

}  // namespace dyncompile
