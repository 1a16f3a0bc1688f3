# SPDX-License-Identifier: Apache-2.0
#
# Builds BoringSSL's libssl.a and libcrypto.a from Debian's source package of Android's copy, which
# carries the generated assembly: neither Go nor Perl is needed. install-deps puts this file at the
# top of the unpacked source.
#
# Not OPENSSL_SMALL, as Debian's own shared library is: handshakes would cost half as much again.
# Hidden symbols, so that a library which loads OpenSSL into the same process does not meet ours.
cmake_minimum_required(VERSION 3.16)
project(boringssl C CXX)

set(BORINGSSL_ROOT "${CMAKE_SOURCE_DIR}/")
include(android-sources.cmake)

set(asm "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(asm ${crypto_sources_linux_x86_64})
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(asm ${crypto_sources_linux_aarch64})
endif()
if(asm)
  enable_language(ASM)
else()
  add_definitions(-DOPENSSL_NO_ASM)
endif()

set(CMAKE_CXX_STANDARD 14)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_definitions(-DBORINGSSL_IMPLEMENTATION -D_XOPEN_SOURCE=700)
add_compile_options(-O2 -g1 -fvisibility=hidden -fno-strict-aliasing -fno-plt
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions> $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>)

add_library(crypto STATIC ${crypto_sources} ${asm})
target_include_directories(crypto PRIVATE src/include src/crypto)
add_library(ssl STATIC ${ssl_sources})
target_include_directories(ssl PRIVATE src/include)

install(TARGETS crypto ssl ARCHIVE DESTINATION lib)
install(DIRECTORY src/include/openssl DESTINATION include)
install(FILES NOTICE DESTINATION .)
