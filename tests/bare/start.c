/* Start and output of a program without an operating system: Cortex-M and RISC-V under qemu-system. Semihosting
 * carries what it prints; main's answer becomes qemu's status. arm.ld and riscv.ld place it. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t data_from[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
int main(void);
void bare_print(const char *line);
void reset(void);

enum { WRITE0 = 4, EXIT = 0x18, EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

static uintptr_t semihosting(uintptr_t operation, uintptr_t argument)
{
#if defined(__riscv)
    register uintptr_t a0 __asm__("a0") = operation;
    register uintptr_t a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n.option norvc\n.balign 16\nslli zero, zero, 0x1f\nebreak\nsrai zero, zero, 7\n.option pop"
                     : "+r"(a0) : "r"(a1) : "memory");
    return a0;
#else
    register uintptr_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

void bare_print(const char *line)
{
    (void)semihosting(WRITE0, (uintptr_t)line);
    (void)semihosting(WRITE0, (uintptr_t)"\n");
}

static void finish(uintptr_t status)
{
    uintptr_t block[2];
    block[0] = APPLICATION_EXIT;
    block[1] = status;
    (void)semihosting(EXIT_EXTENDED, (uintptr_t)block);
    (void)semihosting(EXIT, APPLICATION_EXIT); /* an old host */
    for (;;) continue;
}

static void start(void)
{
    const uint32_t *from = data_from;
    uint32_t *to;
    for (to = data_begin; to != data_end; ) *to++ = *from++;
    for (to = bss_begin; to != bss_end; ) *to++ = 0;
    finish((uintptr_t)main());
}

#if defined(__riscv)

__attribute__((naked, used, section(".vectors"))) void reset(void)
{
    __asm__ volatile(".option arch, +zicsr\nla sp, stack_top\n"
                     "la t0, trapped\ncsrw mtvec, t0\n"
                     "li t0, 0x6000\ncsrs mstatus, t0\n" /* the floating-point unit is on (nothing where there is none) */
                     "tail begin");
}
__attribute__((used)) static void begin(void) { start(); }
__attribute__((used, aligned(4))) static void trapped(void)
{
    bare_print("FAILED trap");
    finish(99);
}

#else

static void trapped(void)
{
    bare_print("FAILED fault");
    finish(99);
}
void reset(void)
{
#if defined(__ARM_FP) && !defined(__SOFTFP__)
    /* Coprocessors 10 and 11 on, before any code that uses them; no lazy stacking or inherited mode. */
    __asm__ volatile("ldr r0, =0xe000ed88\nldr r1, =0x00f00000\nstr r1, [r0]\ndsb\nisb" : : : "r0", "r1", "memory");
#endif
    start();
}
__attribute__((used, section(".vectors"))) static void (*const vectors[16])(void) = {
    (void (*)(void))stack_top, reset, trapped, trapped, trapped, trapped, trapped, trapped,
    trapped, trapped, trapped, trapped, trapped, trapped, trapped, trapped
};

#endif
