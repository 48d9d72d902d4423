#!/bin/sh
# The digit net in flash on a Cortex-M4F (qemu's mps2-an386): predictions, fine-tuning on the device, and the digest of the
# result, beside the desktop's. From the repository's root; needs arm-none-eabi-gcc and qemu-system-arm.
set -eu
cc=${CC:-cc} flags=${CFLAGS:--O2} work=build/firmware
mkdir -p $work
$cc $flags -I. examples/firmware/model.c -o $work/model
$work/model $work/digit_net.h
$cc $flags -I. -I$work examples/firmware/firmware.c -o $work/desktop
arm-none-eabi-gcc -mthumb -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 -std=gnu99 -ffreestanding -nostdlib \
    -ffunction-sections -fdata-sections -Wl,--gc-sections -DDETNN_FEATURES=0x041 -Ttests/bare/bare.ld \
    -Wl,--defsym,FLASH=0,--defsym,FLASH_SIZE=512K,--defsym,RAM=0x20000000,--defsym,RAM_SIZE=192K \
    -I. -I$work examples/firmware/firmware.c tests/bare/start.c tests/bare/memory.c -lgcc -o $work/device.elf
echo "program and net on the device: $(arm-none-eabi-size $work/device.elf | awk 'END { print $1 }') bytes of flash"
$work/desktop >$work/desktop.txt
timeout 300 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -kernel $work/device.elf >$work/device.txt 2>&1
cat $work/device.txt
grep -v RAM $work/device.txt >$work/a && grep -v RAM $work/desktop.txt >$work/b # what a net needs depends on its pointers
cmp -s $work/a $work/b || { echo "the desktop says otherwise:"; cat $work/desktop.txt; exit 1; }
echo "the desktop says the same"
tail -n 1 $work/desktop.txt
