#!/usr/bin/env bash
# Sanitizers, warnings, all test programs under other compilers, proofs, then every platform (tests/platforms.sh): a row
# each, as many at once as there are processors. A row whose tool is missing fails under CI and is counted as skipped
# elsewhere. The last line is "N passed, N failed" (", N skipped"). With a PATTERN, the rows whose names match it.
cd "$(dirname "$0")/.." || exit 1
out=build/all
rm -rf $out && mkdir -p $out
warn="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion"
tests=$(ls tests/test_*.c)
n=0 pattern=${1:-.}

# row NAME TOOL FUNCTION ARGUMENTS...: runs "FUNCTION ARGUMENTS" with its output in a log, in the background
row() {
    local name=$1 tool=$2 id
    shift 2
    grep -qE -- "$pattern" <<<"$name" || return
    n=$((n + 1)) id=$(printf '%s/%03d' $out $n)
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    {
        begin=$SECONDS
        if ! command -v "$tool" >/dev/null; then
            if [ -n "$CI" ]; then result=FAILED; else result=skipped; fi
            echo "$tool is not installed (make deps)" >"$id.log"
        elif "$@" "$id" >"$id.log" 2>&1; then result=ok
        else result=FAILED; fi
        echo "$result" >"$id.result"
        printf '%-8s %-64s %3d s\n' "$result" "$name" $((SECONDS - begin))
        [ $result = ok ] || sed 's/^/    /' "$id.log" | tail -n 15
    } &
}

golden() { # FLAGS COMPILER RUNNER ID: the golden trainings, by all sets of kernels that are there
    local flags=$1 cc=$2 run=$3 id=$4 isa
    $cc $flags -I. -x "${lang:-c}" tests/golden.c -o "$id" || return 1
    for isa in "" "--isa plain" "--parts" "--workers 2" "--workers 64"; do $run "$id" $isa --check tests/golden.txt || return 1; done
}
implementation() { # FLAGS COMPILER ID: an object for tests to link
    printf '#define DETNN_THREADS 1\n#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >"$3.impl.c"
    $2 $1 -I. -x "${lang:-c}" -c "$3.impl.c" -o "$3.o"
}
every_test() { # FLAGS COMPILER RUNNER ID: all test programs; as make check, those about the sets alone have all of them
    local flags=$1 cc=$2 run=$3 id=$4 t how
    implementation "$flags" "$cc" "$id" || return 1
    for t in $tests; do
        how=
        case $t in *kernels.c | *hard.c) ;; *) how=-DDETNN_PORTABLE=1 ;; esac
        grep -q detnni_ "$t" || how="-DTEST_LINKED $id.o"
        $cc $flags -I. -Itests -x "${lang:-c}" "$t" -x none $how -o "$id.run" -lpthread -lm && $run "$id.run" ||
            { echo "$t"; return 1; }
    done
}
warnings() { # COMPILER STANDARD LANGUAGE ID: no warning, with the implementation and without
    printf '#include "detnn.h"\nint main(void) { return 0; }\n' >"$4.c"
    printf '#define DETNN_IMPLEMENTATION\n#include "detnn.h"\nint main(void) { return 0; }\n' >"$4.i.c"
    case $2 in c99 | c++11) o=-O2 ;; *) o=-O0 ;; esac # some need optimisation, which takes long
    $1 -std="$2" -x "$3" $warn -Werror -I. -O2 -c "$4.c" -o "$4.o" && $1 -std="$2" -x "$3" $warn -Werror -I. $o -c "$4.i.c" -o "$4.o" &&
        $1 -std="$2" -x "$3" $warn -Werror -I. -DDETNN_STATIC=1 -c "$4.i.c" -o "$4.o"
}
# Every warning that clang has, but: padding of structs; kinds that default takes in; functions and tables that some
# builds do not use and are marked so; == of floats that is meant; declarations among statements, C's plain arrays and
# casts, 0 for null, long long: C99 or C++11; two assignments by a comma; what a function sets where it succeeds; enums
# from numbers; a switch that is whole and has a default; bounds of size_t that are those of uint64_t.
everything() { # COMPILER STANDARD LANGUAGE ID
    local o f without="-Wno-padded -Wno-switch-enum -Wno-used-but-marked-unused -Wno-float-equal -Wno-unknown-warning-option
        -Wno-declaration-after-statement -Wno-unsafe-buffer-usage -Wno-old-style-cast -Wno-zero-as-null-pointer-constant
        -Wno-c++98-compat -Wno-c++98-compat-pedantic -Wno-comma -Wno-conditional-uninitialized -Wno-bad-function-cast
        -Wno-covered-switch-default -Wno-tautological-type-limit-compare -Wno-cast-qual"
    printf '#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >"$4.c"
    for o in "" --target=aarch64-linux-gnu "--target=arm-none-eabi -mcpu=cortex-m4 -mfloat-abi=hard" --target=wasm32; do
        case $o in --target*) f="-ffreestanding -DDETNN_FREESTANDING=1" ;; *) f= ;; esac
        $1 -std="$2" -x "$3" -Weverything -Werror $without $f $o -fsyntax-only -I. "$4.c" || { echo "$o"; return 1; }
    done
}
# MSVC's dialect, as far as clang can tell: with clang's own name known and not, freestanding and with headers that
# stand for those of its C library; no GNU extension.
msvc() { # STANDARD LANGUAGE ID
    local f name
    mkdir -p "$3.d"
    printf '#include <stddef.h>\n#ifdef __cplusplus\nextern "C" {\n#endif\n' >"$3.d/c.h"
    { cat "$3.d/c.h"; echo 'void *memcpy(void *, const void *, size_t); void *memset(void *, int, size_t); int memcmp(const void *, const void *, size_t); size_t strlen(const char *);'; } >"$3.d/string.h"
    { cat "$3.d/c.h"; echo 'void *malloc(size_t); void free(void *); void *_aligned_malloc(size_t, size_t); void _aligned_free(void *);'; } | tee "$3.d/malloc.h" >"$3.d/stdlib.h"
    { cat "$3.d/c.h"; echo 'typedef struct FILE FILE;'; } >"$3.d/stdio.h"
    for f in "$3.d"/[ms]*.h; do printf '#ifdef __cplusplus\n}\n#endif\n' >>"$f"; done
    printf '#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >"$3.c"
    for f in "-ffreestanding -DDETNN_FREESTANDING=1" "-isystem $3.d -DDETNN_NO_STDIO=1"; do # files need its own headers
        for name in "" "-U__clang__ -U__GNUC__ -Wno-unknown-pragmas"; do
            clang-16 --target=x86_64-pc-windows-msvc -fms-compatibility-version=19.30 -std="$1" -x "$2" -fsyntax-only -Wall -Wextra \
                -Wpedantic -Wgnu -Werror $f $name -I. "$3.c" || { echo "$f $name"; return 1; }
        done
    done
}
features() { # ID: every feature left out in turn, and all of them; and the other configuration macros
    local f
    printf '#define DETNN_IMPLEMENTATION\n#include "detnn.h"\nint main(void) { return detnn_selftest(0) != DETNN_OK; }\n' >"$1.c"
    for f in 0x1fffe 0x1fffd 0x1fffb 0x1fff7 0x1ffef 0x1ffdf 0x1ffbf 0x1ff7f 0x1feff 0x1fdff 0x1fbff 0x1f7ff 0x1efff 0x1dfff 0x1bfff 0x17fff 0x0ffff 0x0000 0x0001; do
        gcc -std=c99 $warn -Werror -O1 -I. -DDETNN_FEATURES=$f -DDETNN_PORTABLE=1 "$1.c" -o "$1" && "$1" ||
            { echo "DETNN_FEATURES=$f"; return 1; }
    done
    for f in -DDETNN_NO_STDIO=1 -DDETNN_NO_MALLOC=1 -DDETNN_PORTABLE=1 -DDETNN_INTEGER_FUNCTIONS=1 \
        "-DDETNN_FREESTANDING=1 -ffreestanding"; do
        gcc -std=c99 $warn -Werror -O1 -I. $f "$1.c" -o "$1" && "$1" || { echo "$f"; return 1; }
    done
}
prove() { # COMPILER FLAGS ARGUMENTS ID: a new sample of the inputs of every elementary function against MPFR
    $1 -O2 $2 -I. tests/prove.c -x none -o "$4" -lmpfr -lgmp -lm && "$4" $3 -s 256 -r "$(date +%s)"
}
threads() { # ID: no data race
    local t
    for t in test_symptoms test_memory test_threads; do
        clang -O1 -g -fsanitize=thread -DDETNN_PORTABLE=1 -I. -Itests tests/$t.c -o "$1" -lpthread -lm && "$1" || return 1
    done
}
windows() { # ID: threads, with the names that its headers define
    local run="env WINEPREFIX=$PWD/$1.wine WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml= timeout 300 /usr/lib/wine/wine64" cc status
    cc="x86_64-w64-mingw32-gcc -O1 -static -Wall -Werror -I. -Itests -include windows.h -include rpc.h"
    $cc tests/test_threads.c -o "$1.exe" -lpthread && $run "$1.exe" &&
        $cc -DDETNN_THREADS=1 tests/golden.c -o "$1.exe" && $run "$1.exe" --workers 3 --check tests/golden.txt
    status=$?
    WINEPREFIX=$PWD/$1.wine /usr/lib/wine/wineserver64 -k
    return $status
}
fast() { # COMPILER ID: the implementation under -Ofast, the tests that link it not
    local t
    implementation -Ofast "$1" "$2" || return 1
    for t in $tests; do
        grep -q detnni_ "$t" && continue
        $1 -O0 -DTEST_LINKED -I. -Itests "$t" "$2.o" -o "$2" -lpthread -lm && "$2" || { echo "$t"; return 1; }
    done
}
drawn() { # FLAGS COMPILER RUNNER ID: the demo on digits that it draws itself
    $2 $1 -I. examples/digits.c -o "$4" && DETNN_DATA= $3 "$4" >"$4.txt" && tail -n 1 "$4.txt" | grep -x "$(cat tests/drawn.txt)"
}
oracle() { python3 tests/oracle.py >"$1.txt" && diff "$1.txt" tests/golden.txt; }
leaks() { # ID: nothing but what the manual names stays defined, and only detnn_ symbols are exported
    echo '#include "detnn.h"' | gcc -E -dM -I. -DDETNN_IMPLEMENTATION -DDETNN_THREADS=1 -x c - | awk '/#define (DETNNI_|detnni_)/ { print $2 }' |
        grep -vxE 'DETNNI_(ALPHA\(activation\)|START|DONE)'
    [ $? = 1 ] || return 1
    printf '#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >"$1.c"
    gcc -std=c99 -I. -c "$1.c" -o "$1.o" && ! nm -g --defined-only "$1.o" | awk '{ print $3 }' | grep -v '^detnn_'
}
script() { bash "$@"; }

lang=c++
row "every test: g++ -std=c++11 -O1" g++ every_test "-std=c++11 $warn -Werror -O1" g++ ""
lang=c
row "golden: plain C only, functions in integers" gcc golden "-O2 -DDETNN_PORTABLE=1 -DDETNN_INTEGER_FUNCTIONS=1" gcc ""
row "golden: functions in integers, clang" clang golden "-O2 -DDETNN_PORTABLE=1 -DDETNN_INTEGER_FUNCTIONS=1" clang ""
tests="tests/test_hard.c tests/test_kernels.c tests/test_selftest.c" row "numeric tests: functions in integers, undefined behaviour" clang every_test \
    "-std=c99 -O1 -g -DDETNN_INTEGER_FUNCTIONS=1 -fsanitize=address,undefined -fno-sanitize-recover=all" clang ""
row "every test: clang, address and undefined behaviour" clang every_test \
    "-std=c99 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" clang ""
row "tests of threads: clang, thread sanitizer" clang threads
row "tests of threads: Windows, mingw-w64 gcc (wine)" x86_64-w64-mingw32-gcc windows
row "every test but its own code under -Ofast: gcc" gcc fast gcc
row "every test but its own code under -Ofast: clang" clang fast clang
m32="-m32 -idirafter /usr/include/$(gcc -print-multiarch)" # where Debian has <asm/errno.h> for both
row "demo: drawn digits, 32-bit" gcc drawn "-O2 $m32 -msse2 -mfpmath=sse" gcc ""
row "demo: drawn digits, clang" clang drawn "-O2" clang ""
row "every test: gcc -O3 -march=native" gcc every_test "-std=c11 -O3 -march=native $warn -Werror" gcc ""
tests="tests/test_gradients.c tests/test_hard.c tests/test_kernels.c" row "numeric tests: gcc -O2 -ffast-math" gcc every_test "-std=c11 -O2 -ffast-math" gcc ""
tests="tests/test_kernels.c" row "numeric tests: clang -Ofast" clang every_test "-std=c11 -Ofast" clang ""
row "golden: valgrind" valgrind golden "-O1 -g -DDETNN_PORTABLE=1" gcc "valgrind -q --error-exitcode=9"
for s in c99 c11 c17; do
    row "warnings: gcc -std=$s" gcc warnings gcc $s c
    row "warnings: clang -std=$s" clang warnings clang $s c
done
for s in c++11 c++14 c++17 c++20; do
    row "warnings: g++ -std=$s" g++ warnings g++ $s c++
    row "warnings: clang++ -std=$s" clang++ warnings clang++ $s c++
done
for v in 14 16; do
    row "every warning: clang $v" clang-$v everything clang-$v c99 c
    row "every warning: clang++ $v -std=c++11" clang-$v everything clang++-$v c++11 c++
    row "every warning: clang++ $v -std=c++20" clang-$v everything clang++-$v c++20 c++
done
row "MSVC's dialect: C" clang-16 msvc c11 c
row "MSVC's dialect: C++" clang-16 msvc c++14 c++
row "elementary functions: a sample, every set of kernels" gcc prove gcc "" ""
row "elementary functions: a sample, scalar with fma" gcc prove gcc "-mfma" "-v scalar"
row "elementary functions: a sample, those of CUDA's kernels" g++ prove g++ \
    "-mfma -x c++ -std=gnu++11 -include tests/cuda_shim.h -DDETNN_CUDA=1 -DDETNN_PORTABLE=1" "-v scalar"
row "elementary functions: a sample, in integers" gcc prove gcc -DDETNN_INTEGER_FUNCTIONS=1 \
    "-v scalar -f exp,log,expm1,tanh,sigmoid,softplus,silu,silu_grad"
row "features and configuration macros" gcc features
row "macros and symbols" gcc leaks
row "CUDA: nvcc where it is, kernels on the CPU" g++ script tests/cuda.sh
row "the oracle, in exact arithmetic" python3 oracle
row "files: PyTorch and the safetensors package" gcc script tests/files.sh torch
row "files: a training moves, exported nets" gcc script tests/files.sh moves
row "files: every damage, under sanitizers" gcc script tests/files.sh damage
row "files: a minute of fuzzing" gcc script tests/files.sh fuzz
for s in break freestanding break_platforms package examples web; do row "tests/$s.sh" bash script tests/$s.sh; done
wait
count() { cat $out/*.result 2>/dev/null | grep -c "$1"; }
passed=$(count ok) failed=$(count FAILED) skipped=$(count skipped)
if [ $# = 0 ]; then
    bash tests/platforms.sh | tee $out/platforms.log
    read -r p _ f _ s _ <<<"$(tail -n 1 $out/platforms.log)"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
fi
if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"; else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
