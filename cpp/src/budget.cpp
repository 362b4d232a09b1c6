#include <cstdio>

#include "dyncompile/governor.hpp"
#include "text.hpp"

namespace dyncompile {

std::string Pick::to_string() const {
  std::string text;
  for (const auto& [name, value] : point) {
    if (!text.empty()) text += " ";
    text += name + "=" + KnobValue(value).to_string();
  }
  if (text.empty()) text = "no knobs";
  if (!expected_ms) return text + ": not measured";
  char takes[96];
  std::snprintf(takes, sizeof takes, ": %.3g ms (p%d, load %.2f)", *expected_ms, budget.percentile,
                load);
  return text + takes + (fits() ? " of " : "; nothing fits ") + detail::short_number(budget.ms) +
         " ms";
}

}  // namespace dyncompile
