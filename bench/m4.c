/* One elementary function on a Cortex-M4 under qemu-system-arm -M mps2-an386 -icount: prints instructions per call, the
   loop's own apart. bench/m4.sh compiles it for each function, as FUNCTION. */
#include <stdint.h>

#define SYSTICK ((volatile uint32_t *)0xE000E010) /* control, reload, current */
#define CALLS 512

float FUNCTION(float x);
#ifdef NOTHING
float FUNCTION(float x) { __asm__ volatile(""); return x; }
#endif

static void host(int call, const void *argument) /* semihosting */
{
    register int r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static uint32_t ticks(float (*volatile function)(float))
{
    float (*const f)(float) = function;
    const uint32_t start = SYSTICK[2];
    volatile float y;
    int i;
    for (i = 0; i < CALLS; i++) {
        float x = ((float)i - 255.5f) / 32.0f; /* -8 .. 8, for log its size */
        y = f(ABSOLUTE && x < 0 ? -x : x);
    }
    (void)y;
    return (start - SYSTICK[2]) & 0xffffff;
}
static __attribute__((noinline)) float nothing(float x) { __asm__ volatile(""); return x; }

static __attribute__((noinline)) void measure(void)
{
    char text[12], *p = text + sizeof text;
    uint32_t n = 100000, unit;
    SYSTICK[1] = 0xffffff;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5;
    unit = SYSTICK[2];
    __asm__ volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(n) : : "cc"); /* 200000 instructions */
    unit = (unit - SYSTICK[2]) & 0xffffff;
    n = ticks(FUNCTION) - ticks(nothing);
    n = (uint32_t)((uint64_t)n * 200000 / unit) / CALLS;
    for (*--p = 0; *--p = (char)('0' + n % 10), n /= 10;) { }
    host(4, p);
    host(0x18, (const void *)0x20026);
}
static void start(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xF00000; /* FPU on, before a function that may save its registers */
    __asm__ volatile("dsb\n isb" : : : "memory");
    measure();
}
static __attribute__((section(".vectors"), used)) const void *const vectors[] = { (void *)0x20001000, (void *)start };
