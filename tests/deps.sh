#!/bin/sh
# Installs what make check-all needs beside a C compiler and make: Debian 12's packages.
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    gcc g++ clang libclang-rt-14-dev make python3 libc6-dev libmpfr-dev libgmp-dev libsleef-dev \
    gcc-12-multilib g++-12-multilib qemu-user gcc-s390x-linux-gnu libc6-dev-s390x-cross \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross valgrind cppcheck \
    afl++ python3-torch python3-venv python3-pip gcc-arm-none-eabi qemu-system-arm >/dev/null
# The safetensors package, which Debian has not, for Debian's PyTorch.
[ -x build/venv/bin/python ] || /usr/bin/python3 -m venv --system-site-packages build/venv
build/venv/bin/pip -q install safetensors
