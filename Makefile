# detnn.h is one header: nothing here is needed to use it.
#
#   make demo       the main job on real input: learns hand-written digits, twice, and compares the bits
#   make check      the tests that need a C compiler and nothing more (under a minute)
#   make deps       installs what the rest needs (Debian or Ubuntu, as root)
#   make check-all  every compiler, flag, platform, sanitizer and analyser
#   make oracle     runs the slow, exact reimplementation in Python and compares it with tests/golden.txt
#   make prove      tries the elementary functions on all 2^32 inputs (hours); SAMPLE=256 for every 256th
#   make clean
#
# CC, CFLAGS and DETNN_DATA (a folder with optdigits or MNIST for the demo) may be given.

CC     = cc
CFLAGS = -std=c99 -O2
WARN   = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wdouble-promotion

TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
EXAMPLES = $(filter-out digits,$(patsubst examples/%.c,%,$(wildcard examples/*.c)))

.PHONY: help demo check examples deps check-all oracle prove clean
help:
	@sed -n 's/^#   //p' Makefile

demo: build/digits
	build/digits

# Tests that reach into the implementation include it; the others link build/detnn.o, which is compiled once.
build/detnn.o: detnn.h | build
	printf '#define DETNN_IMPLEMENTATION\n#include "detnn.h"\n' >build/detnn.c
	$(CC) $(CFLAGS) $(WARN) -I. -c build/detnn.c -o $@

build/test_%: tests/test_%.c tests/test.h $(wildcard tests/*.h) detnn.h build/detnn.o
	if grep -q detnni_ $<; then $(CC) $(CFLAGS) $(WARN) -I. -Itests $< -o $@ -lpthread; \
	else $(CC) $(CFLAGS) $(WARN) -DTEST_LINKED -I. -Itests $< build/detnn.o -o $@ -lpthread; fi

build/golden: tests/golden.c build/detnn.o
	$(CC) $(CFLAGS) $(WARN) -DTEST_LINKED -I. tests/golden.c build/detnn.o -o $@

build/%: examples/%.c $(wildcard examples/*.h) detnn.h | build
	$(CC) $(CFLAGS) $(WARN) -I. $< -o $@

build:
	mkdir -p build

check: build/golden build/snippets $(addprefix build/,$(TESTS) $(EXAMPLES))
	@sh tests/check.sh $(TESTS)

# The code blocks of README and manual, each compiled as a program of its own.
build/snippets: README.md detnn.h tests/snippets.sh build/detnn.o
	sh tests/snippets.sh "$(CC)" "$(CFLAGS) $(WARN)"
	touch $@

deps:
	sh tests/deps.sh

check-all: check
	bash tests/check_all.sh

oracle: build/golden
	python3 tests/oracle.py >build/oracle.txt
	diff build/oracle.txt tests/golden.txt
	@echo "the oracle agrees with tests/golden.txt"

clean:
	rm -rf build
