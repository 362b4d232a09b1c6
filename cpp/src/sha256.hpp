// Digests by FIPS 180-4.
#ifndef DYNCOMPILE_SRC_SHA256_HPP
#define DYNCOMPILE_SRC_SHA256_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace dyncompile::detail {

/// SHA-256 of bytes that come in pieces.
class Sha256 {
 public:
  void add(const void* data, std::size_t bytes) noexcept;

  /// The digest of all that was added, in hexadecimal.
  std::string digest() const;

 private:
  static constexpr std::size_t block_bytes = 64;

  void add_block(const unsigned char* block) noexcept;

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, block_bytes> rest_{};
  std::uint64_t bytes_ = 0;
};

/// The digest of bytes, in hexadecimal.
std::string sha256_of(const void* data, std::size_t bytes);

}  // namespace dyncompile::detail

#endif
