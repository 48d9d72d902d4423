#!/bin/bash
# Installs into an empty folder and builds examples/xor.c as users do: by pkg-config, by find_package, by FetchContent,
# by add_subdirectory; the folder is moved after the installation. From the repository's root; "N passed, N failed".
set -u
root=$PWD
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
passed=0 failed=0
digest=$(awk '$1 == "xor.c" { print $3 }' tests/examples.txt)

check() { # "what" command...
    local what=$1
    shift
    if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $what"; tail -n 15 "$work/log"; fi
}
learns() { "$1" | tail -n 1 | grep -qx "$digest"; }

make -s install DESTDIR="$work/first place" PREFIX=/usr >/dev/null || { echo "0 passed, 1 failed"; exit 1; }
check "nothing else is installed" [ "$(cd "$work/first place/usr" && find . -type f | sort | tr '\n' ' ')" = \
    "./include/detnn.h ./share/cmake/detnn/detnn-config-version.cmake ./share/cmake/detnn/detnn-config.cmake ./share/pkgconfig/detnn.pc " ]
mv "$work/first place/usr" "$work/installed"
cp examples/xor.c "$work/main.c"
tar -czf "$work/detnn-1.tar.gz" --transform "s,^,detnn-1/," detnn.h examples/cmake # as a release would be

by_pkg_config() {
    export PKG_CONFIG_PATH=$work/installed/share/pkgconfig
    pkg-config --exists 'detnn >= 0.1' && ! pkg-config --exists 'detnn >= 99' &&
        cc -O0 $(pkg-config --cflags detnn) "$work/main.c" -o "$work/by_pkg_config" && learns "$work/by_pkg_config"
}
by_cmake() { # NAME LINES
    mkdir "$work/$1"
    cp "$work/main.c" "$work/$1"
    { printf 'cmake_minimum_required(VERSION 3.18)\nproject(p C)\n%s\n' "$2"
      printf 'add_executable(p main.c)\ntarget_link_libraries(p PRIVATE detnn::detnn)\n'; } >"$work/$1/CMakeLists.txt"
    cmake -S "$work/$1" -B "$work/$1/build" -DCMAKE_PREFIX_PATH="$work/installed" && cmake --build "$work/$1/build" &&
        learns "$work/$1/build/p"
}
check "pkg-config" by_pkg_config
check "find_package" by_cmake find "find_package(detnn 0.1 REQUIRED)"
check "find_package twice" by_cmake twice "find_package(detnn REQUIRED)
find_package(detnn 0.1.0 EXACT REQUIRED)"
check "FetchContent" by_cmake fetch "include(FetchContent)
FetchContent_Declare(detnn URL \"$work/detnn-1.tar.gz\" SOURCE_SUBDIR examples/cmake)
FetchContent_MakeAvailable(detnn)"
check "add_subdirectory" by_cmake add "add_subdirectory(\"$root/examples/cmake\" detnn)"
refuses() { ! by_cmake "$@"; }
check "find_package of a newer version is refused" refuses newer "find_package(detnn 0.2 REQUIRED)"
check "find_package of version 1 is refused" refuses other "find_package(detnn 1 REQUIRED)"
make -s uninstall DESTDIR="$work" PREFIX=/installed
check "uninstall leaves no file" [ -z "$(find "$work/installed" -type f)" ]
echo "$passed passed, $failed failed"
[ $failed = 0 ]
