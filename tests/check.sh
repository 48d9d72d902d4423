#!/bin/sh
# Runs the test programs named, then the golden trainings for every set of kernels, and adds up what they count.
# Called by make check from the repository root.
passed=0 failed=0
count() { # name, output file, status
    line=$(tail -n 1 "$2")
    case "$line" in
    *[0-9]" passed, "[0-9]*" failed")
        p=${line%% passed*} f=${line#*passed, } f=${f%% failed*}
        [ "$3" != 0 ] && [ "$f" = 0 ] && f=1 ;;
    *) p=0 f=1 ;;
    esac
    passed=$((passed + p)) failed=$((failed + f))
    [ "$f" = 0 ] && echo "ok      $1 ($p)" || { sed '$d' "$2"; echo "FAILED  $1 (status $3)"; }
}
kernels=
case " $* " in *" test_kernels "*) # the longest, beside the others
    build/test_kernels >build/test_kernels.log 2>&1 & kernels=$!
    trap 'kill $kernels 2>/dev/null; exit 1' HUP INT TERM ;;
esac
for t in "$@"; do
    [ "$t" = test_kernels ] && continue
    "build/$t" >"build/$t.log" 2>&1
    count "$t" "build/$t.log" $?
done
for o in "" "--parts" "--workers 3" "--isa plain"; do
    build/golden $o --check tests/golden.txt >build/golden.log 2>&1
    count "golden trainings $o" build/golden.log $?
done
sh tests/examples.sh quick >build/examples.log 2>&1
count "examples" build/examples.log $?
count "code in README and manual" build/snippets.log 0
if [ -n "$kernels" ]; then
    wait $kernels
    count test_kernels build/test_kernels.log $?
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
