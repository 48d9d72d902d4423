#!/bin/bash
# What only a GPU can show (make gpu-check, within 8 minutes): golden digests, as compiled and under -use_fast_math; the
# tests of cuda_net.c; elementary functions on all 2^32 inputs; compute-sanitizer. Without a GPU or nvcc it says so.
set -u
cd "$(dirname "$0")/.." || exit 1
NVCC=${NVCC:-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)}
[ -n "$NVCC" ] || { echo "skipped: nvcc is not here"; exit 0; }
nvidia-smi -L 2>/dev/null | grep -q GPU || { echo "skipped: there is no GPU here"; exit 0; }
tools=$(dirname "$NVCC")
begin=$SECONDS limit=480 passed=0 failed=0 skipped=0
rm -rf build/gpu && mkdir -p build/gpu # nothing of before
nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader

ok() { # NAME COMMAND...: with what remains of the time
    local name=$1 left=$((limit - SECONDS + begin)) from=$SECONDS
    shift
    if [ $left -lt 5 ]; then skipped=$((skipped + 1)); echo "skipped: $name (no time left)"
    elif timeout $left "$@" >build/gpu/log 2>&1; then passed=$((passed + 1)); echo "ok: $name ($((SECONDS - from)) s)"
    else
        [ $? = 124 ] && name="$name: out of time"
        failed=$((failed + 1)); echo "FAILED $name ($((SECONDS - from)) s)"; tail -n 15 build/gpu/log
    fi
}
compile() { # OUT SOURCE FLAGS...
    local out=$1 source=$2
    shift 2
    $NVCC -x cu -arch=native -O2 -I. -Itests -DDETNN_CUDA=1 "$@" $source -o $out
}
# All at once: a processor each, where there are that many.
compile build/gpu/golden tests/golden.c >build/gpu/c1 2>&1 & jobs1=$!
compile build/gpu/fast tests/golden.c -use_fast_math >build/gpu/c2 2>&1 & jobs2=$!
compile build/gpu/net tests/cuda_net.c >build/gpu/c3 2>&1 & jobs3=$!
compile build/gpu/functions tests/gpu_functions.cu -Xcompiler -fopenmp >build/gpu/c4 2>&1 & jobs4=$!
compile build/gpu/line tests/golden.c -lineinfo -DDETNN_PORTABLE=1 >build/gpu/c5 2>&1 & jobs5=$!
for j in $jobs1 $jobs2 $jobs3 $jobs4 $jobs5; do wait $j || { failed=$((failed + 1)); echo "FAILED to compile"; cat build/gpu/c?; }; done
echo "compiled ($((SECONDS - begin)) s)"
for a in "" "--epochs" "--parts" "--parts --epochs"; do
    ok "golden digests $a" build/gpu/golden --device gpu $a --check tests/golden.txt
    ok "golden digests, -use_fast_math $a" build/gpu/fast --device gpu $a --check tests/golden.txt
done
ok "products, nets, moves, traces" build/gpu/net
if command -v compute-sanitizer >/dev/null || [ -x $tools/compute-sanitizer ]; then
    sanitizer=$(command -v compute-sanitizer || echo $tools/compute-sanitizer)
    ok "compute-sanitizer memcheck, the tests" $sanitizer --tool memcheck --error-exitcode 9 build/gpu/net small
    for tool in memcheck racecheck synccheck initcheck; do
        ok "compute-sanitizer $tool" $sanitizer --tool $tool --error-exitcode 9 build/gpu/line --device gpu --epochs --check tests/golden.txt
    done
else
    skipped=$((skipped + 1)); echo "skipped: compute-sanitizer is not here"
fi
ok "elementary functions, all 2^32 inputs" build/gpu/functions
grep -h differ build/gpu/log
echo "$passed passed, $failed failed, $skipped skipped ($((SECONDS - begin)) s)"
[ $failed = 0 ]
