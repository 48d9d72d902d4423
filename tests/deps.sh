#!/bin/sh
# Installs what make check-all needs beside a C compiler and make: Debian 12's packages.
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    gcc g++ clang clang-16 libclang-rt-14-dev make python3 libc6-dev libmpfr-dev libgmp-dev libsleef-dev \
    gcc-12-multilib g++-12-multilib valgrind cppcheck tcc musl-tools lld lld-16 gcc-mingw-w64-x86-64-win32 wine64 \
    qemu-user qemu-system-arm qemu-system-misc gcc-arm-none-eabi gcc-riscv64-unknown-elf \
    gcc-i686-linux-gnu libc6-dev-i386-cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
    gcc-arm-linux-gnueabihf libc6-dev-armhf-cross gcc-arm-linux-gnueabi libc6-dev-armel-cross \
    gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross \
    gcc-powerpc64-linux-gnu libc6-dev-ppc64-cross gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross \
    gcc-mips-linux-gnu libc6-dev-mips-cross gcc-mipsel-linux-gnu libc6-dev-mipsel-cross \
    wasi-libc libclang-rt-14-dev-wasm32 nodejs chromium libstb-dev cmake pkg-config fonts-dejavu-core \
    afl++ python3-torch python3-venv python3-pip >/dev/null
# The safetensors package, which Debian has not, for Debian's PyTorch.
[ -x build/venv/bin/python ] || /usr/bin/python3 -m venv --system-site-packages build/venv
build/venv/bin/pip -q install safetensors
