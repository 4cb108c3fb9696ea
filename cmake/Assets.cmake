# What the admin port serves as it is: files become arrays in the program, as they are and compressed.
find_program(GZIP_PROGRAM gzip REQUIRED)

function(asset_content_type result file)
  set(html "text/html; charset=utf-8")
  set(css "text/css; charset=utf-8")
  set(js "text/javascript; charset=utf-8")
  set(svg "image/svg+xml")
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING ${extension} 1 -1 extension)
  set(${result} "${${extension}}" PARENT_SCOPE)
endfunction()

# asset_bytes(RESULT FILE): "0x3c, 0x21, …"
function(asset_bytes result file)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  set(${result} "${bytes}" PARENT_SCOPE)
endfunction()

# embed_assets(TARGET PATH FILE …): pairs of a path and the file that is served there; TARGET gets `ASSETS` of
# src/admin/assets.h.
function(embed_assets target)
  set(arrays "")
  set(rows "")
  set(count 0)
  set(rest ${ARGN})
  while(rest)
    list(POP_FRONT rest path file)
    get_filename_component(file ${file} ABSOLUTE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    set(compressed ${CMAKE_CURRENT_BINARY_DIR}/asset.gz)
    execute_process(COMMAND ${GZIP_PROGRAM} -9nc ${file} OUTPUT_FILE ${compressed} COMMAND_ERROR_IS_FATAL ANY)
    asset_bytes(bytes ${file})
    asset_bytes(gzip ${compressed})
    asset_content_type(type ${file})
    file(SHA256 ${file} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    string(APPEND arrays "static const unsigned char asset_${count}[] = {${bytes}};\n"
                         "static const unsigned char asset_${count}_gzip[] = {${gzip}};\n")
    string(APPEND rows "    {\"${path}\", \"${type}\", \"W/\\\"${hash}\\\"\", {asset_${count}, sizeof asset_${count}}, "
                       "{asset_${count}_gzip, sizeof asset_${count}_gzip}},\n")
    math(EXPR count "${count} + 1")
  endwhile()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/assets_embedded.c)
  string(CONCAT content "#include \"assets.h\"\n" "${arrays}" "const struct asset ASSETS[] = {\n" "${rows}" "};\n"
                        "const size_t ASSET_COUNT = ${count};\n")
  file(CONFIGURE OUTPUT ${source} CONTENT "${content}" @ONLY)
  target_sources(${target} PRIVATE ${source})
endfunction()
