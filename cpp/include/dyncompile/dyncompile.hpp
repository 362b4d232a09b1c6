// Load an artifact of dyncompile, run it, turn its knobs.
#ifndef DYNCOMPILE_DYNCOMPILE_HPP
#define DYNCOMPILE_DYNCOMPILE_HPP

#include "dyncompile/calibration.hpp"
#include "dyncompile/errors.hpp"
#include "dyncompile/governor.hpp"
#include "dyncompile/knobs.hpp"
#include "dyncompile/lists.hpp"
#include "dyncompile/manifest.hpp"
#include "dyncompile/net.hpp"
#include "dyncompile/outputs.hpp"
#include "dyncompile/tensor.hpp"

#endif
