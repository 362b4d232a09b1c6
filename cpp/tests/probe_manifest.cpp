#include "dyncompile/manifest.hpp"
#include "probe.hpp"

nlohmann::json probe_manifest(const nlohmann::json& request) {
  const std::string text = bytes_from_hex(request.at("text").get<std::string>());
  return dyncompile::Manifest::from_json(text, request.at("where").get<std::string>()).to_json();
}
