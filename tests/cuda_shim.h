/* CUDA on a CPU, for tests: kernels' own source runs in a program made by
 *
 *     g++ -x c++ -include tests/cuda_shim.h -DDETNN_CUDA=1 ...
 *
 * Each CUDA thread is a fiber (ucontext). A fiber runs until it waits at a barrier or a shuffle; threads and blocks go
 * in order, or from the last to the first where SHIM_REVERSE is set in the environment. It ends the program with a
 * sentence where some threads wait at a barrier that others never reach. Memory of the device is new NaNs, an
 * asynchronous copy is NaNs until the thread has waited for it, so a missing wait or barrier shows in the results.
 * What is queued on a stream runs when the host waits for it, so memory that the host gives away or changes before shows
 * too (as with pinned memory); it ends the program where memory that nothing was written to is copied to the host, and
 * where a kernel is given a pointer to the host's.
 * shim_fail_at = n makes the n-th call of the runtime from now on fail, and all after it. */
#ifndef CUDA_SHIM_H
#define CUDA_SHIM_H

#include <functional>
#include <map>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#define SHIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHIM_ASAN 1
#endif
#endif
#ifdef SHIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define __CUDACC__ 1
#define __host__
#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(n)
#define __align__(n) __attribute__((aligned(n)))
#define __syncthreads() shim_wait(SHIM_BARRIER)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };

/* ---- Fibers ---- */

enum shim_state { SHIM_READY, SHIM_BARRIER, SHIM_SHUFFLE, SHIM_DONE };
struct shim_copy { void *to; char from[16]; size_t size; };
struct shim_fiber {
    ucontext_t context;
    char *stack;
    shim_state state;
    int shuffles;
    uint64_t slot[2];
    std::vector<shim_copy> copies;
    std::vector<size_t> groups; /* where committed groups end */
};
static const size_t shim_stack = 64 * 1024;
static shim_fiber *shim_fibers;
static size_t shim_fiber_count;
static ucontext_t shim_scheduler;
static size_t shim_now;
static dim3 threadIdx, blockIdx, blockDim, gridDim;
static std::function<void()> shim_kernel;
#ifdef SHIM_ASAN
static const void *shim_main_stack;
static size_t shim_main_size;
#endif

static void shim_die(const char *what)
{
    fprintf(stderr, "cuda_shim: %s (block %u of %u)\n", what, blockIdx.x, gridDim.x);
    exit(3);
}

static void shim_entry(void)
{
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(0, &shim_main_stack, &shim_main_size);
#endif
    shim_kernel();
    shim_fibers[shim_now].state = SHIM_DONE;
#ifdef SHIM_ASAN
    __sanitizer_start_switch_fiber(0, shim_main_stack, shim_main_size);
#endif
    swapcontext(&shim_fibers[shim_now].context, &shim_scheduler);
}

static void shim_wait(shim_state state)
{
    shim_fiber *f = &shim_fibers[shim_now];
    f->state = state;
#ifdef SHIM_ASAN
    void *fake;
    __sanitizer_start_switch_fiber(&fake, shim_main_stack, shim_main_size);
#endif
    swapcontext(&f->context, &shim_scheduler);
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(fake, &shim_main_stack, &shim_main_size);
#endif
}

static void shim_resume(size_t i)
{
    shim_now = i;
    threadIdx = dim3((unsigned)i, 0, 0);
#ifdef SHIM_ASAN
    void *fake;
    __sanitizer_start_switch_fiber(&fake, shim_fibers[i].stack, shim_stack);
#endif
    swapcontext(&shim_scheduler, &shim_fibers[i].context);
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(fake, 0, 0);
#endif
}

static void shim_start(shim_fiber *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = shim_stack;
    f->context.uc_link = 0;
    f->state = SHIM_READY;
    f->shuffles = 0;
    f->copies.clear();
    f->groups.clear();
    makecontext(&f->context, shim_entry, 0);
}

static void shim_block(size_t threads, int reverse)
{
    size_t i, done = 0;
    for (i = 0; i < threads; i++) shim_start(&shim_fibers[i]);
    while (done < threads) {
        size_t ran = 0, at_barrier = 0, warp;
        for (i = 0; i < threads; i++) {
            const size_t t = reverse ? threads - 1 - i : i;
            if (shim_fibers[t].state != SHIM_READY) continue;
            shim_resume(t);
            ran++;
            if (shim_fibers[t].state == SHIM_DONE) done++;
        }
        for (warp = 0; warp < threads; warp += 32) { /* a shuffle is for all lanes */
            const size_t end = warp + 32 < threads ? warp + 32 : threads;
            size_t waiting = 0;
            for (i = warp; i < end; i++) waiting += shim_fibers[i].state == SHIM_SHUFFLE;
            if (waiting && waiting == end - warp) {
                for (i = warp; i < end; i++) shim_fibers[i].state = SHIM_READY;
                ran++;
            }
        }
        for (i = 0; i < threads; i++) at_barrier += shim_fibers[i].state == SHIM_BARRIER;
        if (at_barrier == threads) {
            for (i = 0; i < threads; i++) shim_fibers[i].state = SHIM_READY;
        } else if (!ran) {
            shim_die(at_barrier ? "a barrier that not all threads of the block reach"
                                : "a shuffle that not all lanes of the warp reach");
        }
    }
}

static void shim_run(dim3 grid, dim3 block, std::function<void()> kernel)
{
    const int reverse = getenv("SHIM_REVERSE") != 0;
    size_t i, blocks = (size_t)grid.x * grid.y;
    if (!shim_fibers) shim_fibers = new shim_fiber[1024];
    for (; shim_fiber_count < block.x; shim_fiber_count++)
        shim_fibers[shim_fiber_count].stack = (char *)malloc(shim_stack);
    shim_kernel = kernel;
    gridDim = grid;
    blockDim = block;
    for (i = 0; i < blocks; i++) {
        const size_t b = reverse ? blocks - 1 - i : i;
        blockIdx = dim3((unsigned)(b % grid.x), (unsigned)(b / grid.x), 0);
        shim_block(block.x, reverse);
    }
}

/* ---- What kernels call ---- */

template <typename T> static T shim_shuffle(T v, int lane) /* v of that lane of the warp */
{
    shim_fiber *f = &shim_fibers[shim_now];
    const int half = f->shuffles++ % 2;
    const size_t warp = shim_now / 32 * 32;
    T r;
    memcpy(&f->slot[half], &v, sizeof v);
    shim_wait(SHIM_SHUFFLE);
    memcpy(&r, &shim_fibers[warp + (size_t)(lane & 31)].slot[half], sizeof r);
    return r;
}
template <typename T> static T __shfl_sync(unsigned, T v, int lane) { return shim_shuffle(v, lane); }
template <typename T> static T __shfl_xor_sync(unsigned, T v, int h) { return shim_shuffle(v, (int)(threadIdx.x % 32) ^ h); }
template <typename T> static T __shfl_down_sync(unsigned, T v, int h)
{
    const int lane = (int)(threadIdx.x % 32);
    return shim_shuffle(v, lane + h < 32 ? lane + h : lane);
}
static inline uint32_t atomicMax(uint32_t *p, uint32_t v)
{
    const uint32_t old = *p;
    if (v > old) *p = v;
    return old;
}
static inline float shim_nan(float x) /* a GPU makes this NaN */
{
    const uint32_t nan = 0x7fffffff;
    if (x != x) memcpy(&x, &nan, 4);
    return x;
}
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

static inline void __pipeline_memcpy_async(void *to, const void *from, size_t size)
{
    shim_copy c;
    if ((uintptr_t)to % size || (uintptr_t)from % size) shim_die("an asynchronous copy that is not aligned");
    c.to = to;
    c.size = size;
    memcpy(c.from, from, size);
    memset(to, 0xff, size);
    shim_fibers[shim_now].copies.push_back(c);
}
static inline void __pipeline_commit(void)
{
    shim_fiber *f = &shim_fibers[shim_now];
    f->groups.push_back(f->copies.size());
}
static inline void __pipeline_wait_prior(size_t n)
{
    shim_fiber *f = &shim_fibers[shim_now];
    size_t i, end, groups = f->groups.size();
    if (groups <= n) return;
    end = f->groups[groups - 1 - n];
    for (i = 0; i < end; i++) memcpy(f->copies[i].to, f->copies[i].from, f->copies[i].size);
    f->copies.erase(f->copies.begin(), f->copies.begin() + (long)end);
    f->groups.erase(f->groups.begin(), f->groups.begin() + (long)(groups - n));
    for (i = 0; i < f->groups.size(); i++) f->groups[i] -= end;
}

/* ---- The runtime ---- */

enum cudaError_t {
    cudaSuccess, cudaErrorMemoryAllocation, cudaErrorInvalidConfiguration, cudaErrorNoDevice, cudaErrorUnknown,
    cudaErrorNoKernelImageForDevice
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
struct shim_graph { std::vector<std::function<void()> > nodes; };
typedef shim_graph *cudaGraph_t;
typedef shim_graph *cudaGraphExec_t;
struct shim_stream { shim_graph *capture; std::vector<std::function<void()> > queue; };
typedef shim_stream *cudaStream_t;
struct cudaFuncAttributes { int binaryVersion; };
enum { cudaStreamNonBlocking = 1 };

static std::vector<shim_stream *> shim_streams;
static std::map<void *, size_t> shim_sizes; /* of the device's memory */
#ifdef SHIM_ASAN
#define SHIM_FENCE 0
#else
#define SHIM_FENCE 64
#endif
static inline bool shim_device(const void *p) /* in, or at the end of, the device's memory */
{
    std::map<void *, size_t>::const_iterator i = shim_sizes.upper_bound((void *)(uintptr_t)p);
    return i != shim_sizes.begin() && (--i, (uintptr_t)p - (uintptr_t)i->first <= i->second);
}
static int shim_no_capture; /* a launch fails while a graph is captured */
static int shim_image = 75; /* the lowest capability that the build has kernels for */
static long shim_fail_at, shim_calls, shim_allocated, shim_launches, shim_graphs;
static int shim_devices = 1, shim_capability = 90;
static size_t shim_memory = (size_t)1 << 34; /* of the device */

#define SHIM_NEW 0xffdead5au /* a NaN */

/* After an error that stays nothing is done any more. */
static inline int shim_failed(void)
{
    if (++shim_calls < shim_fail_at || shim_fail_at <= 0) return 0;
    for (size_t i = 0; i < shim_streams.size(); i++) shim_streams[i]->queue.clear();
    return 1;
}
static inline void shim_drain(shim_stream *s)
{
    std::vector<std::function<void()> > queue;
    queue.swap(s->queue);
    for (size_t i = 0; i < queue.size(); i++) queue[i]();
}

static inline const char *cudaGetErrorString(cudaError_t e)
{
    static const char *const text[] = { "no error", "out of memory", "invalid configuration", "no device", "unknown error", "no kernel image" };
    return text[e];
}
static inline cudaError_t cudaGetLastError(void) { return cudaSuccess; }
static inline cudaError_t cudaGetDeviceCount(int *n)
{
    *n = shim_devices;
    return shim_devices ? cudaSuccess : cudaErrorNoDevice;
}
static inline cudaError_t cudaGetDevice(int *device) { *device = 0; return cudaSuccess; }
static inline cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int)
{
    *value = which == cudaDevAttrComputeCapabilityMajor ? shim_capability / 10 : shim_capability % 10;
    return cudaSuccess;
}
static inline cudaError_t cudaMalloc(void **p, size_t size)
{
    *p = 0;
    if (shim_failed() || size > shim_memory) return cudaErrorMemoryAllocation;
    if (posix_memalign(p, 256, size + SHIM_FENCE)) return cudaErrorMemoryAllocation;
    shim_sizes[*p] = size;
    memset((char *)*p + size, 0x5a, SHIM_FENCE);
    for (size_t i = 0; i + 4 <= size; i += 4) *(uint32_t *)(void *)((char *)*p + i) = SHIM_NEW;
    shim_allocated++;
    return cudaSuccess;
}
static inline cudaError_t cudaFree(void *p)
{
    for (size_t i = 0; i < shim_streams.size(); i++) {
        if (shim_streams[i]->capture) shim_die("memory is freed while a graph is captured");
        shim_drain(shim_streams[i]);
    }
    for (size_t i = 0; p && i < SHIM_FENCE; i++)
        if (((char *)p)[shim_sizes[p] + i] != 0x5a) shim_die("memory was written to beyond its end");
    if (p) shim_allocated--;
    shim_sizes.erase(p);
    free(p);
    return cudaSuccess;
}
template <typename A> static cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, void (*)(A))
{
    attributes->binaryVersion = shim_image;
    return shim_capability < shim_image ? cudaErrorNoKernelImageForDevice : cudaSuccess;
}
static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    shim_streams.push_back(*s = new shim_stream());
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    for (size_t i = 0; i < shim_streams.size(); i++)
        if (shim_streams[i] == s) shim_streams.erase(shim_streams.begin() + (long)i);
    delete s;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (s->capture) shim_die("a wait while a graph is captured");
    if (shim_failed()) return cudaErrorUnknown;
    shim_drain(s);
    return cudaSuccess;
}
static inline cudaError_t shim_queue(cudaStream_t s, std::function<void()> work)
{
    (s->capture ? s->capture->nodes : s->queue).push_back(work);
    return cudaSuccess;
}
static inline void shim_copy_now(void *to, const void *from, size_t size, int to_host)
{
    for (size_t i = 0; to_host && i + 4 <= size; i += 4) {
        uint32_t word;
        memcpy(&word, (const char *)from + i, 4);
        if (word == SHIM_NEW) shim_die("memory that nothing was written to is copied to the host");
    }
    memcpy(to, from, size);
}
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind kind, cudaStream_t s)
{
    if (shim_device(to) != (kind != cudaMemcpyDeviceToHost) || shim_device(from) != (kind != cudaMemcpyHostToDevice))
        shim_die("a copy whose direction is wrong");
    if (shim_failed()) return cudaErrorUnknown;
    return shim_queue(s, [=] { shim_copy_now(to, from, size, kind == cudaMemcpyDeviceToHost); });
}
template <typename A>
static cudaError_t cudaLaunchKernel(void (*kernel)(A), dim3 grid, dim3 block, void **args, size_t, cudaStream_t s)
{
    const A a = *(A *)args[0];
    for (size_t i = 0; i + sizeof(uint64_t) <= sizeof(A); i += sizeof(uint64_t)) { /* what has a pointer's high half */
        uint64_t word;
        memcpy(&word, (const char *)args[0] + i, sizeof word);
        if (word >> 32 >= 0x5000 && word >> 32 < 0x8000 && !shim_device((const void *)(uintptr_t)word))
            shim_die("a kernel is given a pointer to the host's memory");
    }
    if (shim_failed() || (s->capture && shim_no_capture)) return cudaErrorUnknown;
    shim_launches++;
    return shim_queue(s, [=] { shim_run(grid, block, [=] { kernel(a); }); });
}
static inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    s->capture = new shim_graph();
    return cudaSuccess;
}
static inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    *g = s->capture;
    s->capture = 0;
    return shim_no_capture ? cudaErrorUnknown : cudaSuccess;
}
static inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *e, cudaGraph_t g, unsigned long long)
{
    *e = new shim_graph(*g);
    return cudaSuccess;
}
static inline cudaError_t cudaGraphDestroy(cudaGraph_t g) { delete g; return cudaSuccess; }
static inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e) { delete e; return cudaSuccess; }
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s)
{
    if (shim_failed()) return cudaErrorUnknown;
    shim_graphs++;
    for (size_t i = 0; i < e->nodes.size(); i++) (void)shim_queue(s, e->nodes[i]);
    return cudaSuccess;
}

#endif
