#include "arguments.hpp"

#include <algorithm>
#include <utility>

#include "dyncompile/errors.hpp"
#include "knob_values.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

constexpr char nothing = 0;  // what a tensor without elements is fed from

bool is_fed(const TensorView& view) noexcept { return view.data() != nullptr; }

void check_port(const Knob& knob, const Port* found, const std::string& where) {
  const Port expected = port_of(knob);
  if (found && found->type == expected.type && found->sizes == expected.sizes) return;
  throw ArtifactError("the manifest has the knob " + in_quotes(knob.name) + " as " +
                          expected.to_string() + "; the graph has " +
                          (found ? "it as " + found->to_string() : "no such input") + ".",
                      where, "Export the network again.");
}

}  // namespace

Arguments::Arguments(const std::vector<Port>& ports, std::vector<Knob> declared,
                     const std::string& where)
    : ports_(ports) {
  for (std::size_t number = 0; number < ports.size(); ++number) {
    const auto knob = std::find_if(declared.begin(), declared.end(), [&](const Knob& each) {
      return each.name == ports[number].name;
    });
    if (knob == declared.end()) {
      inputs_.push_back(ports[number]);
      data_.push_back(number);
    } else {
      check_port(*knob, &ports[number], where);
      add_knob(std::move(*knob), number);
      declared.erase(knob);
    }
  }
  if (!declared.empty()) check_port(declared.front(), nullptr, where);
}

void Arguments::add_knob(Knob knob, std::size_t number) {
  Slot slot{number, threshold_count_, {}, {}, {}};
  const std::size_t count = count_of(knob);
  if (const Levels* levels = knob.levels()) {
    for (std::size_t level = 0; level < levels->values.size(); ++level) {
      slot.levels.push_back(static_cast<std::int64_t>(level));
    }
  } else {
    if (knob.threshold()->is_vector) slot.shape = {static_cast<std::int64_t>(count)};
    slot.defaults.resize(count);
    write_thresholds(knob, default_of(knob), slot.defaults.data());
    threshold_count_ += count;
  }
  knobs_.push_back(std::move(knob));
  slots_.push_back(std::move(slot));
}

void Arguments::feed(Inputs given, Settings settings, Feeds& feeds) const {
  for (std::size_t number = 0; number < slots_.size(); ++number) feed_default(number, feeds);
  for (const Input& input : given) feed_input(input, feeds);
  for (const std::size_t number : data_) {
    if (!is_fed(feeds.views[number])) {
      const Port& port = ports_[number];
      throw InputError("not given.", "input " + in_quotes(port.name),
                       "Give " + port.to_string() + ".");
    }
  }
  for (const Setting* setting = settings.begin(); setting != settings.end(); ++setting) {
    const auto is_same_knob = [&](const Setting& other) { return other.knob == setting->knob; };
    if (std::any_of(settings.begin(), setting, is_same_knob)) {
      throw KnobError("given twice.", "knob " + in_quotes(setting->knob), "Give it once.");
    }
    feed_setting(*setting, feeds);
  }
}

void Arguments::feed_default(std::size_t number, Feeds& feeds) const {
  const Slot& slot = slots_[number];
  if (const Levels* levels = knobs_[number].levels()) {
    const auto level = static_cast<std::size_t>(levels->default_level);
    feeds.views[slot.input] = TensorView(&slot.levels[level], slot.shape);
  } else {
    feeds.views[slot.input] = TensorView(slot.defaults.data(), slot.shape);
  }
}

void Arguments::feed_input(const Input& input, Feeds& feeds) const {
  for (const std::size_t number : data_) {
    const Port& port = ports_[number];
    if (port.name != input.name) continue;
    if (is_fed(feeds.views[number])) {
      throw InputError("given twice.", "input " + in_quotes(input.name), "Give it once.");
    }
    check_fit(port, "input", input.view);
    feeds.views[number] = input.view;
    if (!input.view.data()) {  // nothing of it is read, but it is fed
      feeds.views[number] = {&nothing, input.view.type(), input.view.shape()};
    }
    return;
  }
  throw InputError("the network has no such input.", "input " + in_quotes(input.name),
                   "Its inputs are " + names_of(inputs_) + "; its knobs " + names_of(knobs_) + ".");
}

void Arguments::feed_setting(const Setting& setting, Feeds& feeds) const {
  for (std::size_t number = 0; number < knobs_.size(); ++number) {
    const Knob& knob = knobs_[number];
    if (knob.name != setting.knob) continue;
    const Slot& slot = slots_[number];
    if (knob.levels()) {
      const auto level = static_cast<std::size_t>(level_of(knob, setting.value));
      feeds.views[slot.input] = TensorView(&slot.levels[level], slot.shape);
    } else {
      float* thresholds = feeds.thresholds.data() + slot.offset;
      write_thresholds(knob, setting.value, thresholds);
      feeds.views[slot.input] = TensorView(thresholds, slot.shape);
    }
    return;
  }
  throw KnobError("the network has no such knob.", "knob " + in_quotes(setting.knob),
                  "Its knobs are " + names_of(knobs_) + ".");
}

}  // namespace dyncompile::detail
