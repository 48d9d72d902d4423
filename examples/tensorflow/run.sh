#!/bin/sh
# Runs every program of this folder on TensorFlow (pip's tensorflow-cpu, in build/tf), then detnn's answer to the same
# questions. From the repository's root; downloads about 300 MB the first time. Another release for releases.py:
#   OLD=2.15.1 sh examples/tensorflow/run.sh
set -e
venv() { [ -x "build/$1/bin/python" ] || { python3 -m venv "build/$1" && "build/$1/bin/pip" install -q "$2"; }; }
venv tf tensorflow-cpu
[ -z "$OLD" ] || venv tf_old "tensorflow-cpu==$OLD"
cd examples/tensorflow
for program in weights shuffle predict threads cpu releases loading sums cores nodes; do
    echo
    head -n 1 $program.py
    ../../build/tf/bin/python $program.py 2>/dev/null
    [ $program != releases ] || [ -z "$OLD" ] || ../../build/tf_old/bin/python $program.py 2>/dev/null
done
echo
cd ../..
${CC:-cc} -O2 -pthread -I. examples/tensorflow/same.c -o build/same
build/same
