# The version a build reports: the project's own, and the commit it was built from where git can tell.
find_package(Git QUIET)
set(WHIPPET_COMMIT "" CACHE STRING "Commit that this build is made from; empty asks git")
set(whippet_commit "${WHIPPET_COMMIT}")
if(NOT whippet_commit AND GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty --abbrev=12
                  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
                  OUTPUT_VARIABLE whippet_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT whippet_commit)
  set(whippet_commit "unknown")
endif()
