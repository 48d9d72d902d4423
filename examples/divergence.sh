#!/bin/sh
# Where do two builds part? One is sabotaged here: its exp is wrong in the last bit for one value in a thousand. The
# digests say that the trainings differ; the records, compared by trace_diff, say in which step and tensor it began.
#   sh examples/divergence.sh        from the repository's root
set -eu
cc=${CC:-cc} flags=${CFLAGS:--O2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/b"
sed 's/^ *DETNNI_N(exp_n)(\([pt]\), \(.*\), [pt]);$/& for (size_t q = 0; q < \2; q++) if (detnni_float_bits(\1[q]) % 1000 == 7) \1[q] *= 1.0000001f;/' \
    detnn.h >"$work/b/detnn.h"
if cmp -s detnn.h "$work/b/detnn.h"; then echo "divergence.sh: detnn.h has changed, there is nothing left to sabotage"; exit 1; fi
$cc $flags -I. examples/divergence.c -o "$work/whole"
$cc $flags -I"$work/b" examples/divergence.c -o "$work/sabotaged"
$cc $flags examples/trace_diff.c -o "$work/trace_diff"
cd "$work"

echo "whole:     $(./whole whole.txt)"
echo "sabotaged: $(./sabotaged sabotaged.txt)"
if found=$(./trace_diff whole.txt sabotaged.txt); then echo "divergence.sh: the records do not part"; exit 1; fi
echo "they part at $(echo "$found" | head -n 1)"

step=$(expr "$found" : 'step \([0-9]*\)') # once more, that step with all its numbers
./whole whole.txt "$step" >digest
./sabotaged sabotaged.txt "$step" >/dev/null
./trace_diff whole.txt sabotaged.txt | tail -n 1
cat digest
