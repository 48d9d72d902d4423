# detnn.h is one header: nothing here is needed to use it.
#
#   make demo       the main job on real input: learns hand-written digits, twice, and compares the bits
#   make check      the tests that need a C compiler and nothing more (under a minute)
#   make deps       installs what the rest needs (Debian or Ubuntu, as root)
#   make check-all  every compiler, flag, platform, sanitizer and analyser
#   make oracle     runs the slow, exact reimplementation in Python and compares it with tests/golden.txt
#   make prove      tries the elementary functions on all 2^32 inputs against MPFR (about 2 hours of processor time;
#                   it goes on where it was stopped); SAMPLE=256 tries every 256th part, at places that SEED chooses
#   make bench      times against other libraries, as far as they are installed (GROUP=functions, or m4: a Cortex-M4
#                   in qemu)
#   make clean
#
# CC, CFLAGS and DETNN_DATA (a folder with optdigits or MNIST for the demo) may be given.

CC     = cc
CFLAGS = -std=c99 -O2
TEST   = -std=c99 -O1
WARN   = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion

TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
EXAMPLES = $(filter-out digits,$(patsubst examples/%.c,%,$(wildcard examples/*.c)))

MAKEFLAGS += --jobs=$(shell nproc 2>/dev/null || echo 2) --no-print-directory

.PHONY: help demo check examples deps check-all oracle prove bench bench-functions bench-m4 clean
help:
	@sed -n 's/^#   //p' Makefile

demo: build/digits
	@build/digits

# Tests that reach into the implementation include it, with plain kernels alone where it is not about the others; all
# else links build/detnn.o, which is compiled once: build/linked/detnn.h takes the implementation out of what includes it.
build/detnn.o: detnn.h | build
	@echo "  CC   detnn.h"
	@printf '#define DETNN_THREADS 1\n#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >build/detnn.c
	@$(CC) $(CFLAGS) $(WARN) -I. -c build/detnn.c -o $@

build/test_%: tests/test_%.c $(wildcard tests/*.h) detnn.h build/detnn.o
	@echo "  CC   $<"
	@if ! grep -q detnni_ $<; then $(CC) -std=c99 -O0 $(WARN) -DTEST_LINKED -I. -Itests $< build/detnn.o -o $@ -lpthread -lm; \
	else case $* in kernels|hard) sets= ;; *) sets=-DDETNN_PORTABLE=1 ;; esac; \
	    $(CC) $(TEST) $(WARN) $$sets -I. -Itests $< -o $@ -lpthread -lm; fi

build/golden: tests/golden.c build/detnn.o
	@echo "  CC   $<"
	@$(CC) $(CFLAGS) $(WARN) -DTEST_LINKED -I. tests/golden.c build/detnn.o -o $@ -lpthread

build/linked/detnn.h: | build
	@mkdir -p build/linked
	@printf '#undef DETNN_IMPLEMENTATION\n#include "../../detnn.h"\n' >$@

build/%: examples/%.c $(wildcard examples/*.h) build/linked/detnn.h build/detnn.o
	@echo "  CC   $<"
	@$(CC) $(CFLAGS) $(WARN) -Ibuild/linked $< build/detnn.o -o $@ -lpthread

build:
	@mkdir -p build

check: build/golden build/snippets $(addprefix build/,$(TESTS) $(EXAMPLES))
	@sh tests/check.sh $(TESTS)

# The code blocks of README and manual, each compiled as a program of its own.
build/snippets: README.md detnn.h tests/snippets.sh build/detnn.o
	@echo "  CC   the code in README.md and the manual"
	@sh tests/snippets.sh "$(CC)" "$(CFLAGS) $(WARN)"
	@touch $@

deps:
	sh tests/deps.sh

check-all: check
	bash tests/check_all.sh

oracle: build/golden
	python3 tests/oracle.py >build/oracle.txt
	diff build/oracle.txt tests/golden.txt
	@echo "the oracle agrees with tests/golden.txt"

# Both ways that a compiler may take a * b + c in the scalar code, and the functions in integers; the vector sets are in
# all builds.
INTEGERS = -v scalar -f exp,log,expm1,tanh,sigmoid,softplus,silu,silu_grad
SEED = $(shell date +%s)
prove: | build
	$(CC) -O2 -I. tests/prove.c -o build/prove -lmpfr -lgmp -lm
	$(CC) -O2 -mfma -I. tests/prove.c -o build/prove_fma -lmpfr -lgmp -lm
	$(CC) -O2 -DDETNN_INTEGER_FUNCTIONS=1 -I. tests/prove.c -o build/prove_integers -lmpfr -lgmp -lm
ifdef SAMPLE
	build/prove -s $(SAMPLE) -r $(SEED)
	build/prove_fma -v scalar -s $(SAMPLE) -r $(SEED)
	build/prove_integers $(INTEGERS) -s $(SAMPLE) -r $(SEED)
else
	build/prove -o build/prove.state
	build/prove_fma -v scalar -o build/prove.state
	build/prove_integers $(INTEGERS) -o build/prove.state
endif

GROUP = functions
bench: bench-$(GROUP)
bench-functions: | build
	@have() { printf 'int main(void) { return 0; }' | $(CC) -x c - $$1 -o build/have 2>/dev/null; }; \
	flags= libs=; \
	if have -lsleef; then flags="$$flags -DHAVE_SLEEF"; libs="$$libs -lsleef"; else echo "no SLEEF here (libsleef-dev)"; fi; \
	if have -lmvec; then flags="$$flags -DHAVE_LIBMVEC"; libs="$$libs -lmvec"; fi; \
	$(CC) -O2 -I. $$flags bench/functions.c -o build/bench_functions $$libs -lm
	@build/bench_functions | tee build/bench_functions.log | grep -v '^functions,'
	@{ echo group,case,implementation,median,unit; grep '^functions,' build/bench_functions.log; } >build/bench.csv
	@echo "build/bench.csv written"

bench-m4:
	@sh bench/m4.sh

clean:
	rm -rf build
