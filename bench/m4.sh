#!/bin/sh
# The scalar elementary functions on a Cortex-M4 (binary32 in hardware, binary64 in software): flash in bytes with all
# that a function calls, and instructions per call (qemu counts them), in integers and in binary64. From the
# repository's root. Parts are shared: two functions take less than the sum.
set -e
for tool in arm-none-eabi-gcc qemu-system-arm; do command -v $tool >/dev/null || { echo "no $tool here"; exit 0; }; done
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cc="arm-none-eabi-gcc -std=c99 ${M4FLAGS:--Os} -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -ffreestanding -ffunction-sections -fdata-sections"
printf '#define DETNN_FREESTANDING 1\n#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >$work/detnn.c
cat >$work/link.ld <<END
SECTIONS { .text 0 : { KEEP(*(.vectors)) *(.text* .rodata*) } .data 0x20000000 : { *(.data* .bss*) } /DISCARD/ : { *(.ARM.*) } }
END
one() { # ROUTE FUNCTION FLAGS: sets bytes and calls
    absolute=0
    case $2 in *log) absolute=1 ;; esac
    $cc -DFUNCTION=$2 -DABSOLUTE=$absolute $3 -nostartfiles -Wl,--gc-sections -T $work/link.ld bench/m4.c $work/detnn$1.o -lgcc -o $work/m4
    bytes=$(arm-none-eabi-size $work/m4 | awk 'NR == 2 { print $1 }')
    count=$(qemu-system-arm -M mps2-an386 -display none -serial none -monitor none -semihosting-config enable=on,target=native \
        -icount shift=3 -kernel $work/m4 2>&1)
}
for route in 0 1; do $cc -I. -DDETNN_INTEGER_FUNCTIONS=$route -c $work/detnn.c -o $work/detnn$route.o; done
one 0 detnn_none -DNOTHING
none=$bytes
printf '%-12s %8s %12s %8s %12s\n' function bytes instructions binary64: ''
for f in exp log expm1 tanh sigmoid softplus silu silu_grad log1p erf gelu gelu_grad sin2pi cos2pi; do
    one 0 detnn_$f
    old_bytes=$((bytes - none)) old_count=$count
    one 1 detnn_$f
    printf '%-12s %8d %12d %8d %12d\n' $f $((bytes - none)) "$count" $old_bytes "$old_count"
done
