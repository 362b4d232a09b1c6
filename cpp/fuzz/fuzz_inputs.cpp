// Whatever is given to a call, it is right and runs, or is refused with an error of ours, before
// ONNX Runtime sees it if the artifact says that it is wrong. DYNCOMPILE_FUZZ_ARTIFACTS is a
// folder.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drawn_call.hpp"
#include "right_calls.hpp"

using dyncompile::Buffer;
using dyncompile::Input;
using dyncompile::Net;
using dyncompile::Outputs;
using dyncompile::Setting;

extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace {

struct Subject {
  Net net;
  dyncompile::Governor governor;
};

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_inputs: %s\n", what);
  std::abort();
}

/// Two points, measured by nobody, and a clock that ticks.
dyncompile::Governor governed(const Net& net) {
  dyncompile::GovernOptions options;
  options.clock = [now = std::int64_t{0}]() mutable { return now += 100'000; };
  dyncompile::Calibration calibration;
  calibration.conditions = net.conditions();
  for (const bool is_high : {false, true}) {
    dyncompile::OperatingPoint point;
    for (const dyncompile::Knob& knob : net.knobs()) {
      const dyncompile::Threshold* range = knob.threshold();
      if (!range) {
        point[knob.name] = std::int64_t{is_high};
      } else if (range->is_vector) {
        point[knob.name] =
            std::vector<double>(range->defaults.size(), is_high ? range->high : range->low);
      } else {
        point[knob.name] = is_high ? range->high : range->low;
      }
    }
    const double ms = is_high ? 2 : 1;
    calibration.latencies.push_back(dyncompile::Latency::of(point, {ms, ms}, 1, false));
    options.points.push_back(point);
  }
  return net.within(1.5, calibration, options);
}

const std::vector<Subject>& subjects() {
  static const std::vector<Subject> loaded = [] {
    const char* folder = std::getenv("DYNCOMPILE_FUZZ_ARTIFACTS");
    check(folder, "DYNCOMPILE_FUZZ_ARTIFACTS names no folder");
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() == ".onnx") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    check(!files.empty(), "DYNCOMPILE_FUZZ_ARTIFACTS has no .onnx files");
    std::vector<Subject> made;
    dyncompile::LoadOptions options;
    options.threads = 1;
    for (const auto& file : files) {
      Net net = Net::load(file, options);
      dyncompile::Governor governor = governed(net);
      made.push_back({std::move(net), std::move(governor)});
    }
    return made;
  }();
  return loaded;
}

/// What `call` returns, or nothing: it threw, one line, and not only ONNX Runtime knew why.
template <class Call>
bool runs(Verdict expected, const Call& call) {
  try {
    call();
  } catch (const dyncompile::Error& error) {
    const std::string text = error.where() + ": " + error.problem() + " " + error.remedy();
    const bool is_late = error.problem().find("ONNX Runtime") != std::string::npos;
    if (expected == Verdict::right || (expected == Verdict::wrong && is_late)) {
      std::fprintf(stderr, "fuzz_inputs: %s\n", error.what());
      std::abort();
    }
    check(text == error.what(), "an error is not what its parts are");
    check(text.find('\n') == std::string::npos, "an error has two lines");
    return false;
  }
  check(expected != Verdict::wrong, "a wrong call runs");
  return true;
}

void check_same(const Outputs& outputs, const std::vector<Buffer>& buffers) {
  for (const Buffer& buffer : buffers) {
    const dyncompile::Tensor& expected = outputs[buffer.output];
    const std::size_t bytes = expected.view().bytes();
    check(!bytes || !std::memcmp(expected.raw(), buffer.view.data(), bytes),
          "a buffer has other bytes than the output");
  }
}

/// Of buffers: the shapes of outputs are what is right if they are known.
Verdict with(Verdict call, const Net& net, const std::vector<Buffer>& buffers,
             const std::optional<Outputs>& outputs) {
  if (call == Verdict::wrong || !are_right(net, buffers)) return Verdict::wrong;
  if (!outputs) return Verdict::open;
  for (const Buffer& buffer : buffers) {
    const bool is_same = (*outputs)[buffer.output].shape() == buffer.view.shape();
    if (!is_same || is_on_gpu(buffer.view)) return Verdict::open;
  }
  return Verdict::right;
}

void play(const Subject& subject, FuzzedDataProvider& data) {
  const Net& net = subject.net;
  const bool is_governed = data.ConsumeBool(), is_into = data.ConsumeBool();
  DrawnCall call(net, data);
  const std::vector<Input> inputs = call.inputs();
  const std::vector<Setting> settings = call.settings();
  const Verdict expected = verdict(net, inputs, settings);
  std::optional<Outputs> outputs;
  runs(expected, [&] { outputs.emplace(net.run(inputs, settings)); });
  dyncompile::Pick pick;
  if (is_into) {
    const std::vector<Buffer> buffers = call.buffers(outputs ? &*outputs : nullptr);
    const Verdict found = with(expected, net, buffers, outputs);
    if (is_governed) {
      runs(found, [&] { subject.governor.run(inputs, settings, buffers, &pick); });
    } else if (runs(found, [&] { net.run(inputs, settings, buffers); })) {
      check_same(*outputs, buffers);
    }
  } else if (is_governed) {
    runs(expected, [&] { subject.governor.run(inputs, settings, &pick); });
  } else if (!net.manifest().telemetry.empty()) {
    runs(expected, [&] {
      const auto [traced, path] = net.trace(inputs, settings);
      check(path.size() == net.decisions().size(), "a decision has no report");
    });
  }
  call.check_edges();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::vector<Subject>& nets = subjects();
  FuzzedDataProvider data(bytes, size);
  const auto& net = nets[data.ConsumeIntegralInRange<std::size_t>(0, nets.size() - 1)];
  try {
    play(net, data);
  } catch (const dyncompile::InputError&) {  // a shape with too many sizes
  }
  return 0;
}
