// Names the machine that a figure was measured on.
#ifndef DYNCOMPILE_SRC_MACHINE_HPP
#define DYNCOMPILE_SRC_MACHINE_HPP

#include <string>

namespace dyncompile::detail {

/// The name of the processor, as far as the system tells it.
std::string processor();

/// Today in UTC, ISO.
std::string today();

}  // namespace dyncompile::detail

#endif
