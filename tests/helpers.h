/* What the tests of errors, memory, symptoms and traces share. Include it after test.h and
 * small.h. */
#ifndef HELPERS_H
#define HELPERS_H

/* An allocator that counts, checks the sizes it gets back and can refuse. */
typedef struct counter {
    size_t blocks, bytes, calls; /* held now; calls of alloc so far */
    int wrong;                   /* releases of what was not held, or with another size */
    int refuse;                  /* 1: alloc gives null */
    struct { void *memory; size_t size; } held[8];
} counter;

static inline void *counter_alloc(void *user, size_t size)
{
    counter *c = (counter *)user;
    void *memory;
    size_t i;
    c->calls++;
    if (c->refuse || c->blocks == 8) return NULL;
    memory = malloc(size);
    if (!memory) return NULL;
    for (i = 0; c->held[i].memory; i++) continue;
    c->held[i].memory = memory;
    c->held[i].size = size;
    c->blocks++;
    c->bytes += size;
    return memory;
}

static inline void counter_release(void *user, void *memory, size_t size)
{
    counter *c = (counter *)user;
    size_t i;
    for (i = 0; i < 8 && c->held[i].memory != memory; i++) continue;
    if (!memory || i == 8 || c->held[i].size != size) {
        c->wrong++;
        return;
    }
    c->held[i].memory = NULL;
    c->blocks--;
    c->bytes -= size;
    free(memory);
}

static inline detnn_allocator counter_of(counter *c)
{
    detnn_allocator a;
    a.alloc = counter_alloc;
    a.release = counter_release;
    a.user = c;
    return a;
}

/* A net that must be made. */
static inline detnn_net *make(const detnn_net_desc *desc)
{
    detnn_net *net;
    detnn_error err;
    if (detnn_net_create(&net, desc, &err)) {
        printf("no net: %s\n", err.text);
        exit(1);
    }
    return net;
}

static inline unsigned bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Is the state's digest the given one? */
static inline int state_is(const detnn_net *net, const char *digest)
{
    char now[DETNN_DIGEST_TEXT];
    return small_equal(detnn_state_digest(net, now), digest);
}

static inline int same_state(const detnn_net *a, const detnn_net *b)
{
    char digest[DETNN_DIGEST_TEXT];
    return state_is(a, detnn_state_digest(b, digest));
}

static inline int same_weights(const detnn_net *a, const detnn_net *b)
{
    char da[DETNN_DIGEST_TEXT], db[DETNN_DIGEST_TEXT];
    return small_equal(detnn_digest(a, da), detnn_digest(b, db));
}

/* Threads for the tests that need them; define TEST_THREADS 0 where there are none. */
#ifndef TEST_THREADS
#if defined(__unix__) || defined(__APPLE__)
#define TEST_THREADS 1
#else
#define TEST_THREADS 0
#endif
#endif
#if TEST_THREADS
#include <pthread.h>
#endif

#endif
