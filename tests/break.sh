#!/bin/bash
# Breaks the contract on purpose, one way at a time, in copies of detnn.h, and shows that a named test fails each
# time. From the repository's root; "N passed, N failed", where passed means that the break was caught.
set -u
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
count=0
CC=${CC:-cc}
options="-std=c99 -O0 -w -DDETNN_PORTABLE=1 -DDETNN_THREADS=1" # plain kernels alone: quick to compile
fma=; $CC -mfma -E -x c /dev/null >/dev/null 2>&1 && fma=-mfma

for test in symptoms memory errors trace hosts selftest threads; do
    grep -q detnni_ tests/test_$test.c || $CC $options -DTEST_LINKED -I. -Itests -c tests/test_$test.c -o $work/$test.o || exit 1
done

printf '#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >$work/impl.c

# run TEST HEADER-FOLDER: builds and runs tests/test_TEST.c against that folder's header
run() {
    if [ -e $work/$1.o ]; then
        [ $2/impl.o -nt $2/detnn.h ] || $CC $options ${flags:-} -I$2 -c $work/impl.c -o $2/impl.o || return 2
        $CC $work/$1.o $2/impl.o -o $2/$1 -lpthread -lm || return 2
    else
        $CC $options ${flags:-} -I$2 -Itests tests/test_$1.c -o $2/$1 -lpthread -lm || return 2
    fi
    sh -c "timeout 60 $2/$1 >$2/out 2>&1; exit \$?" 2>/dev/null # a crash is a failure, and needs no more words
}

# broken TEST[:FLAGS] "what" SED-SCRIPT: the test must fail on the copy that the script makes. Two at a time.
broken() {
    count=$((count + 1))
    mkdir $work/$count
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    try "$@" $work/$count >$work/$count/result &
}

try() {
    local test=${1%%:*} what=$2 folder=$4 flags=
    case $1 in *:*) flags=${1#*:} ;; esac
    sed -E "$3" detnn.h >$folder/detnn.h
    cmp -s detnn.h $folder/detnn.h && echo "FAILED $what: the header has changed, this no longer breaks it" && return
    run $test $folder
    case $? in
    0) echo "FAILED $what: no test noticed" ;;
    2) echo "FAILED $what: does not compile" ;;
    *) echo "caught: $what: $(grep -a '^FAILED' $folder/out | head -3 | cut -d' ' -f2 | tr '\n' ' ')" ;;
    esac
}

mkdir $work/whole && cp detnn.h $work/whole
for test in symptoms memory errors trace hosts selftest threads files; do
    run $test $work/whole || { echo "test_$test fails on the header as it is:"; cat $work/whole/out; exit 1; }
done

# ---- Randomness ----
broken symptoms "weights not seeded" 's/^    s\.seed = seed;$/    s.seed = seed * (purpose != 1);/'
broken symptoms "seed ignored by dropout" 's/^    s\.seed = seed;$/    s.seed = purpose == 3 ? 1 : seed;/'
broken symptoms "only 32 bits of the seed" 's/^    s\.seed = seed;$/    s.seed = (uint32_t)seed;/'
broken symptoms "dropout in predict" \
    's/^( *)if \(l->d\.kind == DETNN_LAYER_DROPOUT \|\| \(skip/\1if (l->d.kind == DETNN_LAYER_DROPOUT) { float *out = x == a ? b : a; DETNNI_KERNELS(net)->dropout(l->d.rate, net->desc.seed, 0, (uint32_t)i, 0, x, rows * l->outputs, out); x = out; continue; }\n&/'
broken symptoms "dropout drawn from one state for all nets" \
    's/^static uint32_t detnni_word\(.*$/static uint64_t detnni_drawn;\n&/; s/^    uint32_t block = \(uint32_t\)\(e >> 2\);$/    uint32_t block = (uint32_t)((s->counter[3] >> 24 == 3 ? detnni_drawn++ : e) >> 2);/'
broken symptoms "order keyed by the number of epochs" 's/detnni_order_of\(net->desc\.seed, s->epoch/detnni_order_of(net->desc.seed + fit->epochs, s->epoch/'
broken symptoms "order keyed by the batch size" 's/detnni_order_of\(net->desc\.seed, s->epoch/detnni_order_of(net->desc.seed + fit->batch_size, s->epoch/'
broken symptoms "every epoch in the same order" 's/detnni_order_of\(net->desc\.seed, s->epoch/detnni_order_of(net->desc.seed, 0 * s->epoch/'

# ---- Arithmetic ----
broken symptoms "the tree over samples cut elsewhere" 's/while \(2 \* left < rows\) left \*= 2;/;/'
broken symptoms "sums added in one chain" 's/^( *)for \(c = t->count\+\+; c & 1; c >>= 1\) leaf = .*$/\1c = 0; if (t->count++) leaf = t->node[--t->depth] + leaf;/'
broken symptoms "a * b + c where the contract has fma" 's/acc\[n\] = DETNNI_FMA\(xk, row\[n\], acc\[n\]\)/acc[n] = xk * row[n] + acc[n]/'
broken symptoms:"-Ofast $fma" "flags that contract and re-associate" \
    '/^#pragma GCC optimize\("no-fast-math"/,/"no-single-precision-constant"/d; s/^#pragma (float_control\(precise, on\)|clang fp contract).*//'
broken symptoms "exp that is wrong in the last bit, rarely" \
    's/^( *)DETNNI_N\(exp_n\)\(p, n, p\);$/&\n\1for (j = 0; j < n; j++) if ((detnni_float_bits(p[j]) \& 0xff) == 0x37) p[j] = detnni_float(detnni_float_bits(p[j]) + 1);/'
broken symptoms "Adam's epsilon inside of the root" \
    's/m1\[i\] \/ DETNNI_FMA\(detnni_sqrt\(m2\[i\]\), r, epsilon\)/m1[i] \/ (detnni_sqrt(m2[i] + epsilon * epsilon) * r)/'
broken symptoms "rows of a batch of 1 summed from the other end" \
    's/const float \*DETNNI_RESTRICT row = w \+ k \* p->out;/const size_t q = p->rows == 1 ? p->in - 1 - k : k; const float *DETNNI_RESTRICT row = w + q * p->out;/; s/float xk = x\[m \* p->in \+ k\];/float xk = x[m * p->in + q];/'

# ---- State ----
broken symptoms "a copy that forgets the moments" 's/DETNNI_COPY\(\(\*copy\)->state, net->state, net->state_size\)/DETNNI_COPY((*copy)->state, net->state, sizeof *net->state); DETNNI_COPY((*copy)->own_weights, net->own_weights, net->parameters * 4)/'
broken symptoms "a snapshot that forgets the place in the epoch" 's/^( *)DETNNI_COPY\(net->state, \(const char \*\)memory \+ sizeof given, net->state_size\);/&\n\1net->state->position = 0;/'
broken symptoms "a stopped fit that forgets its losses" 's/^( *)for \(done = 0; done < fit->epochs/\1s->loss_sum = 0.0;\n&/'
broken symptoms "best weights that are not restored" 's/DETNNI_COPY\(net->own_weights, net->best, [^;]*;/;/'
broken memory "dropout that counts rows in each part" 's/\(\(uint64_t\)f->first \+ row\) \* out, x/row * out, x/'

# ---- Files ----
broken files "a state without the place in the epoch" 's/^    s->position = detnni_number\(&w\);$/    (void)detnni_number(\&w);/; s/^            detnni_sha_state\(&sha, desc\.seed, &state\);$/            state.position = net->state->position; &/'
broken files "kernels saved untransposed" 's/detnni_fetch\(v->net, &slot, k \* slot\.cols \+ n, 1, &x\);/detnni_fetch(v->net, \&slot, n * slot.rows + k, 1, \&x);/'
broken files "tensors that may overlap" 's/if \(!e\.metadata && e\.begin == at && e\.end > at\) break;/if (!e.metadata) break;/'
broken files "no look at the metadata's digest" 's/if \(!detnni_same_text\(f->value\[DETNNI_KEY_CHECK\], .*$/if (0)/'
broken files "data_offsets beyond the end" 's/if \(e->end > f->size - f->data\) return.*$/;/'
broken files "a file written in place" 's/"%s\.%X\.tmp", path,/"%s", path,/; s/#define DETNNI_EXCLUSIVE "wbx"/#define DETNNI_EXCLUSIVE "wb"/'
broken files "a flush that is not looked at" 's/if \(!r && !what && DETNNI_SYNC\(o->file\)\)/if (0)/'
broken files "a test vector that is not replayed" 's/const int test = described && f->value.DETNNI_KEY_TEST.\.p && !d->skip_test;/const int test = 0;/'
broken files "a load that fails halfway" 's/^    r = detnni_check_tensors\(f, net, groups, err\);$/    net->own_weights[0] += 1.0f;\n&/'
broken files "int8 cut off instead of rounded" 's/return \(int\)\(q < 0\.0f \? q - 0\.5f : q \+ 0\.5f\);/return (int)q;/'
broken files "a receipt without the epochs" 's/if \(w->bad \|\| !detnni_same_digest\(p->mine, p->theirs\)\) \{/if (0) {/'

# ---- Self-test, hostile hosts ----
broken selftest "selftest: an fma that rounds twice" 's/^( *)s = detnni_double\(\(e > 0\.0\) == .*$/\1;/'
broken selftest:"-O2 -ffp-contract=fast $fma" "selftest: contraction" '/^#pragma GCC optimize\("no-fast-math"/,/"no-single-precision-constant"/d'
broken selftest:"-Ofast" "selftest: unsafe flags" '/^#pragma GCC optimize\("no-fast-math"/,/"no-single-precision-constant"/d'
broken selftest "selftest: the caller's rounding, subnormals flushed" 's/if \(\(csr & 0xffc0\) != wanted\)/if (0)/'
broken selftest "selftest: a wrong bit in tanh" 's/^( *)return sum;$/&/; s/\{ DETNNI_EXACT_tanh, 0x/{ DETNNI_EXACT_exp, 0x/'
broken hosts "no guard at the entry points" 's/if \(\(csr & 0xffc0\) != wanted\)/if (0)/'
broken hosts "no guard after callbacks" 's/^( *)\(void\)detnni_fp_enter\(\);.*$/\1;/'
broken hosts "training from a callback" 's/^( *)net->busy = 1;$/\1net->busy = 0;/'
broken hosts "sizes that wrap" 's/if \(a->used > most - 64 \|\| bytes > most - start\)/if (bytes > most - start)/; s/a\.overflow \|\| a\.used > \(size_t\)-1 \/ 2 - 64/a.overflow/'

# ---- Elementary functions in integers ----
integers=hard:-DDETNN_INTEGER_FUNCTIONS=1
broken $integers "a product short of one word" 's/ \+ \(\(uint64_t\)al \* bh >> 32\);/;/'
broken $integers "a reciprocal that starts too high" 's/ - \(uint64_t\)h \* r - r\) >> 17/ - (uint64_t)h * r) >> 17/'
broken $integers "1 - e^-a by subtraction near 0" 's/if \(rest && \(\*n \|\| x >> 60\)\)/if (rest)/'
broken $integers "ties of sigmoid to even" 's/\(-34 - 3 \* n\)\) - 1;/(-34 - 3 * n));/'
broken $integers "log(2) to 56 bits" 's/0xb17217f7d1cf79acu/0xb17217f7d1cf7900u/'

# ---- Threads ----
broken threads "a task that leaves its last row to nobody" 's/p\.to = detnni_cut\(l->inputs, 16, b->tasks, i \+ 1\);/p.to = detnni_cut(l->inputs, 16, b->tasks, i + 1) - (i > 0);/'
broken threads "tasks in the mode of their thread" 's/^    uint64_t mode = detnni_fp_enter\(\); .* of this thread .*$/    if (1) { s->work(s->job, i); return; }/; s/^    s->work\(s->job, i\);$/    uint64_t mode = 0;/'

# ---- Memory, errors, records ----
broken memory "a size that is one byte short" 's/\*size = a\.used \+ 63;/*size = a.used + 62;/'
broken memory "fit that allocates" 's/^( *)size_t validation = 0;$/&\n\1void *detnni_extra = malloc(8); free(detnni_extra);/'
broken errors "NaN in data that is let through" 's/if \(DETNNI_KERNELS\(net\)->magnitude\(x, net->inputs\) >= 0x7f800000\)/if (0)/'
broken errors "an update that overflows halfway" 's/^( *)if \(!\(largest < safe && /\1if (0 \&\& !(largest < safe \&\& /'
broken errors "gradients that pass for small" 's/if \(b\.g && bound\)/if (0)/'
broken errors "labels that may be one too large" 's/if \(\*label >= classes\)/if (*label > classes)/'
broken trace "weights recorded from before the update" 's/^( *)u = detnni_update_of\(&o, &net->desc\.schedule, state->step\);$/\1detnni_trace_tensors(net, net->own_weights, "");\n&/; /^ *detnni_trace_tensors\(net, net->own_weights, ""\);$/d'

wait
for i in $(seq $count); do cat $work/$i/result; done | tee $work/results
failed=$(grep -c ^FAILED $work/results)
grep ^FAILED $work/results # once more, where the end of a long log shows them
echo "$((count - failed)) passed, $failed failed"
[ $failed = 0 ]
