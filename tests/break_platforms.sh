#!/bin/bash
# Shows that the matrix can fail: breaks the contract on purpose in copies of detnn.h, and some rows of
# tests/platforms.sh must all differ, on the lines that are named. From the repository's root; ends in "N passed,
# N failed", where passed means that a row noticed.
set -u
work=build/broken rows='^(x86-64: gcc -std=c99|x86-64: tcc|RISC-V 64, D: gcc -Ofast|WebAssembly: clang 14 -O2 .node.)'
passed=0 failed=0
broken() { # "what" LINE SED-SCRIPT [LIBRARIES]: rows that match $rows must differ on LINE
    rm -rf $work && mkdir -p $work
    sed -E "$3" detnn.h >$work/detnn.h
    cmp -s detnn.h $work/detnn.h && echo "FAILED $1: the header has changed, this no longer breaks it"
    DETNN_H=$work LIBRARIES=${4:-} bash tests/platforms.sh "$rows" >$work/log
    local noticed missed
    noticed=$(grep -cE "DIFFERS: .*\b$2\b" $work/log)
    missed=$(grep -E '^(ok|FAILED|skipped)' $work/log | grep -cvE "DIFFERS: .*\b$2\b")
    [ "$noticed" = 0 ] && missed=$((missed + 1))
    [ "$missed" = 0 ] && echo "caught: $1: $noticed rows differ on $2" || { echo "FAILED $1: $missed rows did not notice"; cat $work/log; }
    passed=$((passed + noticed)) failed=$((failed + missed))
}

broken "one addition in another order" sums \
    's/while \(d-- > 0\) sum = t->node\[d\] \+ sum;/for (d = 1, sum = t->depth ? t->node[0] : 0.0f; d < t->depth; d++) sum = sum + t->node[d];/'
broken "one contraction" activate 's/d\[i\] \* \(y\[i\] \* \(1\.0f - y\[i\]\)\)/d[i] * DETNNI_FMA(-y[i], y[i], y[i])/'
rows='^x86-64: (gcc -std=c99|tcc|musl)' # those that have one
broken "one call of the C library's tanhf" tanh \
    's/return detnni_##f##_1_plain\(x\);/return DETNNI_EXACT_##f == DETNNI_EXACT_tanh ? tanhf(x) : detnni_##f##_1_plain(x);/; s/^#include <float\.h>/&\n#include <math.h>/' -lm
rm -rf $work
echo "$passed passed, $failed failed"
[ $failed = 0 ]
