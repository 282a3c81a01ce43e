# The two ways in which everything here is built. Every folder includes from the top of the tree.

include(GoogleTest)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths count from the top, so that several clones and build folders share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
# g++ 12 sees an overlap in `"text" + std::string` where there is none (GCC bug 105651).
add_compile_options($<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>)
if(DROVER_SANITIZE)
  # -O0: a small Beast coroutine file takes minutes with the optimiser and the sanitizers together.
  add_compile_options(-O0 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
endif()
if(DROVER_FUZZ)
  # What lies under the fuzz targets is pure and small: here the optimiser pays.
  add_compile_options(-O1 -g1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
endif()
include_directories(${PROJECT_SOURCE_DIR})

# drover_library(NAME SOURCES a.cpp ... DEPS other ...): a static library; what it depends on is public.
function(drover_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
endfunction()

# drover_program(NAME SOURCES ... DEPS ...): an executable in <build>/bin; `drover-programs` builds them all.
add_custom_target(drover-programs)
function(drover_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  add_dependencies(drover-programs ${name})
  if(NOT CMAKE_CURRENT_SOURCE_DIR MATCHES "/(packaging|tests|bench)/")  # what is not a part of the product
    install(TARGETS ${name} RUNTIME)
  endif()
endfunction()

# Tests carry one label, which says what they may touch; `<label>-tests` builds those of one label.
set(DROVER_TEST_LABELS tidy unit contract sim integration e2e)
foreach(label ${DROVER_TEST_LABELS})
  add_custom_target(${label}-tests)
endforeach()

# drover_test(NAME LABEL unit|contract|sim|integration|e2e|tidy SOURCES ... DEPS ...): one GoogleTest program. Each of
# its cases is a test of ctest, named <program>/<Suite>.<Case>, and may run beside any other: no fixed ports or folders.
# PATHS: the sources see DROVER_SOURCE_DIR and DROVER_BIN_DIR (only where they are used: another clone's cache then misses).
function(drover_test name)
  cmake_parse_arguments(ARG "SERIAL;PATHS" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_LABEL IN_LIST DROVER_TEST_LABELS)
    message(FATAL_ERROR "drover_test(${name}): LABEL is one of ${DROVER_TEST_LABELS}")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(ARG_PATHS)
    target_compile_definitions(${name} PRIVATE DROVER_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
      DROVER_BIN_DIR="${PROJECT_BINARY_DIR}/bin")
  endif()
  if(NOT DROVER_SANITIZE)
    target_compile_options(${name} PRIVATE -O1)  # a test runs once for each time it is compiled: 5.2 s became 3.9 s
  endif()
  add_dependencies(${ARG_LABEL}-tests ${name})
  gtest_discover_tests(${name} TEST_PREFIX ${name}/ DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 30
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ${ARG_SERIAL})
endfunction()

# drover_python_test(NAME LABEL ... SCRIPT a.py [ARGS ...]): one script with Python's unittest, which sees
# DROVER_SOURCE_DIR and DROVER_BIN_DIR. The distribution's interpreter: another one in PATH may lack numpy and onnx.
find_program(DROVER_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(NOT DROVER_PYTHON)
  find_program(DROVER_PYTHON python3)
endif()
function(drover_python_test name)
  cmake_parse_arguments(ARG "SERIAL" "LABEL;TIMEOUT;SCRIPT" "ARGS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${DROVER_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT} ${ARG_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ${ARG_SERIAL}
    ENVIRONMENT "DROVER_SOURCE_DIR=${PROJECT_SOURCE_DIR};DROVER_BIN_DIR=${PROJECT_BINARY_DIR}/bin")
endfunction()
