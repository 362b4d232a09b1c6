#include "fitting.hpp"

#include "text.hpp"

namespace dyncompile::detail {

namespace {

template <class View>
void check(const Port& port, const char* role, const View& view, bool any_shape) {
  if (view.type() != port.type || !(any_shape || fits(port, view.shape()))) {
    throw InputError(view.to_string() + " does not fit.",
                     std::string(role) + " " + in_quotes(port.name),
                     "Give " + port.to_string() + ".");
  }
  if (view.bytes() && !view.data()) {
    throw InputError("there is no memory.", std::string(role) + " " + in_quotes(port.name),
                     "Give a pointer to " + view.to_string() + ".");
  }
}

}  // namespace

bool fits(const Port& port, const Shape& shape) noexcept {
  if (port.sizes.size() != shape.rank()) return false;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (port.sizes[axis] >= 0 && port.sizes[axis] != shape[axis]) return false;
  }
  return true;
}

std::string names_of(const std::vector<Port>& ports) {
  return joined(ports, [](const Port& port) { return port.name; }, "none");
}

void check_fit(const Port& port, const char* role, const View<const void*>& view, bool any_shape) {
  check(port, role, view, any_shape);
}

void check_fit(const Port& port, const char* role, const View<void*>& view, bool any_shape) {
  check(port, role, view, any_shape);
}

}  // namespace dyncompile::detail
