/* What the test programs share: named tests, checks, a count. Each program is one C file that includes this
 * one, which includes the header's implementation, internals and all. A program prints one line per failed
 * check and ends with "N passed, N failed" (tests, not checks); its status is 1 where a test failed. */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef TEST_LINKED /* make check links the implementation where a test does not reach into it: it compiles faster */
#define DETNN_IMPLEMENTATION
#endif
#include "detnn.h"

static int test_passed, test_failed, test_bad; /* test_bad: failed checks of the test under way */

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            test_bad++;                                                                 \
            printf("  %s:%d: %s\n", __FILE__, __LINE__, #condition);                    \
        }                                                                               \
    } while (0)

/* The same, with a printf text that says more. */
#define CHECKF(condition, ...)                                                          \
    do {                                                                                \
        if (!(condition)) {                                                             \
            test_bad++;                                                                 \
            printf("  %s:%d: %s: ", __FILE__, __LINE__, #condition);                    \
            printf(__VA_ARGS__);                                                        \
            printf("\n");                                                               \
        }                                                                               \
    } while (0)

/* Runs a test function and counts it. */
#define TEST(function) test_run(#function, function)

static void test_run(const char *name, void (*function)(void))
{
    test_bad = 0;
    function();
    if (test_bad) {
        printf("FAILED %s\n", name);
        test_failed++;
    } else {
        test_passed++;
    }
    fflush(stdout);
}

static int test_end(void)
{
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed != 0;
}

#endif
