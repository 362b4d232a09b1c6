// A machine that pretends to have GPUs and TensorRT: what tests set and look at.
#ifndef DYNCOMPILE_TESTS_FAKE_MACHINE_HPP
#define DYNCOMPILE_TESTS_FAKE_MACHINE_HPP

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace fake {

using Sizes = std::vector<std::int64_t>;

/// What a tensor holds in one call.
struct Value {
  Sizes shape;
  std::vector<unsigned char> bytes;
};
using Values = std::map<std::string, Value>;

/// An input or output of a pretend engine.
struct Tensor {
  std::string name;
  nvinfer1::DataType type;
  Sizes shape;
  bool on_host = false;
  Sizes least = {}, most = {};  ///< Sizes, or values of what is on the host.
};

/// What an engine computes, on the host.
struct Network {
  std::vector<Tensor> inputs, outputs;
  std::function<Values(const Values&)> compute;
  /// Sizes of the outputs by those of the inputs and by what is on the host; -1 where they depend
  /// on other data.
  std::function<std::map<std::string, Sizes>(const std::map<std::string, Sizes>&, const Values&)>
      shapes = {};
  std::string fails = {};  ///< What it says when it is run.
  bool has_no_context = false, tells_no_size = false, refuses_sizes = false, is_unspecified = false;

  const Tensor& tensor(const std::string& name) const;
  bool is_input(const std::string& name) const;
};

/// The one machine of a process. CUDA is strict here: memory that is not allocated cannot be
/// copied, that of the GPU cannot be touched by the host, and what a stream is given waits.
struct Machine {
  // what tests set
  int devices = 1;
  int major = 8, minor = 9;
  cudaError_t missing = cudaSuccess;           ///< What cudaGetDeviceCount says.
  std::map<std::string, cudaError_t> failing;  ///< By the name of a function.
  std::size_t free_bytes = std::size_t{1} << 30;
  std::size_t misaligned = 0;  ///< Of every allocation, in bytes.
  std::int32_t library = 0;    ///< What getInferLibVersion says; 0 for the headers'.
  bool has_no_runtime = false;
  std::uint64_t invalid = 0;  ///< What the header of a plan is found to be.
  std::map<std::string, std::shared_ptr<Network>> networks;  ///< By their plan.

  // what they look at
  std::vector<std::string> events;  ///< What was made and given back, allocated and run, in order.
  int allocated = 0, streams = 0, tensorrt_calls = 0;

  std::recursive_mutex mutex;
};

/// Made anew by `reset`.
Machine& machine();

/// A new machine. Nothing of the last one may be alive; that is checked.
void reset();

/// The device that CUDA has for the calling thread.
int& current_device();

/// Copies at once, between any memory.
void copy(void* target, const void* source, std::size_t bytes);

/// Gives the stream work, which it does when it is waited for.
void enqueue(cudaStream_t stream, std::function<void()> work);

/// Aborts with these words unless it holds.
void expect(bool holds, const char* words);

/// Whether these bytes are allocated in that place.
bool is_allocated(const void* address, std::size_t bytes, bool on_host);

/// Whose context the calling thread has; -1 if none.
int bound_device();

}  // namespace fake

#endif
