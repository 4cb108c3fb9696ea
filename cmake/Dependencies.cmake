# Every library we stand on; docs/architecture.md gives the reason for each.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

pkg_check_modules(rabbitmq REQUIRED IMPORTED_TARGET librabbitmq>=0.11)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(cjson REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(microhttpd REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.75)

# Clients are left out where their library's headers are missing; processors that want one say so when they start. The
# libraries themselves are loaded when they are first needed, never linked.
if(WHIPPET_POSTGRES)
  pkg_check_modules(postgres libpq>=13)
  if(NOT postgres_FOUND)
    message(WARNING "libpq's headers are missing (Debian's package libpq-dev): PostgreSQL is left out")
    set(WHIPPET_POSTGRES OFF)
  endif()
endif()
if(WHIPPET_HTTP)
  pkg_check_modules(curl libcurl>=7.88)
  if(NOT curl_FOUND)
    message(WARNING "libcurl's headers are missing (Debian's package libcurl4-openssl-dev): HTTP is left out")
    set(WHIPPET_HTTP OFF)
  endif()
endif()

# Without it `whippet top` draws on no terminal, and prints once.
if(WHIPPET_CURSES)
  pkg_check_modules(curses ncursesw>=6.2)
  if(NOT curses_FOUND)
    message(WARNING "ncurses's headers are missing (Debian's package libncurses-dev): whippet top will not be live")
    set(WHIPPET_CURSES OFF)
  endif()
endif()

# libev ships no pkg-config file.
find_path(EV_INCLUDE_DIR ev.h REQUIRED)
find_library(EV_LIBRARY ev REQUIRED)
add_library(ev UNKNOWN IMPORTED)
set_target_properties(ev PROPERTIES IMPORTED_LOCATION ${EV_LIBRARY})

if(WHIPPET_CONTEXT STREQUAL "fcontext")
  # The static archive: two small assembly routines, and no libstdc++ at run time.
  find_library(BOOST_CONTEXT_ARCHIVE NAMES libboost_context.a REQUIRED)
  add_library(fcontext UNKNOWN IMPORTED)
  set_target_properties(fcontext PROPERTIES IMPORTED_LOCATION ${BOOST_CONTEXT_ARCHIVE})
elseif(NOT WHIPPET_CONTEXT STREQUAL "ucontext")
  message(FATAL_ERROR "WHIPPET_CONTEXT is '${WHIPPET_CONTEXT}'; it must be fcontext or ucontext")
endif()
