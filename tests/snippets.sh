#!/bin/sh
# Takes every C program out of README.md and examples/*.md (```c blocks) and of the header's manual (indented, from
# #include to the closing brace of main), compiles each and runs it; a block without main is compiled inside a function.
# Usage: snippets.sh CC FLAGS, from the repository root, with build/detnn.o and build/linked. Writes build/snippets.log.
cc=$1 flags=$2 passed=0 failed=0
mkdir -p build/snippets
rm -f build/snippets/*
for page in README.md examples/*.md examples/*/*.md; do
    [ -f "$page" ] && awk -v name="$(echo "$page" | tr '/' '_')" '/^```c$/ { n++; on = 1; next } /^```/ { on = 0 }
        on { print > ("build/snippets/" name n ".c") }' "$page"
done
awk '/^ \*     #include <stdio.h>$/ { on = 1; n++ } on { $0 = substr($0, 8); print > ("build/snippets/manual" n ".c") }
     $0 == "}" { on = 0 }' detnn.h
: >build/snippets.log
for f in build/snippets/*.c; do
    grep -q 'main(' "$f" || { { echo '#define DETNN_IMPLEMENTATION'; echo '#include "detnn.h"'; echo 'int main(void) {'; cat "$f"; echo 'return 0; }'; } >"$f.c"; f=$f.c; }
    if $cc $flags -Wno-double-promotion -Wno-unused -Ibuild/linked "$f" build/detnn.o -o "${f%.c}.run" -lpthread >build/snippets.out 2>&1 && "${f%.c}.run" >>build/snippets.out 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        { echo "$f:"; head -n 20 build/snippets.out; } >>build/snippets.log
    fi
done
echo "$passed passed, $failed failed" >>build/snippets.log
