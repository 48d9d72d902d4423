#!/bin/sh
# Installs what make bench compares with: Debian 12's packages, and Python's in a virtual environment under build/.
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends gcc g++ make libopenblas-dev libblis-dev libdnnl-dev libeigen3-dev libfann-dev \
    libsleef-dev python3 python3-numpy python3-torch python3-matplotlib python3-venv >/dev/null
mkdir -p build
[ -d build/venv ] || /usr/bin/python3 -m venv build/venv
build/venv/bin/pip install -q tensorflow-cpu jax onnxruntime onnx
