#include "onnx_library.hpp"

#ifndef DYNCOMPILE_LOAD_ONNXRUNTIME

const OrtApiBase& dyncompile::detail::onnx_library() { return *OrtGetApiBase(); }

#else

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include <cstdlib>
#include <string>

#include "dyncompile/errors.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

#ifdef _WIN32

constexpr const char* usual_name = "onnxruntime.dll";

void* opened(const char* name) { return reinterpret_cast<void*>(LoadLibraryA(name)); }
void close(void* library) { FreeLibrary(reinterpret_cast<HMODULE>(library)); }
void* found(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}
std::string reason() { return "Windows error " + std::to_string(GetLastError()); }

#else

#ifdef __APPLE__
constexpr const char* usual_name = "libonnxruntime.dylib";
#else
constexpr const char* usual_name = "libonnxruntime.so.1";
#endif

void* opened(const char* name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
void close(void* library) { dlclose(library); }
void* found(void* library, const char* name) { return dlsym(library, name); }
std::string reason() {
  const char* said = dlerror();
  return one_line(said ? said : "");
}

#endif

}  // namespace

const OrtApiBase& onnx_library() {
  const char* named = std::getenv("ONNXRUNTIME_LIBRARY");
  void* library = opened(named && *named ? named : usual_name);
  void* begin = library ? found(library, "OrtGetApiBase") : nullptr;
  if (!begin) {
    const std::string why = reason();
    if (library) close(library);
    throw TargetError("it cannot be loaded, and 1." + std::to_string(ORT_API_VERSION) +
                          " or newer is needed: " + why + ".",
                      "ONNX Runtime",
                      "Name its library in the environment variable ONNXRUNTIME_LIBRARY, or put it "
                      "where the system looks for " +
                          std::string(usual_name) + ".");
  }
  return *reinterpret_cast<decltype(&OrtGetApiBase)>(begin)();
}

}  // namespace dyncompile::detail

#endif
