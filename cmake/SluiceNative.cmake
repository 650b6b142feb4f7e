# Modules in C over a library that not everybody has. Each is a shared object
# of its own, BUILD/sluice/native/NAME.so, so that `require "sluice"` loads
# none of them, and is built only where its library is found.
#
#   sluice_native(NAME PACKAGE [ROOM...])
#     NAME     of the module; its rooms are src/native/NAME.c and NAME_*.c
#     PACKAGE  what pkg-config calls the library, with the oldest version
#     ROOM     of src/ that it needs, too: pure C or lx. It gets its own copy:
#              the core's symbols are hidden.
#
# SLUICE_NATIVE lists those that are to be built where they can be.

set(SLUICE_NATIVE "tls;url;curl;gumbo;sqlite;hiredis" CACHE STRING
  "Modules over other libraries that are built where these are found")

add_custom_target(modules DEPENDS core)

function(sluice_native name package)
  if(NOT name IN_LIST SLUICE_NATIVE)
    message(STATUS "native/${name}: not wanted")
    return()
  endif()
  pkg_check_modules(NATIVE_${name} QUIET IMPORTED_TARGET "${package}")
  if(NOT NATIVE_${name}_FOUND)
    message(STATUS "native/${name}: not built, ${package} was not found")
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/src/native/${name}.c"
    "${PROJECT_SOURCE_DIR}/src/native/${name}_*.c")
  foreach(room IN LISTS ARGN)
    list(APPEND sources "${PROJECT_SOURCE_DIR}/src/${room}.c")
  endforeach()
  add_library(native_${name} MODULE ${sources})
  set_target_properties(native_${name} PROPERTIES
    PREFIX ""
    SUFFIX ".so"
    OUTPUT_NAME "${name}"
    LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/sluice/native")
  target_link_libraries(native_${name} PRIVATE
    sluice_flags sluice_module sluice_lua PkgConfig::NATIVE_${name}
    Threads::Threads)
  add_dependencies(modules native_${name})
  install(TARGETS native_${name}
    LIBRARY DESTINATION "${SLUICE_LIBDIR}/sluice/native")
endfunction()
