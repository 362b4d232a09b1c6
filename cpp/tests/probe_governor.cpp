// Plays a script of calls, each in a thread of its own, by a clock that only the script moves.
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "governor_impl.hpp"
#include "probe.hpp"
#include "probe_points.hpp"

namespace {

using namespace dyncompile;
using nlohmann::json;

/// The network failed, as the script wanted.
struct Failure {};

/// One call of the script; it waits inside of the network until it is told to go on.
class Play {
 public:
  Play(const Governor& governor, OperatingPoint fixed, bool owns_outputs)
      : fixed_(std::move(fixed)),
        worker_([this, &governor, owns_outputs] { run(governor, owns_outputs); }) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return state_ != State::starting; });
  }
  ~Play() { finish(true); }
  Play(const Play&) = delete;
  Play& operator=(const Play&) = delete;

  /// In the network, by the thread of the call.
  void enter(Settings settings) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (const Setting& setting : settings) {
      fed_[std::string(setting.knob)] = json_from_value(setting.value);
    }
    state_ = State::inside;
    changed_.notify_all();
    changed_.wait(lock, [this] { return is_told_; });
    if (do_fail_) throw Failure{};
  }

  void finish(bool do_fail) {
    if (!worker_.joinable()) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_told_ = true;
      do_fail_ = do_fail;
    }
    changed_.notify_all();
    worker_.join();
  }

  /// After it has begun, or has been refused.
  json answer() const {
    if (problem_) return {{"problem", *problem_}};
    return {{"point", json_from_point(pick_.point)},
            {"expected_ms", pick_.expected_ms ? json_from_number(*pick_.expected_ms) : json()},
            {"load", json_from_number(pick_.load)},
            {"fits", pick_.fits()},
            {"fed", fed_}};
  }

 private:
  enum class State : std::uint8_t { starting, inside, over };

  void run(const Governor& governor, bool owns_outputs) {
    const void* const self = this;
    const Input input{"play", TensorView(self, ElementType::uint8, Shape())};
    std::vector<Setting> settings;
    for (const auto& [name, value] : fixed_) settings.push_back({name, value});
    std::optional<std::string> problem;
    try {
      if (owns_outputs) {
        governor.run({input}, settings, &pick_);
      } else {
        governor.run({input}, settings, Buffers(), &pick_);
      }
    } catch (const Error& error) {
      problem = error.what();
    } catch (const Failure&) {
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    problem_ = problem;
    state_ = State::over;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::starting;
  bool is_told_ = false, do_fail_ = false;
  OperatingPoint fixed_;
  Pick pick_;
  json fed_ = json::object();
  std::optional<std::string> problem_;
  std::thread worker_;
};

void enter(Inputs inputs, Settings settings) {
  auto* play = const_cast<void*>(inputs.begin()->view.data());
  static_cast<Play*>(play)->enter(settings);
}

class Script {
 public:
  explicit Script(const json& request) : now_(0), tick_(request.at("tick")) {
    const json none = json::array();
    const Manifest manifest =
        Manifest::from_json(request.at("manifest").get<std::string>(), "the script");
    const auto known =
        Calibration::from_json(request.at("calibration").get<std::string>(), "the script");
    GovernOptions options;
    options.percentile = request.at("percentile");
    options.points = points_from(request.at("points"));
    options.quality = numbers_from(request.at("quality"));
    options.clock = [this] { return read_clock(); };
    const detail::Call call{
        [](Inputs inputs, Settings settings) {
          enter(inputs, settings);
          return Outputs(nullptr, {});
        },
        [](Inputs inputs, Settings settings, Buffers) { enter(inputs, settings); }};
    governor_.emplace(detail::make_governor(call, manifest.knobs, manifest.decisions, known,
                                            number_from(request.at("ms")), options,
                                            manifest.operating_points));
  }

  json play(const json& events) {
    json points = json::array(), picks = json::array();
    for (const auto& point : governor_->points()) points.push_back(json_from_point(point));
    for (const json& event : events) picks.push_back(play_one(event));
    plays_.clear();
    return {{"points", points}, {"picks", picks}};
  }

 private:
  std::int64_t read_clock() {
    const std::lock_guard<std::mutex> lock(mutex_);
    now_ += tick_;
    return now_;
  }

  json play_one(const json& event) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      now_ += event.at("wait").get<std::int64_t>();
    }
    const int number = event.at("call");
    if (const auto under_way = plays_.find(number); under_way != plays_.end()) {
      under_way->second->finish(event.at("fails"));
      plays_.erase(under_way);
      return picked();
    }
    const auto begun = plays_.emplace(
        number, std::make_unique<Play>(*governor_, point_from(event.at("fixed")), number % 2 == 0));
    const json answer = begun.first->second->answer();
    if (answer.contains("problem")) plays_.erase(begun.first);
    return answer;
  }

  json picked() const {
    const Pick pick = governor_->picked();
    return {{"point", json_from_point(pick.point)}, {"text", pick.to_string()}};
  }

  std::mutex mutex_;
  std::int64_t now_, tick_;
  std::optional<Governor> governor_;
  std::map<int, std::unique_ptr<Play>> plays_;
};

}  // namespace

json probe_governor(const json& request) { return Script(request).play(request.at("events")); }
