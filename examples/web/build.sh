#!/bin/sh
# Makes build/web/index.html, one file with everything in it: the header as WebAssembly (clang, lld) and the digest that
# a native build prints. It can be opened as it lies there, sent, or served. From the repository's root.
set -eu
mkdir -p build/web
${CLANG:-clang} --target=wasm32 -std=c99 -O3 -mbulk-memory -nostdlib -Wall -Wextra -Wno-ignored-pragmas -I. \
    -Wl,--no-entry -Wl,--strip-all examples/web/digits_web.c -o build/web/digits.wasm
${CC:-cc} ${CFLAGS:--O2} -I. examples/web/digits_web.c -o build/web/native
digest=$(build/web/native | tail -n 1)
{
    sed "s/@DIGEST@/$digest/; /^@WASM@\$/,\$d" examples/web/index.html
    base64 build/web/digits.wasm
    sed '1,/^@WASM@$/d' examples/web/index.html
} >build/web/index.html
echo "build/web/index.html: $(wc -c <build/web/index.html) bytes; its training must end in $digest"
