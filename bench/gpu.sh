#!/bin/bash
# make gpu-bench: bench/gpu.cu beside cuBLAS and PyTorch (where they are installed), within 8 minutes; CSV to build/gpu.csv,
# and the ratios. Without a GPU or nvcc it says so.
set -u
cd "$(dirname "$0")/.." || exit 1
NVCC=${NVCC:-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)}
[ -n "$NVCC" ] || { echo "skipped: nvcc is not here"; exit 0; }
nvidia-smi -L 2>/dev/null | grep -q GPU || { echo "skipped: there is no GPU here"; exit 0; }
begin=$SECONDS
mkdir -p build/gpu
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit --format=csv,noheader
$NVCC -x cu -arch=native -O3 -I. bench/gpu.cu -o build/gpu/bench -lcublas || { echo "FAILED to compile (is cuBLAS here?)"; exit 1; }
echo "compiled ($((SECONDS - begin)) s)"
rm -f build/gpu/failed
part() { # SECONDS COMMAND...
    timeout "$@" || { echo "FAILED or out of time: ${*:2}" >&2; touch build/gpu/failed; }
}
{
    echo group,case,implementation,median,unit
    part 150 build/gpu/bench products
    part 120 build/gpu/bench steps
    if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        part $((470 - SECONDS + begin)) python3 bench/gpu_torch.py
    else echo "no PyTorch with CUDA here" >&2; fi
} | tee build/gpu.csv | grep -v '^group'
awk -F, '
    $2 == "peak" { peak = $4 }
    $3 == "detnn" { ours[$2] = $4; order[n++] = $2 }
    $3 != "detnn" { theirs[$2, $3] = $4; peers[$3] = 1 }
    END {
        print "\nratios: above 1, detnn is faster"
        for (i = 0; i < n; i++) {
            c = order[i]
            line = ""
            for (p in peers) if ((c, p) in theirs) {
                r = c ~ /^step/ ? theirs[c, p] / ours[c] : ours[c] / theirs[c, p]
                line = line sprintf("  %s %.2f", p, r)
                if (c ~ /^net/) { sum += log(r); count++ }
                if (c ~ /^square/ && (!least || r < least)) least = r
            }
            if (c !~ /^step/ && c !~ /^fit/ && peak) line = line sprintf("  of the peak %.2f", ours[c] / peak)
            if (line) printf "%-52s%s\n", c, line
        }
        if (count) printf "squares: least %.2f (goal 0.9); shapes of nets: geometric mean %.2f (goal 1.0)\n", least, exp(sum / count)
    }' build/gpu.csv
echo "$((SECONDS - begin)) s; build/gpu.csv"
[ ! -e build/gpu/failed ]
