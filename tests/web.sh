#!/bin/bash
# Builds the web page and uses it in headless Chromium, as wide as a phone and as a desk: trains, pauses, trains again,
# draws by keys and by pointer; the digest must be that of tests/examples.txt and of the native build. A page with
# another digest must say so. From the repository's root; ends in "N passed, N failed". Screenshots: build/web/*.png.
set -u
passed=0 failed=0
digest=$(awk '$1 == "web/digits_web.c" { print $3 }' tests/examples.txt)
sh examples/web/build.sh >build/web.log 2>&1 && grep -q "$digest" build/web.log || { cat build/web.log; echo "0 passed, 1 failed"; exit 1; }
home=$(mktemp -d) && trap 'rm -rf "$home"' EXIT
open() { # ARGUMENTS...
    HOME=$home timeout 300 chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=400000 "$@" 2>"$home/log"
}
count() { if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $2"; fi; }

{ sed '/^<\/body>/,$d' build/web/index.html; echo '<script>'; cat tests/web.js; echo '</script></body></html>'; } >build/web/test.html
for size in 390,844 1040,1200; do
    result=$(open --window-size=$size --dump-dom "file://$PWD/build/web/test.html" | grep -o 'data-result="[^"]*"')
    [ -n "$result" ] && ! echo "$result" | grep -q FAILED && echo "$result" | grep -q "nothing is fetched"
    count $? "page at $size: ${result:-no result: $(tail -n 3 "$home/log")}"
    open --window-size=$size --screenshot="$PWD/build/web/page-${size%,*}.png" "file://$PWD/build/web/index.html" >/dev/null
    [ -s "build/web/page-${size%,*}.png" ]
    count $? "screenshot at $size"
done
sed "s/$digest/${digest%????}0000/" build/web/index.html >build/web/other.html
open --dump-dom "file://$PWD/build/web/other.html" | grep -q '<p id="verdict"[^>]*class="differs">Not equal'
count $? "a page with another digest does not say so"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
