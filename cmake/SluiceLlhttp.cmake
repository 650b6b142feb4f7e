# sluice_llhttp: the HTTP parser of Node, from the first of
#   1. llhttp's own CMake package
#   2. pkg-config's libllhttp
#   3. the C sources that Debian ships as node-llhttp, compiled here
#      (SLUICE_LLHTTP_SOURCES, SLUICE_LLHTTP_INCLUDE say where they are)

add_library(sluice_llhttp INTERFACE)

find_package(llhttp CONFIG QUIET)
foreach(name llhttp::llhttp llhttp::llhttp_shared llhttp::llhttp_static)
  if(TARGET ${name})
    message(STATUS "llhttp: ${name} (${llhttp_DIR})")
    target_link_libraries(sluice_llhttp INTERFACE ${name})
    return()
  endif()
endforeach()

find_package(PkgConfig QUIET)
pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET libllhttp)
if(LLHTTP_FOUND)
  message(STATUS "llhttp: pkg-config's libllhttp ${LLHTTP_VERSION}")
  target_link_libraries(sluice_llhttp INTERFACE PkgConfig::LLHTTP)
  return()
endif()

set(SLUICE_LLHTTP_SOURCES "/usr/share/llhttp" CACHE PATH
  "The directory of llhttp.c, api.c and http.c")
set(SLUICE_LLHTTP_INCLUDE "/usr/share/include/llhttp" CACHE PATH
  "The directory of llhttp.h")
if(NOT EXISTS "${SLUICE_LLHTTP_SOURCES}/llhttp.c")
  message(FATAL_ERROR
    "llhttp was not found. `make setup` installs it or names the package.")
endif()

message(STATUS "llhttp: compiled from ${SLUICE_LLHTTP_SOURCES}")
add_library(llhttp_from_source STATIC
  "${SLUICE_LLHTTP_SOURCES}/llhttp.c"
  "${SLUICE_LLHTTP_SOURCES}/api.c"
  "${SLUICE_LLHTTP_SOURCES}/http.c")
# Without strict mode the parser built is the loose one, which takes what a
# server must refuse.
target_compile_definitions(llhttp_from_source PRIVATE LLHTTP_STRICT_MODE=1)
# Not our code: no warnings.
target_compile_options(llhttp_from_source PRIVATE -w)
target_include_directories(llhttp_from_source SYSTEM
  PUBLIC "${SLUICE_LLHTTP_INCLUDE}")
set_target_properties(llhttp_from_source PROPERTIES
  POSITION_INDEPENDENT_CODE ON
  C_VISIBILITY_PRESET hidden)
target_link_libraries(sluice_llhttp INTERFACE llhttp_from_source)
