#include "machine.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#ifndef _WIN32
#include <sys/utsname.h>
#endif

namespace dyncompile::detail {

namespace {

constexpr const char* cpu_info = "/proc/cpuinfo";
constexpr const char* spaces = " \t\r\n\v\f";

std::string stripped(const std::string& text) {
  const std::size_t first = text.find_first_not_of(spaces);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

/// The text, with marks in place of what is not UTF-8.
std::string as_utf8(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace));
}

std::string architecture() {
#ifdef _WIN32
  const char* name = std::getenv("PROCESSOR_IDENTIFIER");
  return name ? as_utf8(name) : std::string();
#else
  utsname system{};
  return uname(&system) >= 0 ? as_utf8(system.machine) : std::string();
#endif
}

}  // namespace

std::string processor() {
  std::ifstream file(cpu_info);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && stripped(line.substr(0, colon)) == "model name") {
      return as_utf8(stripped(line.substr(colon + 1)));
    }
  }
  return architecture();
}

std::string today() {
  using Days = std::chrono::duration<std::int64_t, std::ratio<86400>>;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  // Days since 1 March 0000, in eras of 400 years; years begin in March, so leap days end them.
  const std::int64_t days = std::chrono::duration_cast<Days>(now).count() + 719468;
  const std::int64_t era = days / 146097, day_of_era = days % 146097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const std::int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const std::int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d", static_cast<int>(year),
                static_cast<int>(month), static_cast<int>(day));
  return text;
}

}  // namespace dyncompile::detail
