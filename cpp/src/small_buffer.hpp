// A few elements in place, many on the heap.
#ifndef DYNCOMPILE_SRC_SMALL_BUFFER_HPP
#define DYNCOMPILE_SRC_SMALL_BUFFER_HPP

#include <array>
#include <cstddef>
#include <vector>

namespace dyncompile::detail {

constexpr std::size_t usual_count = 16;  // of inputs, outputs or thresholds: no allocation

/// An array whose size is known when it is made; up to N elements need no allocation.
template <class T, std::size_t N>
class SmallBuffer {
 public:
  explicit SmallBuffer(std::size_t size) : many_(size > N ? size : 0), size_(size) {}
  SmallBuffer(const SmallBuffer&) = delete;
  SmallBuffer& operator=(const SmallBuffer&) = delete;

  T* data() noexcept { return size_ > N ? many_.data() : few_.data(); }
  const T* data() const noexcept { return size_ > N ? many_.data() : few_.data(); }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t index) noexcept { return data()[index]; }
  const T& operator[](std::size_t index) const noexcept { return data()[index]; }
  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size_; }

 private:
  std::array<T, N> few_{};
  std::vector<T> many_;
  std::size_t size_;
};

}  // namespace dyncompile::detail

#endif
