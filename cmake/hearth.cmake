# Flags that every target shares, and the two ways a folder declares what it builds.

add_library(hearth_flags INTERFACE)
target_compile_options(hearth_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Werror
  -Wno-missing-field-initializers  # designated initialisers leave the rest at its default
  -Wno-restrict  # false alarms of GCC 12 on std::string (GCC bug 105651)
  -march=x86-64-v2 -fno-math-errno)
target_include_directories(hearth_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(HEARTH_SANITIZE)
  target_compile_options(hearth_flags INTERFACE -fsanitize=${HEARTH_SANITIZE} -fno-omit-frame-pointer -g -O1)
  target_link_options(hearth_flags INTERFACE -fsanitize=${HEARTH_SANITIZE})
  # False alarms of GCC 12 on <regex> under -fsanitize=address (GCC bug 105562).
  target_compile_options(hearth_flags INTERFACE -Wno-maybe-uninitialized)
  if(HEARTH_SANITIZE MATCHES "undefined")
    target_compile_options(hearth_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()

# hearth_library(NAME SOURCES file... LINKS target...): the library of one folder, named hearth_NAME.
function(hearth_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS;PRIVATE_LINKS")
  add_library(hearth_${name} STATIC ${arg_SOURCES})
  target_link_libraries(hearth_${name} PUBLIC hearth_flags ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
endfunction()

# hearth_test(NAME SOURCES file... LINKS target... [LABELS label...] [RANKS n]): one GoogleTest program, one ctest entry.
# With RANKS the program is started by mpirun on that many ranks. Labels that mean something:
#   shared   needs the shared known answers; left out, by name, where they are missing
#   root     needs the rights of root; left out, by name, where they are missing
#   threads  is run under the thread sanitizer too
#   slow     is not run under the other sanitizers
function(hearth_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "RANKS;TIMEOUT" "SOURCES;LINKS;LABELS")
  if("shared" IN_LIST arg_LABELS AND NOT HEARTH_SHARED_FOUND)
    file(APPEND ${PROJECT_BINARY_DIR}/tests_not_run.txt "${name}: needs the shared known answers\n")
    return()
  endif()
  if("root" IN_LIST arg_LABELS AND NOT HEARTH_USER STREQUAL "0")
    file(APPEND ${PROJECT_BINARY_DIR}/tests_not_run.txt "${name}: needs the rights of root\n")
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE hearth_test_support ${arg_LINKS})
  if(arg_RANKS)
    add_test(NAME ${name} COMMAND ${HEARTH_MPIRUN} -n ${arg_RANKS} $<TARGET_FILE:${name}>)
    set_tests_properties(${name} PROPERTIES PROCESSORS 2)
  else()
    add_test(NAME ${name} COMMAND ${name})
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "OMP_WAIT_POLICY=passive;OMPI_MCA_rmaps_base_oversubscribe=1")
endfunction()
