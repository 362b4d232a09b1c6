# The target dyncompile::tensorrt: TensorRT, or TensorRT for RTX, and the CUDA runtime.

include("${CMAKE_CURRENT_LIST_DIR}/DyncompileRoots.cmake")
dyncompile_declare_root(TENSORRT_ROOT)
dyncompile_declare_root(CUDAToolkit_ROOT)

# Makes the target, or sets `problem` to what is missing and what to do. TENSORRT_ROOT is a variable of
# CMake or of the environment; CUDAToolkit_ROOT may say where CUDA is.
function(dyncompile_find_tensorrt problem)
  set(${problem} "" PARENT_SCOPE)
  if(TARGET dyncompile::tensorrt)
    return()
  endif()
  dyncompile_get_root(root TENSORRT_ROOT)
  if(NOT root)
    set(${problem} "DYNCOMPILE_WITH_TENSORRT: there is no TENSORRT_ROOT. Set it to the folder that has the \
include and the lib of TensorRT, or of TensorRT for RTX." PARENT_SCOPE)
    return()
  endif()
  set(headers NOTFOUND)
  find_path(
    headers NvInfer.h
    PATHS "${root}/include" "${root}/include/${CMAKE_LIBRARY_ARCHITECTURE}"
    NO_DEFAULT_PATH NO_CACHE)
  if(NOT headers)
    set(${problem} "TENSORRT_ROOT: there is no NvInfer.h in ${root}/include. Name the folder of the SDK; \
Python packages have no headers." PARENT_SCOPE)
    return()
  endif()
  file(GLOB versioned "${root}/lib/tensorrt_rtx_*.lib") # Windows: the version is in the name
  list(TRANSFORM versioned REPLACE "^.*/([^/]*)[.]lib$" "\\1")
  dyncompile_find_library(library "${root}" tensorrt_rtx ${versioned})
  if(NOT library)
    dyncompile_find_library(library "${root}" nvinfer nvinfer_10 nvinfer_11)
  endif()
  if(NOT library)
    set(${problem} "TENSORRT_ROOT: there is neither a library nvinfer nor tensorrt_rtx in ${root}/lib. Name \
the folder of the SDK." PARENT_SCOPE)
    return()
  endif()
  _dyncompile_find_cudart(missing)
  if(missing)
    set(${problem} "${missing}" PARENT_SCOPE)
    return()
  endif()
  dyncompile_add_library(dyncompile::tensorrt "${library}" "${headers}")
  set_target_properties(
    dyncompile::tensorrt
    PROPERTIES INTERFACE_LINK_LIBRARIES "dyncompile::cudart;${CMAKE_DL_LIBS}"
               INTERFACE_COMPILE_DEFINITIONS DYNCOMPILE_WITH_TENSORRT)
endfunction()

# The target dyncompile::cudart: from CUDAToolkit_ROOT, which may be without a compiler, or a toolkit.
function(_dyncompile_find_cudart problem)
  set(${problem} "" PARENT_SCOPE)
  dyncompile_get_root(root CUDAToolkit_ROOT)
  if(root)
    set(headers NOTFOUND)
    find_path(headers cuda_runtime_api.h PATHS "${root}/include" NO_DEFAULT_PATH NO_CACHE)
    dyncompile_find_library(library "${root}" cudart)
    if(headers AND library)
      dyncompile_add_library(dyncompile::cudart "${library}" "${headers}")
      return()
    endif()
  endif()
  find_package(CUDAToolkit QUIET)
  if(NOT TARGET CUDA::cudart)
    set(${problem} "DYNCOMPILE_WITH_TENSORRT: there is no CUDA toolkit. Set CUDAToolkit_ROOT to the folder \
that has its include and its lib." PARENT_SCOPE)
    return()
  endif()
  get_target_property(headers CUDA::cudart INTERFACE_INCLUDE_DIRECTORIES)
  get_target_property(library CUDA::cudart IMPORTED_LOCATION)
  dyncompile_add_library(dyncompile::cudart "${library}" "${headers}")
endfunction()
