# nlohmann-json, which the sources of dyncompile include and its headers do not.

include("${CMAKE_CURRENT_LIST_DIR}/DyncompileRoots.cmake")
dyncompile_declare_root(NLOHMANN_JSON_ROOT)

# Sets `headers` to its folder, or `problem` to what is missing and what to do. NLOHMANN_JSON_ROOT is a
# variable of CMake or of the environment; without it, a target of yours or find_package.
function(dyncompile_find_json headers problem)
  set(${problem} "" PARENT_SCOPE)
  dyncompile_get_root(root NLOHMANN_JSON_ROOT)
  if(root)
    set(found NOTFOUND)
    find_path(
      found nlohmann/json.hpp
      PATHS "${root}/include" "${root}/single_include" "${root}"
      NO_DEFAULT_PATH NO_CACHE)
    if(NOT found)
      set(${problem} "NLOHMANN_JSON_ROOT: there is no nlohmann/json.hpp in ${root}/include or ${root}. Name \
the folder that has the headers of nlohmann-json." PARENT_SCOPE)
      return()
    endif()
    set(${headers} "${found}" PARENT_SCOPE)
    return()
  endif()
  if(NOT TARGET nlohmann_json::nlohmann_json)
    find_package(nlohmann_json 3.10 CONFIG QUIET)
  endif()
  if(NOT TARGET nlohmann_json::nlohmann_json)
    set(${problem} "nlohmann-json: there is no NLOHMANN_JSON_ROOT, no target nlohmann_json::nlohmann_json and \
no package nlohmann_json 3.10 or newer. Install the package nlohmann-json3-dev, or set NLOHMANN_JSON_ROOT \
to a folder that has include/nlohmann/json.hpp." PARENT_SCOPE)
    return()
  endif()
  get_target_property(found nlohmann_json::nlohmann_json INTERFACE_INCLUDE_DIRECTORIES)
  set(${headers} "${found}" PARENT_SCOPE)
endfunction()

# Lets the sources of a target include it.
function(dyncompile_use_json target)
  target_include_directories(${target} SYSTEM PRIVATE "${dyncompile_json_headers}")
endfunction()
