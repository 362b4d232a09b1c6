# dyncompile as its sources, which become part of the build that asks for it. `dyncompile cmake-dir`
# prints this folder, to be given as dyncompile_DIR.

if(NOT TARGET dyncompile::dyncompile)
  add_subdirectory("${CMAKE_CURRENT_LIST_DIR}/.." "${CMAKE_BINARY_DIR}/dyncompile")
endif()
