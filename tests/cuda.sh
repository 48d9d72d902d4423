#!/bin/bash
# The CUDA part on a machine without a GPU: nvcc compiles it, its PTX has only the operations that it may have, and
# its kernels run on the CPU (tests/cuda_shim.h) to the golden digests; deleted barriers are noticed. From the
# repository's root; without nvcc (NVCC, or in PATH or /usr/local/cuda/bin) that leg is skipped and said so.
set -u
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
passed=0 failed=0
NVCC=${NVCC:-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)}
fma=; g++ -mfma -E -x c /dev/null >/dev/null 2>&1 && fma=-mfma
shim="-x c++ -std=c++11 -include tests/cuda_shim.h -DDETNN_CUDA=1 -DDETNN_PORTABLE=1 -ffp-contract=off $fma -Itests"
warn="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion -Wno-unknown-pragmas"

ok() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >$work/log 2>&1; then passed=$((passed + 1)); echo "ok: $name"
    else failed=$((failed + 1)); echo "FAILED $name"; tail -n 15 $work/log; fi
}
program() { # OUT FLAGS SOURCE [HEADER-FOLDER]
    g++ $2 -I${4:-.} $shim "$3" -o "$1" -lm
}

# ---- nvcc ----
# Each operation on floats must be rounded once, keep subnormals and be of a kind that ptxas does not contract. (add.f64
# is in detnni_near_half alone, after a product that is exact.)
ptx() { # FLAGS
    $NVCC -x cu -I. -DDETNN_PORTABLE=1 $1 -ptx $work/cuda.cu -o $work/cuda.ptx || return 1
    sed -E 's/^\s*(@\S+\s+)?//; s/[ \t].*//' $work/cuda.ptx | grep -E '\.f(16|32|64|tz)' | sort -u |
        grep -vxE '(mov|selp|neg)\.f(32|64)|(ld|st)\.(global|shared|param|local|const|volatile\.global)(\.v[24])?\.f(32|64)' |
        grep -vxE '(add|sub|mul|div)\.rn\.f(32|64)|fma\.rn\.f(32|64)|sqrt\.rn\.f32|add\.f64|setp\.[a-z]+\.f64|setp\.gt\.f32' |
        grep -vxE 'cvt\.rn\.f32\.(f64|u32)|cvt\.f64\.f32' | grep . && return 1
    [ "$(grep -c 'fma\.rn\.f32' $work/cuda.ptx)" -gt 1000 ] # it was this file
}
printf '#define DETNN_CUDA 1\n#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >$work/cuda.cu
if [ -n "$NVCC" ]; then
    ok "nvcc: sm_75, sm_80, sm_90, no warning" $NVCC -x cu -Werror all-warnings -I. \
        -gencode arch=compute_75,code=sm_75 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
        -c $work/cuda.cu -o $work/cuda.o
    for arch in 75 90; do ok "PTX of sm_$arch under -use_fast_math" ptx "-arch=compute_$arch -use_fast_math"; done
    ok "PTX of sm_80" ptx "-arch=compute_80"
    ok "tests/gpu_functions.cu compiles" $NVCC -x cu -arch=sm_90 -O1 -I. -DDETNN_PORTABLE=1 -Xcompiler -fopenmp -c tests/gpu_functions.cu -o $work/cuda.o
    sed -E 's/^DETNNI_PTX\(detnni_g_mul.*/static __device__ inline float detnni_g_mul(float a, float b) { return a * b; }/' detnn.h >$work/detnn.h
    (cd $work && ! NVCC=$NVCC work=$work ptx "-I$work -arch=compute_80 -use_fast_math") >$work/log 2>&1 &&
        { passed=$((passed + 1)); echo "ok: a product that is flushed is noticed"; } ||
        { failed=$((failed + 1)); echo "FAILED a product that is flushed is noticed"; }
    rm $work/detnn.h
else
    echo "skipped: nvcc is not here"
fi

# ---- The kernels on the CPU ----
names="-Dsmall=char -Dnear= -Dfar= -DIN= -DOUT= -DOPTIONAL= -Dinterface=struct" # as Windows' headers define them
ok "the shim compiles without a warning" program $work/golden "-O1 $warn $names -Werror" tests/golden.c
ok "golden digests" $work/golden --device gpu --check tests/golden.txt
ok "golden digests, threads in reverse, whole epochs" env SHIM_REVERSE=1 $work/golden --device gpu --epochs --check tests/golden.txt
ok "golden digests, in parts" $work/golden --device gpu --parts --check tests/golden.txt
ok "the tests compile" program $work/net "-O2" tests/cuda_net.c
ok "products, nets, moves, traces, failures" $work/net
ok "the same, threads in reverse" env SHIM_REVERSE=1 $work/net small
ok "address and undefined behaviour" program $work/golden-asan "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" tests/golden.c
ok "golden digests under both" env ASAN_OPTIONS=detect_stack_use_after_return=0 $work/golden-asan --device gpu --check tests/golden.txt
ok "the tests compile under both" program $work/net-asan "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" tests/cuda_net.c
ok "the tests under both" env ASAN_OPTIONS=detect_stack_use_after_return=0 $work/net-asan small

# A GPU's NaN has other bits than the CPU's.
mkdir -p $work/nan
sed -E '/^static __device__ inline float detnni_g_(add|sub|mul|div|fma|sqrt)\(float a.*return/ s/return (.*); \}/return shim_nan(\1); }/' \
    detnn.h >$work/nan/detnn.h
ok "the GPU's NaN: six operations" [ "$(grep -c shim_nan $work/nan/detnn.h)" = 6 ]
ok "the GPU's NaN: the tests compile" program $work/nan/net -O1 tests/cuda_net.c $work/nan
ok "the GPU's NaN: the tests" $work/nan/net small

# ---- Breaks that must be noticed: by the golden digests (golden) or the tests (net) ----
run() { # PROGRAM EXECUTABLE: 0 if it passes with threads in both orders
    local arguments="--device gpu --check tests/golden.txt"
    [ $1 = net ] && arguments=small
    timeout 200 $2 $arguments && SHIM_REVERSE=1 timeout 200 $2 $arguments
}
broken() { # PROGRAM NAME SED-SCRIPT
    local name=$2 source=tests/golden.c
    [ $1 = net ] && source=tests/cuda_net.c
    mkdir -p $work/broken
    sed -E "$3" detnn.h >$work/broken/detnn.h
    if cmp -s detnn.h $work/broken/detnn.h; then echo "FAILED $name: the header has changed"
    elif ! program $work/broken/run "-O1 -w" $source $work/broken; then echo "FAILED $name: does not compile"
    else
        run $1 $work/broken/run >/dev/null 2>&1
        case $? in
        0) echo "FAILED $name: not noticed" ;;
        124) echo "FAILED $name: no end in sight" ;;
        *) passed=$((passed + 1)); echo "ok: noticed: $name"; return ;;
        esac
    fi
    failed=$((failed + 1))
}
ok "without a break, golden compiles as the breaks do" program $work/golden-whole "-O1 -w" tests/golden.c
ok "... and passes" run golden $work/golden-whole
ok "without a break, the tests compile as the breaks do" program $work/net-whole "-O1 -w" tests/cuda_net.c
ok "... and pass" run net $work/net-whole
broken golden "a barrier deleted from the products" 's|^( *)__syncthreads\(\); /\* the panel is there.*$||'
broken golden "a wait for copies deleted" 's|^( *)__pipeline_wait_prior\(STAGES - 2\);$||'
broken golden "a barrier deleted from gather" '/^static __global__ void detnni_k_gather/,/^}/ s|^( *)__syncthreads\(\);$||'
broken golden "a barrier that only some threads reach" '/^static __global__ void detnni_k_gather/,/^}/ s|^( *)__syncthreads\(\);$|if (threadIdx.x) __syncthreads();|'
broken net "a chain padded with zeros" 's|for \(k = 0; k < left; k\+\+\) DETNNI_TERM\(k\);|for (k = 0; k < BK; k++) DETNNI_TERM(k);|'
broken net "leaves joined in one chain" 's/level < NODES && up & 1; level\+\+, up >>= 1/level < 1 \&\& up; level++, up = 0/'
broken net "an update that does not look at the sizes" 's/if \(p\.run->stop \|\| p\.run->largest >= DETNNI_SAFE \|\| .*$/if (p.run->stop) return;/; s/^    if \(r->largest >= DETNNI_SAFE .*$/    if (0) {/'
broken net "a lost GPU whose counters stay" 's/^( *)\*net->state = g->kept;$//'
broken net "a lost GPU that took the best weights" 's/if \(!detnni_gpu_best\(net, 0\)\) DETNNI_COPY/(void)detnni_gpu_best(net, 0); DETNNI_COPY/'
broken net "room for the partial sums of batch_max alone" 's/groups = detnni_gpu_groups_most\(rows, (.*)\);$/{ size_t leaves; groups = detnni_gpu_groups(rows, \1, \&leaves); }/'
broken net "a short batch whose losses lie elsewhere" 's/\(p\.run->slot \* p\.run->batch\)/(p.run->slot * p.rows)/'
broken net "parts whose gradients begin as they are" 's/\(1 \+ \(size_t\)detnni_log2\(net->desc\.parts_max\)\) \* net->parameters/net->parameters/'
broken net "a batch that changes while it is copied" 's/if \(done && !detnni_gpu_down\(g, 0, 0, 0\)\) return DETNN_OK;//'
broken net "a kernel given the host's weights" 's/^( *)p\.b = weights \+ l->kernel;$/p.b = net->weights + l->kernel;/'
broken net "a launch that runs on into a trace" 's/^( *)steps = \(size_t\)detnni_min\(steps, net->trace\.d\.from - s->step\);/;/'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
