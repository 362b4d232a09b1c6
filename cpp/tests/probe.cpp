#include "probe.hpp"

#include <exception>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>

#include "dyncompile/errors.hpp"

namespace {

using nlohmann::json;

const std::map<std::string, json (*)(const json&)>& commands() {
  static const std::map<std::string, json (*)(const json&)> table = {
      {"calibration", probe_calibration}, {"governor", probe_governor}, {"digest", probe_digest},
      {"manifest", probe_manifest},       {"engine", probe_engine},     {"run", probe_run},
  };
  return table;
}

const char* kind_of(const dyncompile::Error& error) {
  if (dynamic_cast<const dyncompile::KnobError*>(&error)) return "KnobError";
  if (dynamic_cast<const dyncompile::InputError*>(&error)) return "InputError";
  if (dynamic_cast<const dyncompile::ArtifactError*>(&error)) return "ArtifactError";
  if (dynamic_cast<const dyncompile::TargetError*>(&error)) return "TargetError";
  return "Error";
}

json answer(const std::string& line) {
  try {
    const json request = json::parse(line);
    return {{"ok", commands().at(request.at("command").get<std::string>())(request)}};
  } catch (const dyncompile::Error& error) {
    return {{"error",
             {{"kind", kind_of(error)},
              {"problem", error.problem()},
              {"where", error.where()},
              {"remedy", error.remedy()}}}};
  } catch (const std::exception& error) {  // a bug: of the library, of the probe, or the request
    return {
        {"error",
         {{"kind", "std::exception"}, {"problem", error.what()}, {"where", ""}, {"remedy", ""}}}};
  }
}

}  // namespace

std::string bytes_from_hex(const std::string& digits) {
  std::string bytes;
  for (std::size_t at = 0; at + 1 < digits.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::stoi(digits.substr(at, 2), nullptr, 16)));
  }
  return bytes;
}

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(line).dump(-1, ' ', false, json::error_handler_t::replace) << '\n'
              << std::flush;
  }
}
