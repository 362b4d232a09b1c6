// Knobs: the run-time inputs that scale an artifact, and values of them.
#ifndef DYNCOMPILE_KNOBS_HPP
#define DYNCOMPILE_KNOBS_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace dyncompile {

/// An index into an ordered list: budgets, effort, precision modes. The graph input is int64[].
struct Levels {
  /// What each level stands for, in order; at least one.
  std::vector<std::variant<double, std::string>> values;
  /// Index of the level used when the caller names none.
  std::int64_t default_level = 0;
};

/// A score to compare with, or one per decision. The graph input is float32[], or float32[K].
struct Threshold {
  /// Used when the caller names none: one number, or K.
  std::vector<double> defaults;
  /// Whether the graph input is a vector.
  bool is_vector = false;
  /// Smallest and largest finite value accepted. Infinities are always legal: they mean always or
  /// never; NaN never is.
  double low = 0, high = 0;
};

/// One knob.
struct Knob {
  std::string name;
  std::variant<Levels, Threshold> range;

  const Levels* levels() const noexcept { return std::get_if<Levels>(&range); }
  const Threshold* threshold() const noexcept { return std::get_if<Threshold>(&range); }
};

/// A value that is kept: a level, a threshold, or one threshold per decision.
using OwnedValue = std::variant<std::int64_t, double, std::vector<double>>;

/// Values of knobs by name. Of an artifact they are in the order of the names.
using OperatingPoint = std::map<std::string, OwnedValue, std::less<>>;

/// A value for one call: a level (any integer), a threshold (any float), or several thresholds,
/// which are not copied. A float is in range if the ends of the range, as floats, include it.
class KnobValue {
 public:
  template <class T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, int> = 0>
  KnobValue(T level) noexcept  // NOLINT(google-explicit-constructor): `{"level", 1}`
      : level_(level_from(level)), number_(static_cast<double>(level)), kind_(Kind::level) {}
  KnobValue(float threshold) noexcept  // NOLINT(google-explicit-constructor)
      : number_(threshold), kind_(Kind::single) {}
  KnobValue(double threshold) noexcept  // NOLINT(google-explicit-constructor)
      : number_(threshold), kind_(Kind::number) {}
  KnobValue(const std::vector<double>& thresholds) noexcept  // NOLINT(google-explicit-constructor)
      : numbers_(thresholds.data()), count_(thresholds.size()), kind_(Kind::numbers) {}
  KnobValue(const std::vector<float>& thresholds) noexcept  // NOLINT(google-explicit-constructor)
      : singles_(thresholds.data()), count_(thresholds.size()), kind_(Kind::singles) {}
  KnobValue(const OwnedValue& value) noexcept;  // NOLINT(google-explicit-constructor)

  /// Whether it is an integer.
  bool is_level() const noexcept { return kind_ == Kind::level; }
  /// The integer; -1 if it is none, or one that no level has.
  std::int64_t level() const noexcept { return level_; }
  /// Whether it is a list, even of one number.
  bool is_list() const noexcept { return kind_ == Kind::singles || kind_ == Kind::numbers; }
  /// How many numbers it is.
  std::size_t count() const noexcept { return count_; }
  /// One of them; the integer too.
  double number(std::size_t index) const noexcept;
  /// As "0.8" or "[0.8, 0.9]".
  std::string to_string() const;

 private:
  enum class Kind : std::uint8_t { level, single, number, singles, numbers };

  template <class T>
  static constexpr std::int64_t level_from(T level) noexcept {
    constexpr auto most = static_cast<std::uint64_t>(
        (std::numeric_limits<std::int64_t>::max)());  // a macro in windows.h
    if constexpr (std::is_unsigned_v<T>) {
      if (static_cast<std::uint64_t>(level) > most) return -1;
    }
    return level < 0 ? -1 : static_cast<std::int64_t>(level);
  }

  std::int64_t level_ = -1;
  double number_ = 0;
  const double* numbers_ = nullptr;
  const float* singles_ = nullptr;
  std::size_t count_ = 1;
  Kind kind_;
};

}  // namespace dyncompile

#endif
