#include "fixed_knobs.hpp"

#include <algorithm>

namespace dyncompile::detail {

FixedKnobs::FixedKnobs(const std::vector<Knob>& knobs)
    : is_fixed_(knobs.size()), values_(knobs.begin(), knobs.end()) {}

void FixedKnobs::set(const std::vector<Knob>& knobs, Settings given) {
  given_ = given;
  is_fixed_.assign(knobs.size(), false);
  for (const Setting& setting : given) {
    for (std::size_t number = 0; number < knobs.size(); ++number) {
      if (knobs[number].name != setting.knob) continue;
      values_[number].set(knobs[number], setting.value);
      is_fixed_[number] = true;
    }
  }
}

bool FixedKnobs::is_any() const noexcept {
  return std::find(is_fixed_.begin(), is_fixed_.end(), true) != is_fixed_.end();
}

bool FixedKnobs::agree_with(const EncodedPoint& point) const noexcept {
  for (std::size_t number = 0; number < point.size(); ++number) {
    if (is_fixed_[number] && values_[number] != point[number]) return false;
  }
  return true;
}

void FixedKnobs::lay_over(EncodedPoint& point) const {
  for (std::size_t number = 0; number < point.size(); ++number) {
    if (is_fixed_[number]) point[number] = values_[number];
  }
}

Settings FixedKnobs::with(const std::vector<Setting>& point) {
  together_.assign(given_.begin(), given_.end());
  for (std::size_t number = 0; number < point.size(); ++number) {
    if (!is_fixed_[number]) together_.push_back(point[number]);
  }
  return together_;
}

}  // namespace dyncompile::detail
