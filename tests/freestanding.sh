#!/bin/bash
# What the library needs from outside and what it shows to the outside: a build without a C library, a build without
# malloc and stdio, several units in one program, in C and C++. From the repository's root; ends in "N passed, N failed".
#   DETNN_H=folder tests/freestanding.sh    takes detnn.h from there
set -u
header=${DETNN_H:-.}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
passed=0 failed=0

check() { # check "what" command...: counts, and shows what a failing command says
    local what=$1; shift
    if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $what"; sed 's/^/  /' "$work/log"; fi
}

have() { # a missing tool is a failure under CI, else skipped
    command -v "$1" >/dev/null && return 0
    echo "skipped: no $1"
    [ -z "${CI:-}" ] || failed=$((failed + 1))
    return 1
}

# Undefined symbols of an object are among those named; compilers may call memcpy and its like anywhere.
needs_only() {
    local object=$1 more=${2:-} other
    other=$(nm -u "$object" | awk '{ print $NF }' | grep -Evx "_GLOBAL_OFFSET_TABLE_|memcpy|memset|memcmp|memmove$more")
    [ -z "$other" ] || { echo "needs:" $other; return 1; }
}

# Global symbols are detnn_... and those named; private ones (detnni_) are not among them.
shows_only() {
    local other
    other=$(nm -g --defined-only "$1" | awk '{ print $NF }' | grep -Evx "detnn_[a-z0-9_]*$2")
    [ -z "$other" ] || { echo "shows:" $other; return 1; }
}

headers_of() { # the folder of the compiler's own headers: without a C library there are no others
    case $1 in *clang*) echo "$($1 -print-resource-dir)/include" ;; *) $1 -print-file-name=include ;; esac
}

for cc in gcc clang; do
    have $cc || continue
    bare="-std=c99 -Wall -Wextra -Werror -ffreestanding -nostdinc -isystem $(headers_of $cc) -DDETNN_FREESTANDING=1 -I$header -Itests"
    for options in -O1 "-O1 -DDETNN_PORTABLE=1"; do
        o=$work/free.o
        check "$cc $options: compiles without any C library's headers" $cc $bare $options -c tests/freestanding.c -o $o
        check "$cc $options: needs only memcpy and its like" needs_only $o
        check "$cc $options: shows only detnn_ names" shows_only $o "|main"
        check "$cc $options: trains to the digest of a hosted program" sh -c "$cc $o -o $work/free && $work/free"
    done
done

for cxx in g++ clang++; do
    have $cxx || continue
    for language in "c++ -std=c++11" "c -std=c99"; do
        for unit in a b c; do
            check "$cxx -x $language: unit $unit" $cxx -x $language -O0 -DDETNN_PORTABLE=1 -Wall -Wextra -Werror -I$header -Itests -c tests/unit_$unit.cpp -o $work/$unit.o
        done
        check "$cxx -x $language: the unit with the implementation shows detnn_ names" shows_only $work/a.o "|main"
        check "$cxx -x $language: a unit that includes it shows none of them" shows_only $work/b.o "|train_in_b"
        check "$cxx -x $language: DETNN_STATIC shows none of them" sh -c "! nm -g --defined-only $work/c.o | grep detnn_"
        check "$cxx -x $language: three units agree" sh -c "$cxx $work/a.o $work/b.o $work/c.o -o $work/units && $work/units"
    done
done

printf '#define DETNN_NO_MALLOC 1\n#define DETNN_NO_STDIO 1\n#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >$work/bare.c
check "without malloc and stdio: compiles" cc -std=c99 -O1 -I$header -c $work/bare.c -o $work/bare.o
check "without malloc and stdio: needs neither" needs_only $work/bare.o "|__cpu_model|__cpu_indicator_init|__stack_chk_fail"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
