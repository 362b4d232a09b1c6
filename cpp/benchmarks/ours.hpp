// An artifact as dyncompile runs it, one call in each way that there is.
#ifndef DYNCOMPILE_BENCHMARKS_OURS_HPP
#define DYNCOMPILE_BENCHMARKS_OURS_HPP

#include <dyncompile/dyncompile.hpp>
#include <limits>
#include <string>
#include <vector>

/// An artifact with one float32 input and one such output, both of fixed sizes, and one knob,
/// which is given its default.
class Ours {
 public:
  explicit Ours(const char* path)
      : net_(dyncompile::Net::load(path, one_thread())),
        input_(net_.inputs().at(0)),
        output_(net_.outputs().at(0)),
        knob_(net_.knobs().at(0)),
        x_(shape_of(input_).elements(), 0.5F) {}

  const dyncompile::Port& input() const { return input_; }
  const dyncompile::Port& output() const { return output_; }
  const dyncompile::Knob& knob() const { return knob_; }
  const std::vector<float>& x() const { return x_; }

  std::int64_t level() const { return knob_.levels() ? knob_.levels()->default_level : 0; }
  float threshold() const {
    return knob_.threshold() ? static_cast<float>(knob_.threshold()->defaults.at(0)) : 0.0F;
  }

  /// Where outputs are written to; no network computes what stands there at first.
  std::vector<float> buffer() const {
    return std::vector<float>(shape_of(output_).elements(),
                              std::numeric_limits<float>::quiet_NaN());
  }

  void run_into(std::vector<float>& scores) const {
    net_.run({{input_.name, {x_, shape_of(input_)}}}, {{knob_.name, value()}},
             {{output_.name, {scores, shape_of(output_)}}});
  }

  /// Into memory that the outputs own.
  dyncompile::Outputs run() const {
    return net_.run({{input_.name, {x_, shape_of(input_)}}}, {{knob_.name, value()}});
  }

  std::pair<dyncompile::Outputs, dyncompile::Path> trace() const {
    return net_.trace({{input_.name, {x_, shape_of(input_)}}}, {{knob_.name, value()}});
  }

  /// One that has room for the best of several points, at which all other calls run too.
  dyncompile::Governor governor() const {
    dyncompile::GovernOptions options;
    options.points = points();
    for (std::size_t number = 0; number < options.points.size(); ++number) {
      options.quality.push_back(static_cast<double>(number));
    }
    const dyncompile::Sample sample = {{input_.name, {x_, shape_of(input_)}}};
    const auto measured = net_.calibrate({sample}, options.points, calibrating_s);
    return net_.within(std::numeric_limits<double>::infinity(), measured, options);
  }

  void run_governed(const dyncompile::Governor& governor, std::vector<float>& scores) const {
    governor.run({{input_.name, {x_, shape_of(input_)}}}, {},
                 {{output_.name, {scores, shape_of(output_)}}});
  }

 private:
  static constexpr double calibrating_s = 0.05;

  static dyncompile::LoadOptions one_thread() {
    dyncompile::LoadOptions options;
    options.threads = 1;
    return options;
  }

  static dyncompile::Shape shape_of(const dyncompile::Port& port) {
    return {port.sizes.data(), port.sizes.size()};
  }

  dyncompile::KnobValue value() const {
    return knob_.levels() ? dyncompile::KnobValue(level()) : dyncompile::KnobValue(threshold());
  }

  /// Every level, or always and never; the default comes last.
  std::vector<dyncompile::OperatingPoint> points() const {
    std::vector<dyncompile::OperatingPoint> points;
    if (knob_.levels()) {
      const auto count = static_cast<std::int64_t>(knob_.levels()->values.size());
      for (std::int64_t other = 0; other < count; ++other) {
        if (other != level()) points.push_back({{knob_.name, other}});
      }
      points.push_back({{knob_.name, level()}});
    } else {
      constexpr double endless = std::numeric_limits<double>::infinity();
      for (const double value : {endless, -endless, knob_.threshold()->defaults.at(0)}) {
        points.push_back({{knob_.name, value}});
      }
    }
    return points;
  }

  dyncompile::Net net_;
  dyncompile::Port input_, output_;
  dyncompile::Knob knob_;
  std::vector<float> x_;
};

#endif
