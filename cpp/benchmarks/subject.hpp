// The same artifact, loaded by dyncompile and bare, and one call of each.
#ifndef DYNCOMPILE_BENCHMARKS_SUBJECT_HPP
#define DYNCOMPILE_BENCHMARKS_SUBJECT_HPP

#include <dyncompile/dyncompile.hpp>
#include <string>
#include <vector>

#include "bare.hpp"

/// An artifact with one float32 input of fixed sizes, one such output, and one knob.
class Subject {
 public:
  explicit Subject(const char* path)
      : net_(dyncompile::Net::load(path, one_thread())),
        input_(net_.inputs().at(0)),
        output_(net_.outputs().at(0)),
        knob_(net_.knobs().at(0)),
        bare_(path, input_.name, input_.sizes, knob_.name, knob_.levels() != nullptr, output_.name),
        x_(shape_of(input_).elements(), 0.5F) {}

  /// Where a thread has its outputs written to.
  std::vector<float> scores() const { return std::vector<float>(shape_of(output_).elements()); }

  void run_bare(std::vector<float>& scores) const { bare_.run(x_, 0, 0.5F, scores, output_.sizes); }

  void run_ours(std::vector<float>& scores) const {
    net_.run({{input_.name, {x_, shape_of(input_)}}}, {{knob_.name, value()}},
             {{output_.name, {scores, shape_of(output_)}}});
  }

  /// Into memory of its own.
  void run_owned() const {
    net_.run({{input_.name, {x_, shape_of(input_)}}}, {{knob_.name, value()}});
  }

 private:
  static dyncompile::LoadOptions one_thread() {
    dyncompile::LoadOptions options;
    options.threads = 1;
    return options;
  }

  dyncompile::KnobValue value() const {
    return knob_.levels() ? dyncompile::KnobValue(0) : dyncompile::KnobValue(0.5F);
  }

  static dyncompile::Shape shape_of(const dyncompile::Port& port) {
    return {port.sizes.data(), port.sizes.size()};
  }

  dyncompile::Net net_;
  dyncompile::Port input_, output_;
  dyncompile::Knob knob_;
  Bare bare_;
  std::vector<float> x_;
};

#endif
