// Stands in for the header of TensorRT's runtime: what dyncompile uses of it, declared by us.
//
// FAKE_TENSORRT is the release that it stands for: 1000 (10.0) or 1104 (11.4); with
// FAKE_TENSORRT_RTX, it is that of TensorRT for RTX: 107 (1.7).
#ifndef DYNCOMPILE_TESTS_FAKE_NVINFERRUNTIME_H
#define DYNCOMPILE_TESTS_FAKE_NVINFERRUNTIME_H

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#define NV_TENSORRT_MAJOR (FAKE_TENSORRT / 100)
#define NV_TENSORRT_MINOR (FAKE_TENSORRT % 100)
#ifdef FAKE_TENSORRT_RTX
#define TRT_MAJOR_RTX NV_TENSORRT_MAJOR
#define TRT_MINOR_RTX NV_TENSORRT_MINOR
#endif

namespace nvinfer1 {

enum class DataType : std::int32_t {
  kFLOAT = 0,
  kHALF = 1,
  kINT8 = 2,
  kINT32 = 3,
  kBOOL = 4,
  kUINT8 = 5,
  kFP8 = 6,
  kBF16 = 7,
  kINT64 = 8,
};
enum class TensorLocation : std::int32_t { kDEVICE = 0, kHOST = 1 };
enum class TensorIOMode : std::int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };
enum class OptProfileSelector : std::int32_t { kMIN = 0, kOPT = 1, kMAX = 2 };

class Dims64 {
 public:
  static constexpr std::int32_t MAX_DIMS{8};
  std::int32_t nbDims;
  std::int64_t d[MAX_DIMS];
};
using Dims = Dims64;

class ILogger {
 public:
  enum class Severity : std::int32_t {
    kINTERNAL_ERROR = 0,
    kERROR = 1,
    kWARNING = 2,
    kINFO = 3,
    kVERBOSE = 4,
  };
  virtual ~ILogger() = default;
  virtual void log(Severity severity, const char* message) noexcept = 0;
};

class IOutputAllocator {
 public:
  virtual ~IOutputAllocator() noexcept = default;
  virtual void* reallocateOutputAsync(const char* name, void* current, std::uint64_t size,
                                      std::uint64_t alignment, cudaStream_t stream) = 0;
  virtual void notifyShape(const char* name, const Dims& dims) noexcept = 0;
};

class IExecutionContext {
 public:
  virtual ~IExecutionContext() noexcept = default;
  virtual bool setInputShape(const char* name, const Dims& dims) noexcept = 0;
  virtual bool setTensorAddress(const char* name, void* data) noexcept = 0;
  virtual bool setOutputAllocator(const char* name, IOutputAllocator* allocator) noexcept = 0;
  virtual std::int32_t inferShapes(std::int32_t most, const char** names) noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual bool enqueueV3(cudaStream_t stream) noexcept = 0;
};

class ICudaEngine {
 public:
  virtual ~ICudaEngine() noexcept = default;
  virtual std::int32_t getNbIOTensors() const noexcept = 0;
  virtual const char* getIOTensorName(std::int32_t index) const noexcept = 0;
  virtual TensorIOMode getTensorIOMode(const char* name) const noexcept = 0;
  virtual DataType getTensorDataType(const char* name) const noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual TensorLocation getTensorLocation(const char* name) const noexcept = 0;
  virtual bool isShapeInferenceIO(const char* name) const noexcept = 0;
  virtual Dims getProfileShape(const char* name, std::int32_t profile,
                               OptProfileSelector which) const noexcept = 0;
#if !defined(FAKE_TENSORRT_RTX) && FAKE_TENSORRT < 1011
  virtual const std::int32_t* getProfileTensorValues(const char* name, std::int32_t profile,
                                                     OptProfileSelector which) const noexcept = 0;
#else
  virtual const std::int64_t* getProfileTensorValuesV2(const char* name, std::int32_t profile,
                                                       OptProfileSelector which) const noexcept = 0;
#endif
  virtual IExecutionContext* createExecutionContext() noexcept = 0;
};

#ifdef FAKE_TENSORRT_RTX
enum class EngineValidity : std::int32_t { kVALID = 0, kSUBOPTIMAL = 1, kINVALID = 2 };
enum class EngineInvalidityDiagnostics : std::uint64_t {
  kVERSION_MISMATCH = 1,
  kUNSUPPORTED_CC = 2,
  kOLD_CUDA_DRIVER = 4,
  kOLD_CUDA_RUNTIME = 8,
  kINSUFFICIENT_GPU_MEMORY = 16,
  kMALFORMED_ENGINE = 32,
  kCUDA_ERROR = 64,
};
#endif

class IRuntime {
 public:
  virtual ~IRuntime() noexcept = default;
  virtual ICudaEngine* deserializeCudaEngine(const void* plan, std::size_t size) noexcept = 0;
#ifdef FAKE_TENSORRT_RTX
  virtual std::int64_t getEngineHeaderSize() const noexcept = 0;
  virtual EngineValidity getEngineValidity(const void* plan, std::int64_t size,
                                           std::uint64_t* diagnostics) const noexcept = 0;
#endif
};

IRuntime* createInferRuntime(ILogger& logger) noexcept;

}  // namespace nvinfer1

extern "C" std::int32_t getInferLibVersion() noexcept;

#endif
