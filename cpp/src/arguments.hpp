// From what a caller passes to what a runner is fed, checked.
#ifndef DYNCOMPILE_SRC_ARGUMENTS_HPP
#define DYNCOMPILE_SRC_ARGUMENTS_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dyncompile/knobs.hpp"
#include "dyncompile/lists.hpp"
#include "dyncompile/outputs.hpp"
#include "fitting.hpp"
#include "small_buffer.hpp"

namespace dyncompile::detail {

/// Where the inputs of one call are put together, on the stack.
struct Feeds {
  Feeds(std::size_t inputs, std::size_t numbers) : views(inputs), thresholds(numbers) {}

  SmallBuffer<TensorView, usual_count> views;  ///< One per input of the graph, in its order.
  SmallBuffer<float, usual_count> thresholds;  ///< What some of the views are of.
};

/// The inputs and knobs of one artifact.
class Arguments {
 public:
  /// `ports` are the inputs of the graph, which stay where they are; `declared` the knobs of the
  /// manifest. Throws ArtifactError if the graph has a knob otherwise; `where` is the file.
  Arguments(const std::vector<Port>& ports, std::vector<Knob> declared, const std::string& where);

  /// The data inputs, in order.
  const std::vector<Port>& inputs() const noexcept { return inputs_; }
  /// In the order of the graph.
  const std::vector<Knob>& knobs() const noexcept { return knobs_; }

  /// An empty place for the inputs of one call.
  Feeds feeds() const { return {ports_.size(), threshold_count_}; }

  /// Fills in every input of the graph, knobs at their default unless given.
  /// Throws InputError: an input is unknown, missing, given twice, or does not fit; KnobError: a
  /// knob is unknown, given twice, or out of range.
  void feed(Inputs given, Settings settings, Feeds& feeds) const;

 private:
  /// A knob, and where it goes.
  struct Slot {
    std::size_t input;   ///< Its number among the inputs of the graph.
    std::size_t offset;  ///< Of its numbers in `Feeds::thresholds`.
    Shape shape;
    std::vector<std::int64_t> levels;  ///< 0, 1, ...: what is fed.
    std::vector<float> defaults;       ///< Of thresholds.
  };

  void add_knob(Knob knob, std::size_t number);
  void feed_default(std::size_t number, Feeds& feeds) const;
  void feed_input(const Input& input, Feeds& feeds) const;
  void feed_setting(const Setting& setting, Feeds& feeds) const;

  const std::vector<Port>& ports_;
  std::vector<Port> inputs_;
  std::vector<std::size_t> data_;  ///< Numbers of the data inputs among those of the graph.
  std::vector<Knob> knobs_;
  std::vector<Slot> slots_;  ///< One per knob.
  std::size_t threshold_count_ = 0;
};

}  // namespace dyncompile::detail

#endif
