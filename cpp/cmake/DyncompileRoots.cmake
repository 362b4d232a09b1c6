# Folders that others name, and what is in them.

# Makes a variable of the cache that names one; a path on the command line may be relative then.
macro(dyncompile_declare_root variable)
  if(NOT DEFINED ${variable} OR DEFINED CACHE{${variable}})
    set(${variable} "" CACHE PATH "Where it is; without it, what the environment says")
  endif()
endmacro()

# Sets `root` to the folder that a variable of CMake or else of the environment names, or to an empty
# string.
function(dyncompile_get_root root variable)
  set(value "${${variable}}")
  if(NOT value)
    if(DEFINED ENV{${variable}}) # kept for when this is configured again without it
      set(dyncompile_last_${variable} "$ENV{${variable}}" CACHE INTERNAL "What the environment said")
    endif()
    set(value "${dyncompile_last_${variable}}")
  endif()
  if(value)
    get_filename_component(value "${value}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")
  endif()
  set(${root} "${value}" PARENT_SCOPE)
endfunction()

# Sets `found` to the library of one of the names in lib, lib64, lib/<multiarch>, lib/x64 or the root
# itself, or to an empty string. It may be a file with a version behind its name.
function(dyncompile_find_library found root)
  set(${found} "" PARENT_SCOPE)
  set(folders lib lib64 "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib/x64 .)
  foreach(folder IN LISTS folders)
    foreach(name IN LISTS ARGN)
      set(stem "${root}/${folder}/${CMAKE_SHARED_LIBRARY_PREFIX}${name}")
      if(WIN32)
        file(GLOB files "${root}/${folder}/${name}.lib")
      elseif(APPLE)
        file(GLOB files "${stem}.dylib" "${stem}.[0-9]*.dylib")
      else()
        file(GLOB files "${stem}.so" "${stem}.so.[0-9]*")
      endif()
      if(files)
        list(GET files 0 file) # sorted: without a version first
        set(${found} "${file}" PARENT_SCOPE)
        return()
      endif()
    endforeach()
  endforeach()
endfunction()

# Makes the target of a library that was found.
function(dyncompile_add_library target library headers)
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${headers}")
  if(NOT WIN32)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${library}")
    return()
  endif()
  get_filename_component(folder "${library}" DIRECTORY)
  get_filename_component(name "${library}" NAME_WLE)
  set(dll "${folder}/${name}.dll")
  if(NOT EXISTS "${dll}")
    set(dll "${folder}/../bin/${name}.dll")
  endif()
  set_target_properties(${target} PROPERTIES IMPORTED_IMPLIB "${library}" IMPORTED_LOCATION "${dll}")
endfunction()
