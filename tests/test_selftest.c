/* detnn_selftest passes on a sound build, in any floating-point mode of the caller's. tests/break.sh shows that it
 * fails on builds that are spoiled. */
#include "test.h"
#include <fenv.h>
#if defined(__x86_64__) || defined(__SSE2__)
#include <immintrin.h>
#endif

static void passes(void)
{
    detnn_error err;
    detnn_result r = detnn_selftest(&err);
    CHECKF(r == DETNN_OK, "%s", err.text);
}

static void rounding_up(void)
{
    fesetround(FE_UPWARD);
    passes();
    fesetround(FE_TONEAREST);
}

static void subnormals_flushed(void)
{
#if defined(__x86_64__) || defined(__SSE2__)
    unsigned csr = _mm_getcsr();
    _mm_setcsr(csr | 0x8040);
    passes();
    _mm_setcsr(csr);
#endif
}

int main(void)
{
    TEST(passes);
    TEST(rounding_up);
    TEST(subnormals_flushed);
    return test_end();
}
