#include "dyncompile/net.hpp"

#include <algorithm>
#include <thread>

#include "arguments.hpp"
#include "calibrating.hpp"
#include "files.hpp"
#include "governor_impl.hpp"
#include "machine.hpp"
#include "results.hpp"
#include "runner.hpp"
#include "small_buffer.hpp"
#include "text.hpp"

namespace dyncompile {

namespace {

using detail::usual_count;

constexpr const char* engine_suffix = ".engine";

void check_options(const std::filesystem::path& path, const LoadOptions& options, bool is_engine) {
  if (is_engine) {
    const char* given = !options.providers.empty() ? "providers"
                        : options.threads          ? "threads"
                        : options.fallback         ? "fallback"
                                                   : nullptr;
    if (given) {
      throw InputError("it is for ONNX Runtime, and " + path.filename().u8string() + " an engine.",
                       given, "Leave it out: an engine runs on the GPU.");
    }
  } else if (options.threads && *options.threads < 1) {
    throw InputError(std::to_string(*options.threads) + " is not a number of threads.", "threads",
                     "Give 1 or more.");
  }
}

std::string spelt(const std::optional<std::int64_t>& threads) {
  return threads ? std::to_string(*threads) : "as many as ONNX Runtime takes";
}

/// Throws InputError if latencies were not measured as the network runs here.
void check_conditions(const Conditions& measured, const Conditions& here) {
  const auto check = [](const char* what, const std::string& then, const std::string& now) {
    if (then == now) return;
    throw InputError("measured with " + (std::string(what) + " ") + then + "; here " + now + ".",
                     "calibration", "Measure it here, with calibrate.");
  };
  check("processor", measured.processor, here.processor);
  check("cores", std::to_string(measured.cores), std::to_string(here.cores));
  check("runtime", measured.runtime, here.runtime);
  check("threads", spelt(measured.threads), spelt(here.threads));
  check("providers", detail::listed(measured.providers), detail::listed(here.providers));
}

}  // namespace

struct Net::Impl {
  Impl(const std::filesystem::path& path, const LoadOptions& options, bool is_engine)
      : file(path),
        runner(is_engine ? detail::open_engine(path) : detail::open_artifact(path, options)),
        arguments(runner->inputs(), runner->manifest().knobs, path.u8string()),
        results(runner->outputs(), runner->manifest(), path.u8string()),
        threads(options.threads) {}

  std::vector<Tensor> run(Inputs given, Settings settings,
                          const std::vector<std::size_t>& wanted) const {
    std::vector<Tensor> tensors;
    tensors.reserve(wanted.size());
    detail::Feeds feeds = arguments.feeds();
    arguments.feed(given, settings, feeds);
    runner->run(feeds.views.data(), wanted.data(), wanted.size(), nullptr, &tensors);
    return tensors;
  }

  Outputs run(Inputs given, Settings settings) const {
    return {results.ports(), run(given, settings, results.numbers())};
  }

  void run(Inputs given, Settings settings, Buffers buffers) const {
    detail::Feeds feeds = arguments.feeds();
    arguments.feed(given, settings, feeds);
    detail::SmallBuffer<std::size_t, usual_count> numbers(buffers.size());
    detail::SmallBuffer<MutableTensorView, usual_count> views(buffers.size());
    std::size_t count = 0;
    for (const Buffer& buffer : buffers) {
      const std::size_t number = results.number_for(buffer);
      if (std::find(numbers.begin(), numbers.begin() + count, number) != numbers.begin() + count) {
        throw InputError("given twice.", "output " + detail::in_quotes(buffer.output),
                         "Give it once.");
      }
      numbers[count] = number;
      views[count++] = buffer.view;
    }
    if (!count) {
      throw InputError("no output is wanted.", "outputs",
                       "Name " + detail::names_of(*results.ports()) + ".");
    }
    runner->run(feeds.views.data(), numbers.data(), count, views.data(), nullptr);
  }

  std::pair<Outputs, Path> trace(Inputs given, Settings settings) const {
    if (runner->manifest().telemetry.empty() && !runner->manifest().decisions.empty()) {
      throw TargetError("the artifact does not report its decisions.", file.path().u8string(),
                        "Export or build it with telemetry.");
    }
    std::vector<Tensor> tensors = run(given, settings, results.numbers_with_reports());
    Path taken = results.path_from(tensors);
    return {Outputs(results.ports(), std::move(tensors)), std::move(taken)};
  }

  detail::LoadedFile file;
  std::unique_ptr<detail::Runner> runner;
  detail::Arguments arguments;
  detail::Results results;
  std::optional<int> threads;
};

Net::Net(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
Net::Net(Net&&) noexcept = default;
Net& Net::operator=(Net&&) noexcept = default;
Net::~Net() = default;

Net Net::load(const std::filesystem::path& path, const LoadOptions& options) {
  const bool is_engine = path.extension() == engine_suffix;
  check_options(path, options, is_engine);
  return Net(std::make_shared<Impl>(path, options, is_engine));
}

Outputs Net::run(Inputs&& inputs, Settings&& knobs) const { return impl_->run(inputs, knobs); }

void Net::run(Inputs&& inputs, Settings&& knobs, Buffers&& outputs) const {
  impl_->run(inputs, knobs, outputs);
}

std::pair<Outputs, Path> Net::trace(Inputs&& inputs, Settings&& knobs) const {
  return impl_->trace(inputs, knobs);
}

Calibration Net::calibrate(const std::vector<Sample>& samples,
                           const std::vector<OperatingPoint>& points, double seconds) const {
  const detail::Measured network{inputs(), knobs(), operating_points()};
  Calibration found = detail::calibrate(call(), network, conditions(), samples, points, seconds);
  found.artifact = impl_->file.digest();
  return found;
}

Governor Net::within(double milliseconds, const Calibration& calibration,
                     const GovernOptions& options) const {
  check_conditions(calibration.conditions, conditions());
  if (!calibration.artifact.empty() && calibration.artifact != impl_->file.digest()) {
    throw InputError("measured of another artifact.", "calibration",
                     "Measure this one, with calibrate.");
  }
  return detail::make_governor(call(), knobs(), decisions(), calibration, milliseconds, options,
                               operating_points());
}

Conditions Net::conditions() const {
  Conditions here;
  here.processor = detail::processor();
  here.cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  here.runtime = impl_->runner->runtime();
  if (impl_->threads) here.threads = *impl_->threads;
  here.providers = impl_->runner->conditions();
  return here;
}

detail::Call Net::call() const {
  return {[impl = impl_](Inputs given, Settings settings) { return impl->run(given, settings); },
          [impl = impl_](Inputs given, Settings settings, Buffers outputs) {
            impl->run(given, settings, outputs);
          }};
}

const std::filesystem::path& Net::path() const noexcept { return impl_->file.path(); }
const Manifest& Net::manifest() const noexcept { return impl_->runner->manifest(); }
const std::vector<Knob>& Net::knobs() const noexcept { return impl_->arguments.knobs(); }
const std::vector<Decision>& Net::decisions() const noexcept { return manifest().decisions; }
const std::vector<OperatingPoint>& Net::operating_points() const noexcept {
  return manifest().operating_points;
}
const std::vector<Port>& Net::inputs() const noexcept { return impl_->arguments.inputs(); }
const std::vector<Port>& Net::outputs() const noexcept { return *impl_->results.ports(); }
const std::vector<std::string>& Net::providers() const noexcept {
  return impl_->runner->providers();
}
const std::vector<std::string>& Net::warnings() const noexcept { return impl_->runner->warnings(); }

}  // namespace dyncompile
