# `cpack -G DEB` makes two Debian packages of a build that was configured with the preset `package`:
#
#   whippet       the worker, its processors, the unit file, an account, and /etc/whippet/whippet.json
#   whippet-dev   headers, libwhippet-testing, and what CMake and pkg-config need, to build processors
#
# What Debian's rules ask for beyond what is installed is in deploy/debian. A plain `cmake --install` leaves it out, and
# touches nothing outside its prefix.
set(whippet_debian ${CMAKE_CURRENT_SOURCE_DIR}/deploy/debian)
set(whippet_package_folder ${CMAKE_CURRENT_BINARY_DIR}/package)

install(FILES deploy/systemd/whippet.service DESTINATION lib/systemd/system COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${whippet_debian}/whippet.json DESTINATION /etc/whippet COMPONENT service EXCLUDE_FROM_ALL)
install(DIRECTORY DESTINATION /var/lib/whippet COMPONENT service EXCLUDE_FROM_ALL)

set(CPACK_PACKAGE_CONTACT "The Whippet authors <whippet@users.noreply.github.com>")

# documentation(PACKAGE COMPONENT): the copyright, the changes, and what lintian has to overlook and why.
function(documentation package component)
  set(folder ${whippet_package_folder}/${package})
  configure_file(${whippet_debian}/changelog.in ${folder}/changelog.Debian @ONLY)
  find_program(GZIP_PROGRAM gzip)
  if(GZIP_PROGRAM)
    execute_process(COMMAND ${GZIP_PROGRAM} -9nf ${folder}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)
  endif()
  install(FILES ${folder}/changelog.Debian.gz ${whippet_debian}/copyright OPTIONAL
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component} EXCLUDE_FROM_ALL)
  install(FILES ${whippet_debian}/${package}.lintian-overrides RENAME ${package}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides COMPONENT ${component} EXCLUDE_FROM_ALL)
endfunction()
string(TIMESTAMP whippet_package_date "%a, %d %b %Y %H:%M:%S +0000" UTC)
documentation(whippet service)
documentation(whippet-dev service-dev)

set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The Whippet authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "asynchronous RabbitMQ consumer service")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime service sdk service-dev)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENT_RUNTIME_GROUP whippet)
set(CPACK_COMPONENT_SERVICE_GROUP whippet)
set(CPACK_COMPONENT_SDK_GROUP dev)
set(CPACK_COMPONENT_SERVICE-DEV_GROUP dev)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_WHIPPET_PACKAGE_NAME whippet)
set(CPACK_DEBIAN_WHIPPET_PACKAGE_SECTION net)
# Two libraries are loaded when they are needed, which the linker knows nothing of. libcurl has a name in Debian 13, and
# one in 12.
set(CPACK_DEBIAN_WHIPPET_PACKAGE_RECOMMENDS "ca-certificates, libcurl4t64 | libcurl4, libncursesw6, libpq5")
set(CPACK_DEBIAN_WHIPPET_PACKAGE_SUGGESTS "rabbitmq-server, whippet-dev")
set(CPACK_DEBIAN_WHIPPET_DESCRIPTION
"Whippet subscribes to many RabbitMQ queues from one event loop and runs each
message as a lightweight task in a processor: a shared object written in
straight-line C, or a command in any language. It retries what fails, and
parks what keeps failing in a dead-letter queue, with the reason.

Edit /etc/whippet/whippet.json, then: systemctl enable --now whippet")
set(CPACK_DEBIAN_WHIPPET_PACKAGE_CONTROL_EXTRA
  ${whippet_debian}/conffiles ${whippet_debian}/postinst ${whippet_debian}/prerm ${whippet_debian}/postrm)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME whippet-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "whippet (>= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS "gcc, cmake, pkgconf, libcriterion-dev")
set(CPACK_DEBIAN_DEV_DESCRIPTION
"Here is what it takes to build a processor for Whippet, and to test it without
a broker: headers, libwhippet-testing, and the files by which CMake and
pkg-config find them. \"whippet new NAME\" makes a folder to begin with.")
configure_file(${whippet_debian}/shlibs.in ${whippet_package_folder}/shlibs @ONLY)
set(CPACK_DEBIAN_DEV_PACKAGE_CONTROL_EXTRA ${whippet_debian}/triggers ${whippet_package_folder}/shlibs)
include(CPack)
