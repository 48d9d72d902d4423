#!/bin/sh
# Builds and runs the examples without a screen and compares the digest in the last line of each with
# tests/examples.txt, and the output that README.md and the pages show with the real one. From the repository's root;
# ends in "N passed, N failed". CC, CXX, CFLAGS as in the Makefile.
#   examples.sh quick   those that need a C compiler alone, linked with build/detnn.o (make check)
#   examples.sh         all, each compiled as its user would (make examples)
#   examples.sh write   writes the digests anew, where two builds with nothing in common agree: gcc with the fastest
#                       kernels of this machine, and clang with plain C and emulated fma
set -u
case ${1:-} in quick | write) mode=$1 ;; *) mode=all ;; esac
cc=${CC:-cc} cxx=${CXX:-c++} flags=${CFLAGS:--O2} list=tests/examples.txt
work=build/examples
mkdir -p $work
rm -f $work/*.result $work/*.out $work/new

name_of() { basename "${1%.c*}"; } # web/digits_web.c: digits_web; divergence.sh: divergence.sh

run() { # FILE FOLDER CC CXX FLAGS: the last line of what the example prints
    name=$(name_of "$1")
    mkdir -p "$2"
    header=. link=
    [ $mode = quick ] && header=build/linked link=build/detnn.o # the implementation is compiled already
    case $1 in
    *.cpp) $4 $(echo "$5" | sed 's/-std=[^ ]*//') -std=c++11 -pthread -I. "examples/$1" -o "$2/$name" || return 1 ;;
    *.c) $3 $5 -pthread -I$header "examples/$1" $link -o "$2/$name" || return 1 ;;
    *.sh) CC=$3 CFLAGS=$5 sh "examples/$1" >"$2/$name.out" || return 1 ;;
    esac
    case $1 in *.sh) ;; *) (cd "$2" && DETNN_DATA= "./$name" >"$name.out") || return 1 ;; esac
    tail -n 1 "$2/$name.out"
}

have() { # what an example needs beside a C compiler
    case $1 in
    c++) command -v "$cxx" >/dev/null ;;
    qemu) command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null ;;
    stb) echo '#include <stb/stb_image.h>' | $cc -E -x c - >/dev/null 2>&1 ;;
    *) true ;;
    esac
}

# What README.md and the pages show as output, from "$ ./name" or "$ sh examples/name.sh" on, must be lines of the real
# output. Prints those that are not.
shown() { # FILE
    case $1 in *.sh) command="sh examples/$1" ;; *) command="./$(name_of "$1")" ;; esac
    cat README.md examples/*.md examples/*/*.md | awk -v first="$ $command" '
        /^```/ { on = 0 } on { print } $0 == first { on = 1 }' | grep -Fvxf "$work/$(name_of "$1").out"
}

one() { # FILE NEEDS DIGEST: "ok", "FAILED" or "skipped" and why
    if [ "$2" = qemu ] && { [ ! -f tests/bare/bare.ld ] || ! grep -q detnn_export_c detnn.h; }; then
        echo "skipped  $1: needs tests/bare and detnn_export_c"
    elif ! have "$2"; then
        [ -n "${CI:-}" ] && result=FAILED || result=skipped
        echo "$result  $1: no $2 here (make deps)"
    elif ! digest=$(run "$1" $work "$cc" "$cxx" "$flags" 2>$work/$(basename "$1").log); then
        echo "FAILED  $1: does not compile or run"
        head -n 10 $work/$(basename "$1").log
    elif [ "$digest" != "$3" ]; then echo "FAILED  $1: digest $digest, expected $3"
    elif other=$(shown "$1"); then
        echo "FAILED  $1: a page shows output that it does not print:"
        echo "$other"
    else echo "ok      $1"; fi
}

if [ $mode = write ]; then
    while read -r file needs a; do
        [ "$needs" = demo ] && { echo "$file $needs $a" >>$work/new; continue; } # slow in plain C: see tests/check_all.sh
        a=$(run "$file" $work/a gcc g++ "-O2 -march=native") && b=$(run "$file" $work/b clang clang++ "-O1 -DDETNN_PORTABLE=1") &&
            [ "$a" = "$b" ] && [ ${#a} = 64 ] || { echo "$file: the two builds do not agree: ${a:-}, ${b:-}"; exit 1; }
        echo "$file $needs $a" >>$work/new
    done <$list
    mv $work/new $list
    exit
fi

count=0
while read -r file needs digest; do # two at a time
    case $mode,$needs in quick,c | all,*) ;; *) continue ;; esac
    one "$file" "$needs" "$digest" >$work/$(basename "$file").result &
    count=$((count + 1))
    [ $((count % 2)) = 0 ] && wait
done <$list
wait
[ $mode = all ] && cat $work/*.result || cat $work/*.result | grep -v '^ok'
passed=$(cat $work/*.result | grep -c '^ok') failed=$(cat $work/*.result | grep -c '^FAILED')
skipped=$(cat $work/*.result | grep -c '^skipped')
[ "$skipped" = 0 ] && skipped= || skipped=", $skipped skipped"
echo "$passed passed, $failed failed$skipped"
[ "$failed" = 0 ]
