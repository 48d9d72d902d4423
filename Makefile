# detnn.h is one header: nothing here is needed to use it.
#
#   make demo       the main job on real input: learns hand-written digits, twice, and compares the bits
#   make check      the tests that need a C compiler and nothing more (under a minute)
#   make examples   builds and runs all examples and compares their digests with tests/examples.txt
#   make web        the page that trains in the browser: builds and serves it (clang, lld, python3; PORT=8000)
#   make deps       installs what the rest needs (Debian or Ubuntu, as root)
#   make check-all  every compiler, flag, platform, sanitizer and analyser
#   make platforms  the conformance program on every compiler, flag and processor: "N passed, N failed" rows (ROWS=pattern)
#   make size       bytes of code and RAM on microcontrollers, into README.md
#   make oracle     runs the slow, exact reimplementation in Python and compares it with tests/golden.txt
#   make prove      tries the elementary functions on all 2^32 inputs against MPFR (about 2 hours of processor time;
#                   it goes on where it was stopped); SAMPLE=256 tries every 256th part, at places that SEED chooses
#   make fuzz       the loader under libFuzzer and AFL++, FUZZ_SECONDS (600) each
#   make bench      times against other libraries, as far as they are installed (make bench-deps, as root), and writes
#                   build/bench.csv; GROUP=products alone; make bench-readme puts its tables into README.md
#   make bench-m4   the elementary functions on a Cortex-M4: flash, and instructions (qemu)
#   make install    detnn.h with its pkg-config and CMake files (PREFIX=/usr/local, DESTDIR); make uninstall
#   make gpu-check  what only a GPU can show, with nvcc and a GPU (8 minutes)
#   make gpu-bench  times on a GPU beside cuBLAS and PyTorch (8 minutes)
#   make clean
#
# CC, CFLAGS and DETNN_DATA (a folder with optdigits or MNIST for the demo) may be given.

CC     = cc
CFLAGS = -std=c99 -O2
TEST   = -std=c99 -O1
WARN   = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion

TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))

MAKEFLAGS += --jobs=$(shell nproc 2>/dev/null || echo 2) --no-print-directory

.PHONY: help demo check examples web deps check-all platforms size oracle prove fuzz bench bench-readme bench-deps \
    bench-functions bench-m4 gpu-check gpu-bench install uninstall clean
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

LINKED := $(patsubst tests/%.c,build/%,$(shell grep -L detnni_ tests/test_*.c))
$(LINKED): build/detnn.o
build/test_%: tests/test_%.c $(wildcard tests/*.h) detnn.h | build
	@echo "  CC   $<"
	@if [ -n "$(filter $@,$(LINKED))" ]; then $(CC) -std=c99 -O0 $(WARN) -DTEST_LINKED -I. -Itests $< build/detnn.o -o $@ -lpthread -lm; \
	else case $* in kernels|hard) sets= ;; *) sets=-DDETNN_PORTABLE=1 ;; esac; \
	    $(CC) $(TEST) $(WARN) $$sets -I. -Itests $< -o $@ -lpthread -lm; fi

build/golden: tests/golden.c tests/cases.h build/detnn.o
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

check: build/golden build/snippets build/trace_diff $(addprefix build/,$(TESTS))
	@CC="$(CC)" CFLAGS="$(CFLAGS) $(WARN)" sh tests/check.sh $(TESTS)

# The code blocks of README and manual, each compiled as a program of its own.
build/snippets: README.md $(wildcard examples/*.md examples/*/*.md) detnn.h tests/snippets.sh build/detnn.o build/linked/detnn.h
	@echo "  CC   the code in README.md and the manual"
	@sh tests/snippets.sh "$(CC)" "$(CFLAGS) $(WARN)"
	@touch $@

examples:
	@CC="$(CC)" CXX="$(CXX)" CFLAGS="$(CFLAGS)" sh tests/examples.sh

# HOST=0.0.0.0 serves the page to other machines, too, such as a phone.
HOST = 127.0.0.1
PORT = 8000
web: | build
	@CC="$(CC)" CFLAGS="$(CFLAGS)" sh examples/web/build.sh
	@echo "http://localhost:$(PORT)/ (or open build/web/index.html)"
	@python3 -m http.server --bind $(HOST) --directory build/web $(PORT)

deps:
	sh tests/deps.sh

check-all: check
	bash tests/check_all.sh

ROWS =
platforms:
	@bash tests/platforms.sh $(if $(ROWS),'$(ROWS)')

size:
	@bash tests/size.sh

oracle: build/golden
	python3 tests/oracle.py >build/oracle.txt
	diff build/oracle.txt tests/golden.txt
	@echo "the oracle agrees with tests/golden.txt"

# Both ways that a compiler may take a * b + c in the scalar code, the functions in integers, and those of CUDA's kernels;
# the vector sets are in all builds.
KERNELS = -mfma -x c++ -std=gnu++11 -include tests/cuda_shim.h -DDETNN_CUDA=1 -DDETNN_PORTABLE=1
INTEGERS = -v scalar -f exp,log,expm1,tanh,sigmoid,softplus,silu,silu_grad
SEED = $(shell date +%s)
prove: | build
	$(CC) -O2 -I. tests/prove.c -o build/prove -lmpfr -lgmp -lm
	$(CC) -O2 -mfma -I. tests/prove.c -o build/prove_fma -lmpfr -lgmp -lm
	$(CC) -O2 -DDETNN_INTEGER_FUNCTIONS=1 -I. tests/prove.c -o build/prove_integers -lmpfr -lgmp -lm
	$(CXX) -O2 $(KERNELS) -I. tests/prove.c -o build/prove_cuda -lmpfr -lgmp -lm
ifdef SAMPLE
	build/prove -s $(SAMPLE) -r $(SEED)
	build/prove_fma -v scalar -s $(SAMPLE) -r $(SEED)
	build/prove_integers $(INTEGERS) -s $(SAMPLE) -r $(SEED)
	build/prove_cuda -v scalar -s $(SAMPLE) -r $(SEED)
else
	build/prove -o build/prove.state
	build/prove_fma -v scalar -o build/prove.state
	build/prove_integers $(INTEGERS) -o build/prove.state
	build/prove_cuda -v scalar -o build/prove.state
endif

FUZZ_SECONDS = 600
fuzz: | build
	SECONDS_EACH=$(FUZZ_SECONDS) bash tests/files.sh fuzz

# GROUP=name or names: products, avx2, training, latency, reductions, promise, growth, functions.
GROUP =
bench: build/detnn.o
	@CC="$(CC)" python3 bench/run.py $(GROUP)

bench-readme:
	@python3 bench/run.py --readme

bench-deps:
	sh bench/deps.sh

bench-functions: | build
	@have() { printf 'int main(void) { return 0; }' | $(CC) -x c - $$1 -o build/have 2>/dev/null; }; \
	flags= libs=; \
	if have -lsleef; then flags="$$flags -DHAVE_SLEEF"; libs="$$libs -lsleef"; else echo "no SLEEF here (libsleef-dev)"; fi; \
	if have -lmvec; then flags="$$flags -DHAVE_LIBMVEC"; libs="$$libs -lmvec"; fi; \
	$(CC) -O2 -I. $$flags bench/functions.c -o build/bench_functions $$libs -lm
	@build/bench_functions | tee build/bench_functions.log | grep -v '^functions,'

bench-m4:
	@sh bench/m4.sh

# The pkg-config and CMake files find the header from where they lie, so the folder may be moved.
PREFIX  = /usr/local
VERSION = $(shell sed -n 's/^.define DETNN_VERSION *"\(.*\)".*/\1/p' detnn.h)
TO      = $(DESTDIR)$(PREFIX)
PACKAGE = share/pkgconfig/detnn.pc share/cmake/detnn/detnn-config.cmake share/cmake/detnn/detnn-config-version.cmake
install:
	install -d "$(TO)/include" "$(TO)/share/pkgconfig" "$(TO)/share/cmake/detnn"
	install -m 644 detnn.h "$(TO)/include/detnn.h"
	for f in $(PACKAGE); do \
	    in=examples/cmake/$${f##*/}; [ -f "$$in" ] || in=$$in.in; \
	    sed 's/@VERSION@/$(VERSION)/' "$$in" >"$(TO)/$$f" && chmod 644 "$(TO)/$$f" || exit 1; \
	done
uninstall:
	rm -f "$(TO)/include/detnn.h" $(PACKAGE:%="$(TO)/%")

gpu-check: | build
	@bash tests/gpu_check.sh

gpu-bench: | build
	@bash bench/gpu.sh

clean:
	rm -rf build
