# What `cmake --install` puts where. The component `runtime` is what a worker needs: the program and its processors,
# which are installed by their own folders, and the schema. The rest is the component `sdk`.
include(CMakePackageConfigHelpers)

install(FILES docs/whippet.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/whippet COMPONENT runtime)
install(DIRECTORY include/whippet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT sdk)

# For CMake: find_package(whippet).
set(whippet_cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/whippet)
configure_package_config_file(cmake/whippetConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/whippetConfig.cmake
  INSTALL_DESTINATION ${whippet_cmake_folder}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/whippetConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/whippetConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/whippetConfigVersion.cmake
        DESTINATION ${whippet_cmake_folder} COMPONENT sdk)

# For everybody else: pkg-config. The files find their prefix from where they lie, so that the tree can be moved.
file(RELATIVE_PATH whippet_prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
foreach(module whippet whippet-testing)
  configure_file(cmake/${module}.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT sdk)
endforeach()
