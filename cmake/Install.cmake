# What `cmake --install` puts where: the program and its processors are installed by their own folders; here the SDK.
install(DIRECTORY include/whippet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/whippet.pc.in ${CMAKE_CURRENT_BINARY_DIR}/whippet.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/whippet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
