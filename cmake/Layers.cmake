# whippet_layer(NAME SOURCES ... USES lower-layer ... LIBRARIES ...)
#
# A layer is an object library whose headers live in src/NAME/include/NAME. It sees the headers of the layers named in
# USES, which all lie below it, and no others: a wrong #include does not compile.
set(WHIPPET_LAYERS "" CACHE INTERNAL "layers defined so far, lowest first")

function(whippet_layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  foreach(below IN LISTS arg_USES)
    if(NOT below IN_LIST WHIPPET_LAYERS)
      message(FATAL_ERROR "layer ${name} uses ${below}, which does not lie below it")
    endif()
  endforeach()
  add_library(${name} OBJECT ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${name} PUBLIC ${arg_USES} PRIVATE whippet_flags ${arg_LIBRARIES})
  # Object libraries pass on neither their objects nor their libraries by themselves.
  set(WHIPPET_LAYERS ${WHIPPET_LAYERS} ${name} CACHE INTERNAL "layers defined so far, lowest first")
  set_property(GLOBAL APPEND PROPERTY WHIPPET_LAYER_LIBRARIES ${arg_LIBRARIES})
endfunction()

# Links every layer into TARGET. Processors find the SDK's functions in the program that loads them, so those stay exported.
function(whippet_link_all target)
  get_property(libraries GLOBAL PROPERTY WHIPPET_LAYER_LIBRARIES)
  target_link_libraries(${target} PRIVATE whippet_flags ${WHIPPET_LAYERS} ${libraries})
  target_link_options(${target} PRIVATE "LINKER:--export-dynamic-symbol=whippet_*")
endfunction()
