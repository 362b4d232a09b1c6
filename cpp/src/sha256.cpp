#include "sha256.hpp"

#include <algorithm>

namespace dyncompile::detail {

namespace {

// FIPS 180-4, 4.2.2.
constexpr std::array<std::uint32_t, 64> constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::uint32_t rotated(std::uint32_t word, int by) noexcept {
  return (word >> by) | (word << (32 - by));
}

std::array<std::uint32_t, 64> schedule_of(const unsigned char* block) noexcept {
  std::array<std::uint32_t, 64> words{};
  for (std::size_t at = 0; at < 16; ++at) {
    for (std::size_t byte = 0; byte < 4; ++byte) words[at] = words[at] << 8 | block[4 * at + byte];
  }
  for (std::size_t at = 16; at < 64; ++at) {
    const std::uint32_t early = words[at - 15], late = words[at - 2];
    words[at] = words[at - 16] + words[at - 7] +
                (rotated(early, 7) ^ rotated(early, 18) ^ early >> 3) +
                (rotated(late, 17) ^ rotated(late, 19) ^ late >> 10);
  }
  return words;
}

}  // namespace

void Sha256::add(const void* data, std::size_t bytes) noexcept {
  const auto* next = static_cast<const unsigned char*>(data);
  while (bytes > 0) {
    const std::size_t kept = bytes_ % block_bytes;
    const std::size_t taken = std::min(bytes, block_bytes - kept);
    if (taken == block_bytes) {
      add_block(next);
    } else {
      std::copy_n(next, taken, rest_.data() + kept);
      if (kept + taken == block_bytes) add_block(rest_.data());
    }
    bytes_ += taken;
    next += taken;
    bytes -= taken;
  }
}

void Sha256::add_block(const unsigned char* block) noexcept {
  const std::array<std::uint32_t, 64> words = schedule_of(block);
  auto [a, b, c, d, e, f, g, h] = state_;
  for (std::size_t at = 0; at < 64; ++at) {
    const std::uint32_t one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                              ((e & f) ^ (~e & g)) + constants[at] + words[at];
    const std::uint32_t two =
        (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + one;
    d = c;
    c = b;
    b = a;
    a = one + two;
  }
  const std::array<std::uint32_t, 8> sums = {a, b, c, d, e, f, g, h};
  for (std::size_t at = 0; at < sums.size(); ++at) state_[at] += sums[at];
}

std::string Sha256::digest() const {
  Sha256 whole = *this;
  std::array<unsigned char, block_bytes + 8> padding{0x80};
  const std::size_t kept = bytes_ % block_bytes;
  const std::size_t zeros_end = (kept < 56 ? 56 : 120) - kept;
  for (std::size_t byte = 0; byte < 8; ++byte) {
    padding[zeros_end + byte] = static_cast<unsigned char>(bytes_ * 8 >> (56 - 8 * byte));
  }
  whole.add(padding.data(), zeros_end + 8);
  std::string digits;
  for (const std::uint32_t word : whole.state_) {
    for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[word >> shift & 15];
  }
  return digits;
}

std::string sha256_of(const void* data, std::size_t bytes) {
  Sha256 whole;
  whole.add(data, bytes);
  return whole.digest();
}

}  // namespace dyncompile::detail
