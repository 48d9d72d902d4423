/* Floating-point modes of this processor that a caller may be in, without <fenv.h>: other rounding modes, subnormals
 * flushed, exceptions that trap. MODE_COUNT is 0 where this file knows none. */
#ifndef MODES_H
#define MODES_H

#if !defined(__GNUC__) /* its assembler is needed */
#elif defined(__x86_64__) || defined(__i386__)
#define MODE_DEFAULT 0x1f80u
static const unsigned mode_list[] = { 0x3f80, 0x5f80, 0x7f80, /* down, up, to zero */
                                      0x9fc0, 0x1fc0,         /* flush to zero with denormals are zero, the latter alone */
                                      0x0000, 0xe040 };       /* every exception traps; all of it */
static inline unsigned mode_now(void)
{
    unsigned csr;
    __asm__ volatile("stmxcsr %0" : "=m"(csr));
    return csr & 0xffc0;
}
static inline void mode_set(unsigned mode) { __asm__ volatile("ldmxcsr %0" : : "m"(mode) : "memory"); }

#elif defined(__aarch64__)
#define MODE_DEFAULT 0u
static const unsigned mode_list[] = { 1u << 22, 2u << 22, 3u << 22,               /* up, down, to zero */
                                      1u << 24, 3u << 24,                         /* flush to zero; default NaN too */
                                      0x9f00, 0x03c09f00 };                       /* exceptions trap; all of it */
static inline unsigned mode_now(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return (unsigned)mode;
}
static inline void mode_set(unsigned mode) { __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode) : "memory"); }

#elif defined(__arm__) && defined(__ARM_FP) && !defined(__SOFTFP__)
#define MODE_DEFAULT 0u
static const unsigned mode_list[] = { 1u << 22, 2u << 22, 3u << 22, 1u << 24, 3u << 24, 0x9f00, 0x03c09f00 };
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define MODE_MASK 0x07c00000u /* no traps; LTPSIZE stays */
#else
#define MODE_MASK 0x07f79f00u
#endif
static inline unsigned mode_all(void)
{
    unsigned mode;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(mode));
    return mode;
}
static inline unsigned mode_now(void) { return mode_all() & MODE_MASK; }
static inline void mode_set(unsigned mode)
{
    mode = (mode_all() & ~MODE_MASK) | (mode & MODE_MASK);
    __asm__ volatile("vmsr fpscr, %0" : : "r"(mode) : "memory");
}

#elif defined(__riscv_flen)
#define MODE_DEFAULT 0u
static const unsigned mode_list[] = { 1, 2, 3, 4 }; /* to zero, down, up, ties away from zero */
static inline unsigned mode_now(void)
{
    unsigned long mode;
    __asm__ volatile("frrm %0" : "=r"(mode));
    return (unsigned)mode;
}
static inline void mode_set(unsigned mode) { __asm__ volatile("fsrm %0" : : "r"((unsigned long)mode) : "memory"); }

#elif defined(__mips_hard_float)
#define MODE_DEFAULT 0u
static const unsigned mode_list[] = { 1, 2, 3, 1u << 24, 0xf80, 0x01000f82 }; /* to zero, up, down; flushed; traps; all */
static inline unsigned mode_all(void)
{
    unsigned mode;
    __asm__ volatile("cfc1 %0, $31" : "=r"(mode));
    return mode;
}
static inline unsigned mode_now(void) { return mode_all() & 0x01000f83; }
static inline void mode_set(unsigned mode)
{
    mode |= mode_all() & ~0x0103ff83u; /* no flags or causes of before: with them an exception would be due */
    __asm__ volatile("ctc1 %0, $31" : : "r"(mode) : "memory");
}

#elif defined(__s390x__)
#define MODE_DEFAULT 0u
static const unsigned mode_list[] = { 1, 2, 3, 0xf8000000, 0xf8000002 }; /* to zero, up, down; traps; both */
static inline unsigned mode_now(void)
{
    unsigned mode;
    __asm__ volatile("efpc %0" : "=d"(mode));
    return mode & 0xf8000007;
}
static inline void mode_set(unsigned mode) { __asm__ volatile("sfpc %0" : : "d"(mode) : "memory"); }

#elif defined(__powerpc64__)
#define MODE_DEFAULT 0u
static const unsigned mode_list[] = { 1, 2, 3, 0xf8, 0xfa }; /* to zero, up, down; traps; both */
static inline unsigned mode_now(void)
{
    union { double fpscr; uint64_t bits; } u;
    __asm__ volatile("mffs %0" : "=f"(u.fpscr));
    return (unsigned)(u.bits & 0xff);
}
static inline void mode_set(unsigned mode)
{
    union { double fpscr; uint64_t bits; } u;
    u.bits = mode;
    __asm__ volatile("mtfsf 0xff, %0" : : "f"(u.fpscr) : "memory");
}

#endif

#ifndef MODE_DEFAULT
#define MODE_DEFAULT 0u
#define MODE_COUNT 0
static const unsigned mode_list[] = { 0 };
static inline unsigned mode_now(void) { return 0; }
static inline void mode_set(unsigned mode) { (void)mode; }
#endif

#ifndef MODE_COUNT
#define MODE_COUNT ((int)(sizeof mode_list / sizeof *mode_list))
#endif

#endif
