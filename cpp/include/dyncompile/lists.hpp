// What a call is given: lists of names with views or values, which are not copied.
#ifndef DYNCOMPILE_LISTS_HPP
#define DYNCOMPILE_LISTS_HPP

#include <cstddef>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "dyncompile/knobs.hpp"
#include "dyncompile/tensor.hpp"

namespace dyncompile {

/// Elements that somebody else keeps for as long as the call takes: `{{"x", view}}` or a vector. It
/// is an argument, never a variable: what stands in braces would be gone. Keep a vector instead.
template <class T>
class List {
 public:
  List() noexcept = default;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winit-list-lifetime"  // an argument lives as long as the call
#endif
  List(std::initializer_list<T> elements) noexcept
      : first_(elements.begin()), count_(elements.size()) {}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
  List(const std::vector<T>& elements) noexcept  // NOLINT(google-explicit-constructor)
      : first_(elements.data()), count_(elements.size()) {}
  List(const T* first, std::size_t count) noexcept : first_(first), count_(count) {}

  const T* begin() const noexcept { return first_; }
  const T* end() const noexcept { return first_ + count_; }
  std::size_t size() const noexcept { return count_; }

 private:
  const T* first_ = nullptr;
  std::size_t count_ = 0;
};

/// A data input of a call; what it names and views has to live as long.
struct Input {
  std::string_view name;
  TensorView view;
};

/// A knob of a call; what it names, and a vector of values, has to live as long.
struct Setting {
  std::string_view knob;
  KnobValue value;
};

/// Where an output of a call is to be written; what it names and views has to live as long.
struct Buffer {
  std::string_view output;
  MutableTensorView view;
};

using Inputs = List<Input>;
using Settings = List<Setting>;
using Buffers = List<Buffer>;

}  // namespace dyncompile

#endif
