# Compiler and linker flags of every target.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

# Optimisation and debug level are ours alone: the same -g1 keeps stacks readable in every build and links fast.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

# Option structs are filled by naming the fields that differ from their defaults.
add_compile_options(-Wall -Wextra -Werror -Wno-missing-designated-field-initializers
  -fno-omit-frame-pointer -march=x86-64-v2)
add_compile_definitions(BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
add_link_options(-fuse-ld=lld -Wl,--as-needed -pie)

if(POLYLOG_SANITIZE)
  add_compile_options(-fsanitize=${POLYLOG_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${POLYLOG_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
  add_link_options(-Wl,-z,relro,-z,now)
endif()
if(POLYLOG_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
