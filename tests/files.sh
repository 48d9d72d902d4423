#!/usr/bin/env bash
# Files beyond what make check tries. From the repository's root; ends in "N passed, N failed".
#   tests/files.sh torch      PyTorch and the safetensors package, both ways (make deps puts it into build/venv)
#   tests/files.sh moves      a training moves from x86-64 to s390x, AArch64 and a Cortex-M; exported nets predict there
#   tests/files.sh damage     every byte flipped, every truncation and insertion, 200 kills; with sanitizers
#   tests/files.sh fuzz       libFuzzer and AFL++, SECONDS_EACH (30) each, with address and undefined behaviour sanitizers
#   tests/files.sh            all of them
# A missing tool is a failure under CI, else skipped.
set -u
work=$PWD/build/files/${1:-all} && mkdir -p "$work"
passed=0 failed=0
warn="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef"

check() { # check "what" command...: counts, and shows the end of what a failing command says
    local what=$1; shift
    if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $what"; tail -n 12 "$work/log" | sed 's/^/  /'; fi
}
have() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null && continue
        echo "skipped: no $tool (make deps)"
        [ -z "${CI:-}" ] || failed=$((failed + 1))
        return 1
    done
}

torch() {
    local python=build/venv/bin/python line
    if ! "$python" -c 'import torch, safetensors.torch' 2>/dev/null; then
        echo "skipped: no PyTorch or no safetensors package (make deps)"
        [ -z "${CI:-}" ] || failed=$((failed + 1))
        return
    fi
    check "files_tool compiles" gcc -std=c99 -O1 $warn -I. -Itests tests/files_tool.c -o "$work/tool"
    mkdir -p "$work/torch"
    "$python" tests/files_torch.py "$work/tool" "$work/torch" >"$work/torch.log" 2>&1
    sed '$d' "$work/torch.log"
    line=$(tail -n 1 "$work/torch.log")
    case $line in
    *" passed, "*" failed") passed=$((passed + ${line%% passed*})); line=${line#*passed, }; failed=$((failed + ${line%% failed*})) ;;
    *) failed=$((failed + 1)); echo "FAILED $line" ;;
    esac
}

as_header() { # FILE: its bytes as resume_file
    echo 'static const unsigned char resume_file[] = {'; od -An -v -tu1 "$1" | sed 's/[0-9][0-9]*/&,/g'; echo '};'
}

board() { # NAME FLAGS MACHINE FLASH,SIZE RAM,SIZE FILE DIGEST: ends the training there, tries the exported nets
    local id=$work/board.$1
    as_header "$6" >"$work/resume_file.h"
    printf '#include "%s"\n' small_float32.h small_bfloat16.h small_int8.h >"$work/exported.h"
    arm-none-eabi-gcc -mthumb $2 -std=c99 -O2 -ffreestanding -nostdlib -ffunction-sections -fdata-sections -I. -Itests -I"$work" \
        -DRESUME_FILE='"resume_file.h"' -DEXPORTED='"exported.h"' -T"$bare/bare.ld" -Wl,--gc-sections \
        -Wl,--defsym,FLASH="${4%,*}",--defsym,FLASH_SIZE="${4#*,}",--defsym,RAM="${5%,*}",--defsym,RAM_SIZE="${5#*,}" \
        "$bare/start.c" "$bare/memory.c" tests/resume.c -lgcc -o "$id" || return
    timeout 300 qemu-system-arm -M "$3" -nographic -monitor none -serial none -semihosting-config enable=on,target=native \
        -kernel "$id" >"$id.out" 2>&1
    { echo "$7"; for i in 1 2 3; do echo "exported net ok"; done; } | diff - "$id.out"
}
run_is() { # DIGEST COMMAND...
    [ "$("${@:2}")" = "$1" ]
}

moves() {
    local whole r=$work/resume bare=${BARE:-tests/bare} mps2="0,4M 0x20000000,4M" a n c
    gcc -std=c99 -O2 -I. -Itests tests/resume.c -o "$r" || { failed=$((failed + 1)); return; }
    whole=$("$r" whole)
    check "begins on x86-64" "$r" begin "$work/1.safetensors" 3
    check "ends on x86-64" run_is "$whole" "$r" end "$work/1.safetensors"
    a=1
    for n in s390x aarch64; do
        have $n-linux-gnu-gcc qemu-$n || continue
        check "compiles for $n" $n-linux-gnu-gcc -O2 -static -I. -Itests tests/resume.c -o "$r.$n"
        check "goes on, on $n" qemu-$n "$r.$n" go "$work/$a.safetensors" "$work/$((a + 1)).safetensors" $((3 * a + 2))
        check "the same file comes from x86-64" "$r" go "$work/$a.safetensors" "$work/x.safetensors" $((3 * a + 2))
        check "the same bytes" cmp "$work/$((a + 1)).safetensors" "$work/x.safetensors"
        check "could end on $n" run_is "$whole" qemu-$n "$r.$n" end "$work/$((a + 1)).safetensors"
        a=$((a + 1))
    done
    check "the tool compiles" gcc -std=c99 -O1 -I. -Itests tests/files_tool.c -o "$work/tool"
    check "exports" "$work/tool" export "$work"
    {
        printf '#include <stdio.h>\n#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n'
        for n in small deep tiny; do printf "#include \"${n}_%s.h\"\n" float32 bfloat16 int8; done
        printf 'static int use(detnn_net_desc desc, int (*test)(detnn_net *))\n{\n    detnn_net *net;\n'
        printf '    int r = detnn_net_create(&net, &desc, 0) ? -2 : test(net);\n    detnn_net_destroy(net);\n    return r;\n}\n'
        printf 'int main(void)\n{\n    int bad = 0;\n'
        for n in small deep tiny; do printf "    bad |= use(${n}_%s_desc(), ${n}_%s_test);\n" float32 float32 bfloat16 bfloat16 int8 int8; done
        printf '    return bad;\n}\n'
    } >"$work/use.c"
    for c in "gcc -std=c99 $warn -Werror" "g++ -std=c++11 -x c++ $warn -Werror" "clang -std=c99 $warn -Werror" "s390x-linux-gnu-gcc -static" \
        "aarch64-linux-gnu-gcc -static"; do
        have "${c%% *}" || continue
        check "exported nets compile: $c" $c -O1 -DDETNN_PORTABLE=1 -I. -I"$work" "$work/use.c" -o "$work/use"
        case $c in s390x*) set -- qemu-s390x ;; aarch64*) set -- qemu-aarch64 ;; *) set -- ;; esac
        check "exported nets predict: $c" "$@" "$work/use"
    done
    if [ -f "$bare/start.c" ]; then
        have arm-none-eabi-gcc qemu-system-arm || return
        check "ends on a Cortex-M3" board m3 -mcpu=cortex-m3 mps2-an385 $mps2 "$work/$a.safetensors" "$whole"
        check "ends on a Cortex-M4F" board m4 "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16" mps2-an386 $mps2 "$work/$a.safetensors" "$whole"
    else
        echo "skipped: no $bare/start.c, the start of a board"
        [ -z "${CI:-}" ] || failed=$((failed + 1))
    fi
}

damage() {
    have clang || return
    check "sanitizers of addresses and undefined behaviour compile" clang -std=c99 -O1 -g -fsanitize=address,undefined \
        -fno-sanitize-recover=all -DDETNN_PORTABLE=1 -I. -Itests tests/test_files.c -o "$work/whole" -lpthread -lm
    check "whole, address and undefined behaviour" "$work/whole" --whole
    grep -h 'files of\|killed' "$work/log"
    printf 'fun:detnni_fp_enter\nfun:detnni_fp_leave\n' >"$work/ignore" # assembler, which it does not look into
    check "sanitizer of uninitialised memory compiles" clang -std=c99 -O1 -g -fsanitize=memory -fno-sanitize-recover=all \
        -fsanitize-ignorelist="$work/ignore" \
        -DDETNN_PORTABLE=1 -I. -Itests tests/test_files.c -o "$work/whole" -lpthread -lm
    check "whole, uninitialised memory" "$work/whole" --whole
}

fuzz() {
    local seconds=${SECONDS_EACH:-30} flags="-g -O2 -DDETNN_PORTABLE=1 -I. -Itests" c=$work/corpus
    mkdir -p "$c" "$work/found"
    have clang || return
    check "corpus" sh -c "gcc -DFUZZ_CORPUS -O1 -I. -Itests tests/fuzz_load.c -o $work/corpus_maker && $work/corpus_maker $c"
    check "libFuzzer's compiles" clang $flags -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -fno-sanitize-coverage=trace-cmp tests/fuzz_load.c -o "$work/fuzz"
    check "libFuzzer" "$work/fuzz" -max_total_time=$seconds -max_len=2500 -print_final_stats=1 -artifact_prefix="$work/" "$work/found" "$c"
    sed -n 's/^stat::number_of_executed_units: */libFuzzer, executions: /p' "$work/log"
    have afl-clang-fast afl-fuzz || return
    check "AFL++'s compiles" env AFL_USE_ASAN=1 AFL_USE_UBSAN=1 afl-clang-fast $flags -fsanitize=fuzzer tests/fuzz_load.c -o "$work/afl"
    rm -rf "$work/afl.out"
    check "AFL++" env AFL_SKIP_CPUFREQ=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
        afl-fuzz -m none -V $seconds -i "$c" -o "$work/afl.out" "$work/afl"
    sed -n 's/^execs_done *: */AFL++, executions: /p' "$work/afl.out/default/fuzzer_stats"
    check "AFL++ found nothing" sh -c "! ls $work/afl.out/default/crashes/id* $work/afl.out/default/hangs/id* 2>/dev/null"
}

for part in ${1:-torch moves damage fuzz}; do $part; done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
