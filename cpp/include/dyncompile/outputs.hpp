// What goes into a network and what comes out of it.
#ifndef DYNCOMPILE_OUTPUTS_HPP
#define DYNCOMPILE_OUTPUTS_HPP

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "dyncompile/tensor.hpp"

namespace dyncompile {

/// An input or output of a network.
struct Port {
  std::string name;
  ElementType type = ElementType::float32;
  /// -1 for a size that is free.
  std::vector<std::int64_t> sizes;
  /// Names of the free sizes; empty for those without, and for fixed ones.
  std::vector<std::string> symbols;

  /// As "float32[batch, 3, 32, 32]", with "?" for a free size without a name.
  std::string to_string() const;
};

/// What a call computed, in the order of the network or by name.
class Outputs {
 public:
  Outputs(std::shared_ptr<const std::vector<Port>> ports, std::vector<Tensor> tensors) noexcept
      : ports_(std::move(ports)), tensors_(std::move(tensors)) {}

  std::size_t size() const noexcept { return tensors_.size(); }
  auto begin() const noexcept { return tensors_.begin(); }
  auto end() const noexcept { return tensors_.end(); }

  /// One of them, by a number or a name. Throws InputError if there is no such output.
  template <class Key>
  const Tensor& operator[](const Key& key) const& {
    return tensors_[place(key)];
  }
  /// The same of outputs that nobody keeps: it is moved out.
  template <class Key>
  Tensor operator[](const Key& key) && {
    return std::move(tensors_[place(key)]);
  }

 private:
  std::size_t place(std::string_view name) const;
  [[noreturn]] void refuse(const std::string& number) const;

  template <class I, std::enable_if_t<std::is_integral_v<I>, int> = 0>
  std::size_t place(I number) const {
    if (number < 0 || static_cast<std::size_t>(number) >= size()) refuse(std::to_string(number));
    return static_cast<std::size_t>(number);
  }

  std::shared_ptr<const std::vector<Port>> ports_;
  std::vector<Tensor> tensors_;
};

/// The option that a call took of each decision: 0 or 1 of a gate (1 is on), the index of a switch,
/// -1 if the call did not come to it.
using Path = std::map<std::string, std::int64_t, std::less<>>;

}  // namespace dyncompile

#endif
