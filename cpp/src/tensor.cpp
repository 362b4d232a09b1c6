#include "dyncompile/tensor.hpp"

#include <algorithm>
#include <limits>

#include "text.hpp"

namespace dyncompile {

namespace {

struct Kind {
  std::string_view name;
  std::size_t size;
};

constexpr Kind kinds[] = {
    // in the order of ElementType
    {"bool", 1},   {"float16", 2}, {"bfloat16", 2}, {"float32", 4}, {"float64", 8},
    {"int8", 1},   {"int16", 2},   {"int32", 4},    {"int64", 8},   {"uint8", 1},
    {"uint16", 2}, {"uint32", 4},  {"uint64", 8},
};

}  // namespace

std::size_t size_of(ElementType type) noexcept {
  return kinds[static_cast<std::size_t>(type)].size;
}

std::string_view name_of(ElementType type) noexcept {
  return kinds[static_cast<std::size_t>(type)].name;
}

Shape::Shape(const std::int64_t* sizes, std::size_t rank) : rank_(rank) {
  if (rank > max_rank) {
    throw InputError(std::to_string(rank) + " sizes.", "shape",
                     "A tensor has " + std::to_string(max_rank) + " at most.");
  }
  for (std::size_t axis = 0; axis < rank; ++axis) sizes_[axis] = sizes[axis];
}

std::size_t Shape::elements() const {
  constexpr auto most =
      static_cast<std::int64_t>(std::min<std::uint64_t>(std::numeric_limits<std::int64_t>::max(),
                                                        std::numeric_limits<std::size_t>::max()) /
                                8);  // bytes of the largest element
  std::int64_t product = 1;
  for (const std::int64_t size : *this) {
    if (size < 0) {
      throw InputError(to_string() + " has a negative size.", "shape", "Give sizes from 0 on.");
    }
    if (size == 0) product = 0;
  }
  for (const std::int64_t size : *this) {
    if (product > 0 && size > most / product) {
      throw InputError(to_string() + " is larger than any memory.", "shape", "Check the sizes.");
    }
    if (product > 0) product *= size;
  }
  return static_cast<std::size_t>(product);
}

std::string Shape::to_string() const {
  return "[" + detail::joined(*this, [](std::int64_t size) { return std::to_string(size); }) + "]";
}

void detail::check_count(std::size_t given, const Shape& shape) {
  if (given != shape.elements()) {
    throw InputError(std::to_string(given) + " elements are not " + shape.to_string() + ".",
                     "shape", "Give a shape with as many elements.");
  }
}

void Tensor::check(ElementType wanted) const {
  if (wanted != type()) {
    throw InputError("read as " + std::string(name_of(wanted)) + ".", "output " + view_.to_string(),
                     "Ask for its own type, or look at type() first.");
  }
}

}  // namespace dyncompile
