#include <filesystem>

#include "engine_file.hpp"
#include "probe.hpp"

nlohmann::json probe_engine(const nlohmann::json& request) {
  using dyncompile::detail::EngineDescription;
  if (!request.contains("path")) {
    const std::string text = bytes_from_hex(request.at("text").get<std::string>());
    return EngineDescription::from_json(text, request.at("where").get<std::string>()).to_json();
  }
  const auto path = std::filesystem::u8path(request.at("path").get<std::string>());
  const EngineDescription engine = dyncompile::detail::read_description(path);
  if (!request.contains("plan")) return engine.to_json();
  return dyncompile::detail::read_plan(path, engine).size();
}
