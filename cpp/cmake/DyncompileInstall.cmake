# What `cmake --install` writes: the library, its headers, and a package that find_package finds.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(dyncompile_package "${CMAKE_INSTALL_LIBDIR}/cmake/dyncompile")

# A shared dyncompile finds ONNX Runtime where it was linked from.
set_target_properties(dyncompile PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
install(
  TARGETS dyncompile
  EXPORT dyncompileTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
  INCLUDES
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY include/dyncompile DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(
  EXPORT dyncompileTargets
  NAMESPACE dyncompile::
  DESTINATION "${dyncompile_package}")

configure_package_config_file(
  cmake/installed/dyncompileConfig.cmake.in dyncompileConfig.cmake
  INSTALL_DESTINATION "${dyncompile_package}" NO_SET_AND_CHECK_MACRO
                      NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(dyncompileConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES "${CMAKE_CURRENT_BINARY_DIR}/dyncompileConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/dyncompileConfigVersion.cmake"
        cmake/DyncompileOnnxRuntime.cmake cmake/DyncompileRoots.cmake
        cmake/DyncompileTensorRT.cmake
  DESTINATION "${dyncompile_package}")
