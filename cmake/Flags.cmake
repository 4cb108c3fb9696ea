# One interface target carries every flag, so that no target is built without them.
add_library(whippet_flags INTERFACE)

target_compile_definitions(whippet_flags INTERFACE _GNU_SOURCE)
target_compile_options(whippet_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wpointer-arith -Wvla -Wformat=2 -Wundef -Wwrite-strings -Wnull-dereference -Wimplicit-fallthrough
  -Werror
  # A waiting task's place in a list lies on its stack: what gcc 13 and later take for a mistake.
  $<$<C_COMPILER_ID:GNU>:-Wno-dangling-pointer>
  -fno-strict-aliasing
  # A frame larger than a page must touch the guard below a task's stack, never jump over it.
  -fstack-clash-protection
  -fno-omit-frame-pointer
  -fvisibility=hidden)

if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT WHIPPET_SANITIZE)
  target_compile_options(whippet_flags INTERFACE -g1 -fstack-protector-strong)
  target_compile_definitions(whippet_flags INTERFACE _FORTIFY_SOURCE=2)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(whippet_flags INTERFACE -fcf-protection)
  endif()
  target_link_options(whippet_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # The way of a message leads through all layers: a quarter of its user time is calls that can be inlined.
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    # All was compiled with this warning; across files gcc 12 sees ledgers without an image where there are none.
    target_link_options(whippet_flags INTERFACE -Wno-stringop-overflow)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      # Without these what is cleared and copied is so by `rep stos` and `rep movs`, which are slow to start: two
      # thirds of delivery_create, say.
      target_compile_options(whippet_flags INTERFACE
        -mmemset-strategy=unrolled_loop:128:noalign,libcall:-1:noalign
        -mmemcpy-strategy=unrolled_loop:64:noalign,libcall:-1:noalign)
    endif()
  endif()
endif()

if(WHIPPET_SANITIZE)
  target_compile_options(whippet_flags INTERFACE -fsanitize=${WHIPPET_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(whippet_flags INTERFACE -fsanitize=${WHIPPET_SANITIZE})
endif()
if(WHIPPET_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "WHIPPET_FUZZ needs clang: cmake --preset fuzz")
  endif()
  target_compile_options(whippet_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(WHIPPET_COVERAGE)
  target_compile_options(whippet_flags INTERFACE --coverage -O0)
  target_link_options(whippet_flags INTERFACE --coverage)
endif()
