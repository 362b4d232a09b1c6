#include <doctest/doctest.h>

#include <string>

#include "sha256.hpp"

using dyncompile::detail::Sha256;
using dyncompile::detail::sha256_of;

namespace {

std::string digest_of(const std::string& text) { return sha256_of(text.data(), text.size()); }

}  // namespace

TEST_CASE("digests are those of the examples of FIPS 180-4") {
  CHECK(digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest_of(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("pieces give the digest of the whole") {
  std::string text;
  for (int at = 0; at < 300; ++at) text += static_cast<char>(at * 7);
  for (std::size_t piece = 1; piece < 140; ++piece) {
    Sha256 sum;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      const std::string part = text.substr(at, piece);
      sum.add(part.data(), part.size());
    }
    CHECK(sum.digest() == digest_of(text));
  }
}

TEST_CASE("a digest may be asked for on the way") {
  Sha256 sum;
  sum.add("ab", 2);
  CHECK(sum.digest() == digest_of("ab"));
  sum.add("c", 1);
  CHECK(sum.digest() == digest_of("abc"));
  CHECK(sum.digest() == digest_of("abc"));
}
