// How often memory has been asked for.
#ifndef DYNCOMPILE_BENCHMARKS_ALLOCATIONS_HPP
#define DYNCOMPILE_BENCHMARKS_ALLOCATIONS_HPP

#include <cstddef>

/// Calls of operator new in this process so far, those of ONNX Runtime too.
std::size_t allocations() noexcept;

#endif
