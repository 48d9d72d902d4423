/* The golden trainings: runs every case of tests/cases.txt and prints "name net-digest state-digest loss-bits".
 *
 *     golden [--isa NAME] [--parts] [--workers N] [--check FILE] CASES
 *
 * --isa forces a set of kernels; --parts computes batches in parts of 64 samples; --workers cuts all work into so
 * many tasks, which are run from the last to the first (test_threads has real threads); --check compares with the
 * lines of FILE (tests/golden.txt) and ends with "N passed, N failed". tests/oracle.py prints the same lines. */
#ifndef TEST_LINKED
#define DETNN_IMPLEMENTATION
#endif
#include "detnn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cases.h"

static void die(const char *what, const char *which)
{
    fprintf(stderr, "golden: %s: %s\n", what, which);
    exit(1);
}

/* Each piece from malloc on its own, so that tools see what goes over its end. */
static void *pieces[8];
static int pieces_held;
static void *case_memory(size_t size)
{
    if (pieces_held == 8 || !(pieces[pieces_held] = malloc(size))) die("out of memory", "");
    return pieces[pieces_held++];
}
static void case_forget(void)
{
    while (pieces_held) free(pieces[--pieces_held]);
}

int main(int argc, char **argv)
{
    const char *check = 0, *cases = "tests/cases.txt";
    char text[512], line[CASE_LINE];
    detnn_isa isa = DETNN_ISA_AUTO;
    detnn_error err;
    golden_case c;
    FILE *f, *golden = 0;
    size_t workers = 1;
    int passed = 0, failed = 0, parts = 0, i;
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--parts")) parts = 1;
        else if (!strcmp(argv[i], "--check") && i + 1 < argc) check = argv[++i];
        else if (!strcmp(argv[i], "--workers") && i + 1 < argc) workers = (size_t)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc) {
            for (isa = DETNN_ISA_AUTO; isa < DETNN_ISA_COUNT && strcmp(detnn_isa_name(isa), argv[i + 1]); )
                isa = (detnn_isa)((int)isa + 1);
            i++;
        } else cases = argv[i];
    }
    f = fopen(cases, "r");
    if (!f) die("cannot open", cases);
    if (check && !(golden = fopen(check, "r"))) die("cannot open", check);
    memset(&c, 0, sizeof c);
    while (fgets(text, sizeof text, f)) {
        int end = case_read(&c, text);
        if (end < 0) die("cannot read the line", text);
        if (!end) continue;
        if (case_run(&c, isa, parts ? 64 : 512, workers, line, &err)) die(c.name, err.text);
        if (!golden) puts(line);
        else if (fgets(text, sizeof text, golden) && (text[strcspn(text, "\n")] = 0, !strcmp(text, line))) passed++;
        else {
            failed++;
            printf("FAILED golden case %s\n  wanted %s\n  got    %s\n", c.name, text, line);
        }
    }
    fclose(f);
    if (golden) {
        if (fgets(text, sizeof text, golden)) { failed++; printf("FAILED more lines in %s than cases\n", check); }
        fclose(golden);
        printf("%d passed, %d failed\n", passed, failed);
    }
    return failed != 0;
}
