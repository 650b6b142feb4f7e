# How sluice's C is compiled and linked: two interface libraries.
#   sluice_flags   for every C file of ours: C11, warnings, sanitizers
#   sluice_module  for what Lua loads: what is exported, who resolves symbols

option(SLUICE_WERROR "Warnings are errors" OFF)
option(SLUICE_TIMERFD "Deadlines by timerfd, where there is one" ON)
option(SLUICE_SANITIZE "Address, leak and undefined behaviour sanitizers" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Type of build" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(sluice_flags INTERFACE)
target_compile_features(sluice_flags INTERFACE c_std_11)
target_compile_options(sluice_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
  $<$<BOOL:${SLUICE_WERROR}>:-Werror>)

if(SLUICE_SANITIZE)
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_compile_options(sluice_flags INTERFACE ${sanitizers} -O1)
  target_link_options(sluice_flags INTERFACE ${sanitizers})
endif()

add_library(sluice_module INTERFACE)
# Only luaopen_* is exported. Calls inside the module and into Lua then need
# no interposition and no lazy binding, which is a few per cent of speed.
target_compile_options(sluice_module INTERFACE
  -fPIC -fvisibility=hidden -fno-semantic-interposition
  $<$<NOT:$<PLATFORM_ID:Darwin>>:-fno-plt>)
if(APPLE)
  # The interpreter brings Lua's API with it; a second copy would be another
  # Lua.
  target_link_options(sluice_module INTERFACE -undefined dynamic_lookup)
else()
  # nodelete: a thread of the pool may still run a script's function when
  # lua_close unloads the module.
  target_link_options(sluice_module INTERFACE -Wl,-z,nodelete)
endif()

# Hot paths cross rooms (queue, wait, task, loop): optimising over all of them
# at once takes two to four per cent off a hand-over, a spawn or a put.
if(NOT SLUICE_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  include(CheckIPOSupported)
  check_ipo_supported(RESULT SLUICE_LTO OUTPUT _ LANGUAGES C)
endif()
