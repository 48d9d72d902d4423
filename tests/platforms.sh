#!/usr/bin/env bash
# One program (tests/conformance.c) on every compiler, set of flags and processor: each row builds it, runs it, and
# compares what it prints with tests/conformance.txt and tests/golden.txt.
#
#     tests/platforms.sh [PATTERN]      the rows whose names match (grep -E); as many at once as there are processors
#     DETNN_H=FOLDER                    takes detnn.h from there (LIBRARIES=-lm: it needs that)
#
# A row prints: result, seconds, digest of its lines, "equal" or what differs, name, what does not fit into its memory.
# A row that cannot run says why: it fails under CI=true and is counted as skipped elsewhere. The last line is
# "N passed, N failed" (", N skipped").
cd "$(dirname "$0")/.." || exit 1
pattern=${1:-.} out=build/platforms${1:+-$$}
include="-I${DETNN_H:-.} -I$out"
n=0
rm -rf "$out" && mkdir -p "$out" || exit 1
[ -n "$1" ] && trap 'rm -rf "$out"' EXIT

{
    echo 'static const char *const case_lines[] = {'
    sed -E 's/#.*//; /^about/d; /^ *$/d; s/ +$//; s/.*/    "&",/' tests/cases.txt
    echo '};'
    awk '/^#/ { next } $1 != f { if (f) print "};"; f = $1; print "static const uint32_t hard_" f "[] = {" }
         { print "    0x" $2 "," } END { print "};" }' tests/hard.txt
} >"$out/conformance_data.h"
sort tests/conformance.txt tests/golden.txt >"$out/expected"

# row NAME NEEDS FUNCTION ARGUMENTS...: NEEDS are commands, files, or cpu:FLAG of /proc/cpuinfo. FUNCTION gets a file
# name ID before the arguments and writes the program's lines to ID.out. $without: the lines that it leaves out.
row() {
    local need missing=
    grep -qE -- "$pattern" <<<"$1" || return
    for need in $2; do
        case $need in
        cpu:*) grep -qw "${need#cpu:}" /proc/cpuinfo || missing="this processor has no ${need#cpu:}" ;;
        *) command -v "$need" >/dev/null || missing="$need is not installed (make deps)" ;;
        esac
    done
    n=$((n + 1))
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    judge "$(printf '%s/%03d' "$out" $n)" "$missing" "$1" "${@:3}" &
}

judge() { # ID MISSING NAME FUNCTION ARGUMENTS...
    local id=$1 result=FAILED verdict=equal digest=- begin=$SECONDS status left
    if [ -n "$2" ]; then
        verdict=$2
        [ -n "$CI" ] || result=skipped
    else
        "$4" "$id" "${@:5}" >"$id.log" 2>&1
        status=$?
        if [ "$4" = refused ]; then
            if [ $status = 0 ]; then result=ok verdict="refused"; else verdict="not refused"; fi
        else
            touch "$id.out"
            tr -d '\r' <"$id.out" | sed '/^$/d; /^left out /d' | sort >"$id.lines"
            left=$(tr -d '\r' <"$id.out" | sed -n 's/^left out //p' | tr '\n' ' ')
            digest=$(sha256sum <"$id.lines" | cut -c1-12)
            grep -vE "^(${without// /|}) " "$out/expected" | diff "$id.lines" - >"$id.diff"
            if [ $? = 0 ] && [ $status = 0 ] && [ "${left% }" = "$without" ]; then result=ok
            elif [ $status != 0 ]; then verdict="STATUS $status"
            elif [ -s "$id.diff" ]; then verdict="DIFFERS: $(sed -n 's/^[<>] *\([^ ]*\).*/\1/p' "$id.diff" | sort -u | tr '\n' ' ')"
            else verdict="LEFT OUT: $left"; fi
        fi
    fi
    echo $result >"$id.result"
    printf '%-7s %3d s  %-12s  %-7s  %s\n' $result $((SECONDS - begin)) "$digest" "$verdict" "$3${without:+ (without $without)}"
    [ $result = FAILED ] && [ -s "$id.log" ] && tail -n 5 "$id.log" | cut -c1-200 | sed 's/^/    /'
    rm -f "$id" "$id.exe"
}

# ---- What rows do ----

run() { # ID COMMAND...
    timeout 300 "${@:2}" >"$1.out" 2>"$1.log"
}
c() { # ID COMPILER [RUNNER [SET]]
    $2 $include tests/conformance.c -o "$1" $LIBRARIES && run "$1" $3 "$1" $4
}
loaded() { # ID COMPILER [RUNNER]: a shared object is linked with -Ofast and loaded at run time
    echo 'int nothing;' >"$1.c"
    $2 -Ofast -shared -fPIC "$1.c" -o "$1.so" &&
        $2 -O2 -DCONFORMANCE_LOAD="\"$1.so\"" $include tests/conformance.c -o "$1" -ldl && run "$1" $3 "$1"
}
cxx() { # ID COMPILER
    $2 $include -x c++ tests/conformance.c -o "$1" && run "$1" "$1"
}
free="-ffreestanding -nostdlib -DDETNN_FREESTANDING=1 -ffunction-sections -fdata-sections"
bare() { # ID COMPILER QEMU FLASH,SIZE RAM,SIZE: no operating system, no C library; libgcc has arithmetic in software
    local libgcc=-lgcc
    case $2 in clang*) libgcc=$(arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -print-libgcc-file-name) ;; esac
    $2 $free $include -Ttests/bare/bare.ld -Wl,--gc-sections \
        -Wl,--defsym,FLASH="${4%,*}",--defsym,FLASH_SIZE="${4#*,}",--defsym,RAM="${5%,*}",--defsym,RAM_SIZE="${5#*,}" \
        tests/bare/start.c tests/bare/memory.c tests/conformance.c $libgcc -o "$1" || return
    timeout 300 $3 -nographic -monitor none -serial none -semihosting-config enable=on,target=native -kernel "$1" \
        >"$1.out" 2>&1
}
wasm_build() { # ID COMPILER: WebAssembly without a C library
    $2 --target=wasm32 $free -Dmain=run -Wl,--no-entry,--export=run,--allow-undefined $include tests/bare/memory.c \
        tests/conformance.c -o "$1"
}
wasm() { wasm_build "$@" && run "$1" node tests/bare/wasm.js "$1"; }
wasi() { # ID COMPILER: WebAssembly with a C library
    $2 --target=wasm32-wasi --sysroot=/usr $include tests/conformance.c -o "$1" &&
        run "$1" node --no-warnings tests/bare/wasi.js "$1"
}
browser() { # ID COMPILER: WebAssembly in a page; what the program prints is the page's text
    wasm_build "$@" || return
    {
        echo '<pre id="out"></pre><script>'
        cat tests/bare/wasm.js
        echo 'const bytes = Uint8Array.from(atob("'"$(base64 -w0 "$1")"'"), c => c.charCodeAt(0));'
        echo 'run(bytes, line => { document.getElementById("out").textContent += line + "\n"; });</script>'
    } >"$1.html"
    timeout 200 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --user-data-dir="$PWD/$1.profile" --dump-dom "file://$PWD/$1.html" >"$1.dom" 2>"$1.log" </dev/null || return
    sed -n 's/.*<pre id="out">//; /<\/pre>/q; p' "$1.dom" >"$1.out"
    rm -rf "$1.profile"
}
windows() { # ID COMPILER
    $2 $include tests/conformance.c -o "$1.exe" || return
    WINEPREFIX=$PWD/$out/wine WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml=" run "$1" /usr/lib/wine/wine64 "$1.exe"
}
refused() { # ID COMPILER: by an #error of detnn.h, and nothing else is wrong
    $2 $include -fsyntax-only tests/conformance.c && return 1
    [ "$(grep -c 'error:' "$1.log")" = 1 ] && grep -q 'error: .*"detnn.h: ' "$1.log"
}

# ---- x86-64 ----

without=
plain=-DDETNN_PORTABLE=1 # where a row is about plain C
for o in -O0 -O1 -O2 -O3 -Os -Og; do row "x86-64: gcc $o" gcc c "gcc $o"; done
for o in -O0 -O1 -O2 -O3 -Os; do row "x86-64: clang 14 $o" clang-14 c "clang-14 $o"; done
for o in -O1 -O3; do row "x86-64: clang 16 $o" clang-16 c "clang-16 $o"; done
for s in c99 c11 c17; do
    row "x86-64: gcc -std=$s" gcc c "gcc -O1 -std=$s $plain"
    row "x86-64: clang 14 -std=$s" clang-14 c "clang-14 -O1 -std=$s $plain"
done
for s in c++11 c++14 c++17 c++20; do
    f="-O1 -std=$s -fno-exceptions -fno-rtti"
    case $s in c++14 | c++17) f="$f $plain" ;; esac
    row "x86-64: g++ -std=$s -fno-exceptions -fno-rtti" g++ cxx "g++ $f"
    row "x86-64: clang++ 14 -std=$s -fno-exceptions -fno-rtti" clang++-14 cxx "clang++-14 $f"
done
row "x86-64: gcc -O3 -march=native" gcc c "gcc -O3 -march=native"
row "x86-64: clang 16 -O3 -march=native" clang-16 c "clang-16 -O3 -march=native"
row "x86-64: gcc -O2 -flto" gcc c "gcc -O2 -flto"
row "x86-64: clang 14 -O2 -flto" "clang-14 ld.lld" c "clang-14 -O2 -flto -fuse-ld=lld"
without=hosts row "x86-64: tcc" tcc c tcc
row "x86-64: musl, gcc -O2 -static" musl-gcc c "musl-gcc -O2 -static"
row "x86-64: only plain kernels" gcc c "gcc -O1" "" plain
row "x86-64: only SSE2 kernels" gcc c "gcc -O1" "" sse2
row "x86-64: only AVX2 kernels" "gcc cpu:avx2" c "gcc -O1" "" avx2
row "x86-64: only AVX-512 kernels" "gcc cpu:avx512f" c "gcc -O1" "" avx512
row "x86-64: a processor without AVX (qemu Nehalem)" qemu-x86_64 c "gcc -O1" "qemu-x86_64 -cpu Nehalem"

# ---- x86-64, flags that other libraries cannot bear ----

for f in "-Ofast" "-O3 -ffast-math -march=native" "-O3 -ffp-contract=fast -march=native" \
    "-O2 -mfma -funsafe-math-optimizations" "-O2 -mfma -fassociative-math -fno-signed-zeros -fno-trapping-math"; do
    row "x86-64: gcc $f" gcc c "gcc $f"
    row "x86-64: clang 14 $f" clang-14 c "clang-14 $f"
done
for f in "-freciprocal-math" "-ffinite-math-only" "-fno-signed-zeros" "-frounding-math"; do
    row "x86-64: gcc -O2 -mfma $f, plain" gcc c "gcc -O2 -mfma $f $plain"
    row "x86-64: clang 14 -O2 -mfma $f, plain" clang-14 c "clang-14 -O2 -mfma $f $plain"
done
for f in "-O2 -fsingle-precision-constant" "-O2 -mfma -mrecip -ffast-math" "-O2 -fno-trapping-math -fno-math-errno" \
    "-Ofast -flto -march=native"; do
    row "x86-64: gcc $f" gcc c "gcc $f"
done
for f in "-O2 -mfma -ffp-model=fast" "-O2 -fdenormal-fp-math=positive-zero" "-Ofast -march=native"; do
    row "x86-64: clang 16 $f" clang-16 c "clang-16 $f"
done

row "x86-64: gcc, loads an object linked with -Ofast" gcc loaded gcc
row "x86-64: clang 14, loads an object linked with -Ofast" clang-14 loaded clang-14

# ---- x86, 32 bits ----

m32="-m32 -idirafter /usr/include/$(gcc -print-multiarch)" # where Debian has <asm/errno.h> for both
row "x86: gcc -m32 -msse2 -mfpmath=sse" gcc c "gcc -O2 $m32 -msse2 -mfpmath=sse"
row "x86: gcc -m32, for the 387" gcc c "gcc -O2 $m32"
# (-O3 there is beyond gcc 12: an internal error where 387 code calls clones of SSE functions.)
row "x86: gcc -m32 -ffast-math, for the 387" gcc c "gcc $m32 -O2 -ffast-math"
row "x86: clang 14 -m32 -msse2" clang-14 c "clang-14 -O2 $m32 -msse2 $plain"
row "x86: clang 14 -m32 -mno-sse, for the 387" clang-14 refused "clang-14 -O2 $m32 -mno-sse"
row "x86: i686-linux-gnu-gcc -O2 (qemu)" "i686-linux-gnu-gcc qemu-i386" c "i686-linux-gnu-gcc -O2 -static $plain" qemu-i386

# ---- Windows ----

row "Windows, 64 bits: mingw-w64 gcc -O2 (wine)" "x86_64-w64-mingw32-gcc /usr/lib/wine/wine64" windows "x86_64-w64-mingw32-gcc -O2"
row "Windows, 64 bits: mingw-w64 gcc -Ofast (wine)" "x86_64-w64-mingw32-gcc /usr/lib/wine/wine64" windows "x86_64-w64-mingw32-gcc -Ofast $plain"

# ---- Other processors, with Linux, by qemu's user mode ----

a64="aarch64-linux-gnu-gcc qemu-aarch64"
row "AArch64: gcc -O2, NEON (qemu)" "$a64" c "aarch64-linux-gnu-gcc -O2 -static" qemu-aarch64
row "AArch64: gcc -Ofast (qemu)" "$a64" c "aarch64-linux-gnu-gcc -Ofast -static" qemu-aarch64
row "AArch64: gcc, loads an object linked with -Ofast (qemu)" "$a64" loaded aarch64-linux-gnu-gcc "qemu-aarch64 -L /usr/aarch64-linux-gnu"
row "AArch64: gcc -O2, plain (qemu)" "$a64" c "aarch64-linux-gnu-gcc -O2 -static $plain" qemu-aarch64
for v in 14 16; do
    row "AArch64: clang $v -O2 (qemu)" "$a64 clang-$v" c "clang-$v --target=aarch64-linux-gnu -O2 -static" qemu-aarch64
    row "AArch64: clang $v -O2 -ffp-contract=fast (qemu)" "$a64 clang-$v" c "clang-$v --target=aarch64-linux-gnu -O2 -ffp-contract=fast -static" qemu-aarch64
    row "AArch64: clang $v -ffast-math" "$a64 clang-$v" refused "clang-$v --target=aarch64-linux-gnu -O2 -ffast-math"
done
arm="arm-linux-gnueabihf-gcc qemu-arm"
row "armhf: gcc -O2 -mfpu=vfpv3-d16 (qemu)" "$arm" c "arm-linux-gnueabihf-gcc -O2 -static" qemu-arm
row "armhf: gcc -O3 -mfpu=neon-vfpv4 (qemu)" "$arm" c "arm-linux-gnueabihf-gcc -O3 -mfpu=neon-vfpv4 -static" qemu-arm
row "armhf: gcc -Ofast -mfpu=neon-vfpv4 (qemu)" "$arm" c "arm-linux-gnueabihf-gcc -Ofast -mfpu=neon-vfpv4 -static" qemu-arm
row "armhf: clang 16 -O3 -mfpu=neon-vfpv4 (qemu)" "$arm clang-16" c "clang-16 --target=arm-linux-gnueabihf -O3 -mfpu=neon-vfpv4 -static" qemu-arm
row "armhf: clang 14 -O3 -mfpu=neon-vfpv4 (qemu)" "$arm clang-14" c "clang-14 --target=arm-linux-gnueabihf -O3 -mfpu=neon-vfpv4 -static" qemu-arm
without=hosts
row "armel: gcc -O2, arithmetic in software (qemu)" "arm-linux-gnueabi-gcc qemu-arm" c "arm-linux-gnueabi-gcc -O2 -static" qemu-arm
without=
row "RISC-V 64: gcc -O2 (qemu)" "riscv64-linux-gnu-gcc qemu-riscv64" c "riscv64-linux-gnu-gcc -O2 -static" qemu-riscv64
row "RISC-V 64: gcc -Ofast (qemu)" "riscv64-linux-gnu-gcc qemu-riscv64" c "riscv64-linux-gnu-gcc -Ofast -static" qemu-riscv64
row "s390x, big-endian: gcc -O2 (qemu)" "s390x-linux-gnu-gcc qemu-s390x" c "s390x-linux-gnu-gcc -O2 -static" qemu-s390x
row "s390x, big-endian: gcc -Ofast (qemu)" "s390x-linux-gnu-gcc qemu-s390x" c "s390x-linux-gnu-gcc -Ofast -static" qemu-s390x
row "s390x, big-endian: gcc -std=c99" s390x-linux-gnu-gcc refused "s390x-linux-gnu-gcc -O2 -std=c99"
row "PowerPC 64, big-endian: gcc -O2 (qemu)" "powerpc64-linux-gnu-gcc qemu-ppc64" c "powerpc64-linux-gnu-gcc -O2 -static" qemu-ppc64
row "PowerPC 64 LE: gcc -O3 -ffast-math (qemu)" "powerpc64le-linux-gnu-gcc qemu-ppc64le" c "powerpc64le-linux-gnu-gcc -O3 -ffast-math -static" qemu-ppc64le
row "MIPS, big-endian: gcc -O2 (qemu)" "mips-linux-gnu-gcc qemu-mips" c "mips-linux-gnu-gcc -O2 -static" qemu-mips
row "MIPS LE: gcc, loads an object linked with -Ofast (qemu)" "mipsel-linux-gnu-gcc qemu-mipsel" loaded mipsel-linux-gnu-gcc "qemu-mipsel -L /usr/mipsel-linux-gnu"
row "MIPS LE: gcc -Ofast (qemu)" "mipsel-linux-gnu-gcc qemu-mipsel" c "mipsel-linux-gnu-gcc -Ofast -static" qemu-mipsel

# ---- Without an operating system, by qemu's boards ----

m="arm-none-eabi-gcc -mthumb" fpu="-mfloat-abi=hard" q="qemu-system-arm -M" tools="arm-none-eabi-gcc qemu-system-arm"
mps2="0,4M 0x20000000,4M" an505="0x10000000,4M 0x38000000,2M" an547="0x10000000,512K 0x11000000,2M"
without="selftest classes soft binary leaves wide sums-large products-large hosts"
row "Cortex-M0, 16 KB of RAM: gcc -Os" "$tools" bare "$m -mcpu=cortex-m0 -Os -DCONFORMANCE_FLOATS=450 -DCONFORMANCE_MEMORY=9600 -DCONFORMANCE_NO_SELFTEST" \
    "$q microbit" 0,256K 0x20000000,16K
without=hosts
row "Cortex-M3: gcc -O2" "$tools" bare "$m -mcpu=cortex-m3 -O2" "$q mps2-an385" $mps2
without=
row "Cortex-M4F: gcc -O2" "$tools" bare "$m $fpu -mcpu=cortex-m4 -O2" "$q mps2-an386" $mps2
row "Cortex-M4F: gcc -Ofast" "$tools" bare "$m $fpu -mcpu=cortex-m4 -Ofast" "$q mps2-an386" $mps2
row "Cortex-M4F: clang 14 -O2" "$tools clang-14 ld.lld" bare "clang-14 --target=arm-none-eabi -fuse-ld=lld -mthumb $fpu -mcpu=cortex-m4 -O2" "$q mps2-an386" $mps2
row "Cortex-M7: gcc -O2" "$tools" bare "$m $fpu -mcpu=cortex-m7 -O2" "$q mps2-an500" $mps2
row "Cortex-M33: gcc -O2" "$tools" bare "$m $fpu -mcpu=cortex-m33 -O2" "$q mps2-an505" $an505
row "Cortex-M55: gcc -O3" "$tools" bare "$m $fpu -mcpu=cortex-m55 -O3" "$q mps3-an547" $an547
row "Cortex-M55: clang 14 -O3" "$tools clang-14 ld.lld" bare "clang-14 --target=arm-none-eabi -fuse-ld=lld -mthumb $fpu -mcpu=cortex-m55 -O3" "$q mps3-an547" $an547
row "Cortex-M55: clang 16 -O3" "$tools clang-16 ld.lld" bare "clang-16 --target=arm-none-eabi -fuse-ld=lld -mthumb $fpu -mcpu=cortex-m55 -O3" "$q mps3-an547" $an547
v="riscv64-unknown-elf-gcc -mcmodel=medany" virt="0x80000000,4M 0x80400000,4M"
without=hosts row "RISC-V 32, arithmetic in software: gcc -O2" "riscv64-unknown-elf-gcc qemu-system-riscv32" bare "$v -march=rv32imac -mabi=ilp32 -O2" "qemu-system-riscv32 -M virt -bios none" $virt
row "RISC-V 32, F: gcc -O2" "riscv64-unknown-elf-gcc qemu-system-riscv32" bare "$v -march=rv32imafc -mabi=ilp32f -O2" "qemu-system-riscv32 -M virt -bios none" $virt
row "RISC-V 64, D: gcc -Ofast" "riscv64-unknown-elf-gcc qemu-system-riscv64" bare "$v -march=rv64imafdc -mabi=lp64d -Ofast" "qemu-system-riscv64 -M virt -bios none" $virt

# ---- WebAssembly ----

without=hosts
row "WebAssembly: clang 14 -O2 (node)" "clang-14 wasm-ld node" wasm "clang-14 -O2"
row "WebAssembly: clang 14 -O3 -msimd128 (node)" "clang-14 wasm-ld node" wasm "clang-14 -O3 -msimd128"
row "WebAssembly: clang 16 -O3 -msimd128 (node)" "clang-16 wasm-ld-16 node" wasm "clang-16 -O3 -msimd128"
row "WebAssembly: clang 14 -O2, wasi-libc (node)" "clang-14 wasm-ld node" wasi "clang-14 -O2"
row "WebAssembly: clang 14 -O2 (Chromium)" "clang-14 wasm-ld chromium" browser "clang-14 -O2"
row "WebAssembly: clang 14 -O2 -msimd128 (Chromium)" "clang-14 wasm-ld chromium" browser "clang-14 -O2 -msimd128"
without=
row "WebAssembly: clang 14 -ffast-math" clang-14 refused "clang-14 --target=wasm32 $free -O2 -ffast-math"

wait
[ -x /usr/lib/wine/wineserver64 ] && [ -d "$out/wine" ] && WINEPREFIX=$PWD/$out/wine /usr/lib/wine/wineserver64 -k
passed=$(cat "$out"/*.result | grep -c ok) failed=$(cat "$out"/*.result | grep -c FAILED) skipped=$(cat "$out"/*.result | grep -c skipped)
echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ]
