#include "probe.hpp"
#include "sha256.hpp"

nlohmann::json probe_digest(const nlohmann::json& request) {
  const std::string data = bytes_from_hex(request.at("data").get<std::string>());
  return dyncompile::detail::sha256_of(data.data(), data.size());
}
