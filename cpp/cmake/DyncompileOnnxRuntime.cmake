# The target onnxruntime::onnxruntime.

include("${CMAKE_CURRENT_LIST_DIR}/DyncompileRoots.cmake")
dyncompile_declare_root(ONNXRUNTIME_ROOT)

# Makes the target, or sets `problem` to what is missing and what to do; to an empty string if there is
# nothing. In this order: the target as it is, DYNCOMPILE_ONNXRUNTIME_TARGET, which names another one,
# ONNXRUNTIME_ROOT, a variable of CMake or of the environment, find_package(onnxruntime CONFIG).
function(dyncompile_find_onnxruntime problem)
  set(missing "")
  dyncompile_get_root(root ONNXRUNTIME_ROOT)
  if(TARGET onnxruntime::onnxruntime)
    # As it is.
  elseif(DYNCOMPILE_ONNXRUNTIME_TARGET)
    if(TARGET "${DYNCOMPILE_ONNXRUNTIME_TARGET}")
      add_library(onnxruntime::onnxruntime INTERFACE IMPORTED GLOBAL)
      set_target_properties(onnxruntime::onnxruntime PROPERTIES INTERFACE_LINK_LIBRARIES
                                                                "${DYNCOMPILE_ONNXRUNTIME_TARGET}")
    else()
      set(missing "DYNCOMPILE_ONNXRUNTIME_TARGET: there is no target ${DYNCOMPILE_ONNXRUNTIME_TARGET}.")
      string(APPEND missing " Make it before dyncompile is added.")
    endif()
  elseif(root)
    _dyncompile_onnxruntime_of("${root}" missing)
  else()
    set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
    find_package(onnxruntime CONFIG QUIET)
    if(TARGET onnxruntime::onnxruntime)
      get_target_property(is_global onnxruntime::onnxruntime IMPORTED_GLOBAL)
      if(NOT is_global)
        set_target_properties(onnxruntime::onnxruntime PROPERTIES IMPORTED_GLOBAL TRUE)
      endif()
    else()
      set(missing "ONNX Runtime: there is no ONNXRUNTIME_ROOT, no target onnxruntime::onnxruntime and")
      string(APPEND missing " no package onnxruntime. Set ONNXRUNTIME_ROOT to a folder that has its"
             " include and its lib, such as an unpacked release archive.")
    endif()
  endif()
  set(${problem} "${missing}" PARENT_SCOPE)
endfunction()

function(_dyncompile_onnxruntime_of root problem)
  if(NOT IS_DIRECTORY "${root}")
    set(${problem} "ONNXRUNTIME_ROOT: there is no folder ${root}. Name the folder that has the include and \
the lib of ONNX Runtime." PARENT_SCOPE)
    return()
  endif()
  set(headers NOTFOUND)
  find_path(
    headers onnxruntime_cxx_api.h
    PATHS "${root}/include" "${root}/include/onnxruntime"
          "${root}/include/onnxruntime/core/session" "${root}/include/core/session"
    NO_DEFAULT_PATH NO_CACHE)
  if(NOT headers)
    set(${problem} "ONNXRUNTIME_ROOT: there is no onnxruntime_cxx_api.h in ${root}/include or \
${root}/include/onnxruntime. Name a folder that has the headers of ONNX Runtime: its release archive has \
them, its Python package has not." PARENT_SCOPE)
    return()
  endif()
  dyncompile_find_library(library "${root}" onnxruntime)
  if(NOT library AND DYNCOMPILE_LOAD_ONNXRUNTIME)
    add_library(onnxruntime::onnxruntime INTERFACE IMPORTED GLOBAL)
    set_target_properties(onnxruntime::onnxruntime PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
                                                              "${headers}")
    return()
  endif()
  if(NOT library)
    set(${problem} "ONNXRUNTIME_ROOT: there is no library onnxruntime in ${root}/lib or ${root}/lib64. Put \
the one there that goes with the headers." PARENT_SCOPE)
    return()
  endif()
  _dyncompile_name_as_asked_for(library)
  dyncompile_add_library(onnxruntime::onnxruntime "${library}" "${headers}")
endfunction()

# A program asks for libonnxruntime.so.<major>. The Python package has no file of that name, so links to
# all its libraries are made in the build, with one of that name among them.
function(_dyncompile_name_as_asked_for variable)
  if(NOT "${${variable}}" MATCHES "/(libonnxruntime[.]so[.][0-9]+)[.][^/]*$")
    return()
  endif()
  set(name "${CMAKE_MATCH_1}")
  get_filename_component(folder "${${variable}}" DIRECTORY)
  if(EXISTS "${folder}/${name}")
    return()
  endif()
  set(links "${CMAKE_BINARY_DIR}/onnxruntime-by-name")
  file(REMOVE_RECURSE "${links}")
  file(MAKE_DIRECTORY "${links}")
  file(GLOB files "${folder}/libonnxruntime*")
  foreach(file IN LISTS files)
    get_filename_component(same "${file}" NAME)
    file(CREATE_LINK "${file}" "${links}/${same}" SYMBOLIC)
  endforeach()
  file(CREATE_LINK "${${variable}}" "${links}/${name}" SYMBOLIC)
  set(${variable} "${links}/${name}" PARENT_SCOPE)
endfunction()
