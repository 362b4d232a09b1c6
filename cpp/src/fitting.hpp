// Whether a tensor goes with an input or output.
#ifndef DYNCOMPILE_SRC_FITTING_HPP
#define DYNCOMPILE_SRC_FITTING_HPP

#include <string>
#include <vector>

#include "dyncompile/outputs.hpp"

namespace dyncompile::detail {

/// The names, or "none".
std::string names_of(const std::vector<Port>& ports);

/// Whether a tensor of these sizes goes with the port; sizes that are free fit any.
bool fits(const Port& port, const Shape& shape) noexcept;

/// Throws InputError if the view is of another type than the port, or, unless any will do, of
/// another shape, or has no memory. `role` is "input" or "output".
void check_fit(const Port& port, const char* role, const View<const void*>& view,
               bool any_shape = false);
void check_fit(const Port& port, const char* role, const View<void*>& view, bool any_shape = false);

}  // namespace dyncompile::detail

#endif
