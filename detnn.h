/* detnn.h - neural networks that train to the same bits everywhere.          version 0.1.0, contract 1
 *
 *     same seed + same data + same description = same bits,
 *     whatever the compiler, flags, instruction set, thread count, batch split, operating system or processor.
 *
 * One header, C99 and C++11, nothing at run time but the C library. In ONE source file:
 *
 *     #define DETNN_IMPLEMENTATION
 *     #include "detnn.h"
 *
 * and plain #include "detnn.h" wherever else it is used. No -lm, no build system, no other file.
 *
 * CONTENTS
 *     Manual        M1 first steps, M2 memory, M3 errors, M4 training, M5 sameness and its limits,
 *                   M6 threads, M7 files, M8 GPU
 *     Contract      C1 arithmetic ... C12 a worked trace: all that a program in another language
 *                   needs to reproduce every bit
 *     Files         F1 tensors, F2 metadata, F3 what is refused, F4 receipts: what a reader or writer needs
 *     1. Configuration
 *     2. Public: errors, kinds, layers, losses, optimizers, descriptions
 *     3. Public, level 1: create, fit, evaluate, predict, digest
 *     4. Public, level 2: forward, backward, step; weights, snapshots; trace
 *     5. Public, level 3: exact functions, generators, reductions, products, updates on plain arrays
 *        (3, continued: files, flash images, receipts)
 *     (implementation, behind DETNN_IMPLEMENTATION)
 *     6. Platform                       14. Trace
 *     7. Floating-point guard           15. Threads
 *     8. Errors and text                16. Layers forward and backward
 *     9. SHA-256 and digests            17. Losses and metrics
 *    10. Generators, initializers       18. Optimizers and schedules
 *    11. Kernel bodies (read again for  19. Training, evaluation, prediction
 *        each instruction set)          20. CUDA
 *    12. Choice of kernels              21. Level 3: the building blocks
 *    13. Network: memory and creation   22. Self-test
 *                                       23. Files, flash images, receipts
 *
 * MANUAL
 *
 * M1. First steps. Describe a net (detnn_net_desc), create it, fit it on arrays, predict:
 *
 *     #include <stdio.h>
 *     #define DETNN_IMPLEMENTATION
 *     #include "detnn.h"
 *
 *     int main(void)
 *     {
 *         static const float x[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
 *         static const float t[4][1] = {{0}, {1}, {1}, {0}};
 *         float y[4];
 *         char digest[DETNN_DIGEST_TEXT];
 *
 *         detnn_layer layers[] = { DETNN_DENSE(8, DETNN_TANH), DETNN_DENSE(1, DETNN_SIGMOID) };
 *         detnn_net_desc desc = detnn_net_desc_default();
 *         desc.seed = 42;
 *         desc.inputs = 2;
 *         desc.layers = layers;
 *         desc.layer_count = 2;
 *         desc.loss = DETNN_BINARY_CROSS_ENTROPY;
 *         desc.optimizer = detnn_adam(0.05f);
 *
 *         detnn_error err;
 *         detnn_net *net;
 *         if (detnn_net_create(&net, &desc, &err)) return fprintf(stderr, "%s\n", err.text), 1;
 *
 *         detnn_data data = detnn_data_default();
 *         data.x = &x[0][0];
 *         data.targets = &t[0][0];
 *         data.count = 4;
 *         detnn_fit_desc fit = detnn_fit_desc_default();
 *         fit.epochs = 200;
 *         if (detnn_fit(net, &data, &fit, &err)) return fprintf(stderr, "%s\n", err.text), 1;
 *         if (detnn_predict(net, &x[0][0], 4, y, &err)) return fprintf(stderr, "%s\n", err.text), 1;
 *
 *         printf("%.3f %.3f %.3f %.3f\n", y[0], y[1], y[2], y[3]);
 *         printf("%s\n", detnn_digest(net, digest));
 *         detnn_net_destroy(net);
 *         return 0;
 *     }
 *
 * All matrices are row-major: x is [count][inputs], a dense kernel is [inputs][units]. Every
 * description comes from its _default() function; after that a value means what it says (momentum 0
 * is 0). Descriptions are copied; what stays the caller's is data, hooks and memory given to
 * detnn_net_init. A net is used by one thread at a time; different nets are independent (there are no
 * globals and no thread-locals). detnn_predict_const may run on one net in many threads at once.
 *
 * M2. Memory. Everything is obtained when the net is created: from malloc, from desc.allocator, or
 * inside a block of the caller (detnn_net_size, detnn_net_init). fit, step, evaluate and predict
 * allocate nothing. desc.batch_max is the number of samples held at once; a batch may be larger: then
 * it is computed in parts of 64 * 2^k samples, to the same bits, and desc.parts_max says how many parts
 * there may be (each doubling costs one more copy of the gradients). desc.predict_only leaves out all
 * that training needs; with it, desc.weights may point to weights in flash, used where they lie. For a
 * block of some MB from malloc, Linux is asked for huge pages (madvise).
 *
 * M3. Errors. What can fail returns a detnn_result (0, DETNN_OK, is success) and takes a detnn_error *
 * last, which may be null: it receives the code and a sentence that names what is wrong. A failed call
 * changes nothing: the net, its training state and its memory are as before. fit checks arrays before
 * its first step; when something fails in the middle (a sample from a callback, a loss that is not
 * finite), the net is as after the last whole step, and fit may be called again to go on from there.
 *
 * M4. Training. An epoch visits every sample once, in an order that depends on the seed, the epoch's
 * number and the number of samples alone. Steps and epochs are counted from the net's creation. A fit
 * that a callback paused before its end, in the middle of an epoch too, is continued by the next fit with
 * the same data: the bits are those of a fit that was never stopped, when fit.epochs is what remained (the
 * epoch under way counts as one). detnn_info(net).samples is 0 where nothing is left to continue.
 * predict and evaluate never drop units and never change the net.
 *
 * M5. Sameness and its limits. The contract below fixes every bit of weights, moments, losses, metrics
 * and predictions. Not part of it: the text of error messages, the sign and payload of a NaN, speed.
 * detnn_selftest() proves in milliseconds that this build on this machine keeps it: it finds compilers
 * that contract or re-associate, flushed subnormals, wrong rounding modes and a broken fma. Entry points
 * set round to nearest, subnormals kept, exceptions masked, where the thread has it otherwise, and give
 * its mode back; callbacks run in theirs. Digests and floats printed with %a or %.9g can be compared.
 *
 * M6. Threads. With desc.parallel_for and desc.workers above 1, fit, step, evaluate, predict and backward share large
 * pieces of work out among so many tasks: columns of products, rows, slices of weights. Every number is still
 * computed as the contract says, by one task, so bits do not depend on threads or workers; what is too small to gain
 * stays on the caller's thread. Tasks set and restore the floating-point mode of the thread they run on.
 * detnn_predict_const and level 3 stay on the calling thread. Each worker costs its own scratch (detnn_net_size counts
 * it). A build's DETNN_FEATURES need WORKERS for it.
 *
 * M7. Files. detnn_save writes a model, detnn_load makes the net again:
 *
 *         if (detnn_save(net, "model.safetensors", 0, &err)) ...
 *         if (detnn_load(&net, "model.safetensors", 0, &err)) ...
 *
 * The file is a safetensors file (format in F1 to F3), the same bytes on every platform. PyTorch's load_file gives
 * the state_dict of the torch.nn.Sequential that is the same net; what PyTorch saved of one, detnn_load_into takes
 * into a net that was made for it. With detnn_save_desc.state the training state is in it too: load it on any
 * machine, fit the epochs that remain (M4), and the bits are those of a fit that was never moved. Loading checks the
 * whole file before it believes anything: its JSON is read without recursion, at most 100000000 bytes of it; names,
 * types, shapes, offsets; that tensors neither overlap nor leave holes nor come twice; that values are finite; the
 * digests; and the test vector, one input and its outputs, which this machine must predict to the bit (SELFTEST where
 * it does not). Reading allocates one block of the file's own size (from memory: nothing) and then the net, whose
 * weights were found in the file; desc.memory_max bounds it. Not in a file: batch_max, parts_max, isa, memory.
 *     detnn_save replaces a file in one step: it writes one beside it (path.<16 digits>.tmp), flushes it to disk,
 * renames it and flushes the folder (POSIX; Windows: _commit and MoveFileEx; elsewhere rename alone, which some file
 * systems refuse where the file exists). A process that is killed may leave the one beside it. The new file has the
 * old one's mode; a symbolic link is replaced, not followed, a hard link keeps the old file; what is no regular file is
 * refused. Where only the folder cannot be flushed, FILE is answered with the new file in place.
 *     detnn_export_c writes C source for flash: weights as constants, used where they lie, in float32, or kernels in
 * bfloat16 (half the room) or int8 (a quarter; w = float(q) * scale, one scale for each unit, its largest weight
 * being 127 scales). Both predict to the bit as the net with kernels so rounded; the source and detnn_export_cost
 * say what the rounding costs, on data that are given in loss and accuracy. Standardize and biases stay float32.
 *     detnn_fit_receipt writes a small text about a training; detnn_verify_receipt does it again and says at which
 * epoch it parted.
 * M8. GPU. With desc.device = DETNN_GPU (or detnn_set_device) fit, train_batch, evaluate and predict compute on the
 * CUDA device that is current, which must stay so. Weights, moments and, where they fit, the data and their shuffling
 * stay there for the length of a fit. In callbacks detnn_weights, detnn_gradient, digests and snapshots first bring
 * over what has changed (a pointer taken before has old values until then); after fit or train_batch all is with the
 * host. forward, backward, adapt, predict_const and data.get run on the CPU, and so does a step whose numbers are so
 * large that they might overflow: the CPU makes it, or says what is wrong. When the GPU fails, the call returns
 * DEVICE, the net is as it was when the host last had all of it (at the latest when the call began) and stays on the
 * CPU until detnn_set_device. Build the implementing unit with nvcc -x cu -DDETNN_CUDA=1 (CUDA 12 or later), for every
 * architecture to be served (-arch=all-major); link with -lcudart -lstdc++. Device memory: what detnn_net_size says and
 * at most 1 GB for partial sums; for a fit also the data. A net made by detnn_net_init gives it back in
 * detnn_net_destroy.
 *
 * CONTRACT, version 1
 *
 * C1. Arithmetic. Data are IEEE 754 binary32, rounded to nearest even, subnormals kept. Every + - * /
 * and sqrt written below is rounded to binary32 on its own, from left to right, parentheses first.
 * fma(a, b, c) is a * b + c rounded once, and is used exactly where it is written. "binary64" names the
 * places where the wider format is used, each operation rounded once to it; float(v) rounds to binary32
 * once. |x| clears the sign, -x flips it. Which element is NaN is part of the contract, its sign and
 * payload are not: digests and traces take every NaN as 0x7fc00000. max is IEEE 754-2019 maximum: any
 * NaN gives NaN, and -0 < +0. argmax is the lowest index of a NaN, else the lowest among equals. A
 * comparison with a NaN is false. Constants are given as bits (0x3f800000 is 1). Numbers of a description
 * are binary32; where binary64 uses them they are widened, counters are converted, both exactly.
 *
 * C2. Dense. x [batch][in], w [in][out], b [out], all row-major.
 *     forward         z[m][n]:  acc = b[n] (no bias: +0);  for k = 0 .. in-1:  acc = fma(x[m][k], w[k][n], acc)
 *     input gradient  dx[m][k]: acc = +0;                  for n = 0 .. out-1: acc = fma(dz[m][n], w[k][n], acc)
 *     kernel gradient dw[k][n]: sum over samples (C3), a leaf being  acc = fma(x[m][k], dz[m][n], acc)
 *     bias gradient   db[n]:    sum over samples (C3), a leaf being  acc = acc + dz[m][n]
 *
 * C3. Sums over the samples of a batch. Samples are cut, in order, into leaves of 64 (the last may be
 * shorter). A leaf is a chain from +0 in sample order. Leaves are added as a binary tree: of L > 1
 * leaves the left subtree holds the largest power of two below L, the right one the rest, and the node
 * is left + right. (So a batch may be computed in parts of whole subtrees, in any order.)
 *
 * C4. Sums along a vector. Elements are cut, in order, into chunks of 4096 (the last may be shorter). In
 * a chunk, lane l of 64 takes elements l, l + 64, l + 128, ... as a chain from +0, by acc + x for sums
 * and by acc = fma(x, y, acc) for dot products and sums of squares; a lane without an element is +0. Then
 * for h = 32, 16, 8, 4, 2, 1: lane l = lane l + lane (l + h) for all l < h; lane 0 is the chunk's sum.
 * The sums of the chunks are the leaves of a tree shaped as in C3. An empty sum is +0.
 *
 * C5. Elementary functions. exp, log, expm1, log1p, tanh, sigmoid(x) = 1 / (1 + e^-x), softplus(x) =
 * log(1 + e^x), gelu(x) = x * Phi(x) (Phi the normal distribution function), silu(x) = x * sigmoid(x),
 * their derivatives gelu' and silu', erf, sin(2 pi u) and cos(2 pi u) are correctly rounded: the
 * binary32 nearest to the exact value, ties to even, subnormal results kept, overflow to infinity. NaN gives
 * NaN. At zeros and infinities (an underflow has the sign of the exact value):
 *              +0       -0       +inf   -inf                      +0    -0    +inf   -inf
 *     exp      1        1        +inf   +0         gelu, silu     +0    -0    +inf   -0
 *     expm1    +0       -0       +inf   -1         gelu', silu'   0.5   0.5   1      -0
 *     log      -inf     -inf     +inf   NaN        tanh, erf      +0    -0    1      -1
 *     log1p    +0       -0       +inf   NaN        sin(2 pi u)    +0    +0    NaN    NaN
 *     sigmoid  0.5      0.5      1      +0         cos(2 pi u)    1     1     NaN    NaN
 *     softplus log 2    log 2    +inf   +0
 * log(1) = +0; log of x < 0 and log1p of x < -1 are NaN, log1p(-1) is -inf. Exact zeros of sin and cos are +0.
 *
 * C6. Random numbers. Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, SC 2011) maps
 * a key of two and a counter of four 32-bit words to four words. Ten times: with p0 = 0xD2511F53 * c0
 * and p1 = 0xCD9E8D57 * c2 (64-bit products), (c0, c1, c2, c3) becomes (high p1 ^ c1 ^ k0, low p1,
 * high p0 ^ c3 ^ k1, low p0), then k0 += 0x9E3779B9 and k1 += 0xBB67AE85 modulo 2^32. Here the key is
 * (seed low, seed high) and the counter is (block, step low, step high, purpose * 2^24 + layer), where
 * layer is the layer's index in the description. Element e takes word e mod 4 of block e div 4.
 *     purpose 1  kernel initializer     step 0, or the attempt; e = index in the kernel tensor
 *     purpose 2  bias initializer       likewise, in the bias tensor
 *     purpose 3  dropout                step = the net's steps done; e = row * width + column, the row
 *                                       counted in the whole step's batch; e < 2^34
 *     purpose 4  order of an epoch      step = epoch (from 0), layer 0
 *     purpose 5  for the user           detnn_random_words: step, layer and e are the user's
 * Uniform: u(w) = (w >> 8) * 2^-24, in [0, 1). Normal: elements 2i and 2i+1 take the words a, b of 2i
 * and 2i+1:  u1 = ((a >> 8) + 1) * 2^-24,  u2 = (b >> 8) * 2^-24,  r = sqrt(-2 * log(u1)),
 * z[2i] = r * cos(2 pi u2),  z[2i+1] = r * sin(2 pi u2)  (u1 = 1: r = -0). Below a bound n < 2^32,
 * without bias (Lemire 2019): p = w * n in 64 bits; while low(p) < (2^32 - n) mod n, take the next word
 * and multiply again; the result is high(p). Words are taken one after another, e = 0, 1, 2, ...
 *
 * The order of an epoch of n samples: place i of the epoch visits sample perm(i).
 * n <= 64: a = 0 .. n-1; for i = n-1 down to 1: swap a[i] with a[j], j below i + 1; perm(i) = a[i].
 * n > 64: B = bits of n - 1, low = B div 2, high = B - low. v = i; repeat { L = v >> low,
 * R = v mod 2^low; for r = 0 .. 11: if r is even L ^= mix(R, K[r]) mod 2^high, else
 * R ^= mix(L, K[r]) mod 2^low; v = L << low | R } until v < n; perm(i) = v. K[r] is word r of the stream.
 * mix(x, k), modulo 2^32: h = x ^ k;  h ^= h >> 16;  h *= 0x7FEB352D;  h ^= h >> 15;  h *= 0x846CA68B;
 * h ^= h >> 16 (Wellons' lowbias32).
 * A batch takes the next batch_size places; the last of an epoch may be shorter. Without shuffling
 * perm(i) = i. validation_split s keeps the last floor(s * n) (binary64 product) samples out of it.
 *
 * C7. Initializers, for a tensor with fan in = inputs, fan out = units (bias too); element e has word w:
 *     zeros, constant(a)   +0, a
 *     uniform(a, b)        fma(b - a, u(w), a)
 *     normal(a, b)         fma(b, z, a)                                    (mean a, deviation b)
 *     truncated normal     as normal, z from attempt 0, 1, ... (step of the counter, for both
 *                          words of the pair), the first |z| <= 2
 *     glorot uniform, normal   uniform(-l, l), l = float(sqrt(6 / (in + out)));  normal(0, float(sqrt(2 / (in + out))))
 *     he uniform, normal       uniform(-l, l), l = float(sqrt(6 / in));          normal(0, float(sqrt(2 / in)))
 *     lecun uniform, normal    uniform(-l, l), l = float(sqrt(3 / in));          normal(0, float(sqrt(1 / in)))
 *                          (division and sqrt in binary64; the normals are not truncated: PyTorch's
 *                          kaiming_normal_ with fan in and xavier_normal_, not Keras's he_normal)
 *     orthogonal(a)        m = min(in, out) vectors of n = max(in, out); vector j, element i is z of
 *                          e = j * n + i. For j = 0 .. m-1, twice: for i = 0 .. j-1: c = dot(q_i, v_j) (C4),
 *                          v_j = fma(-c, q_i, v_j). Then s = sqrt(dot(v_j, v_j)), q_j = v_j / s (where s
 *                          is not > 0: +0, but 1 in element j). w = a * q: q_j is column j where
 *                          in >= out, else row j. (A bias is a tensor with in = 1 here.)
 *
 * C8. Layers. Forward, and the gradient dx from dy (y the layer's output, z its input):
 *     linear        z                                          dy
 *     ReLU          0 > z ? +0 : z                             y > 0 ? dy : +0
 *     leaky ReLU    z > 0 ? z : alpha * z                      y > 0 ? dy : alpha * dy
 *     ELU           z > 0 ? z : alpha * expm1(z)               y > 0 ? dy : dy * (y + alpha)
 *     SELU          z > 0 ? scale * z : sa * expm1(z)          y > 0 ? scale * dy : dy * (y + sa)
 *                   scale = 0x3f867d5f, sa = 0x3fe10966
 *     sigmoid       sigmoid(z)                                 dy * (y * (1 - y))
 *     tanh          tanh(z)                                    dy * ((1 - y) * (1 + y))
 *     softplus      softplus(z)                                dy * sigmoid(z)
 *     SiLU, GELU    silu(z), gelu(z)                           dy * silu'(z), dy * gelu'(z)
 *     softmax       a row: m = max z; e = exp(z - m); s = sum e (C4);   p * (dy - dot(p, dy) (C4))
 *                   p = e / s
 *     dropout       T = ceil(rate * 2^32), keep = word >= T, s = 1 / (1 - rate):
 *                   keep ? x * s : +0                          keep ? dy * s : +0
 *     standardize   (x - mean) / deviation                     dy / deviation
 * A frozen layer passes gradients on and keeps its weights. Standardize takes, for every feature, mean =
 * S / float(N) with S the sum over all N training samples in the order of the data (C3), then V, the sum (C3)
 * of d * d with d = x - mean (a leaf: acc = fma(d, d, acc)), deviation = sqrt(V / float(N)), or 1 where that is 0.
 * Before that they are +0 and 1, and the net neither predicts nor trains.
 *
 * C9. Losses. n = samples in the whole step, inv = 1 / float(n); c = weight * inv (inv where there are no
 * weights). The step's loss is (sum over samples (C3) of weight * loss, or of loss) * inv. q = c /
 * float(outputs). In evaluate and validation n counts all samples. y is the output, t the target
 * (of a label: the label itself where there is one output, else 1 at the label and 0 elsewhere):
 *     cross-entropy    with m, e, s, p of softmax: d_j = log(s) - (z_j - m). Smoothing eps > 0, for
 *                      labels and targets alike: t_j = fma(1 - eps, t_j, eps / float(classes)).
 *                      loss = dot(t, d) (C4), where an element with t_j = 0 adds nothing; for a label
 *                      without smoothing that is d_k. Gradient for z: (p_j - t_j) * c
 *     binary cross-    v_j = fma(t_j, softplus(-z_j), (1 - t_j) * softplus(z_j));
 *     entropy          loss = sum v (C4) / float(outputs). Gradient for z: (sigmoid(z_j) - t_j) * q
 *     mean squared     d = y - t;  loss = dot(d, d) (C4) / float(outputs);  dy = (d + d) * q
 *     mean absolute    loss = sum |d| (C4) / float(outputs);  dy = d > 0 ? q : d < 0 ? -q : +0
 *     Huber, delta     a = |d|;  v = a <= delta ? (0.5 * d) * d : delta * (a - 0.5 * delta);
 *                      loss = sum v (C4) / float(outputs);  dy = a <= delta ? d * q : d > 0 ? delta * q : -(delta * q)
 * Cross-entropy takes z from a final softmax, binary cross-entropy from a final sigmoid, of a dense or an
 * activation layer (the gradient then goes to z at once), or both from a final linear layer, whose outputs
 * are the logits.
 * Accuracy: cross-entropy: samples with argmax z = label (or argmax t), over n. Binary: pairs with
 * (z > 0) = (t > 0.5), over n * outputs; float(binary64 quotient). Other losses: 0. The mean
 * absolute error is mean absolute's loss on y and t, unweighted. The loss of an epoch is float(A / R): over
 * its steps in order, in binary64, A = A + loss * rows, R = R + rows. An epoch is better where its loss
 * (of validation where there is one) < best loss - min_delta; the best loss starts as +inf with each fit.
 *
 * C10. Optimizers. A step works on the tensors of layers that are not frozen: g the gradient, w the
 * weights, v and m moments that start as +0. First clip_value c > 0: g = g < -c ? -c : g > c ? c : g.
 * Then clip_norm c > 0: N = sqrt of the sum, as a tree shaped as in C3 over the tensors in the digest's
 * order, of dot(g, g) (C4); where N > c: g = g * (c / N). Then weight_decay d > 0, on kernels, not on
 * biases, but for AdamW: g = fma(d, w, g). lr is the step's learning rate in binary64.
 *     SGD       momentum u = 0: w = fma(-float(lr), g, w). Else v = fma(u, v, g), and with h = v, or
 *               h = fma(u, v, g) for Nesterov: w = fma(-float(lr), h, w)
 *     Adam      m = fma(beta1, m, (1 - beta1) * g);  v = fma(beta2, v, ((1 - beta2) * g) * g);
 *               w = fma(-a, m / fma(sqrt(v), r, epsilon), w)
 *               a = float(lr / (1 - pow(beta1, t))), r = float(1 / sqrt(1 - pow(beta2, t))) in
 *               binary64, t = steps done + 1
 *     AdamW     first, on kernels, w = float(1 - lr * weight_decay) * w (binary64); then Adam
 *     RMSprop   v = fma(rho, v, ((1 - rho) * g) * g);  h = g / (sqrt(v) + epsilon); momentum u = 0:
 *               w = fma(-float(lr), h, w), else m = fma(u, m, h), w = fma(-float(lr), m, w)
 * pow(b, t) in binary64: r = 1; while t > 0: { if t is odd, r = r * b; b = b * b; t = t div 2 }.
 * Schedules, in binary64, L the optimizer's learning_rate, t = steps done: where t < warmup_steps W,
 * lr = L * (t + 1) / W (left to right). Else with t = t - W:
 *     constant      L
 *     step          L * pow(gamma, t div period)
 *     exponential   L * pow(gamma, t)
 *     cosine        final + (L - final) * (0.5 * (1 + cos(2 pi k 2^-24))), k = floor(t * 2^23 / period)
 *                   exact in integers, 2^23 where t >= period; C5's binary32 cosine, widened
 * Defaults: SGD momentum 0, no Nesterov. Adam, AdamW beta1 0x3f666666 (0.9), beta2 0x3f7fbe77 (0.999),
 * epsilon 0x322bcc77 (1e-8), AdamW's weight_decay as given. RMSprop rho 0x3f666666 (0.9),
 * epsilon 0x33d6bf95 (1e-7). Leaky ReLU's alpha 0x3c23d70a (0.01), ELU's 1; Huber's delta 1. Kernels
 * start by Glorot uniform, biases by zeros. Clipping, decay, smoothing and schedules are off.
 *
 * C11. Digests: SHA-256 (FIPS 180-4), written as 64 lower-case hexadecimal digits. A tensor's is that of
 * the joined digests (32 bytes each) of its pieces of 65536 bytes (the last may be shorter), elements in
 * row-major order, 4 bytes each, little-endian, NaN as 0x7fc00000; without elements, of nothing. (So a
 * small tensor is hashed twice.) A net's is that of lines "layer name shape digest\n", layers in order,
 * kernel or mean before bias or deviation, numbers in decimal, as in
 *     0 mean 4 <64 digits>
 *     0 deviation 4 <64 digits>
 *     1 kernel 4x32 <64 digits>
 *     1 bias 32 <64 digits>
 * The digest of the training state is of those lines and, after them, the same for the optimizer's moments
 * of all dense layers, frozen ones too: first all "kernel.moment1" and "bias.moment1", then all "moment2"
 * (SGD with momentum: moment1 is v. Adam, AdamW: m and v. RMSprop: v, with momentum moment2 is m. Others
 * have none); then, where keep_best is 1 and an epoch was the best so far, of its weights: "mean.best",
 * "deviation.best", "kernel.best", "bias.best"; then the lines
 *     "contract 1\n" "seed %u\n" "step %u\n" "epoch %u\n" "position %u\n" "samples %u\n"
 *     "learning_rate %08x\n" (the optimizer's, which may have been changed, as bits)
 *     "adapted %u\n"       (0: a standardize layer has seen no data, else 1)
 *     "loss_sum %016x\n"    (A of C9 so far, as bits; +0 between epochs)
 *     "best %08x %u %u\n"   (best loss as bits, its epoch from 0, epochs since without improvement; they
 *                            are kept whether fit stops early or not, 7f800000 0 0 before)
 * position: samples of the epoch under way that are done; samples: how many it has, 0 after a fit that
 * ended by itself.
 *
 * C12. A worked trace. A net of one dense layer with tanh, 2 inputs, 1 unit, seed 42, mean squared error,
 * Adam with learning_rate 0.125; one step on x = (1.5, -0.25) = 3fc00000 be800000, t = 0.5 = 3f000000.
 *     Philox, key 2a 0, counter 0 0 0 01000000: 97907da9 ecba94ea 07dea2c9 1d9cc73d
 *     l = float(sqrt(6 / 3)) = 3fb504f3; kernel = fma(2 l, 97907d * 2^-24, -l), ... = 3e854ce8 3f99c40a
 *     digests: kernel 32364c44... (SHA-256 of SHA-256 of the bytes e84c853e 0ac4993f), bias 8cb90125...,
 *     net 3c7edb5d...
 *     z = fma(-0.25, 3f99c40a, fma(1.5, 3e854ce8, +0)) = 3db8bd48; y = tanh(z) = 3db83d6c; loss 3e2c2ad0
 *     dy = (d + d) * 1, dz = dy * ((1 - y) * (1 + y)) = bf503db1; kernel gradient bf9c2e45 3e503db1
 *     a = float(0.125 / (1 - beta1)) = 3f9ffffe, r = float(1 / sqrt(1 - beta2)) = 41fcfbdd
 *     moments of the kernel bdf9e3a6 3ca697c3 and 3ac3230a 382d747b, of the bias bda697c3 and 3a2d747b
 *     kernel 3ec54ce9 3f89c40a, bias 3e000000; net 8c55b560..., state (one step by
 *     detnn_train_batch: step 1, all other counters 0, loss_sum 0, best 7f800000 0 0) 6a99cc68...
 *
 * FILES, format 1
 *
 * F1. Tensors. A file is 8 bytes with the header's length N, little-endian; N bytes of header, JSON, filled up with
 * spaces so that N is a multiple of 8; the tensors' bytes without gaps. The header is an object: "__metadata__" with
 * strings (F2), and for each tensor "name":{"dtype":"F32","shape":[...],"data_offsets":[begin,end]}, counted from the
 * first byte behind the header. Elements are binary32, little-endian, row-major. detnn writes no spaces elsewhere and
 * tensors in the order of the digest (C11); it reads any order and spaces.
 *     A layer's number is that of its module in torch.nn.Sequential: a dense layer is one module where it is linear,
 * else two (Linear and the activation), every other layer is one. Dense has "<number>.weight", shape [units][inputs]
 * (the kernel transposed), and "<number>.bias" [units]; standardize, in PyTorch a module of one's own, has the
 * buffers "<number>.mean" and "<number>.deviation" [inputs]. A training state has more tensors, after those: the same
 * names with .moment1 for all dense layers, then .moment2, as far as the optimizer has them, then with .best where
 * has_best is 1, for all layers. (PyTorch's load_state_dict takes such a file with strict=False.)
 *
 * F2. Metadata, in this order. Whole numbers are decimal without leading zeros, X is a binary32 and Y a binary64 as
 * its bits in 8 and 16 lower-case hexadecimal digits, flags are 0 or 1, names are those of the header's lists
 * (DETNN_ACTIVATIONS and so on), words are apart by one space. test and state may be missing; a file of another
 * program has none of them, and other keys are passed over, but for unknown ones that begin with detnn.
 *     detnn.format     1
 *     detnn.contract   1
 *     detnn.net        seed n inputs n loss NAME label_smoothing X huber_delta X
 *     detnn.layers     layers, apart by a comma and a space:
 *                        dense UNITS ACTIVATION X INITIALIZER X X INITIALIZER X X bias FLAG frozen FLAG
 *                          (alpha; the kernel's and the bias's initializer, with a and b)
 *                        dropout X        activation ACTIVATION X        standardize
 *     detnn.optimizer  NAME learning_rate X momentum X nesterov FLAG beta1 X beta2 X rho X epsilon X
 *                        weight_decay X clip_value X clip_norm X
 *     detnn.schedule   NAME warmup_steps n period n gamma X final X
 *     detnn.trained    step n epoch n adapted FLAG
 *     detnn.digest     of the weights (C11)
 *     detnn.test       inputs X, a space, outputs X, without spaces between the numbers (NaN as 7fc00000)
 *     detnn.state      position n samples n learning_rate X loss_sum Y correct n best X n n keep_best FLAG
 *                        has_best FLAG digest D   (as in C11; correct: of the epoch's accuracy; D: of the state)
 *     detnn.check      SHA-256 of the values above, each with a line end ("\n") behind it
 * frozen is what holds when it is saved; the optimizer's learning_rate is that of the description, the state has its
 * own.
 *
 * F3. What is refused beyond that: keys, names or fields that come twice; fields beside the three; numbers that are
 * not whole, or above 2^64 - 1; more than 4 dimensions; text that is not UTF-8, broken escapes; anything but spaces
 * behind the header's last brace; tensors that the net has not; a file whose tensors lie so out of order that finding
 * them means reading more than 64 headers and 2^28 bytes.
 *
 * F4. Receipts are lines, each ended by "\n":
 *     detnn receipt 1
 *     contract 1
 *     net ..., layers ..., optimizer ..., schedule ...     four lines, the values as in F2
 *     fit epochs n batch_size n shuffle FLAG validation_split X patience n min_delta X restore_best FLAG keep_best FLAG
 *     data COUNT D              D: SHA-256 of, for each sample in order, x, then the label (or the targets), then the
 *     validation COUNT D        weight (1 where there is none), 4 bytes each, little-endian. Of data of its own; 0 else
 *     start D                   D: the digest of the training state (C11), before
 *     epoch NUMBER D            from 0, at the end of every epoch, when on_epoch is called
 *     end ANSWER D              ANSWER: go_on, or what on_epoch answered at last, pause or finish
 *     check D                   SHA-256 of all lines before
 */

/* ==== 1. Configuration ================================================================================ */

#ifndef DETNN_H
#define DETNN_H

/* Each of these is 0 or 1; define it before the #include (the same in every unit).
 *
 * DETNN_STATIC        1: every function is static: for one unit, or one copy in each of several. */
#ifndef DETNN_STATIC
#define DETNN_STATIC 0
#endif
/* DETNN_FREESTANDING  1: no hosted header; implies DETNN_NO_STDIO and DETNN_NO_MALLOC. The compiler may
 *                     still emit calls to memcpy, memset and memcmp, as it may everywhere. */
#ifndef DETNN_FREESTANDING
#define DETNN_FREESTANDING 0
#endif
/* DETNN_NO_STDIO      1: no <stdio.h>: the functions that take a FILE * or a path are left out. */
#ifndef DETNN_NO_STDIO
#define DETNN_NO_STDIO DETNN_FREESTANDING
#endif
/* DETNN_NO_MALLOC     1: no <stdlib.h>: memory comes from desc.allocator or detnn_net_init. */
#ifndef DETNN_NO_MALLOC
#define DETNN_NO_MALLOC DETNN_FREESTANDING
#endif
/* DETNN_FEATURES      what the program uses (a sum of the constants below); the compiler drops the rest,
 *                     and naming it in a description is an error with a sentence. */
#ifndef DETNN_FEATURES
#define DETNN_FEATURES DETNN_FEATURE_ALL
#endif
#define DETNN_FEATURE_TRAINING     0x0001 /* fit, forward, backward, step */
#define DETNN_FEATURE_DROPOUT      0x0002
#define DETNN_FEATURE_STANDARDIZE  0x0004
#define DETNN_FEATURE_ACTIVATIONS  0x0008 /* those beside linear, ReLU and softmax */
#define DETNN_FEATURE_LOSSES       0x0010 /* those beside cross-entropy */
#define DETNN_FEATURE_MOMENTUM     0x0020 /* SGD with momentum (plain SGD always is there) */
#define DETNN_FEATURE_ADAM         0x0040 /* Adam and AdamW */
#define DETNN_FEATURE_RMSPROP      0x0080
#define DETNN_FEATURE_CLIPPING     0x0100
#define DETNN_FEATURE_SCHEDULES    0x0200
#define DETNN_FEATURE_INITIALIZERS 0x0400 /* those that draw; without it kernels start by zeros */
#define DETNN_FEATURE_TRACE        0x0800
#define DETNN_FEATURE_FILES        0x1000 /* save, load, export, receipts */
#define DETNN_FEATURE_PACKED       0x2000 /* desc.packed */
#define DETNN_FEATURE_NORMAL       0x4000 /* with INITIALIZERS: those that draw from the normal distribution */
#define DETNN_FEATURE_MESSAGES     0x8000 /* errors in sentences; without it err.text is empty */
#define DETNN_FEATURE_WORKERS     0x10000 /* desc.workers above 1 */
#define DETNN_FEATURE_ALL         0x1ffff
/* DETNN_SELF          the name by which this header includes itself, once for each instruction set. */
#ifndef DETNN_SELF
#define DETNN_SELF "detnn.h"
#endif
/* DETNN_PORTABLE      1: plain C kernels only, without intrinsics, fma emulated in binary64. (Section 7's guard
 *                     stays: it is the only assembler.) */
#ifndef DETNN_PORTABLE
#define DETNN_PORTABLE 0
#endif

/* DETNN_INTEGER_FUNCTIONS 1: the plain kernels compute exp, log, expm1, tanh, sigmoid, softplus, silu and silu_grad in
 *                     integers (section 5): the same bits, 5 to 9 times as fast where binary64 is software, which the
 *                     default finds out. */
#ifndef DETNN_INTEGER_FUNCTIONS
#if (defined(__arm__) && !(defined(__ARM_FP) && (__ARM_FP & 8))) || defined(__XTENSA__) || \
    (defined(__riscv) && !(defined(__riscv_flen) && __riscv_flen >= 64)) || defined(__mips_soft_float) || \
    defined(_SOFT_FLOAT) || defined(__MSP430__)
#define DETNN_INTEGER_FUNCTIONS 1
#else
#define DETNN_INTEGER_FUNCTIONS 0
#endif
#endif

/* DETNN_THREADS       1: a pool of threads (POSIX: link with -pthread; or Windows), detnn_pool_create. */
#ifndef DETNN_THREADS
#define DETNN_THREADS 0
#endif
/* DETNN_CUDA          1, in the implementing unit: GPU kernels too (desc.device, M8). That unit is compiled by
 *                     nvcc -x cu, all others as ever. */
#ifndef DETNN_CUDA
#define DETNN_CUDA 0
#endif
#if DETNN_CUDA && (DETNN_FREESTANDING || DETNN_NO_MALLOC)
#error "detnn: DETNN_CUDA needs a hosted C library with malloc"
#endif
#if DETNN_THREADS && (DETNN_FREESTANDING || DETNN_NO_MALLOC)
#error "detnn: DETNN_THREADS needs a hosted C library with malloc; give desc.parallel_for instead"
#endif

#include <stddef.h>
#include <stdint.h>

#if DETNN_STATIC && (defined(__GNUC__) || defined(__clang__))
#define DETNN_API static __attribute__((unused))
#elif DETNN_STATIC
#define DETNN_API static
#else
#define DETNN_API
#endif

#define DETNN_WORKERS_MAX 64
#define DETNN_VERSION  "0.1.0"
#define DETNN_CONTRACT 1 /* version of the arithmetic contract: equal contracts, equal bits */

#ifdef __cplusplus
extern "C" {
#endif

/* ==== 2. Public: errors, kinds, layers, losses, optimizers, descriptions =============================== */

/* Results. detnn_result_text(code) gives the text. */
#define DETNN_RESULTS(X)                                                                                \
    X(DETNN_OK,              "ok")                                                                      \
    X(DETNN_ERROR_NULL,      "a pointer is null")                                                       \
    X(DETNN_ERROR_VALUE,     "a value is out of range")                                                 \
    X(DETNN_ERROR_SHAPE,     "shapes do not fit")                                                       \
    X(DETNN_ERROR_SIZE,      "a size is zero, too large, or a product overflows")                       \
    X(DETNN_ERROR_MEMORY,    "not enough memory")                                                       \
    X(DETNN_ERROR_DATA,      "bad data")                                                                \
    X(DETNN_ERROR_NONFINITE, "training reached NaN or infinity")                                        \
    X(DETNN_ERROR_STATE,     "not possible in the present state")                                       \
    X(DETNN_ERROR_FEATURE,   "not part of this build")                                                  \
    X(DETNN_ERROR_CALLBACK,  "a callback failed")                                                       \
    X(DETNN_ERROR_SELFTEST,  "this build or machine breaks the contract")                               \
    X(DETNN_ERROR_FILE,      "a file cannot be read or written")                                        \
    X(DETNN_ERROR_PARTED,    "two runs part")                                                            \
    X(DETNN_ERROR_DEVICE,    "the GPU is missing, too old, or failed")
#define DETNNI_ENUM(name, text) name,
typedef enum detnn_result { DETNN_RESULTS(DETNNI_ENUM) DETNN_RESULT_COUNT } detnn_result;

typedef struct detnn_net detnn_net; /* opaque */

typedef struct detnn_error {
    detnn_result code;
    char text[220]; /* one sentence, no newline, always terminated */
} detnn_error;

#define DETNN_LAYER_KINDS(X)                                                                            \
    X(DETNN_LAYER_DENSE,       "dense")                                                                 \
    X(DETNN_LAYER_DROPOUT,     "dropout")                                                               \
    X(DETNN_LAYER_ACTIVATION,  "activation")                                                            \
    X(DETNN_LAYER_STANDARDIZE, "standardize")
typedef enum detnn_layer_kind { DETNN_LAYER_KINDS(DETNNI_ENUM) DETNN_LAYER_KIND_COUNT } detnn_layer_kind;

#define DETNN_ACTIVATIONS(X)                                                                            \
    X(DETNN_LINEAR,     "linear")                                                                       \
    X(DETNN_RELU,       "relu")                                                                         \
    X(DETNN_LEAKY_RELU, "leaky_relu")                                                                   \
    X(DETNN_ELU,        "elu")                                                                          \
    X(DETNN_SELU,       "selu")                                                                         \
    X(DETNN_SIGMOID,    "sigmoid")                                                                      \
    X(DETNN_TANH,       "tanh")                                                                         \
    X(DETNN_SOFTPLUS,   "softplus")                                                                     \
    X(DETNN_SILU,       "silu")                                                                         \
    X(DETNN_GELU,       "gelu")                                                                         \
    X(DETNN_SOFTMAX,    "softmax")
typedef enum detnn_activation { DETNN_ACTIVATIONS(DETNNI_ENUM) DETNN_ACTIVATION_COUNT } detnn_activation;

#define DETNN_INITIALIZERS(X)                                                                           \
    X(DETNN_ZEROS,            "zeros")                                                                  \
    X(DETNN_CONSTANT,         "constant")                                                               \
    X(DETNN_UNIFORM,          "uniform")                                                                \
    X(DETNN_NORMAL,           "normal")                                                                 \
    X(DETNN_TRUNCATED_NORMAL, "truncated_normal")                                                       \
    X(DETNN_GLOROT_UNIFORM,   "glorot_uniform")                                                         \
    X(DETNN_GLOROT_NORMAL,    "glorot_normal")                                                          \
    X(DETNN_HE_UNIFORM,       "he_uniform")                                                             \
    X(DETNN_HE_NORMAL,        "he_normal")                                                              \
    X(DETNN_LECUN_UNIFORM,    "lecun_uniform")                                                          \
    X(DETNN_LECUN_NORMAL,     "lecun_normal")                                                           \
    X(DETNN_ORTHOGONAL,       "orthogonal")
typedef enum detnn_initializer_kind {
    DETNN_INITIALIZERS(DETNNI_ENUM) DETNN_INITIALIZER_COUNT
} detnn_initializer_kind;

#define DETNN_LOSSES(X)                                                                                 \
    X(DETNN_CROSS_ENTROPY,        "cross_entropy")                                                      \
    X(DETNN_BINARY_CROSS_ENTROPY, "binary_cross_entropy")                                               \
    X(DETNN_MEAN_SQUARED_ERROR,   "mean_squared_error")                                                 \
    X(DETNN_MEAN_ABSOLUTE_ERROR,  "mean_absolute_error")                                                \
    X(DETNN_HUBER,                "huber")
typedef enum detnn_loss { DETNN_LOSSES(DETNNI_ENUM) DETNN_LOSS_COUNT } detnn_loss;

#define DETNN_OPTIMIZERS(X)                                                                             \
    X(DETNN_SGD,     "sgd")                                                                             \
    X(DETNN_ADAM,    "adam")                                                                            \
    X(DETNN_ADAMW,   "adamw")                                                                           \
    X(DETNN_RMSPROP, "rmsprop")
typedef enum detnn_optimizer_kind { DETNN_OPTIMIZERS(DETNNI_ENUM) DETNN_OPTIMIZER_COUNT } detnn_optimizer_kind;

#define DETNN_SCHEDULES(X)                                                                              \
    X(DETNN_SCHEDULE_CONSTANT,    "constant")                                                           \
    X(DETNN_SCHEDULE_STEP,        "step")                                                               \
    X(DETNN_SCHEDULE_EXPONENTIAL, "exponential")                                                        \
    X(DETNN_SCHEDULE_COSINE,      "cosine")
typedef enum detnn_schedule_kind { DETNN_SCHEDULES(DETNNI_ENUM) DETNN_SCHEDULE_COUNT } detnn_schedule_kind;

/* The tensors of a layer: dense has kernel and bias, standardize has mean and deviation. */
#define DETNN_TENSORS(X)                                                                                \
    X(DETNN_KERNEL,    "kernel")                                                                        \
    X(DETNN_BIAS,      "bias")                                                                          \
    X(DETNN_MEAN,      "mean")                                                                          \
    X(DETNN_DEVIATION, "deviation")
typedef enum detnn_tensor { DETNN_TENSORS(DETNNI_ENUM) DETNN_TENSOR_COUNT } detnn_tensor;

/* Sets of kernels. All give the same bits; AUTO takes the fastest that this machine has. */
#define DETNN_ISAS(X)                                                                                   \
    X(DETNN_ISA_AUTO,   "auto")                                                                         \
    X(DETNN_ISA_PLAIN,  "plain")  /* plain C, fma emulated where the compiler has none: the reference */ \
    X(DETNN_ISA_SSE2,   "sse2")   /* x86 with SSE2, fma emulated */                                     \
    X(DETNN_ISA_AVX2,   "avx2")   /* x86 with AVX2 and FMA */                                           \
    X(DETNN_ISA_AVX512, "avx512") /* x86 with AVX-512 F, DQ, BW and VL */                               \
    X(DETNN_ISA_NEON,   "neon")   /* AArch64 */                                                         \
    X(DETNN_ISA_WASM,   "wasm")   /* WebAssembly compiled with -msimd128, fma emulated */
typedef enum detnn_isa { DETNN_ISAS(DETNNI_ENUM) DETNN_ISA_COUNT } detnn_isa;

/* Where a net computes: the same bits on both (M8). */
#define DETNN_DEVICES(X)                                                                                \
    X(DETNN_CPU, "cpu")                                                                                 \
    X(DETNN_GPU, "gpu") /* builds with DETNN_CUDA, CUDA devices of compute capability 7.5 or higher */
typedef enum detnn_device { DETNN_DEVICES(DETNNI_ENUM) DETNN_DEVICE_COUNT } detnn_device;
#undef DETNNI_ENUM

/* How a tensor starts; a and b as in the manual (C7): constant(a), uniform(a, b), normals (mean a,
 * deviation b), orthogonal(gain a); unused elsewhere. */
typedef struct detnn_initializer {
    detnn_initializer_kind kind;
    float a, b;
} detnn_initializer;

/* A layer. Write it with the macros below; they can stand in a static const array. */
typedef struct detnn_layer {
    detnn_layer_kind kind;
    size_t units;                /* dense: number of outputs */
    detnn_activation activation; /* dense, activation */
    float alpha;                 /* leaky ReLU: slope, >= 0; ELU: > 0 */
    float rate;                  /* dropout: the share that is dropped, 0 <= rate < 1 */
    detnn_initializer kernel, bias;
    int use_bias;                /* dense: 0 leaves the bias out */
    int frozen;                  /* dense: 1 keeps the weights as they are (see detnn_freeze) */
} detnn_layer;

#define DETNNI_ALPHA(activation) ((activation) == DETNN_LEAKY_RELU ? 0.01f : 1.0f)
#define DETNNI_START             { DETNN_GLOROT_UNIFORM, 0.0f, 0.0f }, { DETNN_ZEROS, 0.0f, 0.0f }
/* Dense: y = activation(x * kernel + bias); kernel starts by glorot_uniform, bias by zeros. */
#define DETNN_DENSE(units, activation)                                                                  \
    { DETNN_LAYER_DENSE, (size_t)(units), activation, DETNNI_ALPHA(activation), 0.0f, DETNNI_START, 1, 0 }
/* Dense with all that can be chosen; kernel and bias are written DETNN_INIT(DETNN_HE_NORMAL, 0, 0). */
#define DETNN_DENSE_EX(units, activation, alpha, kernel, bias, use_bias, frozen)                        \
    { DETNN_LAYER_DENSE, (size_t)(units), activation, (float)(alpha), 0.0f, kernel, bias, use_bias, frozen }
#define DETNN_INIT(kind, a, b) { kind, (float)(a), (float)(b) }
/* Dropout (Srivastava et al. 2014), inverted: what is kept is scaled by 1 / (1 - rate) in training;
 * predict and evaluate pass it by. */
#define DETNN_DROPOUT(rate) { DETNN_LAYER_DROPOUT, 0, DETNN_LINEAR, 1.0f, (float)(rate), DETNNI_START, 0, 0 }
/* An activation as a layer of its own, with leaky ReLU's or ELU's alpha, or the default. */
#define DETNN_ACTIVATE(activation) \
    { DETNN_LAYER_ACTIVATION, 0, activation, DETNNI_ALPHA(activation), 0.0f, DETNNI_START, 0, 0 }
#define DETNN_ACTIVATE_EX(activation, alpha) \
    { DETNN_LAYER_ACTIVATION, 0, activation, (float)(alpha), 0.0f, DETNNI_START, 0, 0 }
/* (x - mean) / deviation for each feature; only as the first layer. The first fit takes both from its
 * training samples (validation apart), detnn_adapt does so by hand. */
#define DETNN_STANDARDIZE() \
    { DETNN_LAYER_STANDARDIZE, 0, DETNN_LINEAR, 1.0f, 0.0f, DETNNI_START, 0, 0 }

/* Optimizers. Make one with detnn_sgd() ... and change fields after that. */
typedef struct detnn_optimizer {
    detnn_optimizer_kind kind;
    float learning_rate;  /* > 0 */
    float momentum;       /* SGD, RMSprop: 0 <= momentum < 1 */
    int nesterov;         /* SGD with momentum */
    float beta1, beta2;   /* Adam, AdamW: 0 <= beta < 1 */
    float rho;            /* RMSprop: 0 <= rho < 1 */
    float epsilon;        /* > 0 */
    float weight_decay;   /* >= 0; AdamW: decoupled; else added to the gradient. Kernels only, no biases */
    float clip_value;     /* 0: off; else gradients are cut to [-clip_value, clip_value] */
    float clip_norm;      /* 0: off; else the norm over all gradients is at most clip_norm */
} detnn_optimizer;

/* Learning rate over the steps (manual, C10). */
typedef struct detnn_schedule {
    detnn_schedule_kind kind;
    uint64_t warmup_steps; /* linear warm-up from 1/warmup_steps of the rate, before all kinds */
    uint64_t period;       /* step: steps between drops; cosine: steps from learning_rate to final; >= 1 */
    float gamma;           /* step, exponential: factor, 0 < gamma <= 1 */
    float final;           /* cosine: the rate at the end, >= 0 */
} detnn_schedule;

/* The caller's memory provider. alloc returns memory for any type, or null; release gets back what
 * alloc gave, with its size. */
typedef struct detnn_allocator {
    void *(*alloc)(void *user, size_t size);
    void (*release)(void *user, void *memory, size_t size);
    void *user;
} detnn_allocator;

/* Kernels in less room, for flash (detnn_export_c writes them). They predict as the same net with float kernels would,
 * to the bit. Give one of bfloat16 and int8; all are aligned as their types, in the digest's order. */
typedef struct detnn_packed {
    const uint16_t *bfloat16; /* the upper half of a kernel's bits; the lower is 0 */
    const int8_t *int8;       /* a kernel's element is float(int8) * scale, rounded once */
    const float *scales;      /* with int8: one for each unit of every dense layer */
} detnn_packed;

/* Work on many threads: task(arg, i) is to be called once for each i < count, on any threads, in any order, and
 * parallel_for returns when all have returned. Tasks are short, call nothing of the caller's, do not allocate and do
 * not wait. This is the caller's job system, or detnn_pool_for. */
typedef void (*detnn_task)(void *arg, size_t i);
typedef void (*detnn_parallel_for)(void *user, detnn_task task, void *arg, size_t count);

/* Description of a net. Start from detnn_net_desc_default(); defaults in brackets. */
typedef struct detnn_net_desc {
    uint64_t seed;             /* [0] */
    size_t inputs;             /* features of a sample; must be given */
    const detnn_layer *layers; /* must be given; copied */
    size_t layer_count;
    detnn_loss loss;           /* [DETNN_CROSS_ENTROPY] */
    float label_smoothing;     /* [0] cross-entropy: 0 <= eps < 1 */
    float huber_delta;         /* [1] > 0 */
    detnn_optimizer optimizer; /* [detnn_adam(0.001f)] */
    detnn_schedule schedule;   /* [constant, no warm-up] */
    size_t batch_max;          /* [256] samples held at once, see M2 */
    size_t parts_max;          /* [1] parts that a batch may be cut into, see M2 */
    int keep_best;             /* [0] 1: room for the best weights (fit.restore_best) */
    int trace;                 /* [0] 1: room for detnn_trace_start */
    int predict_only;          /* [0] 1: nothing that training needs (keep_best and trace count for nothing) */
    const float *weights;      /* [null] with predict_only: all weights in the digest's order, used where
                                  they lie, which must be aligned as a float and outlive the net */
    const detnn_packed *packed;/* [null] with weights, which then are all but the kernels; used where it lies */
    detnn_isa isa;             /* [DETNN_ISA_AUTO] forces a set of kernels */
    detnn_device device;       /* [DETNN_CPU] where to compute, see M8 */
    detnn_allocator allocator; /* [malloc and free] */
    detnn_parallel_for parallel_for; /* [null] see M6 */
    void *parallel_user;
    size_t workers;            /* [1] with parallel_for: tasks at one time, up to DETNN_WORKERS_MAX */
    size_t task_work;          /* [250000] multiplications with addition that are worth a task of their own */
} detnn_net_desc;

/* One sample, for a data callback to fill. */
typedef struct detnn_sample {
    uint64_t index;  /* which sample, 0 .. count-1 */
    uint64_t epoch;  /* 0-based; with training = 0 it is 0 */
    uint64_t seed;   /* of the net: augmentation may draw with detnn_random_words(seed, ...) */
    int training;    /* 1 for a step of fit; 0 for evaluate, validation, standardize */
    float *x;        /* [inputs], to be filled */
    float *target;   /* [outputs], to be filled where the data have targets; else null */
    uint32_t label;  /* to be set where the data have labels */
    float weight;    /* 1; may be set, >= 0 */
} detnn_sample;

/* Data: arrays, or a callback that gives one sample at a time, in any order, the same for the same
 * index, epoch and training. Nothing is copied; all stays the caller's, unchanged. */
typedef struct detnn_data {
    size_t count;          /* samples */
    const float *x;        /* [count][inputs] */
    const uint32_t *labels;/* [count], classes 0 .. outputs-1 (one output: 0 or 1 for binary cross-entropy,
                              else the label is a number) */
    const float *targets;  /* [count][outputs]; give labels or targets (cross-entropy: distributions, of sum 1) */
    const float *weights;  /* [count], >= 0, or null: all 1 */
    int (*get)(void *user, detnn_sample *sample); /* instead of the arrays; not 0 on failure */
    int get_labels;        /* with get: 1 where it sets labels, 0 where it fills targets */
    void *user;
    size_t inputs, outputs;/* [0, 0: whatever the net has] values of a sample; where given, they must be the net's */
} detnn_data;

/* What the callbacks of fit are told. */
typedef struct detnn_progress {
    uint64_t epoch, step;     /* from the net's creation; in on_step, steps done */
    size_t position, samples; /* of the epoch: samples done and in all */
    float loss, accuracy;     /* on_step: of the step; on_epoch: of the epoch */
    float val_loss, val_accuracy; /* on_epoch with validation, else 0 */
    float learning_rate;
    int improved;             /* on_epoch: 1 where the watched loss is the best so far */
} detnn_progress;

/* What a callback of fit answers: PAUSE returns from fit with everything kept for a later fit to go on; FINISH
 * ends it as patience does (an epoch under way is given up, restore_best restores). */
enum { DETNN_GO_ON = 0, DETNN_PAUSE = 1, DETNN_FINISH = 2 };

/* How to fit. Start from detnn_fit_desc_default(); defaults in brackets. */
typedef struct detnn_fit_desc {
    uint64_t epochs;              /* [1] epochs to complete; one that was stopped counts when it is completed */
    size_t batch_size;            /* [32] */
    int shuffle;                  /* [1] 0: in the order of the data */
    float validation_split;       /* [0] the last share of the data is for validation, 0 <= s < 1 */
    const detnn_data *validation; /* [null] data of its own for validation (then no split) */
    uint64_t patience;            /* [0: off] stop after this many epochs without a better loss (of
                                     validation where there is one, else of training) */
    float min_delta;              /* [0] better means lower by more than this */
    int restore_best;             /* [0] 1: end with the weights of the best epoch (desc.keep_best); not where
                                     a callback pauses */
    int restart;                  /* [0] 1: forget a fit that was paused and begin a new one */
    int (*on_step)(void *user, detnn_net *net, const detnn_progress *progress);  /* gives a */
    int (*on_epoch)(void *user, detnn_net *net, const detnn_progress *progress); /* DETNN_GO_ON ... */
    void *user; /* callbacks may read, predict, evaluate arrays, set weights and the learning rate;
                   they may not train net */
} detnn_fit_desc;

typedef struct detnn_metrics {
    float loss, accuracy, mean_absolute_error;
    size_t count; /* samples */
} detnn_metrics;

/* ==== 3. Public, level 1: create, fit, evaluate, predict, digest ======================================== */

/* Defaults, to be changed field by field. */
DETNN_API detnn_net_desc detnn_net_desc_default(void);
DETNN_API detnn_data detnn_data_default(void);         /* everything empty */
DETNN_API detnn_fit_desc detnn_fit_desc_default(void);
DETNN_API detnn_schedule detnn_schedule_default(void); /* constant, period 1, gamma 1 */

/* Optimizers with the defaults of C10.
 * SGD: momentum as in PyTorch (Sutskever et al. 2013 with lr outside). Adam: Kingma, Ba 2015, epsilon
 * outside the root, as PyTorch. AdamW: Loshchilov, Hutter 2019. RMSprop: Hinton's lecture 6e, as
 * PyTorch, rho and epsilon as Keras. */
DETNN_API detnn_optimizer detnn_sgd(float learning_rate);
DETNN_API detnn_optimizer detnn_sgd_momentum(float learning_rate, float momentum, int nesterov);
DETNN_API detnn_optimizer detnn_adam(float learning_rate);
DETNN_API detnn_optimizer detnn_adamw(float learning_rate, float weight_decay);
DETNN_API detnn_optimizer detnn_rmsprop(float learning_rate);

/* Makes a net with its starting weights. On failure *net is null.
 * create: memory from desc->allocator or malloc. init: inside block (any alignment, at least
 * detnn_net_size bytes, the caller's until destroy). size: that number of bytes, exactly.
 * Errors: NULL, VALUE, SHAPE, SIZE, MEMORY, FEATURE; the sentence names the layer and field. */
DETNN_API detnn_result detnn_net_create(detnn_net **net, const detnn_net_desc *desc, detnn_error *err);
DETNN_API detnn_result detnn_net_init(detnn_net **net, const detnn_net_desc *desc, void *block, size_t block_size,
                                      detnn_error *err);
DETNN_API detnn_result detnn_net_size(const detnn_net_desc *desc, size_t *size, detnn_error *err);
DETNN_API void detnn_net_destroy(detnn_net *net); /* null is allowed; a block given to init stays the caller's */

/* A second net, equal in every bit of weights and training state, from the same memory provider as the
 * first was created with (a net made by detnn_net_init cannot be copied so: init another, then
 * detnn_snapshot and detnn_restore). */
DETNN_API detnn_result detnn_net_copy(detnn_net **copy, const detnn_net *net, detnn_error *err);

/* Trains. See detnn_fit_desc and M4. A fit that a callback pauses returns DETNN_OK; the next fit goes on with it
 * (unless fit.restart), so it needs the same data. A fit that fails before its first step has made no step,
 * but may have taken standardize's statistics and begun to count for early stopping.
 * Errors: NULL, VALUE, SHAPE, SIZE, DATA (which sample, which element), NONFINITE (which epoch and step:
 * the loss, a gradient or a new weight is not finite, the net is as after the step before), CALLBACK, STATE. */
DETNN_API detnn_result detnn_fit(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit, detnn_error *err);

/* Shows how a long fit goes on:
 *     detnn_progress_bar bar = detnn_progress_bar_default();
 *     detnn_show_progress(&fit, &bar);
 * after all else in fit is set; callbacks that are there are called as before, with their own user. In a terminal it
 * is one line, renewed every second: epoch, share done, samples a second, time left, loss (of the step in the first
 * epoch, then of the last epoch), validation loss. Elsewhere it is a line after each epoch, without times: the same
 * text in every run. bar is used until the fit has ended, and can be shown again after that. */
typedef struct detnn_progress_bar {
    int (*write)(void *user, const char *text, size_t length); /* [to stderr; null, nothing, with DETNN_NO_STDIO] */
    uint64_t (*clock)(void *user); /* [time(); null with DETNN_NO_STDIO] seconds from any moment on; null: no times */
    void *user;                    /* [null] of write and clock */
    int terminal;                  /* [1 where stderr is one] */
    detnn_fit_desc fit;            /* from here on its own: fit as it was */
    uint64_t first, since, now, skipped; /* first epoch; second counted from, second shown; samples before since */
    size_t length;                 /* of the line that stands in the terminal */
    int started, timed;
    float loss, val_loss;
} detnn_progress_bar;
DETNN_API detnn_progress_bar detnn_progress_bar_default(void);
DETNN_API void detnn_show_progress(detnn_fit_desc *fit, detnn_progress_bar *bar);

/* One step on all samples of data, as one batch in their order (online learning: count = 1).
 * loss: the step's mean loss before the update, or null. Errors as fit. */
DETNN_API detnn_result detnn_train_batch(detnn_net *net, const detnn_data *data, float *loss, detnn_error *err);

/* Loss and metrics over all samples of data; never drops, changes nothing. Errors as fit. */
DETNN_API detnn_result detnn_evaluate(detnn_net *net, const detnn_data *data, detnn_metrics *metrics, detnn_error *err);

/* x: [count][inputs] -> y: [count][outputs], apart from x. Never drops. The bits of a row depend on
 * that row alone. predict uses the net's own scratch memory; predict_const takes the caller's (at least
 * detnn_predict_size(net, rows) bytes for parts of `rows` samples, any alignment), leaves the net
 * untouched and so may run in many threads at once. Errors: NULL, SIZE, MEMORY, STATE. */
DETNN_API detnn_result detnn_predict(detnn_net *net, const float *x, size_t count, float *y, detnn_error *err);
DETNN_API detnn_result detnn_predict_const(const detnn_net *net, const float *x, size_t count, float *y,
                                           void *scratch, size_t scratch_size, detnn_error *err);
DETNN_API size_t detnn_predict_size(const detnn_net *net, size_t rows); /* 0 where it overflows */

/* Standardize layer: takes mean and deviation from the samples of data. (fit does so by itself where it
 * has not been done.) Errors as fit. */
DETNN_API detnn_result detnn_adapt(detnn_net *net, const detnn_data *data, detnn_error *err);

/* Digests as text (C11), written to out and returned: of the weights; of weights and training state; of
 * an array of floats as one tensor. */
#define DETNN_DIGEST_TEXT 65
DETNN_API char *detnn_digest(const detnn_net *net, char out[DETNN_DIGEST_TEXT]);
DETNN_API char *detnn_state_digest(const detnn_net *net, char out[DETNN_DIGEST_TEXT]);
DETNN_API char *detnn_tensor_digest(const float *values, size_t count, char out[DETNN_DIGEST_TEXT]);

/* What a net is and where its training stands. */
typedef struct detnn_net_info {
    size_t inputs, outputs, layer_count;
    size_t parameters, trainable; /* weights in all, and those of layers that are not frozen */
    uint64_t step, epoch;         /* done, from creation */
    size_t position, samples;     /* of an epoch under way: samples done and in all; 0, 0 between fits */
    float best_loss;              /* of early stopping; +infinity before the first epoch */
    uint64_t best_epoch, stale_epochs;
    detnn_isa isa;                /* the kernels in use */
    detnn_device device;          /* where it computes */
    size_t memory;                /* bytes, all of them */
} detnn_net_info;
DETNN_API detnn_net_info detnn_info(const detnn_net *net);

/* Writes a table of layers with shapes and parameter counts to text (at most size bytes, terminated where
 * size > 0) and returns the length of the whole table without the terminator. */
DETNN_API size_t detnn_summary(const detnn_net *net, char *text, size_t size);

/* Names of codes and kinds, "?" for an unknown one. */
DETNN_API const char *detnn_result_text(detnn_result code);
DETNN_API const char *detnn_isa_name(detnn_isa isa);
DETNN_API const char *detnn_activation_name(detnn_activation activation);

/* Checks in milliseconds that this build keeps the contract on this machine: arithmetic, contraction, subnormals and
 * rounding (under the guard that every entry point has), fma, exact functions, generators, SHA-256, and every
 * kernel of every set against plain C. Uses about 16 KB of stack. Error: SELFTEST, what failed. */
DETNN_API detnn_result detnn_selftest(detnn_error *err);

#if DETNN_THREADS
/* A pool of threads for nets that are described with
 *     desc.parallel_for = detnn_pool_for; desc.parallel_user = pool; desc.workers = detnn_pool_threads(pool);
 * It may serve many nets; where two want it at the same time, the second computes on its own thread alone. threads
 * counts the caller's (1 .. DETNN_WORKERS_MAX), 0 asks for one for each processor. Destroy it after its nets.
 * Errors: NULL, VALUE, MEMORY (also where the system gives no threads). */
typedef struct detnn_pool detnn_pool;
DETNN_API detnn_result detnn_pool_create(detnn_pool **pool, size_t threads, detnn_error *err);
DETNN_API void detnn_pool_destroy(detnn_pool *pool);
DETNN_API size_t detnn_pool_threads(const detnn_pool *pool);
DETNN_API void detnn_pool_for(void *pool, detnn_task task, void *arg, size_t count);
#endif

/* ==== 4. Public, level 2: forward, backward, step; weights, snapshots; trace ============================ */

/* One's own loop. forward computes y [count][outputs] (or null) in training mode (with dropout) and keeps
 * what backward needs; backward takes the gradient of the step's loss with respect to y, dy
 * [count][outputs], adds the part's gradients, and gives dx [count][inputs] where it is not null; step
 * applies them and clears. Forward and backward may alternate over several parts before one step: every
 * part but the last has the same 64 * 2^k samples, the last no more than that, and there are at most
 * parts_max (M2). Dropout counts rows over the parts. Loss scaling is the caller's
 * (C9: by 1 / all samples of the step).
 * Errors: NULL, SIZE, STATE (order of calls, parts), NONFINITE (step: the net as before, gradients kept). */
DETNN_API detnn_result detnn_forward(detnn_net *net, const float *x, size_t count, float *y, detnn_error *err);
DETNN_API detnn_result detnn_backward(detnn_net *net, const float *dy, float *dx, detnn_error *err);
DETNN_API detnn_result detnn_step(detnn_net *net, detnn_error *err);
DETNN_API void detnn_clear_gradients(detnn_net *net); /* forgets what forward and backward gathered */

/* Weights by layer and name; null where there is no such tensor, or a packed one. rows and cols (each may be null) get
 * the shape, [rows][cols] for a kernel and [1][cols] else. The pointer stays valid for the net's life. The
 * gradient is that of the last step (clipped), or of one part before it; null without training. */
DETNN_API const float *detnn_weights(const detnn_net *net, size_t layer, detnn_tensor tensor, size_t *rows,
                                     size_t *cols);
DETNN_API const float *detnn_gradient(const detnn_net *net, size_t layer, detnn_tensor tensor, size_t *rows,
                                      size_t *cols);
/* Copies count values in; the count must be the tensor's, the values finite. */
DETNN_API detnn_result detnn_weights_set(detnn_net *net, size_t layer, detnn_tensor tensor, const float *values,
                                         size_t count, detnn_error *err);
/* Freezes (1) or thaws (0) a dense layer. */
DETNN_API detnn_result detnn_freeze(detnn_net *net, size_t layer, int frozen, detnn_error *err);
/* Changes the learning rate from the next step on. */
DETNN_API detnn_result detnn_set_learning_rate(detnn_net *net, float learning_rate, detnn_error *err);
/* Moves the net, between steps: what was computed and what will be has the same bits on both (M8). Errors: STATE,
 * FEATURE (a build without DETNN_CUDA), MEMORY (of the GPU), DEVICE; the net then stays on the CPU. */
DETNN_API detnn_result detnn_set_device(detnn_net *net, detnn_device device, detnn_error *err);

/* Rollback: copies weights and training state into the caller's memory and back (the same net, or one of
 * the same description); what is frozen stays as it is. size is that of detnn_snapshot_size. Errors: NULL, MEMORY,
 * SHAPE, DATA. */
DETNN_API size_t detnn_snapshot_size(const detnn_net *net);
DETNN_API detnn_result detnn_snapshot(const detnn_net *net, void *memory, size_t size, detnn_error *err);
DETNN_API detnn_result detnn_restore(detnn_net *net, const void *memory, size_t size, detnn_error *err);

/* A record of training, to find where two runs part. For every step, lines "step layer tensor shape digest",
 * step counting steps done before, all values as they were used:
 *     - input             the batch [rows][inputs], gathered
 *     l output            of every layer, first to last, after its activation (the last: before a softmax or
 *                         sigmoid that the loss takes in, C9)
 *     - loss              shape 1, the bits instead of a digest (not in one's own loop)
 *     l output.gradient   of the last layer only: the loss's gradient for its output
 *     l input.gradient    from the last layer down to the lowest that must be known
 *     l kernel.gradient, bias.gradient    of layers that are not frozen, before clipping and decay
 *     l kernel, bias      the same after the update
 * The record does not depend on the parts a batch is cut into (but for the order of lines of
 * elements). Steps in [full_from, full_to) have all
 * elements too, before those lines: "step layer tensor @index word word ...", up to 8 words of 8 hexadecimal
 * digits, index that of the first. write gets pieces of text and returns 0; where it does not, the step is
 * made all the same and the call returns CALLBACK after it. examples/trace_diff.c compares two records. */
typedef struct detnn_trace_desc {
    int (*write)(void *user, const char *text, size_t length);
    void *user;
    uint64_t from, to;           /* steps in [from, to) are recorded */
    uint64_t full_from, full_to; /* of these, steps in [full_from, full_to) in full */
} detnn_trace_desc;
DETNN_API detnn_trace_desc detnn_trace_desc_default(void); /* all steps, none in full */
/* Starts recording into trace->write; null stops. The net needs desc.trace. */
DETNN_API detnn_result detnn_trace_start(detnn_net *net, const detnn_trace_desc *trace, detnn_error *err);

/* ==== 5. Public, level 3: the building blocks on plain arrays =========================================== */

/* These choose their kernels by themselves and allocate nothing. Sizes of 0 are allowed unless noted.
 * They do not guard the floating-point environment: call them in round-to-nearest with subnormals on,
 * the state every thread starts in (section 7 is for the entry points above). */

/* Philox4x32-10: key is the seed, out gets four words (C6). */
DETNN_API void detnn_philox(uint64_t key, const uint32_t counter[4], uint32_t out[4]);
/* Words first, first + 1, ... first + count - 1 of the user's stream (purpose 5) at step and layer
 * (layer < 2^24, words below 2^34). The two after it give fma(high - low, u, low) and fma(deviation, z, mean)
 * of the same elements (C6): element e is the same whatever first is. */
DETNN_API void detnn_random_words(uint64_t seed, uint64_t step, uint32_t layer, uint64_t first, size_t count,
                                  uint32_t *out);
DETNN_API void detnn_random_uniform(uint64_t seed, uint64_t step, uint32_t layer, uint64_t first, size_t count,
                                    float low, float high, float *out);
DETNN_API void detnn_random_normal(uint64_t seed, uint64_t step, uint32_t layer, uint64_t first, size_t count,
                                   float mean, float deviation, float *out);

/* SplitMix64 (Steele, Lea, Flood 2014; Vigna's splitmix64.c): returns the next of the sequence at *state. */
DETNN_API uint64_t detnn_splitmix64(uint64_t *state);
/* xoshiro256++ 1.0 (Blackman, Vigna 2019), a sequential generator for whatever is not keyed. seed fills
 * the state by SplitMix64; jump is 2^128 calls of next, long_jump 2^192. */
typedef struct detnn_rng { uint64_t s[4]; } detnn_rng;
DETNN_API void detnn_rng_seed(detnn_rng *rng, uint64_t seed);
DETNN_API uint64_t detnn_rng_next(detnn_rng *rng);
DETNN_API void detnn_rng_jump(detnn_rng *rng);
DETNN_API void detnn_rng_long_jump(detnn_rng *rng);
DETNN_API float detnn_rng_uniform(detnn_rng *rng);                /* (next >> 40) * 2^-24, in [0, 1) */
DETNN_API uint64_t detnn_rng_below(detnn_rng *rng, uint64_t bound); /* unbiased, 0 .. bound-1 (Lemire 2019 on 64
                                                                     bits); 0 for bound 0 */
/* mean + deviation * normal as in C6, each pair from one next: a its high, b its low 32 bits. */
DETNN_API void detnn_rng_normal(detnn_rng *rng, size_t count, float mean, float deviation, float *out);
/* Fisher-Yates from the last element down, with detnn_rng_below(i + 1), on count elements of size bytes. */
DETNN_API void detnn_shuffle(detnn_rng *rng, void *array, size_t count, size_t size);

/* Element i of the order of an epoch of count samples (C6), i < count. */
DETNN_API uint64_t detnn_epoch_order(uint64_t seed, uint64_t epoch, uint64_t count, uint64_t i);

/* Fills w [inputs][units] (bias: inputs = the fan in of its kernel, one row of units) as a net with this
 * seed does for this layer (C7). Errors: NULL, VALUE, SIZE. */
DETNN_API detnn_result detnn_initialize(const detnn_initializer *initializer, uint64_t seed, uint32_t layer,
                                        detnn_tensor tensor, size_t inputs, size_t units, float *w, detnn_error *err);

/* Sums along a vector (C4). max: -infinity for none. argmax: 0 for none. */
DETNN_API float detnn_sum(const float *x, size_t n);
DETNN_API float detnn_dot(const float *x, const float *y, size_t n);
DETNN_API float detnn_max(const float *x, size_t n);
DETNN_API size_t detnn_argmax(const float *x, size_t n);
/* The sum over samples of C3. */
DETNN_API float detnn_batch_sum(const float *x, size_t n);
/* y = softmax(x), as C8; y may be x. */
DETNN_API void detnn_softmax(const float *x, size_t n, float *y);

/* The three products of C2. z [rows][out] = x w + b (b may be null); dx [rows][in] = dz w^T; dw [in][out] and db [out]
 * (may be null) summed over rows. Outputs are apart from inputs. scratch: detnn_dense_scratch(rows, in, out) floats,
 * which may be none; detnn_dense_forward also takes null, and is slower then. */
DETNN_API size_t detnn_dense_scratch(size_t rows, size_t in, size_t out);
DETNN_API void detnn_dense_forward(const float *x, const float *w, const float *b, size_t rows, size_t in, size_t out,
                                   float *z, float *scratch);
DETNN_API void detnn_dense_input_gradient(const float *dz, const float *w, size_t rows, size_t in, size_t out,
                                          float *dx, float *scratch);
DETNN_API void detnn_dense_weight_gradient(const float *x, const float *dz, size_t rows, size_t in, size_t out,
                                           float *dw, float *db, float *scratch);

/* y = activation(z); alpha as in detnn_layer; y may be z. Not softmax. */
DETNN_API void detnn_activate(detnn_activation activation, float alpha, const float *z, size_t n, float *y);

/* One update of w [n] by g [n] at step t (steps done, 0 for the first), as C10 after clipping; moment1 and
 * moment2 [n] where the optimizer has them (else null). decay: 1 applies weight_decay.
 * Errors: NULL, VALUE. */
DETNN_API detnn_result detnn_optimizer_update(const detnn_optimizer *optimizer, const detnn_schedule *schedule,
                                              uint64_t t, int decay, size_t n, const float *g, float *w, float *moment1,
                                              float *moment2, detnn_error *err);
/* The learning rate at step t, rounded to float. */
DETNN_API float detnn_learning_rate(const detnn_optimizer *optimizer, const detnn_schedule *schedule, uint64_t t);

/* Correctly rounded elementary functions (C5), of one value and of arrays (y[i] = f(x[i]) for i < n; y may
   be x, else they do not overlap). Tried against MPFR (make prove) on 2026-11-21, gcc 12.2, on a Xeon with
   AVX-512. On all 2^32 inputs, 0 wrong: AVX2, AVX-512 and SSE2 (1 to 2 minutes of processor time for a function);
   scalar without fma (20 minutes; the last six from gelu on as a loop that gcc vectorised without fma) and with it (in
   such a loop). On samples of 2^24 to 2^28 inputs, 0 wrong: NEON.

   How: the value is computed in binary64 to within E units in its last place (ulps, below), and rounded to binary32
   once. That is right unless the exact value lies within E ulps of the middle of two floats. So values within 16
   ulps of a middle are looked at again, by their input: a short table has all those that are nearer than E, and some
   more. E is the largest error met, rounded up, with and without fused multiply-add, in samples of every binade. The
   "hardest" case below is the input whose exact value is nearest to a middle, and its distance. No result depends on
   the contraction of a * b + c.

   With AVX2 and AVX-512, all but erf, sin2pi and cos2pi first try values of less precision: M = 2^-36 and 2^-40 for
   expm1, tanh and silu_grad, 2^-39 and 2^-38 for the others. Where every value of a vector is further than M of
   itself from a middle, and no input is a special case (|x| >= 87, a subnormal result, x near silu_grad's root),
   rounding them is right; else the vector is computed as above. Their errors: e^x = s (1 + r p(r)), with s from a
   table of 8 or 16, is right to 2^-40.6 and 2^-38.5, the p of expm1 to 2^-36.06 and 2^-41.09 of itself; log(1 + f)
   to 2^-40.7 and 2^-42.6, gelu's polynomial to 2^-43.1, gelu_grad's to 2^-41.2 (proven by Sollya's supnorm; rounding
   adds less than 2^-45). A quotient is right to 2^-52, or with AVX-512, from a reciprocal of 14 bits, to 2^-42.
   Beside its root silu_grad magnifies the error of e^x by 2^4.1, gelu's polynomial that of its argument by 2^0.7,
   tanh, where p's counts, that of e^x - 1 by 2^0.03; nothing else magnifies any. In all, 2^-36.03 and 2^-40.4 (tanh)
   for the first three, 2^-39.6 (softplus) and 2^-38.3 (gelu) for the others.

   Where binary64 is software (DETNN_INTEGER_FUNCTIONS), exp, log, expm1, tanh, sigmoid, softplus, silu and
   silu_grad are computed in 64-bit fixed point, from products of 32 bits. With a = |x|, a / log(2) = n + (j + f)/16
   is right to 2^-63, and e^-a = 2^-n T[j] (1 - f S(f)): a table of 16, and a polynomial of degree 6 that is right
   to 2^-64.4. The error is below 2^-59.1 of the value. Where n = j = 0, 1 - e^-a is f S(f), with an f of as many
   digits as x; else it is at least 0.04: its error is below 2^-55.6 of it. The others are made of these two, 1/d by
   Newton's method (2^-59.4), and log z = 2 atanh((z - 1) / (z + 1)), |log z| < 0.35, a polynomial of degree 8
   (2^-57.1 with its division). In all, in ulps: exp 0.02, expm1 and tanh 0.2, sigmoid and silu 0.07, log 0.03,
   softplus 0.06, and 0.03 where x > -0.88, silu_grad 0.2, and 2^-61 near its root. No value is nearer to a middle
   but the ties of sigmoid and silu, |x| < 2^-12, which 1/2 + x/4 - x^3/48 decides, and those of silu_grad, |x| <
   2^-15, alike. So there is no table of inputs, no second try, and no binary64. Tried as above on all 2^32 inputs,
   0 wrong.

   Cortex-M4 (binary32 in hardware), gcc 12.2 -Os: flash of one function with all that it calls and its constants, and
   instructions per call (bench/m4.sh: qemu counts them; arguments from -8 to 8). Functions share parts: the eight
   together take 3.7 KB, in binary64 6.2 KB.
                  integers             binary64                                 binary64
      exp         864 B    215      2716 B   1426           log1p       3304 B   2552
      log        1144 B    468      3256 B   2357           erf         3176 B   3359
      expm1      1208 B    317      2900 B   2009           gelu        3996 B   5071
      tanh       1040 B    297      3000 B   2721           gelu_grad   3884 B   5133
      sigmoid    1208 B    291      2996 B   2084           sin2pi      2872 B   1763
      softplus   1800 B    616      3692 B   3739           cos2pi      3140 B   1881
      silu       1280 B    304      3076 B   2220
      silu_grad  1824 B    442      3380 B   2509 */
#define DETNN_FUNCTIONS(F) /* their names, for lists */                                                  \
    F(exp) F(log) F(expm1) F(log1p) F(tanh) F(sigmoid) F(softplus) F(erf) F(gelu) F(silu)               \
    F(gelu_grad) F(silu_grad) F(sin2pi) F(cos2pi)

/* e^x. exp(+-0) = 1, exp(-inf) = +0, exp(+inf) = +inf. +inf from 0x42b17218 (88.72), +0 from 0xc2cff1b5 (-103.97),
   subnormal from 0xc2aeac50 (-87.34). 1 from 0xb3000000 (-2^-25) to 0x337fffff. E = 1.2; hardest 0xc16912cd, 1.265:
   no table. */
DETNN_API float detnn_exp(float x);
DETNN_API void detnn_exp_n(const float *x, size_t n, float *y);

/* Natural logarithm. log(+-0) = -inf, log(x < 0) = NaN, log(1) = +0, log(+inf) = +inf. E = 0.8; hardest 0x65d890d3,
   0.030. */
DETNN_API float detnn_log(float x);
DETNN_API void detnn_log_n(const float *x, size_t n, float *y);

/* e^x - 1. expm1(+-0) = +-0, expm1(-inf) = -1, expm1(+inf) = +inf. -1 from 0xc18aa123 (-17.33), +inf from 0x42b17218
   (88.72); x itself for |x| <= 0x33b504f3 (8.4e-8). E = 2.2; hardest 0x3dc252dd, 0.91. */
DETNN_API float detnn_expm1(float x);
DETNN_API void detnn_expm1_n(const float *x, size_t n, float *y);

/* log(1 + x). log1p(+-0) = +-0, log1p(-1) = -inf, log1p(x < -1) = NaN, log1p(+inf) = +inf; x itself for |x| <=
   0x33b504f2 (8.4e-8). E = 0.8; hardest 0x35400003, 7e-5 (x - x^2/2 + x^3/3 is nearly a tie). */
DETNN_API float detnn_log1p(float x);
DETNN_API void detnn_log1p_n(const float *x, size_t n, float *y);

/* Hyperbolic tangent. tanh(+-0) = +-0, tanh(+-inf) = +-1. +-1 from |x| = 0x41102cb4 (9.011); x itself for |x| <=
   0x39b89ba2 (3.5e-4). E = 2.4; hardest 0x3ac37de2, 5.04: no table. */
DETNN_API float detnn_tanh(float x);
DETNN_API void detnn_tanh_n(const float *x, size_t n, float *y);

/* 1 / (1 + e^-x). sigmoid(+-0) = 1/2, sigmoid(-inf) = +0, sigmoid(+inf) = 1. 1 from 0x418aa123 (17.33), +0 from
   0xc2cff1b5 (-103.97). E = 2.6; hardest 0xba928601, 0.25, apart from |x| < 2^-12, where 1/2 + x/4 is often a tie
   and -x^3/48 decides. */
DETNN_API float detnn_sigmoid(float x);
DETNN_API void detnn_sigmoid_n(const float *x, size_t n, float *y);

/* log(1 + e^x). softplus(+-0) = log(2) = 0x3f317218, softplus(-inf) = +0, softplus(+inf) = +inf. x itself from
   0x4168e5c0 (14.56), +0 from 0xc2cff1b5 (-103.97). E = 1.9; hardest 0x39ea41d0, 0.044. */
DETNN_API float detnn_softplus(float x);
DETNN_API void detnn_softplus_n(const float *x, size_t n, float *y);

/* Error function. erf(+-0) = +-0, erf(+-inf) = +-1. +-1 from |x| = 0x407ad445 (3.919). E = 3.8; hardest 0x3940ead6,
   0.084. */
DETNN_API float detnn_erf(float x);
DETNN_API void detnn_erf_n(const float *x, size_t n, float *y);

/* x * Phi(x), Phi the normal distribution function (the exact GELU, not the tanh one). gelu(+-0) = +-0, gelu(-inf) =
   -0, gelu(+inf) = +inf. x itself from 0x40ab1ed9 (5.348), -0 from 0xc165b275 (-14.36). For |x| < 2^-125 the value
   is just above x/2, often a tie. E = 5.3; hardest 0x37b0a46f, 0.54. */
DETNN_API float detnn_gelu(float x);
DETNN_API void detnn_gelu_n(const float *x, size_t n, float *y);

/* x / (1 + e^-x). silu(+-0) = +-0, silu(-inf) = -0, silu(+inf) = +inf. x itself from 0x41856a71 (16.68), -0 from
   0xc2d95214 (-108.66). For |x| < 2^-125 as GELU. E = 4.0; hardest 0xb3800000, 8e-8 (x/2 + x^2/4 is a tie). */
DETNN_API float detnn_silu(float x);
DETNN_API void detnn_silu_n(const float *x, size_t n, float *y);

/* The derivative of GELU: Phi(x) + x * phi(x). At +-0 1/2, at -inf -0, at +inf 1. 1 from 0x40bd200a (5.910), -0 from
   0xc168a95e (-14.54). E = 4.3; hardest 0x33206c99, 0.031. */
DETNN_API float detnn_gelu_grad(float x);
DETNN_API void detnn_gelu_grad_n(const float *x, size_t n, float *y);

/* The derivative of SiLU: s * (1 + x * (1 - s)), s = sigmoid(x). At +-0 1/2, at -inf -0, at +inf 1. 1 from
   0x419c7365 (19.56), -0 from 0xc2d94d4d (-108.65). E = 4.3 but near the root at -1.2785, where the absolute error
   is 2^-56 and only 0xbfa3a4e2 is nearer to a middle; hardest 0x3a928602, 0.77, apart from |x| < 2^-12, where 1/2 +
   x/2 is often a tie, as sigmoid. */
DETNN_API float detnn_silu_grad(float x);
DETNN_API void detnn_silu_grad_n(const float *x, size_t n, float *y);

/* sin(2 pi u) and cos(2 pi u), u any float, reduced exactly. Exact zeros are +0, whatever the sign of u, sin2pi(-0)
   too; +-inf gives NaN. From |u| = 2^23 on every u is an integer: sin2pi 0, cos2pi 1. cos2pi is 1 for |u| <=
   0x3822f983 (3.9e-5). E = 2.6 and 4.4; hardest 0x3d7d7f58 and 0x3e40a02a, 0.27. */
DETNN_API float detnn_sin2pi(float u);
DETNN_API void detnn_sin2pi_n(const float *u, size_t n, float *y);
DETNN_API float detnn_cos2pi(float u);
DETNN_API void detnn_cos2pi_n(const float *u, size_t n, float *y);

/* ==== 3, continued. Public, level 1: files, flash images, receipts ===================================== */

/* A model is a safetensors file (manual, M7; the format is in F1 to F4). The functions without a path are there with
 * DETNN_NO_STDIO too; read and write must not call functions on this net. Errors: NULL, STATE, FEATURE; FILE where
 * the disk fails, CALLBACK where write or read do not return 0, DATA for a file that is damaged or foreign. */
typedef struct detnn_save_desc {
    int state;               /* [0] 1: with the whole training state, to go on from */
    int test;                /* [1] 0: without a test vector (one input and its outputs, replayed at loading) */
    const float *test_input; /* [null] the input of the test vector, [inputs]; null: normal numbers */
} detnn_save_desc;
typedef struct detnn_load_desc {
    int weights_only;     /* [0] 1: takes the weights alone from a file that has a training state */
    int skip_test;        /* [0] 1: does not replay the test vector */
    size_t memory_max;    /* [no limit] the most bytes that a net which is made may need: set it for files that you do
                             not trust, as a net may need some thousand times the bytes of its file */
    size_t batch_max, parts_max;        /* [256, 1] and so on: of a net which is made, as in detnn_net_desc; */
    int keep_best, trace, predict_only; /* keep_best: where a training state is taken, as it was there */
    detnn_isa isa;
    detnn_allocator allocator; /* [malloc and free] also for what reading needs: one block of the file's size */
    detnn_parallel_for parallel_for; /* [null, null, 1, 250000] */
    void *parallel_user;
    size_t workers, task_work;
} detnn_load_desc;
DETNN_API detnn_save_desc detnn_save_desc_default(void);
DETNN_API detnn_load_desc detnn_load_desc_default(void);

/* Saves; desc may be null (a model alone). save_size: the bytes that save_memory needs, exactly. save_write hands
 * the file to write piece by piece. detnn_save replaces path in one step: at every moment, whatever fails, path is
 * the old file or the new one, whole (M7). A net of which a step of forward and backward is under way can be
 * saved, but not with its state. May be called from on_step and on_epoch. */
DETNN_API detnn_result detnn_save_size(detnn_net *net, const detnn_save_desc *desc, size_t *size, detnn_error *err);
DETNN_API detnn_result detnn_save_memory(detnn_net *net, void *memory, size_t size, const detnn_save_desc *desc,
                                         detnn_error *err);
DETNN_API detnn_result detnn_save_write(detnn_net *net, int (*write)(void *user, const void *bytes, size_t size),
                                        void *user, const detnn_save_desc *desc, detnn_error *err);
/* Makes the net that the file describes, with its training state where it has one; desc may be null. On failure
 * *net is null. Memory is used in place and need not be aligned; load_read asks read for size bytes in all, in
 * pieces, and needs memory for them. */
DETNN_API detnn_result detnn_load_memory(detnn_net **net, const void *bytes, size_t size, const detnn_load_desc *desc,
                                         detnn_error *err);
DETNN_API detnn_result detnn_load_read(detnn_net **net, int (*read)(void *user, void *to, size_t size), void *user,
                                       size_t size, const detnn_load_desc *desc, detnn_error *err);
/* The same into a net that is there (of desc: weights_only, skip_test, allocator); a failed call leaves it as it was.
 * A file with a description must agree with the net: in what predicts, and for a training state in all that trains.
 * One without (of PyTorch) has the tensors of F1 in float32. What the file has no state of stays as it is. load_into
 * from memory allocates nothing. */
DETNN_API detnn_result detnn_load_into_memory(detnn_net *net, const void *bytes, size_t size,
                                              const detnn_load_desc *desc, detnn_error *err);
DETNN_API detnn_result detnn_load_into_read(detnn_net *net, int (*read)(void *user, void *to, size_t size), void *user,
                                            size_t size, const detnn_load_desc *desc, detnn_error *err);
/* The description in a file, for a net inside one's own memory (detnn_net_size, detnn_net_init, then
 * detnn_load_into_memory): fills desc, what is not in the file with its defaults, and the layers, of which there is
 * room for layers_max; desc->layers points to them. MEMORY where they do not suffice, desc->layer_count says how many
 * there are. */
DETNN_API detnn_result detnn_file_desc(const void *bytes, size_t size, detnn_net_desc *desc, detnn_layer *layers,
                                       size_t layers_max, detnn_error *err);

/* A net as C source for flash: description and weights as constants, used where they lie (M7). */
#define DETNN_PACKINGS(X)                                                                               \
    X(DETNN_FLOAT32,  "float32")                                                                        \
    X(DETNN_BFLOAT16, "bfloat16")                                                                       \
    X(DETNN_INT8,     "int8")
#define DETNNI_ENUM(name, text) name,
typedef enum detnn_packing { DETNN_PACKINGS(DETNNI_ENUM) DETNN_PACKING_COUNT } detnn_packing;
#undef DETNNI_ENUM
typedef struct detnn_export_desc {
    const char *name;       /* ["model"] what all names in the source begin with: an identifier */
    detnn_packing packing;  /* [DETNN_FLOAT32] of the kernels; the others predict as a net whose kernels were rounded */
    int test;               /* [1] 0: without a test vector */
    const detnn_data *data; /* [null] samples on which to measure what the rounding costs */
} detnn_export_desc;
typedef struct detnn_export_cost {
    size_t bytes;                /* of the constants */
    float largest, relative;     /* the largest difference of a weight, and that over the largest weight of its layer */
    detnn_metrics before, after; /* on desc->data, count 0 without */
} detnn_export_cost;
DETNN_API detnn_export_desc detnn_export_desc_default(void);
/* cost may be null; it is in the source, too. Errors: VALUE (name), MEMORY (data needs a second net, from the net's
 * allocator), those of evaluate. */
DETNN_API detnn_result detnn_export_c_write(detnn_net *net, int (*write)(void *user, const void *bytes, size_t size),
                                            void *user, const detnn_export_desc *desc, detnn_export_cost *cost,
                                            detnn_error *err);

/* Fits as detnn_fit does and writes a receipt of it (F4): what was trained on what, and the digest of the training
 * state after every epoch. The net must be new: no step done. fit.on_step must be null; on_epoch may look and answer,
 * not change the net. Errors as fit. */
DETNN_API detnn_result detnn_fit_receipt_write(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                               int (*write)(void *user, const void *bytes, size_t size), void *user,
                                               detnn_error *err);
/* Does the run of a receipt again, on the same data, and compares. What net it was, the receipt says: so data (and
 * validation) must say of what width they are, in data.inputs and data.outputs. epochs (may be null): how many epochs
 * agreed. desc (may be null) has the memory of the net, as for loading. PARTED: at which epoch the runs part; DATA: the
 * receipt is damaged or of other data. */
DETNN_API detnn_result detnn_verify_receipt_text(const char *receipt, size_t length, const detnn_data *data,
                                                 const detnn_data *validation, const detnn_load_desc *desc,
                                                 uint64_t *epochs, detnn_error *err);
/* The digest of data in a receipt (F4), for a net of these inputs and outputs. */
DETNN_API detnn_result detnn_data_digest(detnn_net *net, const detnn_data *data, char out[DETNN_DIGEST_TEXT],
                                         detnn_error *err);

#if !DETNN_NO_STDIO
/* The same with files by path, of at most 4000 characters. */
DETNN_API detnn_result detnn_save(detnn_net *net, const char *path, const detnn_save_desc *desc, detnn_error *err);
DETNN_API detnn_result detnn_load(detnn_net **net, const char *path, const detnn_load_desc *desc, detnn_error *err);
DETNN_API detnn_result detnn_load_into(detnn_net *net, const char *path, const detnn_load_desc *desc,
                                       detnn_error *err);
DETNN_API detnn_result detnn_export_c(detnn_net *net, const char *path, const detnn_export_desc *desc,
                                      detnn_export_cost *cost, detnn_error *err);
DETNN_API detnn_result detnn_fit_receipt(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                         const char *path, detnn_error *err);
DETNN_API detnn_result detnn_verify_receipt(const char *path, const detnn_data *data, const detnn_data *validation,
                                            const detnn_load_desc *desc, uint64_t *epochs, detnn_error *err);
#endif

#ifdef __cplusplus
}
#endif

#endif /* DETNN_H */

/* ======================================================================================================== */
/* Implementation                                                                                           */
/* ======================================================================================================== */

#if defined(DETNN_IMPLEMENTATION) && !defined(DETNNI_DONE)

/* ==== 6. Platform ======================================================================================= */

#ifndef DETNNI_ISA /* sections 6 to 10 are read once; the kernel passes come back for section 11 alone */

#if DETNN_FREESTANDING && (!DETNN_NO_STDIO || !DETNN_NO_MALLOC)
#error "detnn.h: DETNN_FREESTANDING goes with DETNN_NO_STDIO and DETNN_NO_MALLOC"
#endif
#include <float.h>
#include <stdarg.h>
#if !DETNN_FREESTANDING
#include <string.h>
#endif
#if !DETNN_NO_MALLOC
#include <stdlib.h>
#endif
#if !DETNN_NO_STDIO
#include <errno.h>
#include <stdio.h>
#include <time.h>
#if defined(_WIN32)
#include <io.h>
#include <process.h>
#define DETNNI_TERMINAL() (_isatty(2) != 0) /* is stderr one? */
#elif defined(__unix__) || defined(__APPLE__)
#include <sys/stat.h>
#include <unistd.h>
#ifdef __APPLE__
#include <fcntl.h>
#endif
#define DETNNI_TERMINAL() (isatty(2) != 0)
#else
#define DETNNI_TERMINAL() 0
#endif
#endif
#if DETNN_THREADS && defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#elif DETNN_THREADS
#include <pthread.h>
#include <unistd.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define DETNNI_GNU 1
#else
#define DETNNI_GNU 0
#endif

#if DETNNI_GNU && !DETNN_PORTABLE && !DETNN_FREESTANDING && !defined(_MSC_VER) \
    && (defined(__x86_64__) || defined(__SSE2__))
#define DETNNI_X86 1 /* with intrinsics, whose header is a hosted one (clang-cl's leaves out a part) */
#else
#define DETNNI_X86 0
#endif
#if defined(__i386__) && !defined(__SSE2_MATH__) && defined(__GNUC__) && !defined(__clang__)
#define DETNNI_X87 1 /* gcc for the 387: told below to use SSE in this header */
#else
#define DETNNI_X87 0
#endif

/* What no pragma below can mend is refused here; what no macro shows is left to detnn_selftest. */
#if defined(_MSC_VER) && defined(_M_FP_FAST)
#error "detnn.h: compile the implementation with /fp:precise"
#endif
#if defined(__clang__) && defined(__FAST_MATH__) && !defined(__x86_64__) && !defined(__i386__)
#error "detnn.h: this compiler's -ffast-math cannot be undone from within: compile the implementation without it"
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#pragma fp_contract(off)
#endif
#if FLT_RADIX != 2 || FLT_MANT_DIG != 24 || DBL_MANT_DIG != 53
#error "detnn.h: float and double must be IEEE 754 binary32 and binary64"
#endif
#if defined(__FLT_EVAL_METHOD__) && !DETNNI_X87
#if __FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2
#error "detnn.h: float expressions must be evaluated in float (-msse2 -mfpmath=sse; s390x: -fexcess-precision=fast)"
#endif
#endif

/* No contraction, no re-association, whatever the flags of the program. Closed at the end of the header. */
#ifdef __NVCC__ /* it does not know some of them, and hands all on to the host's compiler */
#pragma nv_diagnostic push
#pragma nv_diag_suppress 1675, 550, 177
#endif
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wignored-pragmas" /* float_control: not on every target */
#pragma float_control(push)
#pragma float_control(precise, on)
#pragma clang fp contract(off) reassociate(off)
#ifdef __FAST_MATH__
#pragma clang fp exceptions(maytrap) /* else clang 14 turns an fma into a product and a sum */
#endif
#if defined(__ARM_FEATURE_MVE) /* 32-bit Arm's float vectors flush subnormals */
#pragma clang attribute push(__attribute__((target("no-mve.fp"))), apply_to = function)
#elif defined(__arm__) && defined(__ARM_NEON)
#pragma clang attribute push(__attribute__((target("no-neon"))), apply_to = function)
#endif
#elif defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" /* false in gcc 12's own AVX-512 header */
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC push_options
#if defined(__ARM_FEATURE_MVE)
#pragma GCC optimize("no-tree-vectorize") /* its float vectors flush subnormals */
#elif defined(__OPTIMIZE__)
#pragma GCC optimize("tree-vectorize", "vect-cost-model=dynamic") /* -O2 alone leaves the kernels' loops as they are */
#endif
#pragma GCC optimize("no-fast-math", "fp-contract=off", "no-unsafe-math-optimizations", "no-associative-math", \
                     "no-reciprocal-math", "no-finite-math-only", "signed-zeros", "trapping-math", \
                     "no-rounding-math", "no-single-precision-constant")
#if DETNNI_X87
#pragma GCC target("sse2,fpmath=sse")
#endif
#endif

#if DETNNI_GNU && !DETNN_PORTABLE && defined(__aarch64__) && defined(__ARM_NEON)
#define DETNNI_NEON 1
#include <arm_neon.h>
#else
#define DETNNI_NEON 0
#endif
#if DETNNI_X86
#include <immintrin.h>
#elif defined(_MSC_VER) && defined(_M_X64) && !DETNNI_GNU
#include <xmmintrin.h>
#endif
#if DETNNI_GNU && !DETNN_PORTABLE && defined(__wasm_simd128__)
#define DETNNI_WASM 1
#include <wasm_simd128.h>
#else
#define DETNNI_WASM 0
#endif

#if DETNNI_GNU
#define DETNNI_UNUSED   __attribute__((unused))
#define DETNNI_NOINLINE __attribute__((noinline, unused))
#define DETNNI_RESTRICT __restrict__
#elif defined(_MSC_VER)
#define DETNNI_UNUSED
#define DETNNI_NOINLINE __declspec(noinline)
#define DETNNI_RESTRICT __restrict
#else
#define DETNNI_UNUSED
#define DETNNI_NOINLINE
#define DETNNI_RESTRICT
#endif

/* Functions and small tables that GPU kernels use as well. */
#if DETNN_CUDA && !defined(__CUDACC__)
#error "detnn.h: with DETNN_CUDA the implementing unit is compiled by nvcc -x cu"
#elif DETNN_CUDA
#define DETNNI_BOTH __host__ __device__
#else
#define DETNNI_BOTH
#endif
#define DETNNI_INLINE static inline DETNNI_BOTH DETNNI_UNUSED
#ifdef __CUDA_ARCH__
#define DETNNI_BOTH_DATA static __device__ const
#else
#define DETNNI_BOTH_DATA static const
#endif

#if DETNNI_GNU
#define DETNNI_RARE(x) __builtin_expect(x, 0)
#define DETNNI_ALWAYS  static inline __attribute__((always_inline, unused)) /* under -Os too */
#else
#define DETNNI_RARE(x) (x)
#define DETNNI_ALWAYS  static inline
#endif

/* The sets of kernels, for #if. */
#define DETNNI_ISA_SCALAR 0
#define DETNNI_ISA_SSE2   1
#define DETNNI_ISA_AVX2   2
#define DETNNI_ISA_AVX512 3
#define DETNNI_ISA_NEON   4
#define DETNNI_ISA_WASM   5
#define DETNNI_ISA_CUDA   6 /* the exact functions alone; all else is in section 20 */
#define DETNNI_LANES (DETNNI_X86 ? 16 : DETNNI_NEON || DETNNI_WASM ? 4 : 1) /* floats in the widest register of them */

#define DETNNI_DATA static const /* small tables */

#define DETNNI_HAS(feature) (((DETNN_FEATURES) & DETNN_FEATURE_##feature) != 0)

#if DETNN_FREESTANDING && DETNNI_GNU
#define DETNNI_COPY(to, from, size) __builtin_memcpy(to, from, size)
#define DETNNI_ZERO(to, size)       __builtin_memset(to, 0, size)
#elif DETNN_FREESTANDING
static void detnni_copy(void *to, const void *from, size_t size)
{
    unsigned char *t = (unsigned char *)to;
    const unsigned char *f = (const unsigned char *)from;
    while (size--) *t++ = *f++;
}
static void detnni_zero(void *to, size_t size)
{
    unsigned char *t = (unsigned char *)to;
    while (size--) *t++ = 0;
}
#define DETNNI_COPY detnni_copy
#define DETNNI_ZERO detnni_zero
#else
#define DETNNI_COPY(to, from, size) memcpy(to, from, size)
#define DETNNI_ZERO(to, size)       memset(to, 0, size)
#endif

DETNNI_INLINE uint32_t detnni_float_bits(float x) { uint32_t b; DETNNI_COPY(&b, &x, 4); return b; }
DETNNI_INLINE float detnni_float(uint32_t b) { float x; DETNNI_COPY(&x, &b, 4); return x; }
DETNNI_INLINE uint64_t detnni_double_bits(double x) { uint64_t b; DETNNI_COPY(&b, &x, 8); return b; }
DETNNI_INLINE double detnni_double(uint64_t b) { double x; DETNNI_COPY(&x, &b, 8); return x; }
DETNNI_INLINE int detnni_finite(float x) { return (detnni_float_bits(x) & 0x7fffffff) < 0x7f800000; }
/* Comparisons that may meet a NaN look at the bits: under -ffinite-math-only compilers get them wrong. */
DETNNI_INLINE int detnni_nan(float x) { return (detnni_float_bits(x) & 0x7fffffff) > 0x7f800000; }
DETNNI_INLINE int detnni_positive(float x) { return detnni_float_bits(x) - 1 < 0x7f800000; }
DETNNI_INLINE int detnni_negative(float x) { return detnni_float_bits(x) - 0x80000001u < 0x7f800000; }
DETNNI_INLINE size_t detnni_min(size_t a, size_t b) { return a < b ? a : b; }

/* A product that something is added to: rounded before that, under clang's -ffp-contract=fast too, which the pragmas
 * above cannot undo. (Elsewhere the manual has fma, or bits that do not depend on it.) */
static inline DETNNI_UNUSED double detnni_rounded(double a, double b)
{
    volatile double p = a * b;
    return p;
}
#if defined(__clang__)
#define DETNNI_CONTRACTS 1 /* so it may, and nothing depends on it */
#else
#define DETNNI_CONTRACTS 0
#endif

/* floor(log2(n)), 0 for 0 */
static inline DETNNI_UNUSED size_t detnni_log2(size_t n)
{
    size_t l = 0;
    while (n >>= 1) l++;
    return l;
}

/* Does the target the program is compiled for have fma? Only then is the builtin certain to be the
 * instruction; C libraries' fmaf is wrong on several platforms. */
#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
#define DETNNI_HARDWARE_FMA 1
#elif defined(__riscv_flen)
#define DETNNI_HARDWARE_FMA (__riscv_flen >= 32)
#else
#define DETNNI_HARDWARE_FMA 0
#endif

/* fma without hardware. The product of two floats is exact in binary64. Their sum with c is rounded to odd
 * (where it is inexact, its last bit is 1), so that rounding it to float rounds the exact value once
 * (Boldo, Melquiond 2008). */
static DETNNI_UNUSED float detnni_fma_emulated(float a, float b, float c)
{
    double p = (double)a * (double)b, s = p + (double)c;
    double t = s - p, e = (p - (s - t)) + ((double)c - t); /* s + e = p + c exactly (Knuth's two-sum) */
    uint64_t bits = detnni_double_bits(s);
    if (e != 0.0 && !(bits & 1) && (bits & 0x7ff0000000000000u) != 0x7ff0000000000000u)
        s = detnni_double((e > 0.0) == (s > 0.0) ? bits + 1 : bits - 1);
    return (float)s;
}

/* Without an operating system clang takes its builtin for the C library's function, which may be wrong or missing. */
#if defined(__clang__) && !defined(__linux__) && !defined(__APPLE__) && !defined(_WIN32) \
    && (defined(__arm__) || defined(__aarch64__) || defined(__riscv))
#define DETNNI_FMA_ASM 1
#else
#define DETNNI_FMA_ASM 0
#endif

#if (defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMA)) && !DETNNI_FMA_ASM
#define DETNNI_FMA64 (!DETNN_PORTABLE) /* binary64, where results do not depend on it */
#else
#define DETNNI_FMA64 0
#endif

#if DETNNI_HARDWARE_FMA && DETNNI_FMA_ASM && !DETNN_PORTABLE
static inline DETNNI_UNUSED float detnni_fma_asm(float a, float b, float c)
{
#if defined(__arm__)
    __asm__("vfma.f32 %0, %1, %2" : "+t"(c) : "t"(a), "t"(b));
#elif defined(__aarch64__)
    __asm__("fmadd %s0, %s1, %s2, %s0" : "+w"(c) : "w"(a), "w"(b));
#else
    __asm__("fmadd.s %0, %1, %2, %0" : "+f"(c) : "f"(a), "f"(b));
#endif
    return c;
}
#define DETNNI_FMA_PLAIN(a, b, c) detnni_fma_asm(a, b, c)
#elif DETNNI_HARDWARE_FMA && !DETNN_PORTABLE
#define DETNNI_FMA_PLAIN(a, b, c) __builtin_fmaf(a, b, c)
#else
#define DETNNI_FMA_PLAIN(a, b, c) detnni_fma_emulated(a, b, c)
#endif

/* sqrt in binary64, digit by digit (after fdlibm's description of the method), so that no -lm is needed. */
static DETNNI_UNUSED double detnni_sqrt64(double x)
{
    uint64_t bits = detnni_double_bits(x), m, q = 0, s = 0, r;
    int e = (int)(bits >> 52 & 0x7ff);
    if (!(bits << 1) || (e == 0x7ff && (!(bits >> 63) || bits << 12))) return x; /* zeros, +infinity, NaN */
    if (bits >> 63) return detnni_double(0x7ff8000000000000u);
    m = bits & 0xfffffffffffffu;
    if (e == 0) for (e = 1; !(m >> 52); e--) m <<= 1; /* subnormal */
    m |= (uint64_t)1 << 52;
    e -= 1023;
    if (e & 1) { m <<= 1; e--; } /* the exponent is even, m in [2^52, 2^54) */
    m <<= 1;
    for (r = (uint64_t)1 << 53; r; r >>= 1) {
        if (s + r <= m) { m -= s + r; s += 2 * r; q += r; }
        m <<= 1;
    }
    if (m) q += q & 1;
    return detnni_double((q >> 1) + ((uint64_t)(e / 2 + 1022) << 52));
}

static inline DETNNI_UNUSED float detnni_sqrt(float x)
{
#if DETNNI_X86
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
#elif defined(__aarch64__) && DETNNI_GNU && !DETNN_PORTABLE
    float y;
    __asm__("fsqrt %s0, %s1" : "=w"(y) : "w"(x));
    return y;
#else
    return (float)detnni_sqrt64((double)x); /* 53 >= 2 * 24 + 2 bits: rounding twice is innocuous */
#endif
}

#if DETNN_CUDA
/* Arithmetic of the GPU's kernels: rounded once each, never contracted, and subnormals kept, under nvcc's
 * -use_fast_math and -ftz=true too, which change the operators and even __fmaf_rn. Kernels use nothing else. */
#ifdef __CUDA_ARCH__
#define DETNNI_PTX(name, operation) \
static __device__ inline float name(float a, float b) \
{ \
    float c; \
    asm(operation " %0, %1, %2;" : "=f"(c) : "f"(a), "f"(b)); \
    return c; \
}
DETNNI_PTX(detnni_g_add, "add.rn.f32")
DETNNI_PTX(detnni_g_sub, "sub.rn.f32")
DETNNI_PTX(detnni_g_mul, "mul.rn.f32")
DETNNI_PTX(detnni_g_div, "div.rn.f32")
#undef DETNNI_PTX
static __device__ inline float detnni_g_fma(float a, float b, float c)
{
    float d;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(d) : "f"(a), "f"(b), "f"(c));
    return d;
}
static __device__ inline float detnni_g_sqrt(float a)
{
    float b;
    asm("sqrt.rn.f32 %0, %1;" : "=f"(b) : "f"(a));
    return b;
}
static DETNNI_BOTH inline float detnni_g_narrow(double a)
{
    float b;
    asm("cvt.rn.f32.f64 %0, %1;" : "=f"(b) : "d"(a));
    return b;
}
static DETNNI_BOTH inline double detnni_g_wide(float a)
{
    double b;
    asm("cvt.f64.f32 %0, %1;" : "=d"(b) : "f"(a));
    return b;
}
static __device__ inline int detnni_g_greater(float a, float b)
{
    int c;
    asm("{ .reg .pred p; setp.gt.f32 p, %1, %2; selp.s32 %0, 1, 0, p; }" : "=r"(c) : "f"(a), "f"(b));
    return c;
}
#else /* what the host's compiler sees of them */
static __device__ inline float detnni_g_add(float a, float b) { return a + b; }
static __device__ inline float detnni_g_sub(float a, float b) { return a - b; }
static __device__ inline float detnni_g_mul(float a, float b) { return a * b; }
static __device__ inline float detnni_g_div(float a, float b) { return a / b; }
static __device__ inline float detnni_g_fma(float a, float b, float c) { return DETNNI_FMA_PLAIN(a, b, c); }
static __device__ inline float detnni_g_sqrt(float a) { return detnni_sqrt(a); }
static DETNNI_BOTH inline float detnni_g_narrow(double a) { return (float)a; }
static DETNNI_BOTH inline double detnni_g_wide(float a) { return (double)a; }
static __device__ inline int detnni_g_greater(float a, float b) { return a > b; }
#endif
#define DETNNI_TO64(x)   detnni_g_wide(x)
#define DETNNI_TO32(x)   detnni_g_narrow(x)
#else
#define DETNNI_TO64(x)   ((double)(x))
#define DETNNI_TO32(x)   ((float)(x))
#endif

/* ==== 7. Floating-point guard =========================================================================== */

/* Entry points run in round to nearest, subnormals kept, exceptions masked, and give the caller's mode
 * back. The bodies are not inlined: compilers move arithmetic across a change of mode. */
#if DETNNI_GNU && (defined(__x86_64__) || defined(__SSE2__) || DETNNI_X87)
static uint64_t detnni_fp_enter(void)
{
    uint32_t csr, wanted = 0x1f80;
    __asm__ volatile("stmxcsr %0" : "=m"(csr));
    if ((csr & 0xffc0) != wanted) __asm__ volatile("ldmxcsr %0" : : "m"(wanted) : "memory");
    return csr;
}
static void detnni_fp_leave(uint64_t mode)
{
    uint32_t csr = (uint32_t)mode;
    if ((csr & 0xffc0) != 0x1f80) __asm__ volatile("ldmxcsr %0" : : "m"(csr) : "memory");
}
#elif defined(__aarch64__) && DETNNI_GNU
static uint64_t detnni_fp_enter(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    if (fpcr) __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
    return fpcr;
}
static void detnni_fp_leave(uint64_t fpcr)
{
    if (fpcr) __asm__ volatile("msr fpcr, %0" : : "r"(fpcr) : "memory");
}
#elif defined(__arm__) && defined(__ARM_FP) && DETNNI_GNU && !defined(__SOFTFP__)
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define DETNNI_FPSCR_MODE 0x07c00000u /* bits 16 to 18 are LTPSIZE here: loops fault where they change */
#else
#define DETNNI_FPSCR_MODE 0x07f79f00u
#endif
static uint64_t detnni_fp_enter(void)
{
    uint32_t fpscr;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(fpscr));
    if (fpscr & DETNNI_FPSCR_MODE) __asm__ volatile("vmsr fpscr, %0" : : "r"(fpscr & ~DETNNI_FPSCR_MODE) : "memory");
    return fpscr;
}
static void detnni_fp_leave(uint64_t fpscr)
{
    if (fpscr & DETNNI_FPSCR_MODE) __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)fpscr) : "memory");
}
#elif defined(__riscv_flen) && DETNNI_GNU
static uint64_t detnni_fp_enter(void)
{
    unsigned long mode;
    __asm__ volatile("frrm %0" : "=r"(mode));
    if (mode) __asm__ volatile("fsrm zero" : : : "memory");
    return mode;
}
static void detnni_fp_leave(uint64_t mode)
{
    if (mode) __asm__ volatile("fsrm %0" : : "r"((unsigned long)mode) : "memory");
}
#elif defined(__mips_hard_float) && DETNNI_GNU
static uint64_t detnni_fp_enter(void)
{
    uint32_t fcsr;
    __asm__ volatile("cfc1 %0, $31" : "=r"(fcsr));
    if (fcsr & 0x01000f83) __asm__ volatile("ctc1 %0, $31" : : "r"(fcsr & ~0x01000f83u) : "memory");
    return fcsr;
}
static void detnni_fp_leave(uint64_t fcsr)
{
    if (fcsr & 0x01000f83) __asm__ volatile("ctc1 %0, $31" : : "r"((uint32_t)fcsr) : "memory");
}
#elif defined(__s390x__) && DETNNI_GNU
static uint64_t detnni_fp_enter(void)
{
    uint32_t fpc;
    __asm__ volatile("efpc %0" : "=d"(fpc));
    if (fpc & 0xf8000007) __asm__ volatile("sfpc %0" : : "d"(fpc & ~0xf8000007u) : "memory");
    return fpc;
}
static void detnni_fp_leave(uint64_t fpc)
{
    if (fpc & 0xf8000007) __asm__ volatile("sfpc %0" : : "d"((uint32_t)fpc) : "memory");
}
#elif defined(__powerpc__) && !defined(_SOFT_FLOAT) && DETNNI_GNU
static uint64_t detnni_fp_enter(void)
{
    double fpscr;
    __asm__ volatile("mffs %0" : "=f"(fpscr));
    if (detnni_double_bits(fpscr) & 0xff)
        __asm__ volatile("mtfsf 0xff, %0"
                         : : "f"(detnni_double(detnni_double_bits(fpscr) & ~(uint64_t)0xff)) : "memory");
    return detnni_double_bits(fpscr);
}
static void detnni_fp_leave(uint64_t fpscr)
{
    if (fpscr & 0xff) __asm__ volatile("mtfsf 0xff, %0" : : "f"(detnni_double(fpscr)) : "memory");
}
#elif defined(_MSC_VER) && defined(_M_X64) && !DETNNI_GNU
static uint64_t detnni_fp_enter(void)
{
    uint32_t csr = _mm_getcsr();
    if ((csr & 0xffc0) != 0x1f80) _mm_setcsr(0x1f80);
    return csr;
}
static void detnni_fp_leave(uint64_t mode)
{
    if ((mode & 0xffc0) != 0x1f80) _mm_setcsr((uint32_t)mode);
}
#else
static uint64_t detnni_fp_enter(void) { return 0; }
static void detnni_fp_leave(uint64_t mode) { (void)mode; }
#endif

/* Runs call, which gives a detnn_result, under the guard and returns its result. */
#define DETNNI_GUARDED(call)                                                                             \
    do {                                                                                                 \
        uint64_t detnni_mode = detnni_fp_enter();                                                        \
        detnn_result detnni_r = call;                                                                    \
        detnni_fp_leave(detnni_mode);                                                                    \
        return detnni_r;                                                                                 \
    } while (0)

/* ==== 8. Errors and text ================================================================================ */

/* A text of bounded size: what does not fit is counted, not written. */
typedef struct detnni_text {
    char *p;
    size_t size, length;
} detnni_text;

static void detnni_put(detnni_text *t, char c)
{
    if (t->length + 1 < t->size) t->p[t->length] = c;
    t->length++;
}

static void detnni_put_number(detnni_text *t, uint64_t v, unsigned base, int digits)
{
    char d[24];
    int n = 0;
    do d[n++] = "0123456789abcdef"[v % base]; while ((v /= base) || n < digits);
    while (n) detnni_put(t, d[--n]);
}

/* That many significant digits, at most 8, for people. */
static void detnni_put_float(detnni_text *t, float f, int digits)
{
    double v = (double)f, p = 1.0;
    uint64_t m, most;
    int e = 0, i;
    if (detnni_nan(f)) { detnni_put(t, 'N'); detnni_put(t, 'a'); detnni_put(t, 'N'); return; }
    if (v < 0.0) { detnni_put(t, '-'); v = -v; }
    if (!detnni_finite(f)) { detnni_put(t, 'i'); detnni_put(t, 'n'); detnni_put(t, 'f'); return; }
    if (v == 0.0) { detnni_put(t, '0'); return; }
    while (v >= 10.0) { v /= 10.0; e++; }
    while (v < 1.0) { v *= 10.0; e--; }
    for (i = 1; i < digits; i++) p *= 10.0;
    m = (uint64_t)(v * p + 0.5);
    most = (uint64_t)p * 10;
    if (m >= most) { m /= 10; e++; }
    while (digits > 1 && m % 10 == 0) { m /= 10; digits--; }
    if (e < -5 || e > 8) {
        for (p = 1.0, i = 1; i < digits; i++) p *= 10.0;
        detnni_put_number(t, m / (uint64_t)p, 10, 1);
        if (digits > 1) { detnni_put(t, '.'); detnni_put_number(t, m % (uint64_t)p, 10, digits - 1); }
        detnni_put(t, 'e');
        detnni_put(t, e < 0 ? '-' : '+');
        detnni_put_number(t, (uint64_t)(e < 0 ? -e : e), 10, 2);
    } else {
        char d[8];
        for (i = digits; i--; m /= 10) d[i] = (char)('0' + m % 10);
        if (e < 0) { detnni_put(t, '0'); detnni_put(t, '.'); for (i = -1; i > e; i--) detnni_put(t, '0'); }
        for (i = 0; i < digits || i <= e; i++) {
            if (i == e + 1 && e >= 0) detnni_put(t, '.');
            detnni_put(t, i < digits ? d[i] : '0');
        }
    }
}

/* %s string, %z size_t, %l uint64_t, %x uint32_t and %X uint64_t in all hexadecimal digits, %g double
 * (a float), %% itself. Always terminated where there is room for that. */
static void detnni_vformat(detnni_text *t, const char *format, va_list args)
{
    for (; *format; format++) {
        if (*format != '%') { detnni_put(t, *format); continue; }
        switch (*++format) {
        case 's': { const char *s = va_arg(args, const char *); while (*s) detnni_put(t, *s++); break; }
        case 'z': detnni_put_number(t, va_arg(args, size_t), 10, 1); break;
        case 'l': detnni_put_number(t, va_arg(args, uint64_t), 10, 1); break;
        case 'x': detnni_put_number(t, va_arg(args, uint32_t), 16, 8); break;
        case 'X': detnni_put_number(t, va_arg(args, uint64_t), 16, 16); break;
        case 'g': detnni_put_float(t, (float)va_arg(args, double), 6); break;
        default: detnni_put(t, *format); break;
        }
    }
    if (t->size) t->p[t->length < t->size ? t->length : t->size - 1] = 0;
}

static void detnni_format(detnni_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    detnni_vformat(t, format, args);
    va_end(args);
}

/* Fills err, where there is one, and returns code. */
#define detnni_fail(err, code, ...) \
    (DETNNI_HAS(MESSAGES) ? detnni_fail_text(err, code, __VA_ARGS__) : detnni_fail_code(err, code))

static detnn_result detnni_fail_code(detnn_error *err, detnn_result code)
{
    if (err) { err->code = code; err->text[0] = 0; }
    return code;
}

static detnn_result detnni_fail_text(detnn_error *err, detnn_result code, const char *format, ...)
{
    if (err) {
        va_list args;
        detnni_text t;
        t.p = err->text;
        t.size = sizeof err->text;
        t.length = 0;
        err->code = code;
        va_start(args, format);
        detnni_vformat(&t, format, args);
        va_end(args);
    }
    return code;
}

static detnn_result detnni_ok(detnn_error *err) { return detnni_fail_code(err, DETNN_OK); }

#define DETNNI_TEXT(name, text) text,
static const char *const detnni_result_texts[] = { DETNN_RESULTS(DETNNI_TEXT) };
static const char *const detnni_layer_names[] = { DETNN_LAYER_KINDS(DETNNI_TEXT) };
static const char *const detnni_activation_names[] = { DETNN_ACTIVATIONS(DETNNI_TEXT) };
static const char *const detnni_tensor_names[] = { DETNN_TENSORS(DETNNI_TEXT) };
static const char *const detnni_loss_names[] = { DETNN_LOSSES(DETNNI_TEXT) };
static const char *const detnni_isa_names[] = { DETNN_ISAS(DETNNI_TEXT) };

DETNN_API const char *detnn_result_text(detnn_result code)
{
    return (unsigned)code < DETNN_RESULT_COUNT ? detnni_result_texts[code] : "?";
}

DETNN_API const char *detnn_isa_name(detnn_isa isa)
{
    return (unsigned)isa < DETNN_ISA_COUNT ? detnni_isa_names[isa] : "?";
}

DETNN_API const char *detnn_activation_name(detnn_activation activation)
{
    return (unsigned)activation < DETNN_ACTIVATION_COUNT ? detnni_activation_names[activation] : "?";
}

/* ==== 9. SHA-256 and digests ============================================================================ */

typedef struct detnni_sha {
    uint32_t h[8];
    unsigned char block[64];
    uint64_t length; /* bytes so far */
} detnni_sha;

static const uint32_t detnni_sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static uint32_t detnni_rotate_right(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void detnni_sha_block(detnni_sha *s)
{
    uint32_t w[64], v[8];
    int i;
    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16
             | (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (detnni_rotate_right(a, 7) ^ detnni_rotate_right(a, 18) ^ a >> 3)
             + (detnni_rotate_right(b, 17) ^ detnni_rotate_right(b, 19) ^ b >> 10);
    }
    for (i = 0; i < 8; i++) v[i] = s->h[i];
    for (i = 0; i < 64; i++) {
        uint32_t e = v[4], a = v[0], t1, t2;
        t1 = v[7] + (detnni_rotate_right(e, 6) ^ detnni_rotate_right(e, 11) ^ detnni_rotate_right(e, 25))
           + ((e & v[5]) ^ (~e & v[6])) + detnni_sha_k[i] + w[i];
        t2 = (detnni_rotate_right(a, 2) ^ detnni_rotate_right(a, 13) ^ detnni_rotate_right(a, 22))
           + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6]; v[6] = v[5]; v[5] = v[4]; v[4] = v[3] + t1;
        v[3] = v[2]; v[2] = v[1]; v[1] = v[0]; v[0] = t1 + t2;
    }
    for (i = 0; i < 8; i++) s->h[i] += v[i];
}

static void detnni_sha_start(detnni_sha *s)
{
    static const uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    DETNNI_COPY(s->h, h, sizeof h);
    s->length = 0;
}

static void detnni_sha_add(detnni_sha *s, const void *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    while (n) {
        size_t at = (size_t)(s->length & 63), m = detnni_min(n, 64 - at);
        DETNNI_COPY(s->block + at, p, m);
        s->length += m;
        p += m;
        n -= m;
        if (at + m == 64) detnni_sha_block(s);
    }
}

static void detnni_sha_end(detnni_sha *s, unsigned char out[32])
{
    unsigned char tail[72];
    uint64_t bits = s->length * 8;
    size_t pad = 64 - (size_t)((s->length + 8) & 63), i;
    DETNNI_ZERO(tail, sizeof tail);
    tail[0] = 0x80;
    for (i = 0; i < 8; i++) tail[pad + i] = (unsigned char)(bits >> (56 - 8 * i));
    detnni_sha_add(s, tail, pad + 8);
    for (i = 0; i < 32; i++) out[i] = (unsigned char)(s->h[i / 4] >> (24 - 8 * (i & 3)));
}

static char *detnni_hex(const unsigned char digest[32], char out[DETNN_DIGEST_TEXT])
{
    int i;
    for (i = 0; i < 64; i++) out[i] = "0123456789abcdef"[digest[i / 2] >> (i & 1 ? 0 : 4) & 15];
    out[64] = 0;
    return out;
}

/* The digest of a tensor (C11), which may come in pieces of any length. */
typedef struct detnni_tensor_sha {
    detnni_sha piece, whole;
} detnni_tensor_sha;

static void detnni_tensor_sha_start(detnni_tensor_sha *s)
{
    detnni_sha_start(&s->piece);
    detnni_sha_start(&s->whole);
}

static void detnni_tensor_sha_piece(detnni_tensor_sha *s)
{
    unsigned char digest[32];
    detnni_sha_end(&s->piece, digest);
    detnni_sha_add(&s->whole, digest, 32);
    detnni_sha_start(&s->piece);
}

static void detnni_tensor_sha_add(detnni_tensor_sha *s, const float *x, size_t n)
{
    while (n) {
        unsigned char bytes[256];
        size_t m = detnni_min(n, 64), i;
        m = detnni_min(m, (size_t)(65536 - s->piece.length) / 4);
        for (i = 0; i < m; i++) {
            uint32_t b = detnni_nan(x[i]) ? 0x7fc00000 : detnni_float_bits(x[i]);
            bytes[4 * i] = (unsigned char)b;
            bytes[4 * i + 1] = (unsigned char)(b >> 8);
            bytes[4 * i + 2] = (unsigned char)(b >> 16);
            bytes[4 * i + 3] = (unsigned char)(b >> 24);
        }
        detnni_sha_add(&s->piece, bytes, 4 * m);
        if (s->piece.length == 65536) detnni_tensor_sha_piece(s);
        x += m;
        n -= m;
    }
}

static char *detnni_tensor_sha_end(detnni_tensor_sha *s, char out[DETNN_DIGEST_TEXT])
{
    unsigned char digest[32];
    if (s->piece.length) detnni_tensor_sha_piece(s);
    detnni_sha_end(&s->whole, digest);
    return detnni_hex(digest, out);
}

DETNN_API char *detnn_tensor_digest(const float *values, size_t count, char out[DETNN_DIGEST_TEXT])
{
    detnni_tensor_sha s;
    detnni_tensor_sha_start(&s);
    detnni_tensor_sha_add(&s, values, count);
    return detnni_tensor_sha_end(&s, out);
}

/* ---- Exact functions: the exceptional inputs (their bodies are in section 11) ---- */

#define DETNNI_EXACT_NUMBER(f) DETNNI_EXACT_##f,
enum { DETNN_FUNCTIONS(DETNNI_EXACT_NUMBER) DETNNI_EXACT_COUNT };

/* Odd inputs (private, once): what the vector code asks about lanes that it cannot answer for. Each table lists the
   inputs whose exact value is nearer to a rounding boundary of binary32 than the error of the binary64 value, with
   some margin (found by tests/prove.c over all 2^32 inputs), and their correctly rounded results. exp and tanh need
   none. */

DETNNI_BOTH_DATA uint32_t detnni_odd_expm1[][2] = {
    { 0x33b504f3, 0x33b504f3 }, { 0x34ca62c1, 0x34ca62c3 }, { 0x36322b1b, 0x36322b2a }, { 0x3a254e7a, 0x3a255bd3 },
    { 0x3dc252dd, 0x3dcbd76b }, { 0xb675cbfc, 0xb675cbdf }, { 0xbb7b3b6c, 0xbb7ac04e } };
DETNNI_BOTH_DATA uint32_t detnni_odd_log[][2] = {
    { 0x0dc8bba4, 0xc289bac4 }, { 0x111c87f8, 0xc28085df }, { 0x1f116ab8, 0xc233b53e }, { 0x2c4c24b7, 0xc1d48710 },
    { 0x38dcbe38, 0xc1128ba4 }, { 0x3bf86ef0, 0xc09c399e }, { 0x3c413d3a, 0xc08e158f }, { 0x41178feb, 0x400fe5e7 },
    { 0x4665a9a6, 0x41198725 }, { 0x4c5d65a5, 0x418f034b }, { 0x4d604ebe, 0x419a352c }, { 0x5ee8984e, 0x422e4a21 },
    { 0x65d890d3, 0x4254d1f9 }, { 0x66a8c860, 0x42595e46 }, { 0x6f31a8ec, 0x42845a89 }, { 0x79e7ec37, 0x42a1ffb7 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_log1p[][2] = {
    { 0x35400003, 0x353fffff }, { 0x3710001b, 0x370ffff3 }, { 0x3770004b, 0x376fffdb }, { 0x3ebe9143, 0x3ea20160 },
    { 0x3efd81ad, 0x3ecdeee1 }, { 0x41078feb, 0x400fe5e7 }, { 0x4665a5a6, 0x41198725 }, { 0x55185f82, 0x41efd648 },
    { 0x5ee8984e, 0x422e4a21 }, { 0x65d890d3, 0x4254d1f9 }, { 0x66a8c860, 0x42595e46 }, { 0x6f31a8ec, 0x42845a89 },
    { 0x79e7ec37, 0x42a1ffb7 }, { 0xb53ffffd, 0xb5400001 }, { 0xb70fffe5, 0xb710000d }, { 0xb76fffb5, 0xb7700025 },
    { 0xbb0ec8c4, 0xbb0ef0a5 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_sigmoid[][2] = {
    { 0x3a689801, 0x3f000e89 }, { 0x3b128604, 0x3f0024a1 }, { 0x3d21bc81, 0x3f0286dc }, { 0xba928601, 0x3effdb5f },
    { 0xbe104170, 0x3eedff70 }, { 0xbf1964d0, 0x3eb584b1 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_softplus[][2] = {
    { 0x398b9622, 0x3f317ad1 }, { 0x39ea41d0, 0x3f3180bd }, { 0x3ad68ba7, 0x3f31a7c1 }, { 0x40a3f888, 0x40a42924 },
    { 0xb36fa39f, 0x3f317218 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_erf[][2] = {
    { 0x358e9d2d, 0x35a0ec32 }, { 0x36aea466, 0x36c51007 }, { 0x3940ead6, 0x3959af14 }, { 0x39c0057d, 0x39d8ac49 },
    { 0xb58e9d2d, 0xb5a0ec32 }, { 0xb6aea466, 0xb6c51007 }, { 0xb940ead6, 0xb959af14 }, { 0xb9c0057d, 0xb9d8ac49 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_gelu[][2] = {
    { 0x334aa765, 0x32caa765 }, { 0x366c4759, 0x35ec4784 }, { 0x37b0a46f, 0x3730a531 }, { 0x37f5c377, 0x3775c4ef },
    { 0x38028e89, 0x37828f5d }, { 0x38ca1be2, 0x384a1fdc }, { 0x3c2df329, 0x3baf6c63 }, { 0x3e493cc6, 0x3de896f5 },
    { 0x3e60b687, 0x3e03df5f }, { 0x3eada244, 0x3e5bbb3e }, { 0xb34aa765, 0xb2caa765 }, { 0xb66c4759, 0xb5ec472e },
    { 0xb7b0a46f, 0xb730a3ad }, { 0xb7f5c377, 0xb775c1ff }, { 0xb8028e89, 0xb7828db5 }, { 0xb8ca1be2, 0xb84a17e8 },
    { 0xbc2df329, 0xbbac79ef }, { 0xbe493cc6, 0xbda9e297 }, { 0xbe8e7062, 0xbdde7301 }, { 0xc0925885, 0xb7382e06 },
    { 0xc13ced3a, 0x8c882138 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_silu[][2] = {
    { 0x34000000, 0x33800000 }, { 0x35400000, 0x34c00004 }, { 0x35e24630, 0x3562463c }, { 0x36200000, 0x35a0000c },
    { 0x36600000, 0x35e00018 }, { 0x37100000, 0x36900028 }, { 0x3711c456, 0x3691c47f }, { 0x37300000, 0x36b0003c },
    { 0x37500000, 0x36d00054 }, { 0x37700000, 0x36f00070 }, { 0x37c6e079, 0x3746e113 }, { 0x38126c8e, 0x37926d35 },
    { 0xb3800000, 0xb3000000 }, { 0xb5400000, 0xb4bffffc }, { 0xb5e24630, 0xb5624624 }, { 0xb6200000, 0xb59ffff4 },
    { 0xb6600000, 0xb5dfffe8 }, { 0xb7100000, 0xb68fffd8 }, { 0xb711c456, 0xb691c42d }, { 0xb7300000, 0xb6afffc4 },
    { 0xb7500000, 0xb6cfffac }, { 0xb7700000, 0xb6efff90 }, { 0xb7c6e079, 0xb746dfdf }, { 0xb8126c8e, 0xb7926be7 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_gelu_grad[][2] = {
    { 0x33206c99, 0x3f000001 }, { 0x3c0a31fb, 0x3f01b90b }, { 0x3d31a58d, 0x3f08da72 }, { 0x3d95c72e, 0x3f0ee95f },
    { 0x40411b04, 0x3f817633 }, { 0xb2a06c99, 0x3effffff }, { 0xb87c26b1, 0x3efff9b6 }, { 0xb8d0df65, 0x3efff595 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_silu_grad[][2] = {
    { 0x3a389c01, 0x3f001713 }, { 0x3a928602, 0x3f0024a1 }, { 0x3b0c2507, 0x3f004613 }, { 0x3da5c160, 0x3f0a5932 },
    { 0x3f76b1db, 0x3f6a9e37 }, { 0xbe2b19ce, 0x3ed56c4a }, { 0xbe57dd15, 0x3eca6e5f }, { 0xbec8a3cb, 0x3e9e3094 },
    { 0xbfa3a4e2, 0xb58bc74a }, { 0xc2697de5, 0x9845ce52 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_sin2pi[][2] = {
    { 0x34654db5, 0x35b41836 }, { 0x37eacaf6, 0x393867e5 }, { 0x3c6eb990, 0x3dbb3b76 }, { 0x3d7d7f58, 0x3ec21dd8 },
    { 0x3ee05015, 0x3ec21dd8 }, { 0xb4654db5, 0xb5b41836 }, { 0xb7eacaf6, 0xb93867e5 }, { 0xbc6eb990, 0xbdbb3b76 },
    { 0xbd7d7f58, 0xbec21dd8 }, { 0xbee05015, 0xbec21dd8 } };
DETNNI_BOTH_DATA uint32_t detnni_odd_cos2pi[][2] = {
    { 0x388d23e4, 0x3f7fffff }, { 0x390721a7, 0x3f7ffffb }, { 0x3e40a02a, 0x3ec21dd8 }, { 0x3e5fcdd7, 0x3e48fad5 },
    { 0x3e711467, 0x3dbb3b76 }, { 0x3e9fafeb, 0xbec21dd8 }, { 0xb88d23e4, 0x3f7fffff }, { 0xb90721a7, 0x3f7ffffb },
    { 0xbe40a02a, 0x3ec21dd8 }, { 0xbe5fcdd7, 0x3e48fad5 }, { 0xbe711467, 0x3dbb3b76 }, { 0xbe9fafeb, 0xbec21dd8 } };

DETNNI_NOINLINE static DETNNI_BOTH float detnni_look_up(const uint32_t (*table)[2], size_t n, float x, float y)
{
    uint32_t b = detnni_float_bits(x);
    size_t i;
    for (i = 0; i < n; i++)
        if (table[i][0] == b) return detnni_float(table[i][1]);
    return y;
}
#define DETNNI_LOOK_UP(table, x, y) detnni_look_up(table, sizeof table / sizeof table[0], x, y)

/* detnni_fix_f(x, y): f(x), where y is the rounded binary64 value; right for every x of an odd lane. */
#define DETNNI_FIX(f) \
static DETNNI_BOTH DETNNI_UNUSED float detnni_fix_##f(float x, float y) { return DETNNI_LOOK_UP(detnni_odd_##f, x, y); }
DETNNI_FIX(expm1) DETNNI_FIX(softplus) DETNNI_FIX(erf) DETNNI_FIX(gelu) DETNNI_FIX(silu)
DETNNI_FIX(gelu_grad) DETNNI_FIX(sin2pi) DETNNI_FIX(cos2pi)
#undef DETNNI_FIX

static DETNNI_BOTH DETNNI_UNUSED float detnni_fix_exp(float x, float y) { (void)x; return y; }
static DETNNI_BOTH DETNNI_UNUSED float detnni_fix_tanh(float x, float y) { (void)x; return y; }

static DETNNI_BOTH DETNNI_UNUSED float detnni_fix_log(float x, float y)
{
    if (detnni_nan(x) || detnni_float_bits(x) == 0x7f800000) return x;
    if (detnni_negative(x)) return detnni_float(0x7fc00000);
    return detnni_positive(x) ? DETNNI_LOOK_UP(detnni_odd_log, x, y) : detnni_float(0xff800000);
}
static DETNNI_BOTH DETNNI_UNUSED float detnni_fix_log1p(float x, float y)
{
    if (detnni_nan(x) || detnni_float_bits(x) == 0x7f800000) return x;
    if (DETNNI_TO64(x) < -1.0) return detnni_float(0x7fc00000);
    return DETNNI_TO64(x) > -1.0 ? DETNNI_LOOK_UP(detnni_odd_log1p, x, y) : detnni_float(0xff800000);
}

/* sigmoid(x) = 1/2 + x/4 - x^3/48 + ..., SiLU'(x) = 1/2 + x/2 - x^3/24 + ...: for |x| < 2^-12 the cubic is smaller
   than the distance of any other number of x's precision, and only says which way the many ties of the linear part
   go. */
static DETNNI_BOTH DETNNI_UNUSED float detnni_near_half(float x, double slope)
{
    double tie = 1.0 / 4503599627370496.0, y = DETNNI_TO64(x) * slope + 0.5;
    return DETNNI_TO32(detnni_positive(x) ? y - tie : y + tie);
}
DETNNI_INLINE int detnni_is_small(float x) { return (detnni_float_bits(x) & 0x7fffffff) < 0x39800000; }
static DETNNI_BOTH DETNNI_UNUSED float detnni_fix_sigmoid(float x, float y)
{ return detnni_is_small(x) ? detnni_near_half(x, 0.25) : DETNNI_LOOK_UP(detnni_odd_sigmoid, x, y); }
static DETNNI_BOTH DETNNI_UNUSED float detnni_fix_silu_grad(float x, float y)
{ return detnni_is_small(x) ? detnni_near_half(x, 0.5) : DETNNI_LOOK_UP(detnni_odd_silu_grad, x, y); }
#undef DETNNI_LOOK_UP

/* ---- Exact functions in integers, for processors without binary64 (DETNN_INTEGER_FUNCTIONS; section 5 says why they
   are right) ---- */

/* v * 2^(e - 64): a number in [1/2, 1) times 2^e, once its highest bit is set */
typedef struct detnni_wide { uint64_t v; int e; } detnni_wide;

/* a * b / 2^64, less 0 .. 3 */
DETNNI_ALWAYS uint64_t detnni_high(uint64_t a, uint64_t b)
{
    const uint32_t ah = (uint32_t)(a >> 32), al = (uint32_t)a, bh = (uint32_t)(b >> 32), bl = (uint32_t)b;
    return (uint64_t)ah * bh + ((uint64_t)ah * bl >> 32) + ((uint64_t)al * bh >> 32);
}
static DETNNI_UNUSED uint64_t detnni_down(uint64_t v, int n) { return n < 64 ? v >> n : 0; }

static DETNNI_UNUSED detnni_wide detnni_wide_normal(detnni_wide w)
{
    for (; !(w.v >> 63); w.e--) w.v <<= 1;
    return w;
}

/* c[0] - x (c[1] - x (c[2] - ... c[n])), x < 1 and the result as integers over 2^64 */
static DETNNI_UNUSED uint64_t detnni_polynomial(const uint64_t *c, int n, uint64_t x)
{
    uint64_t y = c[n];
    while (n--) y = c[n] - detnni_high(x, y);
    return y;
}

/* (whole + v / 2^64) * 2^e, rounded to the nearest float; never 0 nor a tie but where it underflows */
static DETNNI_UNUSED float detnni_wide_float(uint32_t sign, uint32_t whole, uint64_t v, int e)
{
    uint32_t h;
    if (!(v | whole)) return detnni_float(sign);
    for (; whole; whole >>= 1, e++) v = v >> 1 | (uint64_t)whole << 63;
    for (; !(v >> 63); e--) v <<= 1;
    h = (uint32_t)(v >> 32);
    e += 125; /* the exponent's field, less the 1 that the highest bit adds */
    if (e > 253) return detnni_float(sign | 0x7f800000);
    if (e < 0) {
        h = e > -32 ? h >> -e : 0;
        e = 0;
    }
    return detnni_float(sign | (((uint32_t)e << 23) + (h >> 8) + (h >> 7 & 1)));
}

/* 2^62 / d for 1/2 <= d < 1, d and the result as integers over 2^64: Newton's method from 15 bits on, 30, 90 */
static DETNNI_UNUSED uint64_t detnni_reciprocal(uint64_t d)
{
    const uint32_t h = (uint32_t)(d >> 32);
    uint32_t r = 0xffffffffu / (h >> 16), e;
    r = (uint32_t)(((uint64_t)r * (uint32_t)((((uint64_t)1 << 49) - (uint64_t)h * r - r) >> 17)) >> 17); /* <= 1/d */
    e = (uint32_t)((((uint64_t)1 << 62) - (uint64_t)h * r - ((uint64_t)(uint32_t)d * r >> 32)) >> 2);
    e += (uint32_t)((uint64_t)e * e >> 60);
    return ((uint64_t)r << 32) + ((uint64_t)e * r >> 28);
}
static DETNNI_UNUSED detnni_wide detnni_quotient(detnni_wide a, detnni_wide b)
{
    a = detnni_wide_normal(a);
    b = detnni_wide_normal(b);
    a.v = detnni_high(a.v, detnni_reciprocal(b.v));
    a.e += 2 - b.e;
    return detnni_wide_normal(a);
}

DETNNI_DATA uint64_t detnni_exp_steps[16] = { /* 2^(63 - j/16) */
    0x8000000000000000u, 0x7a92be8a92436616u, 0x75606373ee921c97u, 0x70666f76154a7089u,
    0x6ba27e656b4eb57au, 0x6712460a8fc24072u, 0x62b39508aa836d6fu, 0x5e8451cfac061b5fu,
    0x5a827999fcef3242u, 0x56ac1f752150a563u, 0x52ff6b54d8a89c75u, 0x4f7a993048d088d7u,
    0x4c1bf828c6dc54b8u, 0x48e1e9b9d588e19bu, 0x45cae0f1f545eb73u, 0x42d561b3e6243d8au };
DETNNI_DATA uint64_t detnni_exp_terms[7] = { /* (1 - 2^(-x/16)) / x */
    799144290325165978u, 17310144115608280u, 249968283099326u, 2707262660037u, 23456624973u, 169336437u, 1028417u };

/* e^-a = p * 2^(-63 - n), 2^62 < p <= 2^63, for the bits of a, 2^-30 <= a < 128; *rest = 1 - e^-a. up: e^a instead. */
static DETNNI_UNUSED uint64_t detnni_exp_of(uint32_t a, int up, int *n, detnni_wide *rest)
{
    const uint32_t m = a << 8 | 0x80000000u;
    const int e = (int)(a >> 23) - 127;
    /* y = a / log(2), as t and another word: y = t * 2^(e - 62) */
    const uint64_t low = (uint64_t)m * 0x5c17f0bbu + ((uint64_t)m * 0xbe87fed0u >> 32);
    const uint64_t t = (uint64_t)m * 0xb8aa3b29u + (low >> 32);
    const uint64_t x0 = e < -1 ? t >> (-2 - e) : t << (e + 2) | (uint32_t)low >> (30 - e);
    const uint64_t x = up ? (uint64_t)0 - x0 : x0, s = detnni_polynomial(detnni_exp_terms, 6, x << 4);
    uint64_t p = detnni_exp_steps[x >> 60];
    *n = e < -1 ? 0 : (int)((uint32_t)(t >> 32) >> (30 - e));
    if (up) *n = -*n - 1;
    p -= detnni_high(p, detnni_high(x << 4, s));
    if (rest && (*n || x >> 60)) {
        rest->v = ((uint64_t)1 << 63) - detnni_down(p, *n);
        rest->e = 1;
    } else if (rest) { /* near 0, t keeps more digits than x */
        rest->v = detnni_high(t, s);
        rest->e = e + 6;
    }
    return p;
}
#define DETNNI_MAGNITUDE(b) ((b) & 0x7fffffff)
#define DETNNI_TINY  0x30800000 /* 2^-30 */
#define DETNNI_LARGE 0x43000000 /* 128 */

static inline DETNNI_UNUSED float detnni_integer_exp(float x)
{
    const uint32_t b = detnni_float_bits(x), a = DETNNI_MAGNITUDE(b);
    uint64_t p;
    int n;
    if (a < DETNNI_TINY) return 1.0f;
    if (a >= DETNNI_LARGE) return a > 0x7f800000 ? x : b == a ? detnni_float(0x7f800000) : 0.0f;
    p = detnni_exp_of(a, b == a, &n, 0);
    return detnni_wide_float(0, 0, p, 1 - n);
}

static inline DETNNI_UNUSED float detnni_integer_expm1(float x)
{
    const uint32_t b = detnni_float_bits(x), a = DETNNI_MAGNITUDE(b);
    detnni_wide rest, p;
    int n;
    if (a < DETNNI_TINY || a > 0x7f800000) return x;
    if (a >= DETNNI_LARGE) return b == a ? detnni_float(0x7f800000) : -1.0f;
    p.v = detnni_exp_of(a, 0, &n, &rest);
    p.e = 1 - n;
    if (b == a) rest = detnni_quotient(rest, p);
    return detnni_wide_float(b ^ a, 0, rest.v, rest.e);
}

/* (1 - e^-2a) / (1 + e^-2a) */
static inline DETNNI_UNUSED float detnni_integer_tanh(float x)
{
    const uint32_t b = detnni_float_bits(x), a = DETNNI_MAGNITUDE(b);
    detnni_wide rest;
    uint64_t p;
    int n;
    if (a <= 0x39b89ba2 || a > 0x7f800000) return x;
    if (a >= 0x41200000) return detnni_float((b ^ a) | 0x3f800000);
    p = detnni_exp_of(a + 0x800000, 0, &n, &rest);
    p = detnni_reciprocal(((uint64_t)1 << 63) + detnni_down(p, n));
    return detnni_wide_float(b ^ a, 0, detnni_high(rest.v, p), rest.e + 1);
}

/* For |x| < 2^-12 it is 1/2 + x/4 - x^3/48: of these, the first two are often a tie (times x too, for SiLU), so that
   the third is rounded up, and the second where it is less than one unit. */
static DETNNI_UNUSED detnni_wide detnni_sigmoid_of(uint32_t b)
{
    const uint32_t a = DETNNI_MAGNITUDE(b), m = a << 8 | 0x80000000u;
    detnni_wide y = { (uint64_t)1 << 62, 1 };
    uint64_t p;
    int n = (int)(a >> 23) - 127;
    if (a < 0x39800000) {
        p = ((uint64_t)m * m >> 32) * m >> 32;
        p = n < -30 ? 1 : ((uint64_t)m << (n + 30)) - ((uint64_t)((uint32_t)p / 48) >> (-34 - 3 * n)) - 1;
        y.v = b == a ? y.v + p : y.v - p;
    } else if (a >= DETNNI_LARGE) {
        y.v = b == a ? (uint64_t)1 << 63 : 0;
    } else {
        p = detnni_exp_of(a, 0, &n, 0);
        y.v = detnni_reciprocal(((uint64_t)1 << 63) + detnni_down(p, n));
        if (b != a) {
            y.v = detnni_high(p, y.v);
            y.e = 2 - n;
        }
    }
    return y;
}

static inline DETNNI_UNUSED float detnni_integer_sigmoid(float x)
{
    const detnni_wide y = detnni_sigmoid_of(detnni_float_bits(x));
    return detnni_nan(x) ? x : detnni_wide_float(0, 0, y.v, y.e);
}

static inline DETNNI_UNUSED float detnni_integer_silu(float x)
{
    const uint32_t b = detnni_float_bits(x), a = DETNNI_MAGNITUDE(b);
    const detnni_wide y = detnni_sigmoid_of(b);
    const uint32_t m = a < 0x800000 ? a << 9 : a << 8 | 0x80000000u;
    if (a >= 0x7f800000) return b == 0xff800000u ? -0.0f : x;
    return detnni_wide_float(b ^ a, 0, detnni_high(y.v, (uint64_t)m << 32), y.e + (int)(a >> 23) - 126);
}

/* With p = e^-|x|, q = 1 + p: f = p (q - |x|) / q^2 for x < 0, else 1 - f; 1/2 + x/2 and less for the smallest x */
static inline DETNNI_UNUSED float detnni_integer_silu_grad(float x)
{
    const uint32_t b = detnni_float_bits(x), a = DETNNI_MAGNITUDE(b), m = a << 8 | 0x80000000u;
    const int e = (int)(a >> 23) - 127, s = e < 0 ? 0 : e;
    detnni_wide f, d;
    uint64_t p, r, q;
    int n, less;
    if (a < 0x38000000) { /* 2^-15: sigmoid(2 x), but for the third term, which only breaks ties */
        f = detnni_sigmoid_of(a < 0x800000 ? b : b + 0x800000);
        return detnni_wide_float(0, 0, f.v, f.e);
    }
    if (a >= DETNNI_LARGE) return a > 0x7f800000 ? x : b == a ? 1.0f : -0.0f;
    p = detnni_exp_of(a, 0, &n, 0);
    r = detnni_reciprocal(((uint64_t)1 << 63) + detnni_down(p, n));
    q = ((uint64_t)1 << (62 - s)) + detnni_down(p, n + 1 + s); /* q and |x| in units of 2^(s - 62) */
    d.v = (uint64_t)m << (31 + e - s);
    less = q < d.v;
    d.v = less ? d.v - q : q - d.v;
    d.e = 2 + s;
    f.v = detnni_high(detnni_high(p, r) << 1, r);
    f.e = 2 - n;
    f = detnni_wide_normal(f);
    d = detnni_wide_normal(d);
    f.v = detnni_high(f.v, d.v);
    f.e += d.e;
    if (b != a) return detnni_wide_float(less ? 0x80000000u : 0, 0, f.v, f.e);
    p = detnni_down(f.v, 2 - f.e);
    q = (uint64_t)1 << 62;
    return detnni_wide_float(0, 0, less ? q + p : q - p, 2);
}

DETNNI_DATA uint64_t detnni_atanh_terms[9] = { /* atanh(s) / s in x = 1 - 32 s^2, over 2^63 */
    9321291482478990559u, 99804342298453442u, 1928196236448095u, 44383845106016u, 1112862308942u, 29358665040u,
    800931990u, 22236461u, 557181u };

/* log((1 + s) / (1 - s)) = 2 atanh(s), s = a / b < 0.1716 */
static DETNNI_UNUSED detnni_wide detnni_log_of(detnni_wide a, detnni_wide b)
{
    detnni_wide s = detnni_quotient(a, b);
    const uint64_t u = detnni_down(s.v, -2 - s.e);
    s.v = detnni_high(s.v, detnni_polynomial(detnni_atanh_terms, 8, ~(detnni_high(u, u) << 1)));
    s.e += 2;
    return s;
}
#define DETNNI_LOG2 0xb17217f7d1cf79acu

/* x = 2^k z, sqrt(1/2) < z < sqrt(2) */
static inline DETNNI_UNUSED float detnni_integer_log(float x)
{
    const uint32_t one = 0x80000000u;
    uint32_t b = detnni_float_bits(x), z, n;
    detnni_wide a = { 0, 0 }, d = { 0, 2 };
    uint64_t low, v;
    int k = -127;
    if (b - 1 >= 0x7f7fffff) /* not positive and finite */
        return detnni_nan(x) || b == 0x7f800000 ? x : detnni_float(b << 1 ? 0x7fc00000 : 0xff800000u);
    for (; b < 0x800000; k--) b <<= 1; /* subnormal */
    b += 0x004afb0d; /* 1 less sqrt(1/2) */
    k += (int)(b >> 23);
    b = (b & 0x7fffff) + 0x3f3504f3;
    z = (b << 8 | one) >> (b < 0x3f800000);
    a.v = (uint64_t)(z < one ? one - z : z - one) << 32;
    d.v = ((uint64_t)z + one) << 30;
    if (a.v) a = detnni_log_of(a, d);
    if (!k) return detnni_wide_float(z < one ? one : 0, 0, a.v, a.e);
    n = (uint32_t)(k < 0 ? -k : k);
    low = (uint64_t)n * (uint32_t)DETNNI_LOG2;
    v = (uint64_t)n * (DETNNI_LOG2 >> 32) + (low >> 32);
    n = (uint32_t)(v >> 32);
    v = v << 32 | (uint32_t)low;
    low = detnni_down(a.v, -a.e);
    if ((k < 0) == (z < one)) {
        v += low;
        n += v < low;
    } else {
        n -= v < low;
        v -= low;
    }
    return detnni_wide_float(k < 0 ? one : 0, n, v, 0);
}

/* max(x, 0) + log(1 + p), p = e^-|x|: for p > sqrt(2) - 1 the log is log(2) - log(2 / (1 + p)) */
static inline DETNNI_UNUSED float detnni_integer_softplus(float x)
{
    const uint32_t b = detnni_float_bits(x), a = DETNNI_MAGNITUDE(b), m = a << 8 | 0x80000000u;
    const uint64_t one = (uint64_t)1 << 63;
    detnni_wide p, d;
    uint64_t u, v;
    int n, e = (int)(a >> 23) - 127;
    if (a < DETNNI_TINY) return detnni_float(0x3f317218);
    if (a >= DETNNI_LARGE) return b == a || a > 0x7f800000 ? x : 0.0f;
    p.v = detnni_exp_of(a, 0, &n, &d);
    u = detnni_down(p.v, n);
    if (u > 0x3504f333f9de6484u) {
        p.v = 3 * (one >> 2) + (u >> 2);
        p.e = 3;
        p = detnni_log_of(d, p);
        v = DETNNI_LOG2 - detnni_down(p.v, -p.e);
    } else {
        p.e = 1 - n;
        d.v = one + (u >> 1);
        d.e = 2;
        p = detnni_log_of(p, d);
        if (b != a) return detnni_wide_float(0, 0, p.v, p.e);
        v = detnni_down(p.v, -p.e);
    }
    if (b != a) return detnni_wide_float(0, 0, v, 0);
    u = (uint64_t)m << (33 + e);
    v += u;
    return detnni_wide_float(0, (e < 0 ? 0 : m >> (31 - e)) + (v < u), v, 0);
}
#undef DETNNI_LARGE
#undef DETNNI_LOG2
#undef DETNNI_MAGNITUDE
#undef DETNNI_TINY

/* Those functions, and the others */
#define DETNNI_INTEGER_LIST(F) F(exp) F(log) F(expm1) F(tanh) F(sigmoid) F(softplus) F(silu) F(silu_grad)
#define DETNNI_BINARY64_LIST(F) F(log1p) F(erf) F(gelu) F(gelu_grad) F(sin2pi) F(cos2pi)

/* ==== 10. Generators, initializers ====================================================================== */

static DETNNI_BOTH void detnni_philox(uint64_t key, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0; out[1] = c1; out[2] = c2; out[3] = c3;
}

DETNN_API void detnn_philox(uint64_t key, const uint32_t counter[4], uint32_t out[4])
{
    detnni_philox(key, counter, out);
}

enum { DETNNI_KERNEL = 1, DETNNI_BIAS, DETNNI_DROPOUT, DETNNI_ORDER, DETNNI_USER }; /* purposes, C6 */

/* A stream of words; it keeps the block of the last word asked for. */
typedef struct detnni_stream {
    uint64_t seed;
    uint32_t counter[4], word[4];
    int filled;
} detnni_stream;

static detnni_stream detnni_stream_of(uint64_t seed, uint64_t step, int purpose, uint32_t layer)
{
    detnni_stream s;
    s.seed = seed;
    s.counter[0] = 0;
    s.counter[1] = (uint32_t)step;
    s.counter[2] = (uint32_t)(step >> 32);
    s.counter[3] = (uint32_t)purpose << 24 | (layer & 0xffffff);
    s.filled = 0;
    return s;
}

static uint32_t detnni_word(detnni_stream *s, uint64_t e)
{
    uint32_t block = (uint32_t)(e >> 2);
    if (!s->filled || s->counter[0] != block) {
        s->counter[0] = block;
        detnni_philox(s->seed, s->counter, s->word);
        s->filled = 1;
    }
    return s->word[e & 3];
}

static float detnni_unit(uint32_t word) { return (float)(int32_t)(word >> 8) * (1.0f / 16777216.0f); }

/* z of C6 from the words a, b of its pair; second: the pair's second element. */
static float detnni_normal(uint32_t a, uint32_t b, int second)
{
    float u1 = (float)((a >> 8) + 1) * (1.0f / 16777216.0f), u2 = detnni_unit(b);
    float r = detnni_sqrt(-2.0f * detnn_log(u1));
    return r * (second ? detnn_sin2pi(u2) : detnn_cos2pi(u2));
}

/* In bulk, by a set of kernels (section 12): words, uniforms and normals from element `first` on. */
typedef struct detnni_kernels detnni_kernels;
static const detnni_kernels *detnni_kernels_of(detnn_isa isa);
static void detnni_bulk_words(const detnni_kernels *k, const detnni_stream *s, uint64_t first, size_t n, uint32_t *out);
static void detnni_uniforms(const detnni_kernels *k, const detnni_stream *s, uint64_t first, size_t n, float low,
                            float high, float *out);
static void detnni_normals(const detnni_kernels *k, const detnni_stream *s, uint64_t first, size_t n, float mean,
                           float deviation, float *out);

static float detnni_stream_normal(detnni_stream *s, uint64_t e)
{
    uint32_t a = detnni_word(s, e & ~(uint64_t)1), b = detnni_word(s, e | 1);
    return detnni_normal(a, b, (int)(e & 1));
}

DETNN_API void detnn_random_words(uint64_t seed, uint64_t step, uint32_t layer, uint64_t first, size_t count,
                                  uint32_t *out)
{
    detnni_stream s = detnni_stream_of(seed, step, DETNNI_USER, layer);
    detnni_bulk_words(detnni_kernels_of(DETNN_ISA_AUTO), &s, first, count, out);
}

DETNN_API void detnn_random_uniform(uint64_t seed, uint64_t step, uint32_t layer, uint64_t first, size_t count,
                                    float low, float high, float *out)
{
    detnni_stream s = detnni_stream_of(seed, step, DETNNI_USER, layer);
    detnni_uniforms(detnni_kernels_of(DETNN_ISA_AUTO), &s, first, count, low, high, out);
}

DETNN_API void detnn_random_normal(uint64_t seed, uint64_t step, uint32_t layer, uint64_t first, size_t count,
                                   float mean, float deviation, float *out)
{
    detnni_stream s = detnni_stream_of(seed, step, DETNNI_USER, layer);
    detnni_normals(detnni_kernels_of(DETNN_ISA_AUTO), &s, first, count, mean, deviation, out);
}

DETNN_API uint64_t detnn_splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

DETNN_API void detnn_rng_seed(detnn_rng *rng, uint64_t seed)
{
    int i;
    for (i = 0; i < 4; i++) rng->s[i] = detnn_splitmix64(&seed);
}

DETNN_API uint64_t detnn_rng_next(detnn_rng *rng)
{
    uint64_t *s = rng->s, t = s[0] + s[3], result = (t << 23 | t >> 41) + s[0];
    t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

static void detnni_rng_jump(detnn_rng *rng, const uint64_t polynomial[4])
{
    uint64_t s[4] = { 0, 0, 0, 0 };
    int i, j;
    for (i = 0; i < 256; i++) {
        if (polynomial[i / 64] >> (i & 63) & 1)
            for (j = 0; j < 4; j++) s[j] ^= rng->s[j];
        detnn_rng_next(rng);
    }
    for (j = 0; j < 4; j++) rng->s[j] = s[j];
}

DETNN_API void detnn_rng_jump(detnn_rng *rng)
{
    static const uint64_t p[4] = { 0x180ec6d33cfd0abau, 0xd5a61266f0c9392cu, 0xa9582618e03fc9aau, 0x39abdc4529b1661cu };
    detnni_rng_jump(rng, p);
}

DETNN_API void detnn_rng_long_jump(detnn_rng *rng)
{
    static const uint64_t p[4] = { 0x76e15d3efefdcbbfu, 0xc5004e441c522fb3u, 0x77710069854ee241u, 0x39109bb02acbe635u };
    detnni_rng_jump(rng, p);
}

DETNN_API float detnn_rng_uniform(detnn_rng *rng) { return (float)(detnn_rng_next(rng) >> 40) * (1.0f / 16777216.0f); }

/* The high and low halves of a 128-bit product. */
static uint64_t detnni_multiply(uint64_t a, uint64_t b, uint64_t *low)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t m = a1 * b0 + (a0 * b0 >> 32), n = a0 * b1 + (uint32_t)m;
    *low = a * b;
    return a1 * b1 + (m >> 32) + (n >> 32);
}

DETNN_API uint64_t detnn_rng_below(detnn_rng *rng, uint64_t bound)
{
    uint64_t low, high = detnni_multiply(detnn_rng_next(rng), bound, &low);
    if (low < bound) {
        uint64_t least = (0 - bound) % bound;
        while (low < least) high = detnni_multiply(detnn_rng_next(rng), bound, &low);
    }
    return high;
}

DETNN_API void detnn_rng_normal(detnn_rng *rng, size_t count, float mean, float deviation, float *out)
{
    uint64_t pair = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        if (!(i & 1)) pair = detnn_rng_next(rng);
        out[i] = DETNNI_FMA_PLAIN(deviation, detnni_normal((uint32_t)(pair >> 32), (uint32_t)pair, (int)(i & 1)), mean);
    }
}

DETNN_API void detnn_shuffle(detnn_rng *rng, void *array, size_t count, size_t size)
{
    unsigned char *a = (unsigned char *)array;
    size_t i, b;
    for (i = count; i-- > 1;) {
        size_t j = (size_t)detnn_rng_below(rng, (uint64_t)i + 1);
        for (b = 0; b < size; b++) {
            unsigned char t = a[i * size + b];
            a[i * size + b] = a[j * size + b];
            a[j * size + b] = t;
        }
    }
}

/* The order of an epoch: for few samples a table, else the keys of a Feistel permutation. */
typedef struct detnni_order {
    uint64_t count;
    int low; /* bits of the right half; the left has what remains */
    uint64_t low_mask, high_mask;
    uint32_t key[12];
    unsigned char few[64];
} detnni_order;

static detnni_order detnni_order_of(uint64_t seed, uint64_t epoch, uint64_t count)
{
    detnni_stream s = detnni_stream_of(seed, epoch, DETNNI_ORDER, 0);
    detnni_order o;
    uint64_t e = 0;
    int i, bits = 0;
    DETNNI_ZERO(&o, sizeof o);
    o.count = count;
    if (count <= 64) {
        for (i = 0; i < (int)count; i++) o.few[i] = (unsigned char)i;
        for (i = (int)count - 1; i > 0; i--) {
            uint32_t n = (uint32_t)i + 1, least = (0u - n) % n;
            uint64_t p;
            unsigned char t = o.few[i];
            do p = (uint64_t)detnni_word(&s, e++) * n; while ((uint32_t)p < least);
            o.few[i] = o.few[p >> 32];
            o.few[p >> 32] = t;
        }
        return o;
    }
    while (bits < 64 && (count - 1) >> bits) bits++;
    o.low = bits / 2;
    o.low_mask = ((uint64_t)1 << o.low) - 1;
    o.high_mask = ((uint64_t)1 << (bits - o.low)) - 1;
    for (i = 0; i < 12; i++) o.key[i] = detnni_word(&s, (uint64_t)i);
    return o;
}

/* Halves have at most 32 bits. The multipliers are those of Wellons' lowbias32. */
static DETNNI_BOTH uint64_t detnni_mix(uint64_t half, uint32_t key)
{
    uint32_t h = (uint32_t)half ^ key;
    h = (h ^ h >> 16) * 0x7FEB352Du;
    h = (h ^ h >> 15) * 0x846CA68Bu;
    return h ^ h >> 16;
}

static DETNNI_BOTH uint64_t detnni_order_at(const detnni_order *o, uint64_t i)
{
    int r;
    if (o->count <= 64) return o->few[i];
    do {
        uint64_t left = i >> o->low, right = i & o->low_mask;
        for (r = 0; r < 12; r += 2) {
            left ^= detnni_mix(right, o->key[r]) & o->high_mask;
            right ^= detnni_mix(left, o->key[r + 1]) & o->low_mask;
        }
        i = left << o->low | right;
    } while (i >= o->count); /* cycle walking: the walk stays among the first 2^bits numbers */
    return i;
}

DETNN_API uint64_t detnn_epoch_order(uint64_t seed, uint64_t epoch, uint64_t count, uint64_t i)
{
    detnni_order o = detnni_order_of(seed, epoch, count);
    return i < count ? detnni_order_at(&o, i) : 0;
}

/* ---- Trees (C3, C4): a sum that grows by one node at a time ---- */

/* node[0 .. depth-1] are the complete subtrees so far, the largest first. */
typedef struct detnni_tree {
    uint64_t count;
    int depth;
    float node[64];
} detnni_tree;

static void detnni_tree_start(detnni_tree *t) { t->count = 0; t->depth = 0; }

static void detnni_tree_add(detnni_tree *t, float leaf)
{
    uint64_t c;
    for (c = t->count++; c & 1; c >>= 1) leaf = t->node[--t->depth] + leaf;
    t->node[t->depth++] = leaf;
}

static float detnni_tree_sum(const detnni_tree *t)
{
    int d = t->depth - 1;
    float sum = d >= 0 ? t->node[d] : 0.0f;
    while (d-- > 0) sum = t->node[d] + sum;
    return sum;
}

/* The sum over samples of C3, one sample at a time. */
typedef struct detnni_batch_sum {
    detnni_tree tree;
    float leaf;
    int samples; /* in the leaf */
} detnni_batch_sum;

static void detnni_batch_sum_start(detnni_batch_sum *s)
{
    detnni_tree_start(&s->tree);
    s->leaf = 0.0f;
    s->samples = 0;
}

static void detnni_batch_sum_add(detnni_batch_sum *s, float x)
{
    s->leaf = s->leaf + x;
    if (++s->samples == 64) {
        detnni_tree_add(&s->tree, s->leaf);
        s->leaf = 0.0f;
        s->samples = 0;
    }
}

static float detnni_batch_sum_end(detnni_batch_sum *s)
{
    if (s->samples) detnni_tree_add(&s->tree, s->leaf);
    s->samples = 0;
    return detnni_tree_sum(&s->tree);
}

/* The dot product of C4 over elements that lie stride apart. */
static float detnni_dot_strided(const float *x, const float *y, size_t n, size_t stride)
{
    detnni_tree tree;
    size_t start, i, h;
    detnni_tree_start(&tree);
    for (start = 0; start < n; start += 4096) {
        float lane[64];
        for (i = 0; i < 64; i++) lane[i] = 0.0f;
        for (i = start; i < n && i < start + 4096; i++)
            lane[i % 64] = DETNNI_FMA_PLAIN(x[i * stride], y[i * stride], lane[i % 64]);
        for (h = 32; h; h /= 2)
            for (i = 0; i < h; i++) lane[i] = lane[i] + lane[i + h];
        detnni_tree_add(&tree, lane[0]);
    }
    return detnni_tree_sum(&tree);
}

/* Gram-Schmidt on rows, or columns, of w (C7); rows: their number, length: elements of a row. */
static void detnni_orthogonal(detnni_stream *s, float gain, size_t in, size_t out, float *w)
{
    size_t count = detnni_min(in, out), length = in < out ? out : in, i, j, e, pass;
    size_t element = in < out ? 1 : out, vector = in < out ? out : 1; /* strides in w */
    for (j = 0; j < count; j++) {
        float *v = w + j * vector, scale;
        for (e = 0; e < length; e++) v[e * element] = detnni_stream_normal(s, (uint64_t)j * length + e);
        for (pass = 0; pass < 2; pass++)
            for (i = 0; i < j; i++) {
                const float *q = w + i * vector;
                float c = detnni_dot_strided(q, v, length, element);
                for (e = 0; e < length; e++) v[e * element] = DETNNI_FMA_PLAIN(-c, q[e * element], v[e * element]);
            }
        scale = detnni_sqrt(detnni_dot_strided(v, v, length, element));
        for (e = 0; e < length; e++)
            v[e * element] = scale > 0.0f ? v[e * element] / scale : e == j ? 1.0f : 0.0f;
    }
    for (e = 0; e < in * out; e++) w[e] = gain * w[e];
}

static int detnni_draws_normal(detnn_initializer_kind kind)
{
    return kind == DETNN_NORMAL || kind == DETNN_TRUNCATED_NORMAL || kind == DETNN_GLOROT_NORMAL
        || kind == DETNN_HE_NORMAL || kind == DETNN_LECUN_NORMAL || kind == DETNN_ORTHOGONAL;
}

/* Fills w [rows][out]: the kernel has rows = in, the bias one. */
static void detnni_fill(const detnni_kernels *k, const detnn_initializer *init, uint64_t seed, uint32_t layer,
                        int purpose, size_t rows, size_t in, size_t out, float *w)
{
    detnni_stream s = detnni_stream_of(seed, 0, purpose, layer);
    size_t n = rows * out, e;
    double fans = (double)((uint64_t)in + out);
    float a = init->a, b = init->b;
    detnn_initializer_kind kind = init->kind;
    if (kind == DETNN_ZEROS || kind == DETNN_CONSTANT) {
        for (e = 0; e < n; e++) w[e] = kind == DETNN_ZEROS ? 0.0f : a;
        return;
    }
    if (!DETNNI_HAS(INITIALIZERS)) {
        DETNNI_ZERO(w, n * sizeof(float));
        return;
    }
    switch (kind) {
    case DETNN_GLOROT_UNIFORM: b = (float)detnni_sqrt64(6.0 / fans); break;
    case DETNN_GLOROT_NORMAL:  b = (float)detnni_sqrt64(2.0 / fans); break;
    case DETNN_HE_UNIFORM:     b = (float)detnni_sqrt64(6.0 / (double)in); break;
    case DETNN_HE_NORMAL:      b = (float)detnni_sqrt64(2.0 / (double)in); break;
    case DETNN_LECUN_UNIFORM:  b = (float)detnni_sqrt64(3.0 / (double)in); break;
    case DETNN_LECUN_NORMAL:   b = (float)detnni_sqrt64(1.0 / (double)in); break;
    default: break;
    }
    if (!detnni_draws_normal(kind)) {
        detnni_uniforms(k, &s, 0, n, kind == DETNN_UNIFORM ? a : -b, b, w);
    } else if (!DETNNI_HAS(NORMAL)) {
        DETNNI_ZERO(w, n * sizeof(float));
    } else if (kind == DETNN_ORTHOGONAL) {
        detnni_orthogonal(&s, a, rows, out, w);
    } else if (kind != DETNN_TRUNCATED_NORMAL) {
        detnni_normals(k, &s, 0, n, kind == DETNN_NORMAL ? a : 0.0f, b, w);
    } else {
        for (e = 0; e < n; e++) {
            float z = detnni_stream_normal(&s, e);
            uint64_t attempt = 0;
            while (kind == DETNN_TRUNCATED_NORMAL && !(z <= 2.0f && z >= -2.0f)) {
                detnni_stream again = detnni_stream_of(seed, ++attempt, purpose, layer);
                z = detnni_stream_normal(&again, e);
            }
            w[e] = DETNNI_FMA_PLAIN(b, z, a);
        }
    }
}

/* Checks an initializer; where names it in the sentence. */
static detnn_result detnni_check_initializer(const detnn_initializer *init, size_t layer, const char *name,
                                             detnn_error *err)
{
    if ((unsigned)init->kind >= DETNN_INITIALIZER_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z: unknown %s initializer %z", layer, name,
                           (size_t)init->kind);
    if (!detnni_finite(init->a) || !detnni_finite(init->b))
        return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z: the %s initializer's a and b must be finite", layer,
                           name);
    if (init->kind == DETNN_UNIFORM && (init->b < init->a || !detnni_finite(init->b - init->a)))
        return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z: the %s initializer is uniform from %g to %g", layer, name,
                           (double)init->a, (double)init->b);
    if ((init->kind == DETNN_NORMAL || init->kind == DETNN_TRUNCATED_NORMAL) && init->b < 0.0f)
        return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z: the %s initializer's deviation %g is negative", layer,
                           name, (double)init->b);
    if (!DETNNI_HAS(INITIALIZERS) && init->kind != DETNN_ZEROS && init->kind != DETNN_CONSTANT
        && init->kind != DETNN_GLOROT_UNIFORM)
        return detnni_fail(err, DETNN_ERROR_FEATURE, "layer %z: this build has no random initializers", layer);
    if (!DETNNI_HAS(NORMAL) && detnni_draws_normal(init->kind))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "layer %z: this build has no normal initializers", layer);
    return DETNN_OK;
}

DETNN_API detnn_result detnn_initialize(const detnn_initializer *initializer, uint64_t seed, uint32_t layer,
                                        detnn_tensor tensor, size_t inputs, size_t units, float *w, detnn_error *err)
{
    size_t rows = tensor == DETNN_KERNEL ? inputs : 1;
    detnn_result r;
    if (!initializer || !w) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_initialize: a pointer is null");
    if (tensor != DETNN_KERNEL && tensor != DETNN_BIAS)
        return detnni_fail(err, DETNN_ERROR_VALUE, "detnn_initialize: the tensor must be kernel or bias");
    if (!inputs || !units || layer >> 24 || (uint64_t)rows > ((uint64_t)1 << 34) / units)
        return detnni_fail(err, DETNN_ERROR_SIZE, "detnn_initialize: %z x %z in layer %z is out of range", rows, units,
                           (size_t)layer);
    r = detnni_check_initializer(initializer, layer, detnni_tensor_names[tensor], err);
    if (r) return r;
    detnni_fill(detnni_kernels_of(DETNN_ISA_AUTO), initializer, seed, layer,
                tensor == DETNN_KERNEL ? DETNNI_KERNEL : DETNNI_BIAS, rows, inputs, units, w);
    return detnni_ok(err);
}

/* ---- The table of kernels: one for each instruction set, all with the same bits ---- */

/* What an optimizer's update needs at one step, for all tensors. */
typedef struct detnni_update {
    detnn_optimizer o;
    float rate;        /* float(lr), Adam: a of C10 */
    float correction;  /* Adam: r of C10 */
    float keep;        /* AdamW: 1 - lr * weight_decay */
} detnni_update;

/* A product of a dense layer: the columns [from, to) of z or of dx, or the rows [from, to) of dw, so that many threads
 * may share one; scratch [room], of detnni_room floats (forward does without it where it is null). */
typedef struct detnni_dense {
    size_t rows, in, out, from, to;
    float *scratch;
    size_t room;
} detnni_dense;

static detnni_dense detnni_dense_of(size_t rows, size_t in, size_t out, size_t to, float *scratch, size_t room)
{
    detnni_dense p;
    p.rows = rows;
    p.in = in;
    p.out = out;
    p.from = 0;
    p.to = to;
    p.scratch = scratch;
    p.room = room;
    return p;
}

/* Blocks of a product's left side that a near cache holds: `tall` rows, and up to `most` in the last block or the only
 * one; `deep` along the chains, a power of two or all. Where there is more than one, so many columns are taken at a
 * time. A right side [k][line] of FAR floats and more (twice that below 8 rows, which share the cost) is taken to lie
 * in no near cache and, if all rows are one block, is packed `sheet` columns at a time, along whole lines of memory.
 * line 0: it is not. */
#define DETNNI_BLOCK_TILES 21
#define DETNNI_COLUMNS     1024
#define DETNNI_SHEET       256
#define DETNNI_FAR         ((size_t)3 << (sizeof(size_t) > 2 ? 18 : 11))
typedef struct detnni_block {
    size_t tall, most, deep, sheet;
} detnni_block;

static detnni_block detnni_block_of(size_t rows, size_t k, size_t line, size_t tallest)
{
    detnni_block b;
    b.most = detnni_min(rows, tallest + tallest / 4);
    b.tall = detnni_min(b.most, tallest);
    b.deep = 512;
    b.sheet = detnni_min((line + 31) / 32 * 32, DETNNI_SHEET);
    if (b.sheet < DETNNI_SHEET / 2 || b.most < rows || k < DETNNI_FAR / line * (rows < 8 ? 2 : 1)) b.sheet = 0;
    while (!b.sheet && b.deep < k && 2 * b.deep * b.tall <= 512 * tallest) b.deep *= 2;
    if (b.deep > k) b.deep = k;
    return b;
}
#define DETNNI_TURNED  160  /* rows of dz up to which w is read in place for the input gradient */
#define DETNNI_DEEPEST 2048 /* longest pieces of the input gradient's chains: scratch may be for shorter ones */

/* What vector kernels pack and (trees over samples) add up beside for a product [rows][cols] with chains of k, at
 * most: as `blocks` (section 11) shares it out, whichever set of kernels. Panels pay from so many columns on, and rows:
 * fewer stay in a near cache as they are (but a batch of fewer rows takes longer blocks, in the panels' room). */
#define DETNNI_PANELS      384
#define DETNNI_PANELS_ROWS 81
#define DETNNI_TREE_PANELS 128
static size_t detnni_blocks_room(size_t rows, size_t cols, size_t k, int tree)
{
    const detnni_block b = detnni_block_of(rows, k, tree ? 0 : cols, DETNNI_BLOCK_TILES * 14);
    const size_t lanes = 2 * DETNNI_LANES, columns = detnni_min(cols, DETNNI_COLUMNS);
    size_t room = b.deep * (lanes + (rows > b.most ? columns : b.sheet)); /* strips of the right side */
    if (cols >= (size_t)(tree ? DETNNI_TREE_PANELS : DETNNI_PANELS)) /* of 6 rows as 8, of 14 as 16 */
        room += b.deep * (b.most + b.most / 3 + 32);
    else if (!tree && k % 1024 == 0) room += b.most * (b.deep + 16);
    if (tree && k > 64) room += 12 * 14 * lanes; /* levels of a tile's leaves */
    if (tree && k > 1024) room += detnni_log2((k - 1) / 512) * rows * columns; /* of the blocks along the chains */
    return room;
}

/* The scratch of detnn_dense_forward's and, where training, the gradients' kernels: for columns and panels that vector
 * kernels pack, and for the levels of the tree over samples. More would not be used. */
static size_t detnni_room(size_t rows, size_t in, size_t out, int training)
{
    const size_t lanes = 2 * DETNNI_LANES, levels = rows > 64 ? detnni_log2((rows - 1) / 64) + 2 : 0;
    size_t room = 0, most;
    if (training) room = levels > (size_t)-1 / 8 / (out + 1) ? (size_t)-1 / 8 : levels * out;
    if (lanes == 2) return room;
    most = rows > 1 ? detnni_blocks_room(rows, out, in, 0) : 0; /* one row goes without */
    if (room < most) room = most;
    if (!training) return room;
    most = detnni_blocks_room(in, out, rows, 1);
    if (room < most) room = most;
    most = detnni_blocks_room(rows, in, out, 0);
    if (room < most) room = most;
    most = 112 * lanes + (detnni_min(rows, DETNNI_TURNED) + lanes + 112) * detnni_min(out, DETNNI_DEEPEST) + 112 * 16;
    if (room < most) room = most;
    return room;
}

struct detnni_kernels {
    detnn_isa isa;
    void (*forward)(const detnni_dense *p, const float *x, const float *w, const float *b, float *z);
    void (*input_gradient)(const detnni_dense *p, const float *dz, const float *w, float *dx);
    void (*weight_gradient)(const detnni_dense *p, const float *x, const float *dz, float *dw, float *db);
    float (*max)(const float *x, size_t n);
    float (*sum)(const float *x, size_t n);
    float (*dot)(const float *x, const float *y, size_t n);
    void (*softmax)(const float *z, size_t rows, size_t n, float *p, float *max, float *sum);
    void (*activate)(detnn_activation activation, float alpha, const float *z, size_t n, float *y);
    void (*activate_back)(detnn_activation activation, float alpha, const float *z, const float *y, size_t n, float *d);
    void (*dropout)(float rate, uint64_t seed, uint64_t step, uint32_t layer, uint64_t first, const float *x, size_t n,
                    float *y);
    uint32_t (*update)(const detnni_update *u, int decay, size_t n, const float *g, float *w, float *m1, float *m2);
    void (*add)(const float *x, size_t n, float *y);
    uint32_t (*magnitude)(const float *x, size_t n);
    void (*words)(const detnni_stream *s, uint64_t first, size_t n, uint32_t *word);
    void (*uniform)(const detnni_stream *s, uint64_t first, size_t n, float scale, float offset, float *y);
    void (*exact[DETNNI_EXACT_COUNT])(const float *x, size_t n, float *y);
};

#endif /* !DETNNI_ISA */

/* ==== 11. Kernel bodies ================================================================================= */

#ifdef DETNNI_ISA /* once for each instruction set */

/* The vector layer of doubles, for one instruction set chosen by DETNNI_ISA. A kernel sees VD (DETNNI_W doubles), VI
   (the same lanes as 64-bit integers), VM (a mask of lanes), and the operations below. Plain C has one lane. The
   others hold a pair of registers, so that two chains of dependent operations run side by side: each set states its
   operations on a register (r_...) once, and the pairs are made of them at the end. On x86 + - * / are the
   compilers' own operators on vectors: clang compiles intrinsics with the flags of the including program, and under
   -ffast-math re-associates them. DETNNI_TABLE is 1 where vd_at is cheap; where it is 0, vd_mad must be fused (exp's
   error bound needs one or the other). */

#define VD        DETNNI_N(vd)
#define VI        DETNNI_N(vi)
#define VM        DETNNI_N(vm)
#define vd_set    DETNNI_N(vd_set)    /* all lanes = a double */
#define vd_load   DETNNI_N(vd_load)   /* floats to doubles */
#define vd_store  DETNNI_N(vd_store)  /* doubles rounded to floats */
#define vd_add    DETNNI_N(vd_add)
#define vd_sub    DETNNI_N(vd_sub)
#define vd_mul    DETNNI_N(vd_mul)
#define vd_div    DETNNI_N(vd_div)
#define vd_mad    DETNNI_N(vd_mad)    /* a * b + c, rounded once or twice: no result may depend on it */
#define vd_msb    DETNNI_N(vd_msb)    /* a * b - c */
#define vd_nmad   DETNNI_N(vd_nmad)   /* c - a * b */
#define vd_min    DETNNI_N(vd_min)    /* a < b ? a : b, so b where either is NaN */
#define vd_max    DETNNI_N(vd_max)    /* a > b ? a : b */
#define vd_lt     DETNNI_N(vd_lt)     /* a < b */
#define vd_sel    DETNNI_N(vd_sel)    /* mask ? a : b */
#define vd_and    DETNNI_N(vd_and)
#define vd_or     DETNNI_N(vd_or)
#define vd_xor    DETNNI_N(vd_xor)
#define vd_bits   DETNNI_N(vd_bits)
#define vd_at     DETNNI_N(vd_at)     /* table[i mod 16], where DETNNI_TABLE */
#define vi_set    DETNNI_N(vi_set)
#define vi_add    DETNNI_N(vi_add)
#define vi_sub    DETNNI_N(vi_sub)
#define vi_and    DETNNI_N(vi_and)
#define vi_or     DETNNI_N(vi_or)
#define vi_shl48  DETNNI_N(vi_shl48)
#define vi_shl52  DETNNI_N(vi_shl52)
#define vi_shl63  DETNNI_N(vi_shl63)
#define vi_shr52  DETNNI_N(vi_shr52)
#define vi_double DETNNI_N(vi_double)
#define vi_none   DETNNI_N(vi_none)   /* lanes where a & m is zero; m below 2^32 */
#define vm_none   DETNNI_N(vm_none)   /* no lane */
#define vm_or     DETNNI_N(vm_or)
#define vm_any    DETNNI_N(vm_any)

#if DETNNI_ISA == DETNNI_ISA_SCALAR || DETNNI_ISA == DETNNI_ISA_CUDA

#define DETNNI_W 1
#define DETNNI_TABLE (DETNNI_ISA == DETNNI_ISA_SCALAR)
#define DETNNI_QUICK 0
typedef double VD;
typedef uint64_t VI;
typedef int VM;
DETNNI_FN VD vd_set(double a) { return a; }
#if DETNNI_ISA == DETNNI_ISA_CUDA /* as AVX2 computes; nothing for nvcc to contract */
DETNNI_FN VD vd_add(VD a, VD b) { return __dadd_rn(a, b); }
DETNNI_FN VD vd_sub(VD a, VD b) { return __dsub_rn(a, b); }
DETNNI_FN VD vd_mul(VD a, VD b) { return __dmul_rn(a, b); }
DETNNI_FN VD vd_div(VD a, VD b) { return __ddiv_rn(a, b); }
DETNNI_FN VD vd_mad(VD a, VD b, VD c) { return __fma_rn(a, b, c); }
#else
DETNNI_FN VD vd_load(const float *p) { return (double)*p; }
DETNNI_FN void vd_store(float *p, VD a) { *p = (float)a; }
DETNNI_FN VD vd_at(const uint64_t *t, uint64_t i) { return detnni_double(t[i & 15]); }
DETNNI_FN VD vd_add(VD a, VD b) { return a + b; }
DETNNI_FN VD vd_sub(VD a, VD b) { return a - b; }
DETNNI_FN VD vd_mul(VD a, VD b) { return a * b; }
DETNNI_FN VD vd_div(VD a, VD b) { return a / b; }
#if DETNNI_FMA64
DETNNI_FN VD vd_mad(VD a, VD b, VD c) { return __builtin_fma(a, b, c); }
#else
DETNNI_FN VD vd_mad(VD a, VD b, VD c) { return a * b + c; }
#endif
#endif
DETNNI_FN VD vd_min(VD a, VD b) { return a < b ? a : b; }
DETNNI_FN VD vd_max(VD a, VD b) { return a > b ? a : b; }
DETNNI_FN VM vd_lt(VD a, VD b) { return a < b; }
DETNNI_FN VD vd_sel(VM m, VD a, VD b) { return m ? a : b; }
DETNNI_FN VI vd_bits(VD a) { VI b; DETNNI_COPY(&b, &a, 8); return b; }
DETNNI_FN VD vi_double(VI a) { VD b; DETNNI_COPY(&b, &a, 8); return b; }
DETNNI_FN VD vd_and(VD a, VD b) { return vi_double(vd_bits(a) & vd_bits(b)); }
DETNNI_FN VD vd_or(VD a, VD b) { return vi_double(vd_bits(a) | vd_bits(b)); }
DETNNI_FN VD vd_xor(VD a, VD b) { return vi_double(vd_bits(a) ^ vd_bits(b)); }
DETNNI_FN VI vi_set(uint64_t a) { return a; }
DETNNI_FN VI vi_add(VI a, VI b) { return a + b; }
DETNNI_FN VI vi_sub(VI a, VI b) { return a - b; }
DETNNI_FN VI vi_and(VI a, VI b) { return a & b; }
DETNNI_FN VI vi_or(VI a, VI b) { return a | b; }
DETNNI_FN VI vi_shl48(VI a) { return a << 48; }
DETNNI_FN VI vi_shl52(VI a) { return a << 52; }
DETNNI_FN VI vi_shl63(VI a) { return a << 63; }
DETNNI_FN VI vi_shr52(VI a) { return a >> 52; }
DETNNI_FN VM vi_none(VI a, VI m) { return (a & m) == 0; }
DETNNI_FN VM vm_none(void) { return 0; }
DETNNI_FN VM vm_or(VM a, VM b) { return a | b; }
DETNNI_FN int vm_any(VM a) { return a; }

#elif DETNNI_ISA == DETNNI_ISA_AVX512

#define DETNNI_W 16
#define DETNNI_TABLE 1
#define DETNNI_QUICK 1
typedef struct { __m512d a, b; } VD;
typedef struct { __m512i a, b; } VI;
typedef struct { __mmask8 a, b; } VM;
#define r_set(x)       _mm512_set1_pd(x)
/* gcc 12 calls the undefined source operands of some unmasked forms uninitialized: these have none */
#define r_all          ((__mmask8)0xff)
#define r_load(p)      _mm512_maskz_cvtps_pd(r_all, _mm256_loadu_ps(p))
#define r_store(p, x)  _mm256_storeu_ps(p, _mm512_maskz_cvtpd_ps(r_all, x))
#define r_add(x, y)    ((x) + (y))
#define r_sub(x, y)    ((x) - (y))
#define r_mul(x, y)    ((x) * (y))
#define r_div(x, y)    ((x) / (y))
#define r_mad          _mm512_fmadd_pd
#define r_msb          _mm512_fmsub_pd
#define r_nmad         _mm512_fnmadd_pd
#define r_min(x, y)    _mm512_maskz_min_pd(r_all, x, y)
#define r_max(x, y)    _mm512_maskz_max_pd(r_all, x, y)
#define r_lt(x, y)     _mm512_cmp_pd_mask(x, y, _CMP_LT_OQ)
#define r_sel(m, x, y) _mm512_mask_blend_pd(m, y, x)
#define r_and          _mm512_and_pd
#define r_or           _mm512_or_pd
#define r_xor          _mm512_xor_pd
#define r_bits         _mm512_castpd_si512
#define r_double       _mm512_castsi512_pd
#define r_at(t, i)     _mm512_castsi512_pd(_mm512_permutex2var_epi64(_mm512_loadu_si512(t), i, \
                           _mm512_loadu_si512((t) + 8)))
#define r_iset(x)      _mm512_set1_epi64((long long)(x))
#define r_iadd         _mm512_add_epi64
#define r_isub         _mm512_sub_epi64
#define r_iand         _mm512_and_si512
#define r_ior          _mm512_or_si512
#define r_shl(x, n)    _mm512_maskz_slli_epi64(r_all, x, n)
#define r_shr(x, n)    _mm512_maskz_srli_epi64(r_all, x, n)
#define r_none         _mm512_testn_epi64_mask
#define r_mnone        0
#define r_mor(x, y)    (__mmask8)((x) | (y))
#define r_any(x, y)    (((x) | (y)) != 0)

#elif DETNNI_ISA == DETNNI_ISA_AVX2

#define DETNNI_W 8
#define DETNNI_TABLE 0
#define DETNNI_QUICK 1
typedef struct { __m256d a, b; } VD;
typedef struct { __m256i a, b; } VI;
typedef struct { __m256d a, b; } VM;
#define r_set(x)       _mm256_set1_pd(x)
#define r_load(p)      _mm256_cvtps_pd(_mm_loadu_ps(p))
#define r_store(p, x)  _mm_storeu_ps(p, _mm256_cvtpd_ps(x))
#define r_add(x, y)    ((x) + (y))
#define r_sub(x, y)    ((x) - (y))
#define r_mul(x, y)    ((x) * (y))
#define r_div(x, y)    ((x) / (y))
#define r_mad          _mm256_fmadd_pd
#define r_msb          _mm256_fmsub_pd
#define r_nmad         _mm256_fnmadd_pd
#define r_min          _mm256_min_pd
#define r_max          _mm256_max_pd
#define r_lt(x, y)     _mm256_cmp_pd(x, y, _CMP_LT_OQ)
#define r_sel(m, x, y) _mm256_blendv_pd(y, x, m)
#define r_and          _mm256_and_pd
#define r_or           _mm256_or_pd
#define r_xor          _mm256_xor_pd
#define r_bits         _mm256_castpd_si256
#define r_double       _mm256_castsi256_pd
#define r_iset(x)      _mm256_set1_epi64x((long long)(x))
#define r_iadd         _mm256_add_epi64
#define r_isub         _mm256_sub_epi64
#define r_iand         _mm256_and_si256
#define r_ior          _mm256_or_si256
#define r_shl          _mm256_slli_epi64
#define r_shr          _mm256_srli_epi64
#define r_none(x, m)   _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(x, m), _mm256_setzero_si256()))
#define r_mnone        _mm256_setzero_pd()
#define r_mor          _mm256_or_pd
#define r_any(x, y)    (_mm256_movemask_pd(_mm256_or_pd(x, y)) != 0)

#elif DETNNI_ISA == DETNNI_ISA_SSE2

#define DETNNI_W 4
#define DETNNI_TABLE 1
#define DETNNI_QUICK 0
typedef struct { __m128d a, b; } VD;
typedef struct { __m128i a, b; } VI;
typedef struct { __m128d a, b; } VM;
#define r_set(x)       _mm_set1_pd(x)
#define r_load(p)      _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)(p))))
#define r_store(p, x)  _mm_storel_epi64((__m128i *)(void *)(p), _mm_castps_si128(_mm_cvtpd_ps(x)))
#define r_add(x, y)    ((x) + (y))
#define r_sub(x, y)    ((x) - (y))
#define r_mul(x, y)    ((x) * (y))
#define r_div(x, y)    ((x) / (y))
#define r_mad(x, y, z) ((x) * (y) + (z))
#define r_min          _mm_min_pd
#define r_max          _mm_max_pd
#define r_lt           _mm_cmplt_pd
#define r_sel(m, x, y) _mm_or_pd(_mm_and_pd(m, x), _mm_andnot_pd(m, y))
#define r_and          _mm_and_pd
#define r_or           _mm_or_pd
#define r_xor          _mm_xor_pd
#define r_bits         _mm_castpd_si128
#define r_double       _mm_castsi128_pd
#define r_at(t, i)     _mm_castsi128_pd(_mm_set_epi64x((long long)(t)[_mm_extract_epi16(i, 4) & 15], \
                                                       (long long)(t)[_mm_extract_epi16(i, 0) & 15]))
#define r_iset(x)      _mm_set1_epi64x((long long)(x))
#define r_iadd         _mm_add_epi64
#define r_isub         _mm_sub_epi64
#define r_iand         _mm_and_si128
#define r_ior          _mm_or_si128
#define r_shl          _mm_slli_epi64
#define r_shr          _mm_srli_epi64
#define r_none(x, m)   _mm_castsi128_pd(_mm_shuffle_epi32(_mm_cmpeq_epi32(_mm_and_si128(x, m), \
                                                                          _mm_setzero_si128()), 0xa0))
#define r_mnone        _mm_setzero_pd()
#define r_mor          _mm_or_pd
#define r_any(x, y)    (_mm_movemask_pd(_mm_or_pd(x, y)) != 0)

#elif DETNNI_ISA == DETNNI_ISA_NEON

#define DETNNI_W 4
#define DETNNI_TABLE 1
#define DETNNI_QUICK 0
typedef struct { float64x2_t a, b; } VD;
typedef struct { uint64x2_t a, b; } VI;
typedef struct { uint64x2_t a, b; } VM;
#define r_set(x)       vdupq_n_f64(x)
#define r_load(p)      vcvt_f64_f32(vld1_f32(p))
#define r_store(p, x)  vst1_f32(p, vcvt_f32_f64(x))
#define r_add          vaddq_f64
#define r_sub          vsubq_f64
#define r_mul          vmulq_f64
#define r_div          vdivq_f64
#define r_mad(x, y, z) vfmaq_f64(z, x, y)
#define r_min(x, y)    vbslq_f64(vcltq_f64(x, y), x, y)
#define r_max(x, y)    vbslq_f64(vcgtq_f64(x, y), x, y)
#define r_lt           vcltq_f64
#define r_sel          vbslq_f64
#define r_bits         vreinterpretq_u64_f64
#define r_double       vreinterpretq_f64_u64
#define r_and(x, y)    r_double(vandq_u64(r_bits(x), r_bits(y)))
#define r_or(x, y)     r_double(vorrq_u64(r_bits(x), r_bits(y)))
#define r_xor(x, y)    r_double(veorq_u64(r_bits(x), r_bits(y)))
#define r_at(t, i)     r_double(vcombine_u64(vld1_u64((t) + (vgetq_lane_u64(i, 0) & 15)), \
                                             vld1_u64((t) + (vgetq_lane_u64(i, 1) & 15))))
#define r_iset(x)      vdupq_n_u64(x)
#define r_iadd         vaddq_u64
#define r_isub         vsubq_u64
#define r_iand         vandq_u64
#define r_ior          vorrq_u64
#define r_shl          vshlq_n_u64
#define r_shr          vshrq_n_u64
#define r_none(x, m)   vceqzq_u64(vandq_u64(x, m))
#define r_mnone        vdupq_n_u64(0)
#define r_mor          vorrq_u64
#define r_any(x, y)    (vmaxvq_u32(vreinterpretq_u32_u64(vorrq_u64(x, y))) != 0)

#elif DETNNI_ISA == DETNNI_ISA_WASM

#define DETNNI_W 4
#define DETNNI_TABLE 1
typedef double detnni_f64x2 __attribute__((vector_size(16)));
typedef float detnni_f32x4 __attribute__((vector_size(16)));
#define DETNNI_QUICK 0
typedef struct { v128_t a, b; } VD;
typedef struct { v128_t a, b; } VI;
typedef struct { v128_t a, b; } VM;
#define r_set(x)       wasm_f64x2_splat(x)
#define r_load(p)      wasm_f64x2_promote_low_f32x4(wasm_v128_load64_zero(p))
#define r_store(p, x)  wasm_v128_store64_lane(p, wasm_f32x4_demote_f64x2_zero(x), 0)
#define r_add(x, y)    ((v128_t)((detnni_f64x2)(x) + (detnni_f64x2)(y)))
#define r_sub(x, y)    ((v128_t)((detnni_f64x2)(x) - (detnni_f64x2)(y)))
#define r_mul(x, y)    ((v128_t)((detnni_f64x2)(x) * (detnni_f64x2)(y)))
#define r_div(x, y)    ((v128_t)((detnni_f64x2)(x) / (detnni_f64x2)(y)))
#define r_mad(x, y, z) r_add(r_mul(x, y), z)
#define r_min(x, y)    wasm_f64x2_pmin(y, x)
#define r_max(x, y)    wasm_f64x2_pmax(y, x)
#define r_lt(x, y)     ((v128_t)((detnni_f64x2)(x) < (detnni_f64x2)(y)))
#define r_sel(m, x, y) wasm_v128_bitselect(x, y, m)
#define r_and          wasm_v128_and
#define r_or           wasm_v128_or
#define r_xor          wasm_v128_xor
#define r_bits(x)      (x)
#define r_double(x)    (x)
#define r_at(t, i)     wasm_i64x2_make((int64_t)(t)[wasm_i64x2_extract_lane(i, 0) & 15], \
                                       (int64_t)(t)[wasm_i64x2_extract_lane(i, 1) & 15])
#define r_iset(x)      wasm_i64x2_splat((int64_t)(x))
#define r_iadd         wasm_i64x2_add
#define r_isub         wasm_i64x2_sub
#define r_iand         wasm_v128_and
#define r_ior          wasm_v128_or
#define r_shl          wasm_i64x2_shl
#define r_shr          wasm_u64x2_shr
#define r_none(x, m)   wasm_i64x2_eq(wasm_v128_and(x, m), wasm_i64x2_splat(0))
#define r_mnone        wasm_i64x2_splat(0)
#define r_mor          wasm_v128_or
#define r_any(x, y)    wasm_v128_any_true(wasm_v128_or(x, y))

#endif

#if DETNNI_ISA != DETNNI_ISA_SCALAR && DETNNI_ISA != DETNNI_ISA_CUDA
#define DETNNI_1(T, name, X, op) DETNNI_FN T name(X x) { T z; z.a = op(x.a); z.b = op(x.b); return z; }
#define DETNNI_2(T, name, X, op) DETNNI_FN T name(X x, X y) { T z; z.a = op(x.a, y.a); z.b = op(x.b, y.b); return z; }
#define DETNNI_3(name, op, n) DETNNI_FN VI name(VI x) { VI z; z.a = op(x.a, n); z.b = op(x.b, n); return z; }
DETNNI_FN VD vd_set(double x) { VD z; z.a = r_set(x); z.b = z.a; return z; }
DETNNI_FN VI vi_set(uint64_t x) { VI z; z.a = r_iset(x); z.b = z.a; return z; }
DETNNI_FN VD vd_load(const float *p) { VD z; z.a = r_load(p); z.b = r_load(p + DETNNI_W / 2); return z; }
DETNNI_FN void vd_store(float *p, VD x) { r_store(p, x.a); r_store(p + DETNNI_W / 2, x.b); }
DETNNI_2(VD, vd_add, VD, r_add)
DETNNI_2(VD, vd_sub, VD, r_sub)
DETNNI_2(VD, vd_mul, VD, r_mul)
DETNNI_2(VD, vd_div, VD, r_div)
DETNNI_FN VD vd_mad(VD x, VD y, VD w) { VD z; z.a = r_mad(x.a, y.a, w.a); z.b = r_mad(x.b, y.b, w.b); return z; }
#if DETNNI_QUICK
#if defined(__clang__) /* its intrinsics add -w, which -fno-signed-zeros would fold with the difference that w is */
#define DETNNI_AS_IS(x) __asm__("" : "+v"(x))
#else
#define DETNNI_AS_IS(x) ((void)0)
#endif
DETNNI_FN VD vd_msb(VD x, VD y, VD w)
{
    VD z;
    DETNNI_AS_IS(w.a);
    DETNNI_AS_IS(w.b);
    z.a = r_msb(x.a, y.a, w.a);
    z.b = r_msb(x.b, y.b, w.b);
    return z;
}
#undef DETNNI_AS_IS
DETNNI_FN VD vd_nmad(VD x, VD y, VD w) { VD z; z.a = r_nmad(x.a, y.a, w.a); z.b = r_nmad(x.b, y.b, w.b); return z; }
#endif
DETNNI_2(VD, vd_min, VD, r_min)
DETNNI_2(VD, vd_max, VD, r_max)
DETNNI_2(VM, vd_lt, VD, r_lt)
DETNNI_FN VD vd_sel(VM m, VD x, VD y) { VD z; z.a = r_sel(m.a, x.a, y.a); z.b = r_sel(m.b, x.b, y.b); return z; }
DETNNI_2(VD, vd_and, VD, r_and)
DETNNI_2(VD, vd_or, VD, r_or)
DETNNI_2(VD, vd_xor, VD, r_xor)
DETNNI_1(VI, vd_bits, VD, r_bits)
DETNNI_1(VD, vi_double, VI, r_double)
#if DETNNI_TABLE
DETNNI_FN VD vd_at(const uint64_t *t, VI i) { VD z; z.a = r_at(t, i.a); z.b = r_at(t, i.b); return z; }
#endif
DETNNI_2(VI, vi_add, VI, r_iadd)
DETNNI_2(VI, vi_sub, VI, r_isub)
DETNNI_2(VI, vi_and, VI, r_iand)
DETNNI_2(VI, vi_or, VI, r_ior)
DETNNI_3(vi_shl48, r_shl, 48)
DETNNI_3(vi_shl52, r_shl, 52)
DETNNI_3(vi_shl63, r_shl, 63)
DETNNI_3(vi_shr52, r_shr, 52)
DETNNI_2(VM, vi_none, VI, r_none)
DETNNI_FN VM vm_none(void) { VM z; z.a = r_mnone; z.b = r_mnone; return z; }
DETNNI_2(VM, vm_or, VM, r_mor)
DETNNI_FN int vm_any(VM m) { return r_any(m.a, m.b); }
#undef DETNNI_1
#undef DETNNI_2
#undef DETNNI_3
#undef r_all
#undef r_set
#undef r_load
#undef r_store
#undef r_add
#undef r_sub
#undef r_mul
#undef r_div
#undef r_mad
#undef r_msb
#undef r_nmad
#undef r_min
#undef r_max
#undef r_lt
#undef r_sel
#undef r_and
#undef r_or
#undef r_xor
#undef r_bits
#undef r_double
#undef r_at
#undef r_iset
#undef r_iadd
#undef r_isub
#undef r_iand
#undef r_ior
#undef r_shl
#undef r_shr
#undef r_none
#undef r_mnone
#undef r_mor
#undef r_any
#endif

/* The exact functions: one body each over the vector layer, compiled once for each instruction set.

   Each body computes the value in binary64 with a relative error of a few 2^-53. A result within 16 ulps of the
   middle of two neighbouring floats is "odd": only there could rounding to binary32 go wrong, or differ between a
   fused and an unfused multiply-add. The mask says which lanes are odd (about one in 2^24), and detnni_fix_...
   answers for them from the input: the inputs whose exact value is nearer to a middle than the error are listed
   there with their results. */

#define DETNNI_ROUND 6755399441055744.0 /* 1.5 * 2^52: x + it - it is x rounded to an integer */

#ifndef DETNNI_EXACT_TABLES
#define DETNNI_EXACT_TABLES
/* The bits of 2^(j/16), less j << 48: adding k << 48 gives 2^(k/16) for every k = j mod 16. */
DETNNI_DATA uint64_t detnni_exp_table[16] = {
    0x3ff0000000000000u, 0x3fefb5586cf9890fu, 0x3fef72b83c7d517bu, 0x3fef387a6e756238u,
    0x3fef06fe0a31b715u, 0x3feedea64c123422u, 0x3feebfdad5362a27u, 0x3feeab07dd485429u,
    0x3feea09e667f3bcdu, 0x3feea11473eb0187u, 0x3feeace5422aa0dbu, 0x3feec49182a3f090u,
    0x3feee89f995ad3adu, 0x3fef199bdd85529cu, 0x3fef5818dcfba487u, 0x3fefa4afa2a490dau };
#if DETNNI_X86
/* Tables of 8 for AVX2: the low halves of all, then the high ones. 2^(j/8), less j << 49 */
DETNNI_DATA uint64_t detnni_exp_split[8] = {
    0x3c7d517b00000000u, 0xd5362a270a31b715u, 0x422aa0db667f3bcdu, 0xdcfba487995ad3adu,
    0x3fef72b83ff00000u, 0x3feebfda3fef06feu, 0x3feeace53feea09eu, 0x3fef58183feee89fu };
/* The high halves of 1/u, u = 1 + j/8, plus 1023 << 20 (the low ones are 0), and log(u) */
DETNNI_DATA uint64_t detnni_log_inverse[4] = {
    0x7fdc71c77fe00000u, 0x7fd745d17fd9999au, 0x7fd3b13b7fd55555u, 0x7fd111117fd24925u };
DETNNI_DATA uint64_t detnni_log_split[8] = {
    0x6e2af36600000000u, 0x021c61e2c79a9e22u, 0x9faf070decbf9a4cu, 0x084672be9e704310u,
    0x3fbe270800000000u, 0x3fd4618d3fcc8ff5u, 0x3fdf128f3fd9f324u, 0x3fe41d903fe1e85eu };
/* For AVX-512, 1/u and log(u), u = 1 + j/15 */
DETNNI_DATA uint64_t detnni_log_table[2][16] = { {
    0x3ff0000000000000u, 0x3fee000000000000u, 0x3fec3c3c3c3c3c3cu, 0x3feaaaaaaaaaaaabu,
    0x3fe9435e50d79436u, 0x3fe8000000000000u, 0x3fe6db6db6db6db7u, 0x3fe5d1745d1745d1u,
    0x3fe4de9bd37a6f4eu, 0x3fe4000000000000u, 0x3fe3333333333333u, 0x3fe2762762762762u,
    0x3fe1c71c71c71c72u, 0x3fe1249249249249u, 0x3fe08d3dcb08d3ddu, 0x3fe0000000000000u }, {
    0x0000000000000000u, 0x3fb08598b59e3a07u, 0x3fc005588ad375aeu, 0x3fc7565011e49675u,
    0x3fce41fccb76b0d7u, 0x3fd269621134db92u, 0x3fd588c2d913348fu, 0x3fd882f1ef83ed45u,
    0x3fdb5b3e24235e88u, 0x3fde148a1a2726ceu, 0x3fe058aefa811452u, 0x3fe199fac68b4ab8u,
    0x3fe2cf25fad8f1c3u, 0x3fe3f91275240811u, 0x3fe5188a4a02d7feu, 0x3fe62e42fefa39efu } };
#endif
#endif

DETNNI_FN VM DETNNI_N(unsure)(VD y) { return vi_none(vi_add(vd_bits(y), vi_set(0x10000010)), vi_set(0x1fffffe0)); }
DETNNI_FN VD DETNNI_N(sign)(VD x) { return vd_and(x, vd_set(-0.0)); }
DETNNI_FN VD DETNNI_N(abs)(VD x) { return vd_and(x, vi_double(vi_set(0x7fffffffffffffffu))); }
/* a <= x <= b, or NaN */
DETNNI_FN VD DETNNI_N(clamp)(VD x, double a, double b) { return vd_min(vd_set(b), vd_max(vd_set(a), x)); }

/* expm1(r) of x = k log(2) + r, |r| < 0.347, and *s = 2^k; |x| < 700. Without a table, so exact where k = 0. */
DETNNI_FN VD DETNNI_N(exp_parts)(VD x, VD *s)
{
    VD t = vd_mad(x, vd_set(1.4426950408889634), vd_set(DETNNI_ROUND));
    VD k = vd_sub(t, vd_set(DETNNI_ROUND));
    VD r = vd_mad(k, vd_set(-5.4979230187083712e-14), vd_mad(k, vd_set(-0.69314718055989033), x));
    VD u = vd_mul(r, r), v = vd_mul(u, u);
    VD p0 = vd_mad(vd_set(0.16666666666666669), r, vd_set(0.50000000000000011));
    VD p1 = vd_mad(vd_set(0.0083333333333300581), r, vd_set(0.041666666666624087));
    VD p2 = vd_mad(vd_set(0.00019841269863069374), r, vd_set(0.0013888888917234206));
    VD p3 = vd_mad(vd_set(2.7557268435517562e-06), r, vd_set(2.4801521264122017e-05));
    VD p4 = vd_mad(vd_set(2.5100397137931663e-08), r, vd_set(2.7620103584886963e-07));
    *s = vi_double(vi_add(vi_shl52(vd_bits(t)), vi_set(0x3ff0000000000000u)));
    p0 = vd_mad(p1, u, p0);
    p2 = vd_mad(p4, v, vd_mad(p3, u, p2));
    return vd_mad(vd_mad(p2, v, p0), u, r);
}
DETNNI_FN VD DETNNI_N(expm1_core)(VD x)
{
    VD s, p = DETNNI_N(exp_parts)(x, &s);
    return vd_mad(s, p, vd_sub(s, vd_set(1.0)));
}
/* exp(x), |x| < 700 */
DETNNI_FN VD DETNNI_N(exp_core)(VD x)
{
#if DETNNI_TABLE /* 2^(k/16) from the table times exp(r), |r| < 0.0217 */
    VD t = vd_mad(x, vd_set(23.083120654223414), vd_set(DETNNI_ROUND));
    VD k = vd_sub(t, vd_set(DETNNI_ROUND));
    VD r = vd_mad(k, vd_set(-3.436201886692732e-15), vd_mad(k, vd_set(-0.043321698784993146), x));
    VD s = vi_double(vi_add(vi_shl48(vd_bits(t)), vd_bits(vd_at(detnni_exp_table, vd_bits(t)))));
    VD u = vd_mul(r, r);
    VD p0 = vd_mad(vd_set(0.16666666666666669), r, vd_set(0.50000000000000011));
    VD p1 = vd_mad(vd_set(0.0083333333329908815), r, vd_set(0.041666666663584595));
    VD p2 = vd_mad(vd_set(0.00019841464130563585), r, vd_set(0.0013889063749440052));
    p1 = vd_mad(p2, u, p1);
    return vd_mad(s, vd_mad(vd_mad(p1, u, p0), u, r), s);
#else
    VD s, p = DETNNI_N(exp_parts)(x, &s);
    return vd_mad(s, p, s);
#endif
}

/* k log(2) + log(1 + f) + base, 0.7 < 1 + f < 1.42. With s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - s (f -
   R(s^2)). */
DETNNI_FN VD DETNNI_N(log_core)(VD k, VD f, VD base)
{
    VD s = vd_div(f, vd_sub(vd_set(-2.0), f)), u = vd_mul(s, s), v = vd_mul(u, u); /* s negated */
    VD p0 = vd_mad(vd_set(-0.39999999999899238), u, vd_set(-0.66666666666666696));
    VD p1 = vd_mad(vd_set(-0.22222211115144161), u, vd_set(-0.28571428626095891));
    VD p2 = vd_mad(vd_set(-0.15331674030167861), u, vd_set(-0.18182890556695602));
    p0 = vd_mad(p1, v, p0);
    p2 = vd_mad(vd_set(-0.1461703754879165), v, p2);
    p0 = vd_mad(p2, vd_mul(v, v), p0);
    s = vd_mad(s, vd_mad(p0, u, f), vd_mul(k, vd_set(5.4979230187083712e-14)));
    return vd_add(vd_mad(k, vd_set(0.69314718055989033), base), vd_add(f, s));
}
/* The exponent k of x = 2^k * z, sqrt(1/2) <= z < sqrt(2), and its part of the bits (k + 256 in the exponent's
   place). k > 200 unless x is positive and finite. */
DETNNI_FN VD DETNNI_N(exponent)(VD x, VI *part)
{
    VI t = vi_add(vd_bits(x), vi_set(0xd0195f619980c433u)); /* 256 << 52, less the bits of sqrt(1/2) */
    *part = vi_and(t, vi_set(0xfff0000000000000u));
    return vd_sub(vi_double(vi_or(vi_shr52(t), vi_set(0x4330000000000000u))), vd_set(4503599627370496.0 + 256.0));
}
DETNNI_FN VD DETNNI_N(exp)(VD x, VM *odd)
{
    *odd = vm_none();
    return DETNNI_N(exp_core)(DETNNI_N(clamp)(x, -120.0, 120.0));
}

DETNNI_FN VD DETNNI_N(expm1)(VD x, VM *odd)
{
    VD y = vd_or(DETNNI_N(expm1_core)(DETNNI_N(clamp)(x, -120.0, 120.0)), DETNNI_N(sign)(x));
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* expm1(2|x|) / (expm1(2|x|) + 2) */
DETNNI_FN VD DETNNI_N(tanh)(VD x, VM *odd)
{
    VD e = DETNNI_N(expm1_core)(vd_min(vd_set(40.0), DETNNI_N(abs)(vd_add(x, x))));
    *odd = vm_none();
    return vd_or(vd_div(e, vd_add(e, vd_set(2.0))), DETNNI_N(sign)(x));
}

DETNNI_FN VD DETNNI_N(sigmoid)(VD x, VM *odd)
{
    VD e = DETNNI_N(exp_core)(DETNNI_N(clamp)(x, -120.0, 120.0));
    VD y = vd_div(e, vd_add(vd_set(1.0), e));
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* x / (1 + exp(-x)), and a nudge upwards of 2^-52 of it: for |x| < 2^-125 the value is just above x/2, often a tie */
DETNNI_FN VD DETNNI_N(silu)(VD x, VM *odd)
{
    VD n = vd_max(vd_set(-120.0), x), e = DETNNI_N(exp_core)(vd_sub(vd_set(0.0), vd_min(vd_set(120.0), n)));
    VD y = vd_div(n, vd_add(vd_set(1.0), e));
    y = vd_or(vd_mad(DETNNI_N(abs)(y), vd_set(1.0 / 4503599627370496.0), y), DETNNI_N(sign)(x));
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* With a = |x|, e = exp(-a): e (1 + e - a) / (1 + e)^2 for x < 0, and 1 less that for x >= 0 */
DETNNI_FN VD DETNNI_N(silu_grad)(VD x, VM *odd)
{
    VD a = vd_min(vd_set(120.0), DETNNI_N(abs)(x)), e = DETNNI_N(exp_core)(vd_sub(vd_set(0.0), a));
    VD d = vd_add(vd_set(1.0), e), n = vd_add(vd_sub(vd_set(1.0), a), e), y = vd_div(vd_mul(e, n), vd_mul(d, d));
    y = vd_sel(vd_lt(x, vd_set(0.0)), y, vd_sub(vd_set(1.0), y));
    /* and odd nearest to the root, where e is not exact enough for the difference n */
    *odd = vm_or(DETNNI_N(unsure)(y), vd_lt(DETNNI_N(abs)(n), vd_set(1.0 / 65536.0)));
    return y;
}

DETNNI_FN VD DETNNI_N(log)(VD x, VM *odd)
{
    VI part;
    VD k = DETNNI_N(exponent)(x, &part), z = vi_double(vi_sub(vi_add(vd_bits(x), vi_set(0x1000000000000000u)), part));
    VD y = DETNNI_N(log_core)(k, vd_sub(z, vd_set(1.0)), vd_set(0.0));
    *odd = vm_or(DETNNI_N(unsure)(y), vd_lt(vd_set(200.0), k));
    return y;
}

DETNNI_FN VD DETNNI_N(log1p)(VD x, VM *odd)
{
    VI part;
    VD k = DETNNI_N(exponent)(vd_add(vd_set(1.0), x), &part);
    VD p = vi_double(vi_sub(vi_set(0x4ff0000000000000u), part)); /* 2^-k */
    VD y = DETNNI_N(log_core)(k, vd_mad(x, p, vd_sub(p, vd_set(1.0))), vd_set(0.0));
    y = vd_or(y, DETNNI_N(sign)(x));
    *odd = vm_or(DETNNI_N(unsure)(y), vd_lt(vd_set(200.0), k));
    return y;
}

/* max(x, 0) + log(1 + exp(-|x|)) */
DETNNI_FN VD DETNNI_N(softplus)(VD x, VM *odd)
{
    VD a = vd_min(vd_set(120.0), DETNNI_N(abs)(x)), e = DETNNI_N(exp_core)(vd_sub(vd_set(0.0), a));
    VM half = vd_lt(vd_set(0.41421356237309515), e); /* 1 + e = 2 (1 + (e - 1)/2) */
    VD f = vd_sel(half, vd_mul(vd_set(0.5), vd_sub(e, vd_set(1.0))), e), k = vd_sel(half, vd_set(1.0), vd_set(0.0));
    VD y = DETNNI_N(log_core)(k, f, vd_max(vd_set(0.0), x));
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* erf(t) / t in x = t^2 - 8, |t| <= 4 */
DETNNI_FN VD DETNNI_N(erf_core)(VD x)
{
    VD x2 = vd_mul(x, x), x4 = vd_mul(x2, x2);
    VD y0 = vd_set(1.4219206782812736e-29), y1 = vd_set(-5.5890389877877047e-31);
    VD y2 = vd_set(4.2305195662488564e-32), y3 = vd_set(-1.4400188484776097e-33);
    y0 = vd_mad(y0, x4, vd_set(5.923892195660087e-24));
    y1 = vd_mad(y1, x4, vd_set(-2.6309258363926844e-25));
    y2 = vd_mad(y2, x4, vd_set(1.1699535890252974e-26));
    y3 = vd_mad(y3, x4, vd_set(-4.7362992702628112e-28));
    y0 = vd_mad(y0, x4, vd_set(9.7887332958571347e-19));
    y1 = vd_mad(y1, x4, vd_set(-5.2253313607972833e-20));
    y2 = vd_mad(y2, x4, vd_set(2.657281998716832e-21));
    y3 = vd_mad(y3, x4, vd_set(-1.287585186274229e-22));
    y0 = vd_mad(y0, x4, vd_set(7.0628431597247156e-14));
    y1 = vd_mad(y1, x4, vd_set(-4.689738280734741e-15));
    y2 = vd_mad(y2, x4, vd_set(2.9390738767951206e-16));
    y3 = vd_mad(y3, x4, vd_set(-1.7421927204399788e-17));
    y0 = vd_mad(y0, x4, vd_set(1.9705672629566991e-09));
    y1 = vd_mad(y1, x4, vd_set(-1.6744112823536095e-10));
    y2 = vd_mad(y2, x4, vd_set(1.3364105926745831e-11));
    y3 = vd_mad(y3, x4, vd_set(-1.0018963726975986e-12));
    y0 = vd_mad(y0, x4, vd_set(2.2023680203130955e-05));
    y1 = vd_mad(y1, x4, vd_set(-2.2805134808429975e-06));
    y2 = vd_mad(y2, x4, vd_set(2.2845041269497152e-07));
    y3 = vd_mad(y3, x4, vd_set(-2.1822505233698065e-08));
    y0 = vd_mad(y0, x4, vd_set(0.35353099564340495));
    y1 = vd_mad(y1, x4, vd_set(-0.02207202916267129));
    y2 = vd_mad(y2, x4, vd_set(0.002057423701479716));
    y3 = vd_mad(y3, x4, vd_set(-0.00021037195806388083));
    return vd_mad(vd_mad(y3, x, y2), x2, vd_mad(y1, x, y0));
}
DETNNI_FN VD DETNNI_N(erf)(VD x, VM *odd)
{
    VD t = DETNNI_N(clamp)(x, -4.0, 4.0), y = vd_mul(t, DETNNI_N(erf_core)(vd_mad(t, t, vd_set(-8.0))));
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* Phi(-a) = exp(-a^2/2) S(x), x = (a - 4) / (a + 4), 0 <= a <= 15 */
DETNNI_FN VD DETNNI_N(gelu_core)(VD x)
{
    VD x2 = vd_mul(x, x), x4 = vd_mul(x2, x2);
    VD y0 = vd_set(1.8691742490385479e-09), y1 = vd_set(-5.1761785111542736e-08);
    VD y2 = vd_set(4.8398274556838759e-09), y3 = vd_set(8.914691709513401e-09);
    y0 = vd_mad(y0, x4, vd_set(-8.9923060667895441e-08));
    y0 = vd_mad(y0, x4, vd_set(-4.3029742104239522e-06));
    y1 = vd_mad(y1, x4, vd_set(-8.3009416572404092e-07));
    y2 = vd_mad(y2, x4, vd_set(6.5944356319504971e-07));
    y3 = vd_mad(y3, x4, vd_set(2.0664469387101087e-07));
    y0 = vd_mad(y0, x4, vd_set(-0.00018718425872420527));
    y1 = vd_mad(y1, x4, vd_set(-4.5554946305852978e-05));
    y2 = vd_mad(y2, x4, vd_set(2.8648244161286357e-05));
    y3 = vd_mad(y3, x4, vd_set(4.6318165402162116e-06));
    y0 = vd_mad(y0, x4, vd_set(0.030864804106344058));
    y1 = vd_mad(y1, x4, vd_set(-0.0084920954824721437));
    y2 = vd_mad(y2, x4, vd_set(0.00050756207433365504));
    y3 = vd_mad(y3, x4, vd_set(0.00063881385762614448));
    y0 = vd_mad(y0, x4, vd_set(0.094410641301968939));
    y1 = vd_mad(y1, x4, vd_set(-0.17039772154845551));
    y2 = vd_mad(y2, x4, vd_set(0.12437925533926303));
    y3 = vd_mad(y3, x4, vd_set(-0.071707407337727042));
    return vd_mad(vd_mad(y3, x, y2), x2, vd_mad(y1, x, y0));
}
DETNNI_FN VD DETNNI_N(gelu)(VD x, VM *odd)
{
    VD a = vd_min(vd_set(15.0), DETNNI_N(abs)(x)), y = vd_div(vd_sub(a, vd_set(4.0)), vd_add(a, vd_set(4.0)));
    VD e = DETNNI_N(exp_core)(vd_mul(vd_mul(a, a), vd_set(-0.5)));
    y = DETNNI_N(gelu_core)(y);
    /* below 1/2, so that ties for |x| < 2^-125 go the right way: the value is just above x/2 */
    y = vd_min(vd_set(0.5 - 1.0 / 1125899906842624.0), vd_mul(e, y));
    y = vd_sel(vd_lt(vd_set(0.0), x), vd_sub(vd_set(1.0), y), y);
    y = vd_mul(vd_max(vd_set(-15.0), x), y);
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* GELU'(-a) = exp(-a^2/2) (a - root) Q(x), x as above: the root is a factor of its own, so that the value is as exact
   near it as elsewhere */
DETNNI_FN VD DETNNI_N(gelu_grad_core)(VD x)
{
    VD x2 = vd_mul(x, x), x4 = vd_mul(x2, x2);
    VD y0 = vd_set(-2.2251374310787892e-10), y1 = vd_set(1.0329474961011515e-08);
    VD y2 = vd_set(2.3631003406813496e-09), y3 = vd_set(-5.5485919164706125e-10);
    y0 = vd_mad(y0, x4, vd_set(-4.3858008914284106e-10));
    y0 = vd_mad(y0, x4, vd_set(4.9192916453695115e-07));
    y1 = vd_mad(y1, x4, vd_set(3.4950831236498584e-07));
    y2 = vd_mad(y2, x4, vd_set(-5.1646614912632561e-08));
    y3 = vd_mad(y3, x4, vd_set(-6.3066655487799707e-08));
    y0 = vd_mad(y0, x4, vd_set(1.7477210348696447e-05));
    y1 = vd_mad(y1, x4, vd_set(1.803496204825922e-05));
    y2 = vd_mad(y2, x4, vd_set(-3.5388585836608986e-06));
    y3 = vd_mad(y3, x4, vd_set(-2.2168288355940968e-06));
    y0 = vd_mad(y0, x4, vd_set(-0.0095049503751003118));
    y1 = vd_mad(y1, x4, vd_set(0.0017882605414398483));
    y2 = vd_mad(y2, x4, vd_set(0.00015461331301650741));
    y3 = vd_mad(y3, x4, vd_set(-0.00018577577767892809));
    y0 = vd_mad(y0, x4, vd_set(-0.46221124404957531));
    y1 = vd_mad(y1, x4, vd_set(0.10336589852195698));
    y2 = vd_mad(y2, x4, vd_set(-0.060462936767851069));
    y3 = vd_mad(y3, x4, vd_set(0.02808335995304204));
    return vd_mad(vd_mad(y3, x, y2), x2, vd_mad(y1, x, y0));
}
DETNNI_FN VD DETNNI_N(gelu_grad)(VD x, VM *odd)
{
    VD a = vd_min(vd_set(15.0), DETNNI_N(abs)(x)), y = vd_div(vd_sub(a, vd_set(4.0)), vd_add(a, vd_set(4.0)));
    VD e = DETNNI_N(exp_core)(vd_mul(vd_mul(a, a), vd_set(-0.5)));
    y = DETNNI_N(gelu_grad_core)(y);
    y = vd_mul(y, vd_sub(vd_sub(a, vd_set(0.75179152469356447)), vd_set(-1.4956759177009883e-17)));
    y = vd_mul(e, y);
    y = vd_sel(vd_lt(x, vd_set(0.0)), y, vd_sub(vd_set(1.0), y));
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* (-1)^j sin(2 pi r) + (x - x), j the lowest bit of t, |r| <= 1/4; x - x turns -0 into +0 and infinity into NaN */
DETNNI_FN VD DETNNI_N(sin_core)(VD r, VD t, VD x)
{
    VD u = vd_mul(r, r), v = vd_mul(u, u);
    VD p0 = vd_mad(vd_set(81.605249276074886), u, vd_set(-41.341702240399762));
    VD p1 = vd_mad(vd_set(42.058693937537186), u, vd_set(-76.705859753003907));
    VD p2 = vd_mad(vd_set(3.8199367607497821), u, vd_set(-15.094642113811632));
    VD p3 = vd_mad(vd_set(0.10126285905316906), u, vd_set(-0.71782241583536399));
    p0 = vd_mad(p1, v, p0);
    p2 = vd_mad(p3, v, p2);
    p0 = vd_mad(vd_mad(p2, vd_mul(v, v), p0), u, vd_set(2.4492935982947064e-16));
    p0 = vd_mad(r, vd_set(6.2831853071795862), vd_mul(r, p0));
    return vd_add(vd_xor(p0, vi_double(vi_shl63(vd_bits(t)))), vd_sub(x, x));
}

DETNNI_FN VD DETNNI_N(sin2pi)(VD x, VM *odd)
{
    VD u = DETNNI_N(clamp)(x, -16777216.0, 16777216.0); /* beyond, x is an even integer */
    VD t = vd_mad(vd_set(2.0), u, vd_set(DETNNI_ROUND));
    VD y = DETNNI_N(sin_core)(vd_mad(vd_sub(t, vd_set(DETNNI_ROUND)), vd_set(-0.5), u), t, x);
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* sin(2 pi (1/4 - |x|)) */
DETNNI_FN VD DETNNI_N(cos2pi)(VD x, VM *odd)
{
    VD u = vd_sub(vd_set(0.25), vd_min(vd_set(16777216.0), DETNNI_N(abs)(x)));
    VD t = vd_mad(vd_set(2.0), u, vd_set(DETNNI_ROUND));
    VD y = DETNNI_N(sin_core)(vd_mad(vd_sub(t, vd_set(DETNNI_ROUND)), vd_set(-0.5), u), t, x);
    *odd = DETNNI_N(unsure)(y);
    return y;
}

/* ---- Quick bodies, for AVX2 and AVX-512: shorter polynomials and no long division. Their errors (section 5) are
   smaller than DETNNI_MARGIN ulps, or DETNNI_MARGIN1 for some. A vector is sure where its inputs lie in the range that
   the body is for, and no value is as near to a middle as that. Where not, about one vector in 250 to 4000 of common
   inputs, the bodies above compute it again. ---- */
#if DETNNI_QUICK

/* What the first half of a body hands to the second: integers in the low bits of t, the rest r, another value v */
#define VQ DETNNI_N(vq)
typedef struct { VD t, r, v; } VQ;

#if DETNNI_ISA == DETNNI_ISA_AVX512
#define VX __mmask16 /* a mask of floats */
#define DETNNI_EXP_STEPS 23.083120654223414 /* 16 / log(2) */
#define DETNNI_LOG_STEPS 15.0
#define DETNNI_MARGIN 0x8000
#define DETNNI_MARGIN1 0x2000 /* of expm1, tanh and silu_grad */
/* The inputs that are out: all but |x| < b (as bits), but a <= |x| < b and 0, but -1 < x < infinity, but 0 < x <
   infinity */
DETNNI_FN VX DETNNI_N(beyond)(const float *x, uint32_t b)
{
    __m512i v = _mm512_and_si512(_mm512_loadu_si512(x), _mm512_set1_epi32(0x7fffffff));
    return _mm512_cmpge_epi32_mask(v, _mm512_set1_epi32((int)b));
}
DETNNI_FN VX DETNNI_N(outside)(const float *x, uint32_t a, uint32_t b)
{
    __m512i v = _mm512_and_si512(_mm512_loadu_si512(x), _mm512_set1_epi32(0x7fffffff));
    __m512i above = _mm512_sub_epi32(v, _mm512_set1_epi32((int)a));
    return _mm512_mask_cmpge_epu32_mask(_mm512_test_epi32_mask(v, v), above, _mm512_set1_epi32((int)(b - a)));
}
DETNNI_FN VX DETNNI_N(improper1p)(const float *x)
{
    __m512 v = _mm512_loadu_ps(x);
    return _mm512_cmp_ps_mask(v, _mm512_set1_ps(-1.0f), _CMP_NGT_UQ)
         | _mm512_cmp_ps_mask(v, _mm512_set1_ps(detnni_float(0x7f800000)), _CMP_NLT_UQ);
}
DETNNI_FN VX DETNNI_N(improper)(const float *x)
{
    __m512i v = _mm512_sub_epi32(_mm512_loadu_si512(x), _mm512_set1_epi32(1));
    return _mm512_cmpge_epu32_mask(v, _mm512_set1_epi32(0x7f7fffff));
}
/* No input is out, and no value within margin ulps, a power of two, of a middle: the low halves of the doubles tell. */
DETNNI_FN int DETNNI_N(sure)(VX m, VD y, int margin)
{
    __m512 a = _mm512_castpd_ps(y.a), b = _mm512_castpd_ps(y.b);
    __m512i low = _mm512_castps_si512(_mm512_maskz_shuffle_ps(0xffff, a, b, 0x88));
    low = _mm512_add_epi32(low, _mm512_set1_epi32(0x10000000 + margin));
    return _mm512_kortestz(m, _mm512_testn_epi32_mask(low, _mm512_set1_epi32(0x20000000 - 2 * margin)));
}
/* n / d: one reciprocal for both halves, from r = (1 - e) / d, |e| < 2^-14, with an error of e^3 */
DETNNI_FN VD DETNNI_N(quotient)(VD n, VD d)
{
    __m512d both = d.a * d.b, r = _mm512_maskz_rcp14_pd(0xff, both), e = _mm512_fnmadd_pd(both, r, _mm512_set1_pd(1.0));
    VD q;
    r = _mm512_fmadd_pd(r, _mm512_fmadd_pd(e, e, e), r);
    q.a = n.a * d.b * r;
    q.b = n.b * d.a * r;
    return q;
}
/* 2^(k/16); 1/u and log(u) of u = 1 + j/15; k and j the integers in the low bits of t */
DETNNI_FN VD DETNNI_N(power)(VD t)
{
    return vi_double(vi_add(vi_shl48(vd_bits(t)), vd_bits(vd_at(detnni_exp_table, vd_bits(t)))));
}
DETNNI_FN VD DETNNI_N(inverse)(VD t) { return vd_at(detnni_log_table[0], vd_bits(t)); }
DETNNI_FN VD DETNNI_N(log_step)(VD t) { return vd_at(detnni_log_table[1], vd_bits(t)); }
/* Of positive x = z 2^k, 1 <= z < 2, u nearest to z: r = z/u - 1, v = k log(2) + log(u) and t = 2^-k / u. At u = 2 and
   k = -1 v is exactly 0. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* in gcc 12's own macros, at -O0 */
DETNNI_FN VQ DETNNI_N(apart)(VD x)
{
    VQ q;
    VD k, z;
    k.a = _mm512_maskz_getexp_pd(0xff, x.a);
    k.b = _mm512_maskz_getexp_pd(0xff, x.b);
    z.a = _mm512_maskz_getmant_pd(0xff, x.a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
    z.b = _mm512_maskz_getmant_pd(0xff, x.b, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
    q.t = vd_mad(z, vd_set(DETNNI_LOG_STEPS), vd_set(DETNNI_ROUND - DETNNI_LOG_STEPS));
    q.v = vd_mad(k, vd_set(0.69314718055994529), DETNNI_N(log_step)(q.t));
    q.t = DETNNI_N(inverse)(q.t);
    q.r = vd_msb(z, q.t, vd_set(1.0));
    k = vd_sub(vd_set(0.0), k);
    q.t.a = _mm512_maskz_scalef_pd(0xff, q.t.a, k.a);
    q.t.b = _mm512_maskz_scalef_pd(0xff, q.t.b, k.b);
    return q;
}
#pragma GCC diagnostic pop
#else
#define VX __m256i
#define DETNNI_EXP_STEPS 11.541560327111707 /* 8 / log(2) */
#define DETNNI_LOG_STEPS 7.49
#define DETNNI_MARGIN 0x4000
#define DETNNI_MARGIN1 0x20000 /* of expm1, tanh and silu_grad */
/* The same with AVX2 */
DETNNI_FN VX DETNNI_N(magnitudes)(const float *x)
{
    return _mm256_and_si256(_mm256_loadu_si256((const VX *)(const void *)x), _mm256_set1_epi32(0x7fffffff));
}
DETNNI_FN VX DETNNI_N(beyond)(const float *x, uint32_t b)
{
    return _mm256_cmpgt_epi32(DETNNI_N(magnitudes)(x), _mm256_set1_epi32((int)b - 1));
}
DETNNI_FN VX DETNNI_N(outside)(const float *x, uint32_t a, uint32_t b)
{
    VX v = DETNNI_N(magnitudes)(x), m = _mm256_cmpgt_epi32(v, _mm256_set1_epi32((int)b - 1));
    VX nonzero = _mm256_cmpgt_epi32(v, _mm256_setzero_si256());
    return _mm256_or_si256(m, _mm256_and_si256(nonzero, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)a), v)));
}
DETNNI_FN VX DETNNI_N(improper1p)(const float *x)
{
    __m256 v = _mm256_loadu_ps(x);
    return _mm256_castps_si256(_mm256_or_ps(_mm256_cmp_ps(v, _mm256_set1_ps(-1.0f), _CMP_NGT_UQ),
                                            _mm256_cmp_ps(v, _mm256_set1_ps(detnni_float(0x7f800000)), _CMP_NLT_UQ)));
}
DETNNI_FN VX DETNNI_N(improper)(const float *x)
{
    VX v = _mm256_add_epi32(_mm256_loadu_si256((const VX *)(const void *)x), _mm256_set1_epi32(0x00800000));
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(0x00800001), v); /* infinity goes over to the negative integers */
}
/* The low halves of doubles, in the order that the unpacking of joined() undoes */
DETNNI_FN VX DETNNI_N(lows)(VD x)
{
    return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castpd_ps(x.a), _mm256_castpd_ps(x.b), 0x88));
}
DETNNI_FN VD DETNNI_N(joined)(VX low, VX high)
{
    VD z;
    z.a = _mm256_castsi256_pd(_mm256_unpacklo_epi32(low, high));
    z.b = _mm256_castsi256_pd(_mm256_unpackhi_epi32(low, high));
    return z;
}
DETNNI_FN VX DETNNI_N(halves)(const uint64_t *table, VX i)
{
    return _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const VX *)(const void *)table), i);
}
/* 2^(k/8); 1/u, to 20 bits, and its -log, of u = 1 + j/8; k and j the integers in the low bits of t, j < 8 */
DETNNI_FN VD DETNNI_N(power)(VD t)
{
    VX k = DETNNI_N(lows)(t), high = DETNNI_N(halves)(detnni_exp_split + 4, k);
    return DETNNI_N(joined)(DETNNI_N(halves)(detnni_exp_split, k), _mm256_add_epi32(high, _mm256_slli_epi32(k, 17)));
}
DETNNI_FN VD DETNNI_N(inverse)(VD t)
{
    VX high = _mm256_sub_epi32(DETNNI_N(halves)(detnni_log_inverse, DETNNI_N(lows)(t)), _mm256_set1_epi32(0x3ff00000));
    return DETNNI_N(joined)(_mm256_setzero_si256(), high);
}
DETNNI_FN VD DETNNI_N(log_step)(VD t)
{
    VX j = DETNNI_N(lows)(t);
    return DETNNI_N(joined)(DETNNI_N(halves)(detnni_log_split, j), DETNNI_N(halves)(detnni_log_split + 4, j));
}
/* Of positive x, near u 2^k: t = 2^-k / u, r = x t - 1 and v = k log(2) + log(u). The high half of x, once j is
   rounded, has k + 1023 above j. */
DETNNI_FN VQ DETNNI_N(apart)(VD x)
{
    VX high = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castpd_ps(x.a), _mm256_castpd_ps(x.b), 0xdd)), j, c;
    VD k;
    VQ q;
    high = _mm256_add_epi32(high, _mm256_set1_epi32(0x10000));
    j = _mm256_srli_epi32(high, 17);
    k = DETNNI_N(joined)(_mm256_srli_epi32(high, 20), _mm256_set1_epi32(0x43300000));
    c = _mm256_and_si256(high, _mm256_set1_epi32((int)0xfff00000));
    c = _mm256_sub_epi32(DETNNI_N(halves)(detnni_log_inverse, j), c);
    q.t = DETNNI_N(joined)(_mm256_setzero_si256(), c);
    q.r = vd_msb(x, q.t, vd_set(1.0));
    q.v = DETNNI_N(joined)(DETNNI_N(halves)(detnni_log_split, j), DETNNI_N(halves)(detnni_log_split + 4, j));
    q.v = vd_mad(vd_sub(k, vd_set(4503599627370496.0 + 1023.0)), vd_set(0.69314718055994529), q.v);
    return q;
}
DETNNI_FN int DETNNI_N(sure)(VX m, VD y, int margin)
{
    VX low = DETNNI_N(lows)(y);
    low = _mm256_add_epi32(low, _mm256_set1_epi32(0x10000000 + margin));
    low = _mm256_and_si256(low, _mm256_set1_epi32(0x20000000 - 2 * margin));
    low = _mm256_or_si256(m, _mm256_cmpeq_epi32(low, _mm256_setzero_si256()));
    return _mm256_movemask_ps(_mm256_castsi256_ps(low)) == 0;
}
DETNNI_FN VD DETNNI_N(quotient)(VD n, VD d) { return vd_div(n, d); }
#endif

/* c v = (k + r) log(2) / 16 (or / 8), k in t, r from -1/2 to 1/2 */
DETNNI_FN VQ DETNNI_N(steps)(VD v, double c)
{
    VQ q;
    q.t = vd_mad(v, vd_set(c * DETNNI_EXP_STEPS), vd_set(DETNNI_ROUND));
    q.r = vd_msb(v, vd_set(c * DETNNI_EXP_STEPS), vd_sub(q.t, vd_set(DETNNI_ROUND)));
    return q;
}
/* e^(c v) = s + s r p: s = 2^(k/16) or 2^(k/8), p of r. The longer p is as exact beside e^(c v) - 1. */
DETNNI_FN VD DETNNI_N(quick_p1)(VD r)
{
#if DETNNI_ISA == DETNNI_ISA_AVX512
    VD p = vd_mad(vd_set(1.2715871178693357e-09), r, vd_set(1.4676387235591198e-07));
    p = vd_mad(p, r, vd_set(1.355080778285091e-05));
    p = vd_mad(p, r, vd_set(0.0009383847926299669));
    return vd_mad(p, r, vd_set(0.043321698784996443));
#else
    VD p = vd_mad(vd_set(4.069079035777254e-08), r, vd_set(2.3483596748858592e-06));
    p = vd_mad(p, r, vd_set(0.0001084064626620935));
    p = vd_mad(p, r, vd_set(0.0037535391597603157));
    return vd_mad(p, r, vd_set(0.08664339756997541));
#endif
}
DETNNI_FN VD DETNNI_N(quick_p)(VD r)
{
#if DETNNI_ISA == DETNNI_ISA_AVX512
    VD p = vd_mad(vd_set(1.467648006650331e-07), r, vd_set(1.355120502781765e-05));
    p = vd_mad(p, r, vd_set(0.0009383847924334672));
    return vd_mad(p, r, vd_set(0.04332169876019879));
#else
    return DETNNI_N(quick_p1)(r);
#endif
}
DETNNI_FN VD DETNNI_N(quick_exp)(VQ q)
{
    VD s = DETNNI_N(power)(q.t);
    return vd_mad(vd_mul(s, q.r), DETNNI_N(quick_p)(q.r), s);
}
DETNNI_FN VD DETNNI_N(quick_expm1)(VQ q) /* keeps the sign of 0 */
{
    VD s = DETNNI_N(power)(q.t);
    return vd_msb(vd_mul(s, q.r), DETNNI_N(quick_p1)(q.r), vd_sub(vd_set(1.0), s));
}

/* Each function in two parts or three: first, middle, and quick, which gives the values, and whether they are sure. 87:
   the results are normal numbers; beyond, too, s may overflow. */
DETNNI_FN VQ DETNNI_N(exp_first)(const float *x) { return DETNNI_N(steps)(vd_load(x), 1.0); }
DETNNI_FN int DETNNI_N(exp_quick)(const float *x, VQ q, VD *y)
{
    *y = DETNNI_N(quick_exp)(q);
    return DETNNI_N(sure)(DETNNI_N(beyond)(x, 0x42ae0000), *y, DETNNI_MARGIN); /* 87 */
}
DETNNI_FN VQ DETNNI_N(sigmoid_first)(const float *x) { return DETNNI_N(steps)(vd_load(x), -1.0); }
DETNNI_FN VQ DETNNI_N(sigmoid_middle)(VQ q)
{
    q.v = vd_add(vd_set(1.0), DETNNI_N(quick_exp)(q));
    return q;
}
DETNNI_FN int DETNNI_N(sigmoid_quick)(const float *x, VQ q, VD *y)
{
    *y = DETNNI_N(quotient)(vd_set(1.0), q.v);
    return DETNNI_N(sure)(DETNNI_N(beyond)(x, 0x42ae0000), *y, DETNNI_MARGIN);
}
DETNNI_FN VQ DETNNI_N(silu_first)(const float *x) { return DETNNI_N(sigmoid_first)(x); }
DETNNI_FN VQ DETNNI_N(silu_middle)(VQ q) { return DETNNI_N(sigmoid_middle)(q); }
DETNNI_FN int DETNNI_N(silu_quick)(const float *x, VQ q, VD *y)
{
    *y = DETNNI_N(quotient)(vd_load(x), q.v);
    return DETNNI_N(sure)(DETNNI_N(outside)(x, 0x01000000, 0x42ae0000), *y, DETNNI_MARGIN); /* 2^-125: x/2 is normal */
}
DETNNI_FN VQ DETNNI_N(expm1_first)(const float *x) { return DETNNI_N(steps)(vd_load(x), 1.0); }
DETNNI_FN int DETNNI_N(expm1_quick)(const float *x, VQ q, VD *y)
{
    *y = DETNNI_N(quick_expm1)(q);
    return DETNNI_N(sure)(DETNNI_N(beyond)(x, 0x42ae0000), *y, DETNNI_MARGIN1);
}
/* e / (e + 2), e = expm1(2 x) */
DETNNI_FN VQ DETNNI_N(tanh_first)(const float *x) { return DETNNI_N(steps)(vd_load(x), 2.0); }
DETNNI_FN VQ DETNNI_N(tanh_middle)(VQ q)
{
    q.v = DETNNI_N(quick_expm1)(q);
    return q;
}
DETNNI_FN int DETNNI_N(tanh_quick)(const float *x, VQ q, VD *y)
{
    *y = DETNNI_N(quotient)(q.v, vd_add(q.v, vd_set(2.0)));
    return DETNNI_N(sure)(DETNNI_N(beyond)(x, 0x42ae0000), *y, DETNNI_MARGIN1);
}
/* As gelu above, with a polynomial that is shorter by five terms: max(x, 0) - |x| Phi(-|x|) */
DETNNI_FN VQ DETNNI_N(gelu_first)(const float *x)
{
    VD v = vd_load(x), a = DETNNI_N(abs)(v);
    VQ q = DETNNI_N(steps)(vd_mul(v, v), -0.5);
    q.v = DETNNI_N(quotient)(vd_sub(a, vd_set(4.0)), vd_add(a, vd_set(4.0)));
    return q;
}
DETNNI_FN VQ DETNNI_N(gelu_middle)(VQ q)
{
    q.t = DETNNI_N(quick_exp)(q);
    return q;
}
DETNNI_FN int DETNNI_N(gelu_quick)(const float *in, VQ q, VD *out)
{
    VD v = vd_load(in), x = q.v, u = vd_mul(x, x);
    VD y0 = vd_set(4.872022768626429e-07), y1 = vd_set(1.6672456457563738e-07);
    y0 = vd_mad(y0, u, vd_set(-4.189510911834833e-06));
    y1 = vd_mad(y1, u, vd_set(-8.773551278812944e-07));
    y0 = vd_mad(y0, u, vd_set(2.8612470620604027e-05));
    y1 = vd_mad(y1, u, vd_set(4.689439112614916e-06));
    y0 = vd_mad(y0, u, vd_set(-0.0001871781457261221));
    y1 = vd_mad(y1, u, vd_set(-4.557808383059526e-05));
    y0 = vd_mad(y0, u, vd_set(0.0005075614699612997));
    y1 = vd_mad(y1, u, vd_set(0.0006388183182311286));
    y0 = vd_mad(y0, u, vd_set(0.030864804141275105));
    y1 = vd_mad(y1, u, vd_set(-0.008492095906034544));
    y0 = vd_mad(y0, u, vd_set(0.12437925533830457));
    y1 = vd_mad(y1, u, vd_set(-0.07170740732043733));
    y0 = vd_mad(y0, u, vd_set(0.0944106413019739));
    y1 = vd_mad(y1, u, vd_set(-0.17039772154865224));
    y0 = vd_mul(q.t, vd_mad(y1, x, y0));
    *out = vd_nmad(DETNNI_N(abs)(v), y0, vd_max(vd_set(0.0), v)); /* max keeps -0 */
    return DETNNI_N(sure)(DETNNI_N(outside)(in, 0x01000000, 0x41500000), *out, DETNNI_MARGIN); /* 13 */
}

/* As gelu_grad above, with a polynomial that is shorter by seven terms */
DETNNI_FN VQ DETNNI_N(gelu_grad_first)(const float *x) { return DETNNI_N(gelu_first)(x); }
DETNNI_FN VQ DETNNI_N(gelu_grad_middle)(VQ q) { return DETNNI_N(gelu_middle)(q); }
DETNNI_FN int DETNNI_N(gelu_grad_quick)(const float *in, VQ q, VD *out)
{
    VD v = vd_load(in), x = q.v, u = vd_mul(x, x);
    VD y0 = vd_set(2.3710784525928235e-07), y1 = vd_set(1.8747527810256738e-07);
    y0 = vd_mad(y0, u, vd_set(-3.3592056200254394e-06));
    y1 = vd_mad(y1, u, vd_set(-2.2146863438473127e-06));
    y0 = vd_mad(y0, u, vd_set(1.7427039701418352e-05));
    y1 = vd_mad(y1, u, vd_set(1.8091668476978616e-05));
    y0 = vd_mad(y0, u, vd_set(0.00015461986567735867));
    y1 = vd_mad(y1, u, vd_set(-0.0001857982925511521));
    y0 = vd_mad(y0, u, vd_set(-0.009504950778907735));
    y1 = vd_mad(y1, u, vd_set(0.001788263908336693));
    y0 = vd_mad(y0, u, vd_set(-0.06046293675745822));
    y1 = vd_mad(y1, u, vd_set(0.028083359754934905));
    y0 = vd_mad(y0, u, vd_set(-0.4622112440496303));
    y1 = vd_mad(y1, u, vd_set(0.10336589852515884));
    q.v = vd_sub(vd_sub(DETNNI_N(abs)(v), vd_set(0.75179152469356447)), vd_set(-1.4956759177009883e-17));
    y0 = vd_mul(vd_mul(q.t, q.v), vd_mad(y1, x, y0));
    *out = vd_sel(vd_lt(v, vd_set(0.0)), y0, vd_sub(vd_set(1.0), y0));
    return DETNNI_N(sure)(DETNNI_N(beyond)(in, 0x41500000), *out, DETNNI_MARGIN); /* 13 */
}

/* As silu_grad above. Near the root, where e is not exact enough for the difference n, nothing is sure. */
DETNNI_FN VQ DETNNI_N(silu_grad_first)(const float *x) { return DETNNI_N(steps)(DETNNI_N(abs)(vd_load(x)), -1.0); }
DETNNI_FN VQ DETNNI_N(silu_grad_middle)(VQ q)
{
    VD s = DETNNI_N(power)(q.t);
    q.v = vd_mad(vd_mul(s, q.r), DETNNI_N(quick_p1)(q.r), s);
    return q;
}
DETNNI_FN int DETNNI_N(silu_grad_quick)(const float *x, VQ q, VD *y)
{
    VD v = vd_load(x), d = vd_add(vd_set(1.0), q.v), n = vd_sub(d, DETNNI_N(abs)(v));
    VX root = DETNNI_N(beyond)(x, 0x3fa1eb85) & ~DETNNI_N(beyond)(x, 0x3fa56042); /* 1.265 to 1.292 */
    *y = DETNNI_N(quotient)(vd_mul(q.v, n), vd_mul(d, d));
    *y = vd_sel(vd_lt(v, vd_set(0.0)), *y, vd_sub(vd_set(1.0), *y));
    return DETNNI_N(sure)((VX)(DETNNI_N(beyond)(x, 0x42ae0000) | root), *y, DETNNI_MARGIN1);
}

/* log(1 + f) + base, |f| <= 1/30 or 1/14 */
DETNNI_FN VD DETNNI_N(quick_log)(VD f, VD base)
{
    VD u = vd_mul(f, f);
#if DETNNI_ISA == DETNNI_ISA_AVX512
    VD p0 = vd_mad(vd_set(0.33333333319878306), f, vd_set(-0.50000000000434886));
    VD p1 = vd_mad(vd_set(0.20000066723278342), f, vd_set(-0.24999992476255243));
    VD p2 = vd_mad(vd_set(0.14230869358430458), f, vd_set(-0.16686028279864673));
#else
    VD p0 = vd_mad(vd_set(0.3333333338559353), f, vd_set(-0.5000000000030207));
    VD p1 = vd_mad(vd_set(0.19999884509533142), f, vd_set(-0.24999998054614725));
    VD p2 = vd_mad(vd_set(0.14351779355036295), f, vd_set(-0.16668390896046137));
    p2 = vd_mad(vd_set(-0.12154254781020901), u, p2);
#endif
    return vd_mad(u, vd_mad(vd_mad(p2, u, p1), u, p0), vd_add(f, base));
}
/* log(1 + f) + k log(2) + log(u) */
DETNNI_FN VQ DETNNI_N(log_first)(const float *x) { return DETNNI_N(apart)(vd_load(x)); }
DETNNI_FN int DETNNI_N(log_quick)(const float *x, VQ q, VD *y)
{
    *y = DETNNI_N(quick_log)(q.r, q.v);
    return DETNNI_N(sure)(DETNNI_N(improper)(x), *y, DETNNI_MARGIN);
}
/* The same of d = 1 + x, whose rounding error is added to f */
DETNNI_FN VQ DETNNI_N(log1p_first)(const float *x)
{
    VD v = vd_load(x), d = vd_add(vd_set(1.0), v);
    VQ q = DETNNI_N(apart)(d);
    q.r = vd_mad(vd_sub(v, vd_sub(d, vd_set(1.0))), q.t, q.r);
    return q;
}
DETNNI_FN int DETNNI_N(log1p_quick)(const float *x, VQ q, VD *y)
{
    *y = vd_or(DETNNI_N(quick_log)(q.r, q.v), DETNNI_N(sign)(vd_load(x)));
    return DETNNI_N(sure)(DETNNI_N(improper1p)(x), *y, DETNNI_MARGIN);
}
/* max(x, 0) + log(1 + e), e = exp(-|x|) */
DETNNI_FN VQ DETNNI_N(softplus_first)(const float *x)
{
    return DETNNI_N(steps)(DETNNI_N(abs)(vd_load(x)), -1.0);
}
DETNNI_FN VQ DETNNI_N(softplus_middle)(VQ q)
{
    q.r = DETNNI_N(quick_exp)(q);
    return q;
}
DETNNI_FN int DETNNI_N(softplus_quick)(const float *x, VQ q, VD *y)
{
    VD e = q.r, t = vd_mad(e, vd_set(DETNNI_LOG_STEPS), vd_set(DETNNI_ROUND));
    VD c = DETNNI_N(inverse)(t), base = vd_add(vd_max(vd_load(x), vd_set(0.0)), DETNNI_N(log_step)(t));
    *y = DETNNI_N(quick_log)(vd_mad(e, c, vd_sub(c, vd_set(1.0))), base);
    return DETNNI_N(sure)(DETNNI_N(beyond)(x, 0x42ae0000), *y, DETNNI_MARGIN);
}
#endif

/* y[i] = f(x[i]): whole vectors, then the rest in a padded one. */
#if DETNNI_ISA == DETNNI_ISA_CUDA
#define DETNNI_ARRAY(f) \
DETNNI_FN float DETNNI_N(f##_1)(float x) \
{ \
    VM odd; \
    float y = detnni_g_narrow(DETNNI_N(f)(detnni_g_wide(x), &odd)); \
    return odd ? detnni_fix_##f(x, y) : y; \
}
#elif DETNNI_ISA == DETNNI_ISA_SCALAR
#define DETNNI_ARRAY(f) \
DETNNI_FN0 float DETNNI_N(f##_1)(float x) \
{ \
    VM odd; \
    float y = (float)DETNNI_N(f)((double)x, &odd); \
    return odd ? detnni_fix_##f(x, y) : y; \
} \
DETNNI_FN0 void DETNNI_N(f##_n)(const float *x, size_t n, float *y) \
{ \
    size_t i; \
    for (i = 0; i < n; i++) y[i] = DETNNI_N(f##_1)(x[i]); \
}
#else
#define DETNNI_VECTOR(FN, f, name) \
FN void DETNNI_N(name)(const float *x, float *y) \
{ \
    VM odd; \
    VD v = DETNNI_N(f)(vd_load(x), &odd); \
    if (DETNNI_RARE(vm_any(odd))) { \
        float b[DETNNI_W]; \
        size_t j; \
        vd_store(b, v); \
        for (j = 0; j < DETNNI_W; j++) y[j] = detnni_fix_##f(x[j], b[j]); \
    } \
    else vd_store(y, v); \
}
#define DETNNI_VECTORS(f, whole) \
DETNNI_FN0 void DETNNI_N(f##_n)(const float *x, size_t n, float *y) \
{ \
    float a[DETNNI_W], b[DETNNI_W]; \
    size_t j; \
    whole \
    if (n == 1) y[0] = detnni_##f##_1_plain(x[0]); /* sooner done */ \
    else if (n > 0) { \
        for (j = 0; j < DETNNI_W; j++) a[j] = x[j < n ? j : 0]; \
        DETNNI_N(f##_n)(a, DETNNI_W, b); \
        for (j = 0; j < n; j++) y[j] = b[j]; \
    } \
}
#define DETNNI_ARRAY(f) DETNNI_VECTOR(DETNNI_FN, f, f##_vector) DETNNI_VECTORS(f, \
    for (; n >= DETNNI_W; n -= DETNNI_W, x += DETNNI_W, y += DETNNI_W) DETNNI_N(f##_vector)(x, y);)
/* Each part of a body beside the next part of the vector before: a processor cannot look as far ahead as to the next
   vector's first operations while it waits for the last of this one. */
#define DETNNI_QUICK_ARRAY(f, start, advance) DETNNI_VECTOR(DETNNI_FN0, f, f##_again) \
DETNNI_VECTORS(f, \
    if (n >= DETNNI_W) { \
        VD v; \
        VQ q; \
        VQ next = DETNNI_N(f##_first)(x); \
        start \
        for (; n >= DETNNI_W; n -= DETNNI_W, x += DETNNI_W, y += DETNNI_W) { \
            q = next; \
            advance \
            if (DETNNI_RARE(!DETNNI_N(f##_quick)(x, q, &v))) DETNNI_N(f##_again)(x, y); \
            else vd_store(y, v); \
        } \
    })
#define DETNNI_IN_TWO(f) DETNNI_QUICK_ARRAY(f, , \
            if (n >= 2 * DETNNI_W) next = DETNNI_N(f##_first)(x + DETNNI_W);)
#define DETNNI_IN_THREE(f) DETNNI_QUICK_ARRAY(f, \
        VQ third = next; \
        next = DETNNI_N(f##_middle)(next); \
        if (n >= 2 * DETNNI_W) third = DETNNI_N(f##_first)(x + DETNNI_W);, \
            next = DETNNI_N(f##_middle)(third); \
            if (n >= 3 * DETNNI_W) third = DETNNI_N(f##_first)(x + 2 * DETNNI_W);)
#endif
#if DETNNI_ISA == DETNNI_ISA_SCALAR && DETNN_INTEGER_FUNCTIONS
#define DETNNI_INTEGER_ARRAY(f) \
DETNNI_FN float DETNNI_N(f##_1)(float x) { return detnni_integer_##f(x); } \
DETNNI_FN0 void DETNNI_N(f##_n)(const float *x, size_t n, float *y) \
{ \
    size_t i; \
    for (i = 0; i < n; i++) y[i] = detnni_integer_##f(x[i]); \
}
DETNNI_INTEGER_LIST(DETNNI_INTEGER_ARRAY)
DETNNI_BINARY64_LIST(DETNNI_ARRAY)
#undef DETNNI_INTEGER_ARRAY
#elif DETNNI_QUICK
DETNNI_IN_TWO(exp) DETNNI_IN_TWO(log) DETNNI_IN_TWO(expm1) DETNNI_IN_TWO(log1p)
DETNNI_IN_THREE(tanh) DETNNI_IN_THREE(sigmoid) DETNNI_IN_THREE(softplus) DETNNI_IN_THREE(gelu) DETNNI_IN_THREE(silu)
DETNNI_IN_THREE(gelu_grad) DETNNI_IN_THREE(silu_grad)
DETNNI_ARRAY(erf) DETNNI_ARRAY(sin2pi) DETNNI_ARRAY(cos2pi)
#else
DETNN_FUNCTIONS(DETNNI_ARRAY)
#endif
#undef DETNNI_ARRAY
#undef DETNNI_VECTOR
#undef DETNNI_VECTORS
#undef DETNNI_QUICK_ARRAY
#undef DETNNI_IN_TWO
#undef DETNNI_IN_THREE
#undef DETNNI_QUICK
#undef DETNNI_MARGIN
#undef DETNNI_MARGIN1
#undef DETNNI_LOG_STEPS
#undef DETNNI_EXP_STEPS
#undef VX
#undef VQ
#undef DETNNI_ROUND

#if DETNNI_ISA != DETNNI_ISA_CUDA
/* The activations that are exact functions; y may be z. */
DETNNI_FN0 void DETNNI_N(activate_exact)(detnn_activation activation, const float *z, size_t n, float *y)
{
    switch (activation) {
    case DETNN_SIGMOID:  DETNNI_N(sigmoid_n)(z, n, y); break;
    case DETNN_TANH:     DETNNI_N(tanh_n)(z, n, y); break;
    case DETNN_SOFTPLUS: DETNNI_N(softplus_n)(z, n, y); break;
    case DETNN_SILU:     DETNNI_N(silu_n)(z, n, y); break;
    case DETNN_GELU:     DETNNI_N(gelu_n)(z, n, y); break;
    default: break;
    }
}

#if DETNNI_ISA == DETNNI_ISA_SCALAR

/* z = x w + b (C2). */
DETNNI_FN0 void DETNNI_N(forward)(const detnni_dense *p, const float *x, const float *w, const float *b, float *z)
{
    size_t m, k, n;
    for (m = 0; m < p->rows; m++) {
        float *DETNNI_RESTRICT acc = z + m * p->out;
        for (n = p->from; n < p->to; n++) acc[n] = b ? b[n] : 0.0f;
        for (k = 0; k < p->in; k++) {
            const float *DETNNI_RESTRICT row = w + k * p->out;
            float xk = x[m * p->in + k];
            for (n = p->from; n < p->to; n++) acc[n] = DETNNI_FMA(xk, row[n], acc[n]);
        }
    }
}

/* dx = dz w^T (C2); eight chains at a time hide the latency of fma. */
DETNNI_FN0 void DETNNI_N(input_gradient)(const detnni_dense *p, const float *dz, const float *w, float *dx)
{
    const size_t out = p->out;
    size_t m, k, n, i;
    for (m = 0; m < p->rows; m++)
        for (k = p->from; k < p->to; k += 8) {
            size_t chains = p->to - k < 8 ? p->to - k : 8;
            float acc[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
            for (n = 0; n < out; n++) {
                float d = dz[m * out + n];
                if (chains == 8)
                    for (i = 0; i < 8; i++) acc[i] = DETNNI_FMA(d, w[(k + i) * out + n], acc[i]);
                else
                    for (i = 0; i < chains; i++) acc[i] = DETNNI_FMA(d, w[(k + i) * out + n], acc[i]);
            }
            for (i = 0; i < chains; i++) dx[m * p->in + k + i] = acc[i];
        }
}

/* acc[n] = the sum over rows (C3) of x[m * stride] * dz[m][n]; tmp: out floats for each level of the tree. */
DETNNI_FN0 void DETNNI_N(outer_sum)(const float *x, size_t stride, const float *dz, size_t rows, size_t out,
                                    float *DETNNI_RESTRICT acc, float *DETNNI_RESTRICT tmp)
{
    size_t left = 64, m, n;
    if (rows > 64) {
        while (2 * left < rows) left *= 2;
        DETNNI_N(outer_sum)(x, stride, dz, left, out, acc, tmp);
        DETNNI_N(outer_sum)(x + left * stride, stride, dz + left * out, rows - left, out, tmp, tmp + out);
        for (n = 0; n < out; n++) acc[n] = acc[n] + tmp[n];
        return;
    }
    for (n = 0; n < out; n++) acc[n] = 0.0f;
    for (m = 0; m < rows; m++) {
        const float *DETNNI_RESTRICT row = dz + m * out;
        float xm = x[m * stride];
        for (n = 0; n < out; n++) acc[n] = DETNNI_FMA(xm, row[n], acc[n]);
    }
}

DETNNI_FN0 void DETNNI_N(weight_gradient)(const detnni_dense *p, const float *x, const float *dz, float *dw,
                                          float *db)
{
    const float one = 1.0f; /* fma(1, dz, acc) is acc + dz */
    size_t k;
    for (k = p->from; k < p->to; k++)
        DETNNI_N(outer_sum)(x + k, p->in, dz, p->rows, p->out, dw + k * p->out, p->scratch);
    if (db) DETNNI_N(outer_sum)(&one, 0, dz, p->rows, p->out, db, p->scratch);
}

/* Sums along a vector (C4). */
DETNNI_FN0 float DETNNI_N(sum)(const float *x, size_t n)
{
    detnni_tree tree;
    detnni_tree_start(&tree);
    while (n) {
        float lane[64];
        size_t chunk = n < 4096 ? n : 4096, i, l, h;
        for (l = 0; l < 64; l++) lane[l] = 0.0f;
        for (i = 0; i + 64 <= chunk; i += 64)
            for (l = 0; l < 64; l++) lane[l] = lane[l] + x[i + l];
        for (l = 0; i + l < chunk; l++) lane[l] = lane[l] + x[i + l];
        for (h = 32; h; h /= 2)
            for (l = 0; l < h; l++) lane[l] = lane[l] + lane[l + h];
        detnni_tree_add(&tree, lane[0]);
        x += chunk;
        n -= chunk;
    }
    return detnni_tree_sum(&tree);
}

DETNNI_FN0 float DETNNI_N(dot)(const float *x, const float *y, size_t n)
{
    detnni_tree tree;
    detnni_tree_start(&tree);
    while (n) {
        float lane[64];
        size_t chunk = n < 4096 ? n : 4096, i, l, h;
        for (l = 0; l < 64; l++) lane[l] = 0.0f;
        for (i = 0; i + 64 <= chunk; i += 64)
            for (l = 0; l < 64; l++) lane[l] = DETNNI_FMA(x[i + l], y[i + l], lane[l]);
        for (l = 0; i + l < chunk; l++) lane[l] = DETNNI_FMA(x[i + l], y[i + l], lane[l]);
        for (h = 32; h; h /= 2)
            for (l = 0; l < h; l++) lane[l] = lane[l] + lane[l + h];
        detnni_tree_add(&tree, lane[0]);
        x += chunk;
        y += chunk;
        n -= chunk;
    }
    return detnni_tree_sum(&tree);
}

/* y = y + x. */
DETNNI_FN0 void DETNNI_N(add)(const float *DETNNI_RESTRICT x, size_t n, float *DETNNI_RESTRICT y)
{
    size_t i;
    for (i = 0; i < n; i++) y[i] = y[i] + x[i];
}

/* The largest bits without sign: those of the largest |x|, or of an infinity or a NaN. */
DETNNI_FN0 uint32_t DETNNI_N(magnitude)(const float *x, size_t n)
{
    uint32_t largest = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t b = detnni_float_bits(x[i]) & 0x7fffffff;
        largest = b > largest ? b : largest;
    }
    return largest;
}

DETNNI_FN0 float DETNNI_N(max)(const float *x, size_t n) { return detnn_max(x, n); }

/* p = softmax(z), row by row, and may be z; max and sum [rows] as m and s of C8. */
DETNNI_FN0 void DETNNI_N(softmax)(const float *z, size_t rows, size_t n, float *p, float *max, float *sum)
{
    size_t j;
    for (; rows; rows--, z += n, p += n, max++, sum++) {
        *max = detnn_max(z, n);
        for (j = 0; j < n; j++) p[j] = z[j] - *max;
        DETNNI_N(exp_n)(p, n, p);
        *sum = DETNNI_N(sum)(p, n);
        for (j = 0; j < n; j++) p[j] = p[j] / *sum;
    }
}

/* y = activation(z), but for softmax; y may be z. */
DETNNI_FN0 void DETNNI_N(activate)(detnn_activation activation, float alpha, const float *z, size_t n, float *y)
{
    const float scale = detnni_float(0x3f867d5f), sa = detnni_float(0x3fe10966);
    size_t i;
    if (activation == DETNN_RELU) {
        for (i = 0; i < n; i++) y[i] = detnni_negative(z[i]) ? 0.0f : z[i];
    } else if (!DETNNI_HAS(ACTIVATIONS) || activation == DETNN_LINEAR) {
        if (y != z) for (i = 0; i < n; i++) y[i] = z[i];
    } else switch (activation) {
    case DETNN_LEAKY_RELU:
        for (i = 0; i < n; i++) y[i] = detnni_positive(z[i]) ? z[i] : alpha * z[i];
        break;
    case DETNN_ELU: case DETNN_SELU:
        while (n) { /* in pieces: the exact function wants a place of its own */
            float e[64];
            size_t m = n < 64 ? n : 64;
            DETNNI_N(expm1_n)(z, m, e);
            for (i = 0; i < m; i++)
                y[i] = activation == DETNN_ELU ? (detnni_positive(z[i]) ? z[i] : alpha * e[i])
                                               : (detnni_positive(z[i]) ? scale * z[i] : sa * e[i]);
            z += m;
            y += m;
            n -= m;
        }
        break;
    default: DETNNI_N(activate_exact)(activation, z, n, y); break;
    }
}

/* d, the gradient for y, becomes that for z. Only softplus, SiLU and GELU look at z. */
DETNNI_FN0 void DETNNI_N(activate_back)(detnn_activation activation, float alpha, const float *z, const float *y,
                                        size_t n, float *d)
{
    const float scale = detnni_float(0x3f867d5f), sa = detnni_float(0x3fe10966);
    size_t i;
    if (activation == DETNN_RELU) {
        for (i = 0; i < n; i++) d[i] = detnni_positive(y[i]) ? d[i] : 0.0f;
    } else if (!DETNNI_HAS(ACTIVATIONS) || activation == DETNN_LINEAR) {
        return;
    } else switch (activation) {
    case DETNN_LEAKY_RELU:
        for (i = 0; i < n; i++) d[i] = detnni_positive(y[i]) ? d[i] : alpha * d[i];
        break;
    case DETNN_ELU:
        for (i = 0; i < n; i++) d[i] = detnni_positive(y[i]) ? d[i] : d[i] * (y[i] + alpha);
        break;
    case DETNN_SELU:
        for (i = 0; i < n; i++) d[i] = detnni_positive(y[i]) ? scale * d[i] : d[i] * (y[i] + sa);
        break;
    case DETNN_SIGMOID:
        for (i = 0; i < n; i++) d[i] = d[i] * (y[i] * (1.0f - y[i]));
        break;
    case DETNN_TANH:
        for (i = 0; i < n; i++) d[i] = d[i] * ((1.0f - y[i]) * (1.0f + y[i]));
        break;
    case DETNN_SOFTPLUS: case DETNN_SILU: case DETNN_GELU:
        while (n) {
            float e[64];
            size_t m = n < 64 ? n : 64;
            if (activation == DETNN_SOFTPLUS) DETNNI_N(sigmoid_n)(z, m, e);
            else if (activation == DETNN_SILU) DETNNI_N(silu_grad_n)(z, m, e);
            else DETNNI_N(gelu_grad_n)(z, m, e);
            for (i = 0; i < m; i++) d[i] = d[i] * e[i];
            z += m;
            d += m;
            n -= m;
        }
        break;
    default: break;
    }
}

/* Words of a stream (C6) from element `first` on. */
DETNNI_FN0 void DETNNI_N(words)(const detnni_stream *stream, uint64_t first, size_t n, uint32_t *word)
{
    detnni_stream s = *stream;
    size_t i;
    for (i = 0; i < n; i++) word[i] = detnni_word(&s, first + i);
}

/* fma(scale, u, offset) of the stream's uniform numbers u (C6). */
DETNNI_FN0 void DETNNI_N(uniform)(const detnni_stream *stream, uint64_t first, size_t n, float scale, float offset,
                                  float *y)
{
    detnni_stream s = *stream;
    size_t i;
    for (i = 0; i < n; i++) y[i] = DETNNI_FMA(scale, detnni_unit(detnni_word(&s, first + i)), offset);
}

/* y = x where the element is kept, scaled, else +0 (C8); first: the index of x[0] in the whole tensor. Backward
 * it is the same on the gradient. y may be x. */
DETNNI_FN0 void DETNNI_N(dropout)(float rate, uint64_t seed, uint64_t step, uint32_t layer, uint64_t first,
                                  const float *x, size_t n, float *y)
{
    detnni_stream s = detnni_stream_of(seed, step, DETNNI_DROPOUT, layer);
    double t = (double)rate * 4294967296.0; /* exact */
    uint64_t threshold = (uint64_t)t;
    float scale = 1.0f / (1.0f - rate);
    size_t i;
    if ((double)threshold < t) threshold++;
    for (i = 0; i < n; i++) y[i] = detnni_word(&s, first + i) >= threshold ? x[i] * scale : 0.0f;
}

/* One update (C10), clipping apart. Returns the largest bits without sign among what it wrote: from
 * 0x7f800000 on, something is not finite. */
DETNNI_FN0 uint32_t DETNNI_N(update)(const detnni_update *u, int decay, size_t n, const float *g, float *w, float *m1,
                                     float *m2)
{
    const float rate = u->rate, momentum = u->o.momentum, epsilon = u->o.epsilon, wd = u->o.weight_decay;
    const int shrink = decay && u->o.kind == DETNN_ADAMW, l2 = decay && wd > 0.0f && !shrink;
    uint32_t largest;
    size_t i;
#define DETNNI_G(i) (l2 ? DETNNI_FMA(wd, w[i], g[i]) : g[i]) /* the gradient with weight decay */
    if (u->o.kind == DETNN_SGD && (!DETNNI_HAS(MOMENTUM) || !m1)) {
        for (i = 0; i < n; i++) w[i] = DETNNI_FMA(-rate, DETNNI_G(i), w[i]);
    } else if (u->o.kind == DETNN_SGD) {
        for (i = 0; i < n; i++) {
            float d = DETNNI_G(i);
            m1[i] = DETNNI_FMA(momentum, m1[i], d);
            w[i] = DETNNI_FMA(-rate, u->o.nesterov ? DETNNI_FMA(momentum, m1[i], d) : m1[i], w[i]);
        }
    } else if (DETNNI_HAS(ADAM) && (u->o.kind == DETNN_ADAM || u->o.kind == DETNN_ADAMW)) {
        const float b1 = u->o.beta1, b2 = u->o.beta2, c1 = 1.0f - b1, c2 = 1.0f - b2, r = u->correction;
        for (i = 0; i < n; i++) {
            float d = DETNNI_G(i), v = shrink ? u->keep * w[i] : w[i];
            m1[i] = DETNNI_FMA(b1, m1[i], c1 * d);
            m2[i] = DETNNI_FMA(b2, m2[i], (c2 * d) * d);
            w[i] = DETNNI_FMA(-rate, m1[i] / DETNNI_FMA(detnni_sqrt(m2[i]), r, epsilon), v);
        }
    } else if (DETNNI_HAS(RMSPROP) && u->o.kind == DETNN_RMSPROP) {
        const float rho = u->o.rho, c = 1.0f - rho;
        for (i = 0; i < n; i++) {
            float d = DETNNI_G(i), h;
            m1[i] = DETNNI_FMA(rho, m1[i], (c * d) * d);
            h = d / (detnni_sqrt(m1[i]) + epsilon);
            if (m2) m2[i] = h = DETNNI_FMA(momentum, m2[i], h);
            w[i] = DETNNI_FMA(-rate, h, w[i]);
        }
    }
#undef DETNNI_G
    largest = DETNNI_N(magnitude)(w, n);
    if (m1) { uint32_t b = DETNNI_N(magnitude)(m1, n); if (b > largest) largest = b; }
    if (m2) { uint32_t b = DETNNI_N(magnitude)(m2, n); if (b > largest) largest = b; }
    return largest;
}

#else

/* The vector layer of floats: VF is a register of DETNNI_W floats, VU the same bits as integers, VFM a mask of lanes,
   VL the first so many lanes. Operations on VF are rounded once each. */

/* Which tiles of a product there are (see below): the most rows; X(rows) for all and for some; X(rows, vectors) */
#if DETNNI_ISA == DETNNI_ISA_AVX512 || DETNNI_ISA == DETNNI_ISA_NEON
#define DETNNI_MOST 14
#define DETNNI_TALL(X) X(10) X(11) X(12) X(13) X(14)
#define DETNNI_ALL(X)  X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define DETNNI_SOME(X) X(1) X(2) X(4) X(6) X(8) X(10) X(12) X(14)
#define DETNNI_LONG(X) X(1, 4) X(2, 4) X(3, 4) X(4, 4) X(5, 4) X(6, 4) X(1, 8)
#define DETNNI_WIDE(X) DETNNI_LONG(X) X(2, 8) X(3, 8)
#elif DETNNI_ISA == DETNNI_ISA_AVX2
#define DETNNI_MOST 6
#define DETNNI_TALL(X) X(4) X(5) X(6)
#define DETNNI_ALL(X)  X(1) X(2) X(3) X(4) X(5) X(6)
#define DETNNI_SOME(X) X(1) X(2) X(4) X(6)
#define DETNNI_LONG(X) X(1, 4) X(1, 8)
#define DETNNI_WIDE(X) DETNNI_LONG(X) X(2, 4) X(3, 4)
#else /* emulated fma wants the registers */
#define DETNNI_MOST 2
#define DETNNI_TALL(X) X(2)
#define DETNNI_ALL(X)  X(1) X(2)
#define DETNNI_SOME(X) X(1) X(2)
#define DETNNI_LONG(X)
#define DETNNI_WIDE(X)
#endif

#define vf_ahead(p)   __builtin_prefetch(p)
/* Before the branch back of a long loop: from Skylake to Cascade Lake one that touches the end of 32 bytes of code is
   decoded anew each time (Intel's erratum on jumps), which made tiles half as slow again. */
#if defined(__x86_64__) || defined(__i386__)
#define vf_again() __asm__ volatile(".p2align 5")
#else
#define vf_again()
#endif
#if DETNNI_ISA == DETNNI_ISA_WASM
#define vf_hide(p, q)
#else
#define vf_hide(p, q) __asm__("" : "+r"(p), "+r"(q)) /* the compiler forgets where these pointers came from */
#endif

#if defined(__clang__) && DETNNI_ISA == DETNNI_ISA_NEON /* clang would first load all and then spill it */
#define vf_order(x) __asm__ volatile("" : "+w"(x))
#elif defined(__clang__) && DETNNI_ISA != DETNNI_ISA_WASM
#define vf_order(x) __asm__ volatile("" : "+v"(x))
#else
#define vf_order(x)
#endif

#if DETNNI_ISA == DETNNI_ISA_AVX512

#define VF __m512
#define VU __m512i
#define VFM __mmask16
#define VL __mmask16
#define vf_lanes(n)     ((__mmask16)((1u << (n)) - 1)) /* a mask of the first n, as vf_get and vf_put take it */
#define vf_set(x)       _mm512_set1_ps(x)
#define vf_load(p)      _mm512_loadu_ps(p)
#define vf_store(p, x)  _mm512_storeu_ps(p, x)
#define vf_get(p, m)    _mm512_maskz_loadu_ps(m, p)
#define vf_put(p, m, x) _mm512_mask_storeu_ps(p, m, x)
#define vf_add(x, y)    ((VF)((x) + (y)))
#define vf_sub(x, y)    ((VF)((x) - (y)))
#define vf_mul(x, y)    ((VF)((x) * (y)))
#define vf_div(x, y)    ((VF)((x) / (y)))
#define vf_sqrt         _mm512_sqrt_ps
#define vf_fma          _mm512_fmadd_ps
#define vf_gt(x, y)     _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ)
#define vf_sel(m, x, y) _mm512_mask_blend_ps(m, y, x)
#define vf_bits         _mm512_castps_si512
#define vu_float        _mm512_castsi512_ps
#define vu_set(x)       _mm512_set1_epi32((int)(x))
#define vu_load(p)      _mm512_loadu_si512(p)
#define vu_store(p, x)  _mm512_storeu_si512(p, x)
#define vu_and          _mm512_and_si512
#define vu_or           _mm512_or_si512
#define vu_xor          _mm512_xor_si512
#define vu_max          _mm512_max_epi32
#define vu_sign(x)      _mm512_srai_epi32(x, 31)
#define vu_top(x)       _mm512_cvtepi32_ps(_mm512_srli_epi32(x, 8))
#define vu_ge           _mm512_cmpge_epu32_mask
#define vu_mul          _mm512_mul_epu32
#define vu_add          _mm512_add_epi32
#define vu_xor3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define vu_upper(x)     _mm512_shuffle_epi32(x, (_MM_PERM_ENUM)0xf5)
#define vu_pair(x, y)   _mm512_mask_shuffle_epi32(x, 0xaaaa, y, (_MM_PERM_ENUM)0xa0)
#define vu_low          _mm512_unpacklo_epi64
#define vu_high         _mm512_unpackhi_epi64
#define vf_low2         _mm512_unpacklo_ps
#define vf_high2        _mm512_unpackhi_ps
DETNNI_FN VF DETNNI_N(quads)(const float *p, size_t s)
{
    VF x = _mm512_castps128_ps512(_mm_loadu_ps(p));
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 4 * s), 1);
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 8 * s), 2);
    return _mm512_insertf32x4(x, _mm_loadu_ps(p + 12 * s), 3);
}

#elif DETNNI_ISA == DETNNI_ISA_AVX2

#define VF __m256
#define VU __m256i
#define VFM __m256
#define VL __m256i
#define vf_lanes(n)     _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define vf_set(x)       _mm256_set1_ps(x)
#define vf_load(p)      _mm256_loadu_ps(p)
#define vf_store(p, x)  _mm256_storeu_ps(p, x)
#define vf_get(p, m)    _mm256_maskload_ps(p, m)
#define vf_put(p, m, x) _mm256_maskstore_ps(p, m, x)
#define vf_add(x, y)    ((VF)((x) + (y)))
#define vf_sub(x, y)    ((VF)((x) - (y)))
#define vf_mul(x, y)    ((VF)((x) * (y)))
#define vf_div(x, y)    ((VF)((x) / (y)))
#define vf_sqrt         _mm256_sqrt_ps
#define vf_fma          _mm256_fmadd_ps
#define vf_gt(x, y)     _mm256_cmp_ps(x, y, _CMP_GT_OQ)
#define vf_sel(m, x, y) _mm256_blendv_ps(y, x, m)
#define vf_bits         _mm256_castps_si256
#define vu_float        _mm256_castsi256_ps
#define vu_set(x)       _mm256_set1_epi32((int)(x))
#define vu_load(p)      _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define vu_store(p, x)  _mm256_storeu_si256((__m256i *)(void *)(p), x)
#define vu_and          _mm256_and_si256
#define vu_or           _mm256_or_si256
#define vu_xor          _mm256_xor_si256
#define vu_max          _mm256_max_epi32
#define vu_sign(x)      _mm256_srai_epi32(x, 31)
#define vu_top(x)       _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 8))
#define vu_ge(x, y)     _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(x, y), x))
#define vu_mul          _mm256_mul_epu32
#define vu_add          _mm256_add_epi32
#define vu_xor3(x, y, z) vu_xor(vu_xor(x, y), z)
#define vu_upper(x)     _mm256_shuffle_epi32(x, 0xf5)
#define vu_pair(x, y)   _mm256_blend_epi32(x, _mm256_slli_epi64(y, 32), 0xaa)
#define vu_low          _mm256_unpacklo_epi64
#define vu_high         _mm256_unpackhi_epi64
#define vf_low2         _mm256_unpacklo_ps
#define vf_high2        _mm256_unpackhi_ps
DETNNI_FN VF DETNNI_N(quads)(const float *p, size_t s)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * s), 1);
}

#elif DETNNI_ISA == DETNNI_ISA_SSE2

#define VF __m128
#define VU __m128i
#define VFM __m128
#define VL size_t
#define vf_lanes(n)     (n)
#define vf_set(x)       _mm_set1_ps(x)
#define vf_load(p)      _mm_loadu_ps(p)
#define vf_store(p, x)  _mm_storeu_ps(p, x)
#define vf_get          DETNNI_N(vf_get)
#define vf_put          DETNNI_N(vf_put)
#define vf_add(x, y)    ((VF)((x) + (y)))
#define vf_sub(x, y)    ((VF)((x) - (y)))
#define vf_mul(x, y)    ((VF)((x) * (y)))
#define vf_div(x, y)    ((VF)((x) / (y)))
#define vf_sqrt         _mm_sqrt_ps
#define vf_fma          DETNNI_N(vf_fma)
#define vf_gt           _mm_cmpgt_ps
#define vf_sel(m, x, y) _mm_or_ps(_mm_and_ps(m, x), _mm_andnot_ps(m, y))
#define vf_bits         _mm_castps_si128
#define vu_float        _mm_castsi128_ps
#define vu_set(x)       _mm_set1_epi32((int)(x))
#define vu_load(p)      _mm_loadu_si128((const __m128i *)(const void *)(p))
#define vu_store(p, x)  _mm_storeu_si128((__m128i *)(void *)(p), x)
#define vu_and          _mm_and_si128
#define vu_or           _mm_or_si128
#define vu_xor          _mm_xor_si128
#define vu_max          DETNNI_N(vu_max)
#define vu_sign(x)      _mm_srai_epi32(x, 31)
#define vu_top(x)       _mm_cvtepi32_ps(_mm_srli_epi32(x, 8))
#define vu_turn(x)      vu_xor(x, vu_set(1u << 31)) /* unsigned order to signed */
#define vu_ge(x, y)     _mm_castsi128_ps(vu_xor(_mm_cmplt_epi32(vu_turn(x), vu_turn(y)), vu_set(-1)))
#define vu_mul          _mm_mul_epu32
#define vu_add          _mm_add_epi32
#define vu_xor3(x, y, z) vu_xor(vu_xor(x, y), z)
#define vu_upper(x)     _mm_shuffle_epi32(x, 0xf5)
#define vu_pair(x, y)   _mm_or_si128(_mm_and_si128(x, _mm_set1_epi64x(0xffffffff)), _mm_slli_epi64(y, 32))
#define vu_low          _mm_unpacklo_epi64
#define vu_high         _mm_unpackhi_epi64
#define vf_low2         _mm_unpacklo_ps
#define vf_high2        _mm_unpackhi_ps
DETNNI_FN VF DETNNI_N(quads)(const float *p, size_t s) { (void)s; return _mm_loadu_ps(p); }
DETNNI_FN VU vu_max(VU x, VU y)
{
    VU m = _mm_cmpgt_epi32(x, y);
    return _mm_or_si128(_mm_and_si128(m, x), _mm_andnot_si128(m, y));
}
/* detnni_fma_emulated for two lanes */
DETNNI_FN __m128d DETNNI_N(odd_sum)(__m128d a, __m128d b, __m128d c)
{
    __m128d p = _mm_mul_pd(a, b), s = _mm_add_pd(p, c), t = _mm_sub_pd(s, p), zero = _mm_setzero_pd();
    __m128d e = _mm_add_pd(_mm_sub_pd(p, _mm_sub_pd(s, t)), _mm_sub_pd(c, t));
    __m128i inexact = _mm_castpd_si128(_mm_or_pd(_mm_cmplt_pd(e, zero), _mm_cmpgt_pd(e, zero)));
    __m128i i = _mm_castpd_si128(s);
    __m128i even = _mm_sub_epi64(_mm_and_si128(i, _mm_set1_epi64x(1)), _mm_set1_epi64x(1));
    /* 0, or -1 towards zero */
    __m128i step = _mm_srai_epi32(_mm_shuffle_epi32(_mm_xor_si128(i, _mm_castpd_si128(e)), 0xf5), 31);
    step = _mm_or_si128(step, _mm_set1_epi64x(1));
    return _mm_castsi128_pd(_mm_add_epi64(i, _mm_and_si128(step, _mm_and_si128(inexact, even))));
}
DETNNI_FN VF vf_fma(VF a, VF b, VF c)
{
    __m128d low = DETNNI_N(odd_sum)(_mm_cvtps_pd(a), _mm_cvtps_pd(b), _mm_cvtps_pd(c)), high;
    a = _mm_movehl_ps(a, a);
    b = _mm_movehl_ps(b, b);
    c = _mm_movehl_ps(c, c);
    high = DETNNI_N(odd_sum)(_mm_cvtps_pd(a), _mm_cvtps_pd(b), _mm_cvtps_pd(c));
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}

#elif DETNNI_ISA == DETNNI_ISA_NEON

#define VF float32x4_t
#define VU uint32x4_t
#define VFM uint32x4_t
#define VL size_t
#define vf_lanes(n)     (n)
#define vf_set(x)       vdupq_n_f32(x)
#define vf_load(p)      vld1q_f32(p)
#define vf_store(p, x)  vst1q_f32(p, x)
#define vf_get          DETNNI_N(vf_get)
#define vf_put          DETNNI_N(vf_put)
#define vf_add          vaddq_f32
#define vf_sub          vsubq_f32
#define vf_mul          vmulq_f32
#define vf_div          vdivq_f32
#define vf_sqrt         vsqrtq_f32
#define vf_fma(x, y, z) vfmaq_f32(z, x, y)
#define vf_gt           DETNNI_N(vf_gt)
/* clang makes 0 > x ? 0 : x a maximum, for which -0 is less than +0: it must not see where the mask comes from. */
DETNNI_FN uint32x4_t vf_gt(float32x4_t x, float32x4_t y)
{
    uint32x4_t m = vcgtq_f32(x, y);
    __asm__("" : "+w"(m));
    return m;
}
#define vf_sel          vbslq_f32
#define vf_bits         vreinterpretq_u32_f32
#define vu_float        vreinterpretq_f32_u32
#define vu_set(x)       vdupq_n_u32(x)
#define vu_load(p)      vld1q_u32(p)
#define vu_store(p, x)  vst1q_u32(p, x)
#define vu_and          vandq_u32
#define vu_or           vorrq_u32
#define vu_xor          veorq_u32
#define vu_max(x, y)    vreinterpretq_u32_s32(vmaxq_s32(vreinterpretq_s32_u32(x), vreinterpretq_s32_u32(y)))
#define vu_sign(x)      vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_u32(x), 31))
#define vu_top(x)       vcvtq_f32_u32(vshrq_n_u32(x, 8))
#define vu_ge           vcgeq_u32
#define vu_half(x)      vmovn_u64(vreinterpretq_u64_u32(x))
#define vu_mul(x, y)    vreinterpretq_u32_u64(vmull_u32(vu_half(x), vu_half(y)))
#define vu_add          vaddq_u32
#define vu_xor3(x, y, z) vu_xor(vu_xor(x, y), z)
#define vu_upper(x)     vrev64q_u32(x)
#define vu_pair(x, y)   vtrn1q_u32(x, y)
#define vu_low(x, y)    vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)))
#define vu_high(x, y)   vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)))
#define vf_low2         vzip1q_f32
#define vf_high2        vzip2q_f32
DETNNI_FN VF DETNNI_N(quads)(const float *p, size_t s) { (void)s; return vld1q_f32(p); }

#elif DETNNI_ISA == DETNNI_ISA_WASM

#define VF v128_t
#define VU v128_t
#define VFM v128_t
#define VL size_t
#define vf_lanes(n)     (n)
#define vf_set(x)       wasm_f32x4_splat(x)
#define vf_load(p)      wasm_v128_load(p)
#define vf_store(p, x)  wasm_v128_store(p, x)
#define vf_get          DETNNI_N(vf_get)
#define vf_put          DETNNI_N(vf_put)
#define vf_add(x, y)    ((v128_t)((detnni_f32x4)(x) + (detnni_f32x4)(y)))
#define vf_sub(x, y)    ((v128_t)((detnni_f32x4)(x) - (detnni_f32x4)(y)))
#define vf_mul(x, y)    ((v128_t)((detnni_f32x4)(x) * (detnni_f32x4)(y)))
#define vf_div(x, y)    ((v128_t)((detnni_f32x4)(x) / (detnni_f32x4)(y)))
#define vf_sqrt         wasm_f32x4_sqrt
#define vf_fma          DETNNI_N(vf_fma)
#define vf_gt           DETNNI_N(vf_gt)
#define vf_sel(m, x, y) wasm_v128_bitselect(x, y, m)
#define vf_bits(x)      (x)
#define vu_float(x)     (x)
#define vu_set(x)       wasm_i32x4_splat((int32_t)(x))
#define vu_load(p)      wasm_v128_load(p)
#define vu_store(p, x)  wasm_v128_store(p, x)
#define vu_and          wasm_v128_and
#define vu_or           wasm_v128_or
#define vu_xor          wasm_v128_xor
#define vu_max          wasm_i32x4_max
#define vu_sign(x)      wasm_i32x4_shr(x, 31)
#define vu_top(x)       wasm_f32x4_convert_i32x4(wasm_u32x4_shr(x, 8))
#define vu_ge           wasm_u32x4_ge
#define vu_half(x)      wasm_i32x4_shuffle(x, x, 0, 2, 0, 2)
#define vu_mul(x, y)    wasm_u64x2_extmul_low_u32x4(vu_half(x), vu_half(y))
#define vu_add          wasm_i32x4_add
#define vu_xor3(x, y, z) vu_xor(vu_xor(x, y), z)
#define vu_upper(x)     wasm_i32x4_shuffle(x, x, 1, 1, 3, 3)
#define vu_pair(x, y)   wasm_i32x4_shuffle(x, y, 0, 4, 2, 6)
#define vu_low(x, y)    wasm_i64x2_shuffle(x, y, 0, 2)
#define vu_high(x, y)   wasm_i64x2_shuffle(x, y, 1, 3)
#define vf_low2(x, y)   wasm_i32x4_shuffle(x, y, 0, 4, 1, 5)
#define vf_high2(x, y)  wasm_i32x4_shuffle(x, y, 2, 6, 3, 7)
DETNNI_FN VF DETNNI_N(quads)(const float *p, size_t s) { (void)s; return wasm_v128_load(p); }
DETNNI_FN VFM vf_gt(VF x, VF y)
{
    v128_t m = (v128_t)((detnni_f32x4)x > (detnni_f32x4)y);
    __asm__("" : "+r"(m)); /* else clang 14 makes a maximum of x < 0 ? 0 : x, which turns -0 into +0 */
    return m;
}
/* detnni_fma_emulated for two lanes, the low ones of a, b, c; the sum goes to the low lanes of the result */
DETNNI_FN v128_t DETNNI_N(fma2)(v128_t x, v128_t y, v128_t z)
{
    const detnni_f64x2 a = (detnni_f64x2)wasm_f64x2_promote_low_f32x4(x);
    const detnni_f64x2 b = (detnni_f64x2)wasm_f64x2_promote_low_f32x4(y);
    const detnni_f64x2 c = (detnni_f64x2)wasm_f64x2_promote_low_f32x4(z), p = a * b, s = p + c, t = s - p;
    const detnni_f64x2 e = (p - (s - t)) + (c - t), zero = { 0.0, 0.0 };
    const v128_t inexact = wasm_v128_or((v128_t)(e < zero), (v128_t)(e > zero));
    const v128_t bits = (v128_t)s, one = wasm_i64x2_splat(1);
    const v128_t even = wasm_i64x2_sub(wasm_v128_and(bits, one), one);
    const v128_t step = wasm_v128_or(wasm_i64x2_shr(wasm_v128_xor(bits, (v128_t)e), 63), one); /* -1: towards zero */
    const v128_t odd = wasm_i64x2_add(bits, wasm_v128_and(step, wasm_v128_and(inexact, even)));
    return wasm_f32x4_demote_f64x2_zero(odd);
}
DETNNI_FN VF vf_fma(VF a, VF b, VF c)
{
    const v128_t low = DETNNI_N(fma2)(a, b, c);
    a = wasm_i64x2_shuffle(a, a, 1, 1);
    b = wasm_i64x2_shuffle(b, b, 1, 1);
    c = wasm_i64x2_shuffle(c, c, 1, 1);
    return wasm_i64x2_shuffle(low, DETNNI_N(fma2)(a, b, c), 0, 2);
}

#endif

#if DETNNI_W == 4 /* no masks: the first n of 4 lanes, one by one */
DETNNI_FN VF vf_get(const float *p, size_t n)
{
    float x[4];
    size_t i;
    for (i = 0; i < 4; i++) x[i] = i < n ? p[i] : 0.0f;
    return vf_load(x);
}
DETNNI_FN void vf_put(float *p, size_t n, VF v)
{
    float x[4];
    size_t i;
    vf_store(x, v);
    for (i = 0; i < n; i++) p[i] = x[i];
}
#endif

/* ---- Products. A tile is R x V vectors of chains that stay in registers:

       c[i][j] = init[i][j]; for k: c[i][j] = fma(a(i, k), b[k][j], c[i][j])

   Column vector j starts at min(j * W, last): where columns do not divide, two vectors overlap and compute the same.
   ---- */

typedef struct {
    float *at;
    size_t stride;
} DETNNI_N(place);
typedef struct {
    const float *a, *b, *init;      /* init null: from +0 */
    float *c;
    const float *next;              /* where c goes on in the next tile, to be fetched ahead; if none follows, c */
    float *copy;                    /* where the first tile leaves b packed, or null */
    float *levels;                  /* for the tree over leaves of 64 where k is cut into such, or null */
    const DETNNI_N(place) *sums;    /* [joins], other parts of c's sums, added at the end, the last one first; */
    size_t joins;                   /* 0 unless a lies in columns */
    size_t as, bs, is, cs, k, cols; /* strides between rows; where a lies in columns, as is that along the chain */
    size_t last, b_last;            /* the last vector's column in c and init, and in b */
} DETNNI_N(tile);
typedef void (*DETNNI_N(tile_f))(const DETNNI_N(tile) *);

#define DETNNI_C1(X, i)  X(i, 0)
#define DETNNI_C2(X, i)  X(i, 0) X(i, 1)
#define DETNNI_C4(X, i)  DETNNI_C2(X, i) X(i, 2) X(i, 3)
#define DETNNI_C8(X, i)  DETNNI_C4(X, i) X(i, 4) X(i, 5) X(i, 6) X(i, 7)
#define DETNNI_R1(C, X)  C(X, 0)
#define DETNNI_R2(C, X)  DETNNI_R1(C, X) C(X, 1)
#define DETNNI_R3(C, X)  DETNNI_R2(C, X) C(X, 2)
#define DETNNI_R4(C, X)  DETNNI_R3(C, X) C(X, 3)
#define DETNNI_R5(C, X)  DETNNI_R4(C, X) C(X, 4)
#define DETNNI_R6(C, X)  DETNNI_R5(C, X) C(X, 5)
#define DETNNI_R7(C, X)  DETNNI_R6(C, X) C(X, 6)
#define DETNNI_R8(C, X)  DETNNI_R7(C, X) C(X, 7)
#define DETNNI_R9(C, X)  DETNNI_R8(C, X) C(X, 8)
#define DETNNI_R10(C, X) DETNNI_R9(C, X) C(X, 9)
#define DETNNI_R11(C, X) DETNNI_R10(C, X) C(X, 10)
#define DETNNI_R12(C, X) DETNNI_R11(C, X) C(X, 11)
#define DETNNI_R13(C, X) DETNNI_R12(C, X) C(X, 12)
#define DETNNI_R14(C, X) DETNNI_R13(C, X) C(X, 13)

#define DETNNI_HEIGHT ((DETNNI_MOST + DETNNI_W - 1) / DETNNI_W * DETNNI_W)
#define DETNNI_COLUMN(i, j) const size_t o##j = detnni_min((size_t)j * DETNNI_W, t->b_last);
#define DETNNI_PLACE(i, j)  const size_t p##j = detnni_min((size_t)j * DETNNI_W, t->last);
#define DETNNI_BEGIN(i, j)  VF c##i##_##j = vf_set(0.0f);
#define DETNNI_INIT(i, j)   c##i##_##j = DETNNI_GET(init + (size_t)i * is + p##j);
#define DETNNI_B(i, j)      const VF b##j = DETNNI_GET(row + o##j);
#define DETNNI_PLAIN(i, j)
/* What is fetched ahead is the line of the cache that vectors end in: the one they begin in was fetched for the columns
   before, or is the same. LINE: so many vectors fill a line, or are all of a tile's two. */
#define DETNNI_LINE(vectors) ((vectors) * DETNNI_W % 16 == 0 || (vectors) == 2)
#define DETNNI_SOON_C(i, j) \
    if (one || DETNNI_LINE(j + 1)) vf_ahead(c + (size_t)i * cs + p##j + (one ? 0 : DETNNI_W - 1));
#define DETNNI_AHEAD(i, j)  if (DETNNI_LINE(j + 1)) vf_ahead(row + 8 * bs + (j + 1) * DETNNI_W - 1);
#define DETNNI_KEEP(i, j) \
    vf_store(copy, b##j); \
    copy += DETNNI_W; \
    if (DETNNI_LINE(j + 1)) vf_ahead(row + 6 * bs + (j + 1) * DETNNI_W - 1);
#define DETNNI_STEP(i, j) \
    if (j == 0) x = vf_set((i < 5 ? a : i < 10 ? a5 : a10)[i % 5 * ar + at]); \
    c##i##_##j = vf_fma(x, b##j, c##i##_##j); \
    vf_order(c##i##_##j);
#define DETNNI_JOIN(i, j)     c##i##_##j = vf_add(DETNNI_GET(sum + (size_t)i * stride + p##j), c##i##_##j);
#define DETNNI_FINISH(i, j)   DETNNI_PUT(c + (size_t)i * cs + p##j, c##i##_##j);
#define DETNNI_STEPS(R, V, PANEL, ALSO, D) \
    { \
        const float *row = b + D * bs; \
        const size_t at = D * ak; \
        DETNNI_C##V(DETNNI_B, 0) \
        DETNNI_C##V(ALSO, 0) \
        if (PANEL) { \
            if (PANEL == 1 || D * DETNNI_HEIGHT % 16 == 0) vf_ahead(a + at + 16 * ak); \
            if (!few && (D == 0 || DETNNI_W == 16)) vf_ahead(line + (V > 1 ? D * DETNNI_W : 0)); \
        } \
        DETNNI_R##R(DETNNI_C##V, DETNNI_STEP) \
    }
/* PANEL 0: a lies in rows; 1: in columns; 2: in columns HEIGHT apart, and b in strips of two vectors. ALSO: what is
   done with b besides. c is fetched ahead: at once where it is but `few` lines of the cache, else, where a lies in
   columns, a row of the next tile's for each pass of the loop, up to `lines`; never beyond c, as what is fetched from
   no page at all costs more than a miss. */
#define DETNNI_TILE(name, R, V, PANEL, ALSO) \
DETNNI_FN0 void DETNNI_N(name##_##R##_##V)(const DETNNI_N(tile) *t) \
{ \
    enum { few = R * ((V * DETNNI_W + 15) / 16) <= 12, one = V == 1 }; \
    const size_t as = t->as, bs = PANEL == 2 ? 2 * DETNNI_W : t->bs, is = t->is, cs = t->cs, ar = PANEL ? 1 : as; \
    const size_t ak = PANEL == 2 ? DETNNI_HEIGHT : PANEL ? as : 1; \
    const float *a = t->a, *a5 = a + (R > 5 ? 5 * ar : 0), *a10 = a + (R > 10 ? 10 * ar : 0); \
    const float *b = t->b, *init = t->init, *line = t->next, *lines = line + (R - 1) * cs; \
    float *c = t->c, *copy = t->copy; \
    size_t k = t->k, joins = t->joins, pairs; \
    VF x; \
    DETNNI_MASK \
    DETNNI_C##V(DETNNI_COLUMN, 0) \
    DETNNI_C##V(DETNNI_PLACE, 0) \
    DETNNI_R##R(DETNNI_C##V, DETNNI_BEGIN) \
    if (init) { DETNNI_R##R(DETNNI_C##V, DETNNI_INIT) } \
    if (few) { DETNNI_R##R(DETNNI_C##V, DETNNI_SOON_C) } \
    if (!PANEL) vf_hide(a5, a10); /* so that few registers address the rows */ \
    for (pairs = k / 2; pairs; pairs--) { \
        DETNNI_STEPS(R, V, PANEL, ALSO, 0) \
        DETNNI_STEPS(R, V, PANEL, ALSO, 1) \
        if (!few) line = line == lines ? line : line + cs; \
        a += 2 * ak; \
        a5 = !PANEL ? a5 + 2 : R > 5 ? a + 5 : a; \
        a10 = !PANEL ? a10 + 2 : R > 10 ? a + 10 : a; \
        b += 2 * bs; \
        vf_again(); \
    } \
    if (k & 1) { DETNNI_STEPS(R, V, PANEL, ALSO, 0) } \
    (void)copy; \
    (void)line; \
    for (; PANEL && joins; joins--) { \
        const float *sum = t->sums[joins - 1].at; \
        const size_t stride = t->sums[joins - 1].stride; \
        DETNNI_R##R(DETNNI_C##V, DETNNI_JOIN) \
    } \
    DETNNI_R##R(DETNNI_C##V, DETNNI_FINISH) \
}

/* rows_R_V: a's rows lie as in memory; panel_R_V: its columns do. Two or more vectors are whole, a single one may be
   short. */
#define DETNNI_MASK
#define DETNNI_GET(p)       vf_load(p)
#define DETNNI_PUT(p, x)    vf_store(p, x)
#define DETNNI_ROWS_2(R)    DETNNI_TILE(rows, R, 2, 0, DETNNI_AHEAD)
#define DETNNI_ROWS_V(R, V) DETNNI_TILE(rows, R, V, 0, DETNNI_PLAIN)
#define DETNNI_PANEL_2(R)   DETNNI_TILE(panel, R, 2, 1, DETNNI_AHEAD)
DETNNI_ALL(DETNNI_ROWS_2)
DETNNI_WIDE(DETNNI_ROWS_V)
#define DETNNI_PANEL_V(R, V) DETNNI_TILE(panel, R, V, 1, DETNNI_PLAIN)
#define DETNNI_PACKED_2(R)  DETNNI_TILE(packed, R, 2, 2, DETNNI_AHEAD)
DETNNI_ALL(DETNNI_PANEL_2)
DETNNI_TALL(DETNNI_PACKED_2)
DETNNI_LONG(DETNNI_PANEL_V)
#define DETNNI_ROWS_C(R)    DETNNI_TILE(rows_copy, R, 2, 0, DETNNI_KEEP)
#define DETNNI_PANEL_C(R)   DETNNI_TILE(panel_copy, R, 2, 1, DETNNI_KEEP)
DETNNI_TALL(DETNNI_ROWS_C)
DETNNI_TALL(DETNNI_PANEL_C)
#undef DETNNI_MASK
#undef DETNNI_GET
#undef DETNNI_PUT
#define DETNNI_MASK         const VL m = vf_lanes(t->cols);
#define DETNNI_GET(p)       vf_get(p, m)
#define DETNNI_PUT(p, x)    vf_put(p, m, x)
#define DETNNI_ROWS_1(R)    DETNNI_TILE(rows, R, 1, 0, DETNNI_PLAIN)
#define DETNNI_PANEL_1(R)   DETNNI_TILE(panel, R, 1, 1, DETNNI_PLAIN)
DETNNI_SOME(DETNNI_ROWS_1)
DETNNI_ALL(DETNNI_PANEL_1)

/* The tile of so many rows and vectors; null where there is none. */
enum { DETNNI_N(as_rows), DETNNI_N(as_panel), DETNNI_N(rows_kept), DETNNI_N(panel_kept), DETNNI_N(packed) };
#define DETNNI_CASE(kind, V, R)  case 512 * DETNNI_N(kind) + 32 * V + R: return
#define DETNNI_CASE_ROWS_1(R)    DETNNI_CASE(as_rows, 1, R) DETNNI_N(rows_##R##_1);
#define DETNNI_CASE_ROWS_2(R)    DETNNI_CASE(as_rows, 2, R) DETNNI_N(rows_##R##_2);
#define DETNNI_CASE_ROWS_V(R, V) DETNNI_CASE(as_rows, V, R) DETNNI_N(rows_##R##_##V);
#define DETNNI_CASE_PANEL_1(R)   DETNNI_CASE(as_panel, 1, R) DETNNI_N(panel_##R##_1);
#define DETNNI_CASE_PANEL_2(R)   DETNNI_CASE(as_panel, 2, R) DETNNI_N(panel_##R##_2);
#define DETNNI_CASE_PANEL_V(R, V) DETNNI_CASE(as_panel, V, R) DETNNI_N(panel_##R##_##V);
#define DETNNI_CASE_ROWS_C(R)    DETNNI_CASE(rows_kept, 2, R) DETNNI_N(rows_copy_##R##_2);
#define DETNNI_CASE_PANEL_C(R)   DETNNI_CASE(panel_kept, 2, R) DETNNI_N(panel_copy_##R##_2);
#define DETNNI_CASE_PACKED(R)    DETNNI_CASE(packed, 2, R) DETNNI_N(packed_##R##_2);
DETNNI_FN0 DETNNI_N(tile_f) DETNNI_N(tile_of)(int kind, size_t rows, size_t vectors)
{
    if (rows >= 32) return 0;
    switch (512 * kind + 32 * (int)vectors + (int)rows) {
    DETNNI_SOME(DETNNI_CASE_ROWS_1)
    DETNNI_ALL(DETNNI_CASE_ROWS_2)
    DETNNI_WIDE(DETNNI_CASE_ROWS_V)
    DETNNI_ALL(DETNNI_CASE_PANEL_1)
    DETNNI_ALL(DETNNI_CASE_PANEL_2)
    DETNNI_TALL(DETNNI_CASE_ROWS_C)
    DETNNI_TALL(DETNNI_CASE_PANEL_C)
    DETNNI_TALL(DETNNI_CASE_PACKED)
    DETNNI_LONG(DETNNI_CASE_PANEL_V)
    default: return 0;
    }
}

/* A tile at so many rows from c and the sums, whose chain is cut into leaves of 64 that are added as a tree (C3). */
DETNNI_FN0 void DETNNI_N(leaves)(DETNNI_N(tile_f) f, const DETNNI_N(tile) *whole, size_t rows, size_t from)
{
    DETNNI_N(place) sums[8 * sizeof(size_t)];
    DETNNI_N(tile) t = *whole;
    const size_t stride = t.last + DETNNI_W;
    size_t left = t.k, leaf = 0, depth, c;
    for (depth = 0; depth < t.joins; depth++) {
        sums[depth].at = t.sums[depth].at + from * t.sums[depth].stride;
        sums[depth].stride = t.sums[depth].stride;
    }
    do {
        t.k = detnni_min(left, 64);
        left -= t.k;
        for (t.joins = 0, c = leaf++; c & 1; c >>= 1) t.joins++;
        if (left == 0) t.joins = depth;
        depth -= t.joins;
        t.sums = sums + depth;
        t.c = left ? t.levels + (depth - whole->joins) * rows * stride : whole->c;
        t.cs = left ? stride : whole->cs;
        t.next = left ? t.c : whole->next;
        f(&t);
        sums[depth].at = t.c;
        sums[depth++].stride = t.cs;
        t.a += t.k * t.as;
        t.b += t.k * t.bs;
        if (t.copy) t.copy += t.k * 2 * DETNNI_W;
    } while (left);
}

#define DETNNI_LOW 6 /* rows of tiles of four vectors, at most */

/* The height of tiles, at most so many rows, that divide rows evenly. */
DETNNI_FN size_t DETNNI_N(even)(size_t rows, size_t most)
{
    size_t tiles = (rows + most - 1) / most;
    return tiles > 1 ? (rows + tiles - 1) / tiles : most;
}

/* Tiles down the rows of a and c, as many and as even as they come, across `width` columns. form: a's rows as in
   memory, columns as in memory, or packed (then at least HEIGHT rows). */
DETNNI_FN0 void DETNNI_N(down)(DETNNI_N(tile) t, int form, size_t rows, size_t width)
{
    const size_t vectors = width <= DETNNI_W ? 1 : width <= 2 * DETNNI_W ? 2 : width <= 4 * DETNNI_W ? 4 : 8;
    const int panels = form == DETNNI_N(packed), in_rows = form == DETNNI_N(as_rows);
    const int plain = in_rows ? DETNNI_N(as_rows) : DETNNI_N(as_panel); /* of every height, as panels go on by even */
    const int kept = in_rows ? DETNNI_N(rows_kept) : DETNNI_N(panel_kept);
    const int once = t.is || t.joins; /* c is read: no row may be computed twice */
    const size_t even = DETNNI_N(even)(rows, vectors > 2 ? DETNNI_LOW : DETNNI_MOST);
    const int tiles = panels && DETNNI_N(tile_of)(DETNNI_N(packed), even, 2); /* a taller one may repeat rows */
    const float *a = t.a, *init = t.init, *next = t.next;
    float *c = t.c;
    size_t at = 0, tall = 0, panel = 0;
    int kind = -1;
    DETNNI_N(tile_f) f = 0;
    t.cols = width < DETNNI_W ? width : DETNNI_W;
    t.last = width - t.cols;
    while (at < rows) {
        const size_t left = rows - at;
        const int now = t.copy ? kept : tiles && t.bs == 2 * DETNNI_W && vectors == 2 ? DETNNI_N(packed) : plain;
        size_t from;
        if (now != kind || tall > left) {
            kind = now;
            tall = panels ? even : detnni_min(even, left);
            while ((f = DETNNI_N(tile_of)(kind, tall, vectors)) == 0) tall++;
            if (tall > left && (tall > rows || once)) {
                tall = left; /* no taller one begun higher: a shorter one */
                while ((f = DETNNI_N(tile_of)(plain, tall, vectors)) == 0) tall--;
            }
        }
        from = tall > left ? rows - tall : at;
        if (panels) t.a = a + panel * DETNNI_HEIGHT * t.k + (from - detnni_min(at, rows - DETNNI_HEIGHT));
        else t.a = a + from * (form == DETNNI_N(as_panel) ? 1 : t.as);
        t.c = c + from * t.cs;
        t.next = from + tall < rows ? c + detnni_min(from + tall, rows - tall) * t.cs : next;
        if (init) t.init = init + from * t.is;
        if (t.levels) DETNNI_N(leaves)(f, &t, tall, from);
        else f(&t);
        if (t.copy) {
            t.b = t.copy;
            t.bs = 2 * DETNNI_W;
            t.b_last = DETNNI_W;
            t.copy = 0;
        }
        at = panels ? at + even : from + tall;
        panel++;
    }
}

/* The columns that one pass takes: more than two vectors where rows are few; four where b's lines are short enough to
   be read from where they lie, but not if the last pass were three. */
DETNNI_FN0 size_t DETNNI_N(width)(int form, size_t rows, size_t cols, size_t line)
{
    const size_t vectors = (cols + DETNNI_W - 1) / DETNNI_W;
    if (DETNNI_N(tile_of)(form, rows, 8)) return 8 * DETNNI_W;
    if (DETNNI_N(tile_of)(form, rows, 4)) return 4 * DETNNI_W;
    return (line < 8 * DETNNI_W && vectors % 4 != 3 && DETNNI_N(tile_of)(form, DETNNI_LOW, 4) ? 4 : 2) * DETNNI_W;
}

/* Four registers that hold 4 x 4 blocks side by side: each block is transposed. */
#define DETNNI_TURN4(x0, x1, x2, x3) \
    do { \
        VU l0 = vf_bits(vf_low2(x0, x1)), l1 = vf_bits(vf_low2(x2, x3)); \
        VU h0 = vf_bits(vf_high2(x0, x1)), h1 = vf_bits(vf_high2(x2, x3)); \
        x0 = vu_float(vu_low(l0, l1)); \
        x1 = vu_float(vu_high(l0, l1)); \
        x2 = vu_float(vu_low(h0, h1)); \
        x3 = vu_float(vu_high(h0, h1)); \
    } while (0)

/* d[j][i] = s[i][j], i < rows, j < cols: blocks of W x 4, the last ones begun earlier where they would not fit. */
DETNNI_FN0 void DETNNI_N(turn)(const float *s, size_t ss, size_t rows, size_t cols, float *d, size_t ds)
{
    size_t i, j;
    if (rows < DETNNI_W || cols < 4) {
        for (i = 0; i < rows; i++)
            for (j = 0; j < cols; j++) d[j * ds + i] = s[i * ss + j];
        return;
    }
    for (i = 0; i < rows; i += DETNNI_W) {
        i = detnni_min(i, rows - DETNNI_W);
        for (j = 0; j < cols; j += 4) {
            const float *p;
            float *q;
            VF x0, x1, x2, x3;
            j = detnni_min(j, cols - 4);
            p = s + i * ss + j;
            q = d + j * ds + i;
            x0 = DETNNI_N(quads)(p, ss);
            x1 = DETNNI_N(quads)(p + ss, ss);
            x2 = DETNNI_N(quads)(p + 2 * ss, ss);
            x3 = DETNNI_N(quads)(p + 3 * ss, ss);
            DETNNI_TURN4(x0, x1, x2, x3);
            vf_store(q, x0);
            vf_store(q + ds, x1);
            vf_store(q + 2 * ds, x2);
            vf_store(q + 3 * ds, x3);
        }
    }
}

/* Packs rows (turned) or columns of a, at least HEIGHT, k long, for `down`: for every `even` of them (the last ones
   with some before them) a panel of HEIGHT. */
DETNNI_FN0 void DETNNI_N(panels)(const float *a, size_t as, int turned, size_t rows, size_t k, float *d)
{
    const size_t even = DETNNI_N(even)(rows, DETNNI_MOST), last = rows - DETNNI_HEIGHT, size = DETNNI_HEIGHT * k;
    size_t at, group, end, i, j;
    if (turned) {
        for (at = 0; at < rows; at += even, d += size)
            DETNNI_N(turn)(a + detnni_min(at, last) * as, as, DETNNI_HEIGHT, k, d, DETNNI_HEIGHT);
        return;
    }
    for (group = 0; group < rows; group = end) { /* four panels: more might fall on the same lines of a cache */
        end = detnni_min(group + 4 * even, rows);
        for (i = 0; i < k; i++) {
            float *place = d + i * DETNNI_HEIGHT;
            for (at = group; at < end; at += even, place += size)
                for (j = 0; j < DETNNI_HEIGHT; j += DETNNI_W)
                    vf_store(place + j, vf_load(a + i * as + detnni_min(at, last) + j));
        }
        d += 4 * size;
    }
}
DETNNI_FN size_t DETNNI_N(panels_size)(size_t rows, size_t k)
{
    return (rows + DETNNI_MOST - 1) / DETNNI_MOST * DETNNI_HEIGHT * k;
}

/* Rows that lie a large power of two apart fall on the same lines of a cache. Copies them further apart. */
#define DETNNI_PAD 16
DETNNI_FN int DETNNI_N(clash)(size_t stride) { return stride >= 1024 && stride % 1024 == 0; }
DETNNI_FN0 void DETNNI_N(spread)(const float *a, size_t as, size_t rows, size_t k, float *d)
{
    for (; rows; rows--, a += as, d += k + DETNNI_PAD) DETNNI_COPY(d, a, k * sizeof(float));
}

/* Packs columns of b into strips of two vectors, k long, for `down`; the second vector of the last one begins earlier
   where it would not be whole. */
DETNNI_FN0 void DETNNI_N(pack_sheet)(const float *b, size_t bs, size_t k, size_t cols, float *d)
{
    const size_t strip = 2 * DETNNI_W;
    size_t i, n;
    for (i = 0; i < k; i++, b += bs, d += strip) {
        float *to = d;
        for (n = 0; n < cols && i + 2 < k; n += 16) vf_ahead(b + 2 * bs + n);
        for (n = 0; n < cols; n += strip, to += k * strip) {
            const size_t width = detnni_min(cols - n, strip);
            if (width <= DETNNI_W) vf_store(to, vf_get(b + n, vf_lanes(width)));
            else {
                vf_store(to, vf_load(b + n));
                vf_store(to + DETNNI_W, vf_load(b + n + width - DETNNI_W));
            }
        }
    }
}

/* c [rows][cols] = a b + init (null: none). a is [rows][k], b [k][cols], lines as and bs apart; bt: b is [cols][k]; at:
   a is [k][rows], and the sum over k is the tree of C3. */
typedef struct {
    size_t rows, cols, k;
    const float *a, *b, *init;
    float *c, *scratch;
    size_t as, bs, cs, room;
    int at, bt;
} DETNNI_N(product);

/* Blocks of a that a near cache holds, in panels where enough columns share them, meet strips of b that are two vectors
   wide, and kept where other blocks follow. Chains that are cut go on from c; trees are added up beside it. */
DETNNI_FN0 void DETNNI_N(blocks)(const DETNNI_N(product) *q)
{
    const detnni_block block = detnni_block_of(q->rows, q->bt ? detnni_min(q->k, DETNNI_DEEPEST) : q->k,
                                               q->at || q->bt ? 0 : q->bs, DETNNI_BLOCK_TILES * DETNNI_MOST);
    const int unpacked = q->at ? DETNNI_N(as_panel) : DETNNI_N(as_rows);
    const size_t strip = 2 * DETNNI_W;
    const size_t tree = q->at && q->k > 64;
    const size_t levels = tree ? (detnni_log2(block.deep / 64) + 1) * DETNNI_MOST * strip : 0;
    const int many = q->rows > block.most, cut = many || q->k > 2 * block.deep;
    const size_t columns = cut ? detnni_min(q->cols, DETNNI_COLUMNS) : q->cols;
    const size_t sums_size = tree && cut ? detnni_log2((q->k - 1) / block.deep) * q->rows * columns : 0;
    const size_t fixed = levels + sums_size, one = block.deep * strip;
    const size_t all = block.deep * ((columns + strip - 1) / strip * strip);
    const size_t in_panels = DETNNI_N(panels_size)(block.most, block.deep);
    const size_t apart = block.most * (block.deep + DETNNI_PAD);
    const int panels = DETNNI_MOST > 2 && q->rows >= (size_t)(q->at ? DETNNI_HEIGHT : DETNNI_PANELS_ROWS)
                       && q->cols >= (size_t)(q->at ? DETNNI_TREE_PANELS : DETNNI_PANELS)
                       && fixed + in_panels + one <= q->room;
    const int spread = !panels && !q->at && DETNNI_N(clash)(q->as) && q->cols > strip && apart + one <= q->room;
    const size_t used = fixed + (panels ? in_panels : spread ? apart : 0);
    const int keep = many && used + all <= q->room;
    const size_t sheet = used + block.deep * block.sheet <= q->room ? block.sheet : 0;
    const size_t most = q->bt || sheet ? strip : DETNNI_N(width)(unpacked, q->rows, q->cols, q->bs);
    const int copy = !q->bt && !sheet && most == strip && block.most >= 2 * DETNNI_MOST && used + one <= q->room;
    float *beside = q->scratch + levels, *near_a = q->scratch + fixed, *near_b = q->scratch + used;
    size_t first, k, m, n, end, high, width, group, depth, i;
    DETNNI_N(place) sums[8 * sizeof(size_t)];
    DETNNI_N(tile) t;
    DETNNI_ZERO(&t, sizeof t);
    t.levels = tree ? q->scratch : 0;
    t.sums = sums;
    for (first = 0; first < q->cols; first = end) {
        end = first + detnni_min(columns, q->cols - first);
        k = group = depth = 0;
        do {
            t.k = detnni_min(block.deep, q->k - k);
            if (tree) { /* of the blocks along the chains, as of the leaves in each */
                for (t.joins = 0, i = group++; i & 1; i >>= 1) t.joins++;
                if (q->k - k == t.k) t.joins = depth;
                depth -= t.joins;
            }
            for (m = 0; m < q->rows; m += high) {
                const float *a = q->a + (q->at ? k * q->as + m : m * q->as + k);
                high = q->rows - m > block.most ? block.tall : q->rows - m;
                if (panels) DETNNI_N(panels)(a, q->as, !q->at, high, t.k, near_a);
                else if (spread) DETNNI_N(spread)(a, q->as, high, t.k, near_a);
                t.a = panels || spread ? near_a : a;
                t.as = panels ? DETNNI_HEIGHT : spread ? t.k + DETNNI_PAD : q->as;
                for (n = first; n < end; n += width) {
                    const size_t column = keep ? n - first : sheet ? (n - first) % sheet : 0;
                    float *kept = near_b + column * t.k;
                    const int fresh = !keep || m == 0;
                    width = detnni_min(most, end - n);
                    t.b = q->bt ? q->b + n * q->bs + k : q->b + k * q->bs + n;
                    t.bs = q->bs;
                    t.b_last = width - detnni_min(width, DETNNI_W);
                    t.copy = 0;
                    if (q->bt && fresh) DETNNI_N(turn)(t.b, q->bs, width, t.k, kept, strip);
                    if (sheet && column == 0) DETNNI_N(pack_sheet)(t.b, q->bs, t.k, detnni_min(sheet, end - n), near_b);
                    if (copy && fresh && width > DETNNI_W) t.copy = kept;
                    else if (q->bt || sheet || (copy && width > DETNNI_W)) {
                        t.b = kept;
                        t.bs = strip;
                        if (!q->bt && width > DETNNI_W) t.b_last = DETNNI_W;
                    }
                    for (i = 0; i <= t.joins; i++) {
                        const size_t level = depth + i;
                        sums[i].at = q->c + m * q->cs + n;
                        if (level) sums[i].at = beside + ((level - 1) * q->rows + m) * columns + n - first;
                        sums[i].stride = level ? columns : q->cs;
                    }
                    t.c = sums[0].at;
                    t.cs = sums[0].stride;
                    t.next = end - n > width ? t.c + detnni_min(width, end - n - DETNNI_W - 1) : t.c; /* not beyond c */
                    t.init = !tree && k ? t.c : q->init ? q->init + n : 0;
                    t.is = !tree && k ? q->cs : 0;
                    DETNNI_N(down)(t, panels ? DETNNI_N(packed) : unpacked, high, width);
                }
            }
            k += t.k;
            if (tree) depth++;
        } while (k < q->k);
    }
}

/* One row of z: the latency of a prediction, which is that of its chains. So many vectors of them run side by side. */
#define DETNNI_AT(i, j)   const size_t p##j = detnni_min((size_t)j * DETNNI_W, last);
#define DETNNI_FROM(i, j) VF c##j = init ? DETNNI_GET(init + p##j) : vf_set(0.0f);
#define DETNNI_ON(i, j)   c##j = vf_fma(v, DETNNI_GET(w + p##j), c##j); vf_order(c##j);
#define DETNNI_TO(i, j)   DETNNI_PUT(z + p##j, c##j);
#define DETNNI_ROW(V) \
DETNNI_FN void DETNNI_N(row_##V)(const float *x, size_t k, const float *w, size_t ws, const float *init, float *z, \
                                 size_t width) \
{ \
    const size_t last = width - detnni_min(width, DETNNI_W); \
    VF v; \
    DETNNI_MASK \
    DETNNI_C##V(DETNNI_AT, 0) \
    DETNNI_C##V(DETNNI_FROM, 0) \
    for (; k; k--, x++, w += ws) { \
        v = vf_set(*x); \
        DETNNI_C##V(DETNNI_ON, 0) \
    } \
    DETNNI_C##V(DETNNI_TO, 0) \
}
#undef DETNNI_MASK
#define DETNNI_MASK      const VL m = vf_lanes(width);
DETNNI_ROW(1)
#undef DETNNI_MASK
#undef DETNNI_GET
#undef DETNNI_PUT
#define DETNNI_MASK
#define DETNNI_GET(p)    vf_load(p)
#define DETNNI_PUT(p, x) vf_store(p, x)
DETNNI_ROW(2)
DETNNI_ROW(4)
DETNNI_ROW(8)

/* A single column is a chain of its own. Weights that no near cache holds are read a few rows at a time, almost in the
   order of memory. */
DETNNI_FN0 void DETNNI_N(row)(const detnni_dense *p, const float *x, const float *w, const float *b, float *z)
{
    const size_t most = 8 * DETNNI_W, columns = p->to - p->from, ws = p->out;
    const size_t piece = columns > most && p->in > ((size_t)1 << (sizeof(size_t) > 2 ? 18 : 12)) / columns ? 16 : p->in;
    size_t n, k = 0, width, deep;
    if (columns == 1) {
        float acc = b ? b[p->from] : 0.0f;
        for (w += p->from; k < p->in; k++, w += ws) acc = DETNNI_FMA(x[k], *w, acc);
        z[p->from] = acc;
        return;
    }
    do {
        deep = detnni_min(piece, p->in - k);
        for (n = p->from; n < p->to; n += width) {
            const float *v = w + k * ws + n, *init = k ? z + n : b ? b + n : 0;
            width = detnni_min(p->to - n, most); /* no column twice: z is added to */
            if (width <= DETNNI_W) DETNNI_N(row_1)(x + k, deep, v, ws, init, z + n, width);
            else if (width <= 2 * DETNNI_W) DETNNI_N(row_2)(x + k, deep, v, ws, init, z + n, width);
            else if (width <= 4 * DETNNI_W) DETNNI_N(row_4)(x + k, deep, v, ws, init, z + n, width);
            else DETNNI_N(row_8)(x + k, deep, v, ws, init, z + n, width);
        }
        k += deep;
    } while (k < p->in);
}

/* The products of C2. */
DETNNI_FN0 void DETNNI_N(forward)(const detnni_dense *p, const float *x, const float *w, const float *b, float *z)
{
    DETNNI_N(product) q;
    if (p->rows == 1) {
        DETNNI_N(row)(p, x, w, b, z);
        return;
    }
    DETNNI_ZERO(&q, sizeof q);
    q.rows = p->rows;
    q.cols = p->to - p->from;
    q.k = q.as = p->in;
    q.bs = q.cs = p->out;
    q.a = x;
    q.b = w + p->from;
    q.init = b ? b + p->from : 0;
    q.c = z + p->from;
    q.scratch = p->scratch ? p->scratch : z; /* of no room */
    q.room = p->scratch ? p->room : 0;
    DETNNI_N(blocks)(&q);
}

#define DETNNI_CHUNK 112 /* columns of dx that are turned together: tiles and vectors divide it */

/* dx = dz w^T, for a moderate number of rows: dz is turned, the tiles are w's rows, in place, times vectors of samples,
   and they are turned on their way to dx. */
DETNNI_FN0 void DETNNI_N(input_gradient_turned)(const detnni_dense *p, const float *dz, const float *w, float *dx)
{
    const size_t rows = p->rows, in = p->in, out = p->out, strip = 2 * DETNNI_W;
    const size_t deep = detnni_min(out, DETNNI_DEEPEST), strips = (rows + strip - 1) / strip;
    const int spread = DETNNI_N(clash)(out);
    float *tile = p->scratch, *turned = tile + DETNNI_CHUNK * strip, *apart = turned + strips * strip * deep;
    size_t m, n = 0, k, width, high;
    DETNNI_N(tile) t;
    DETNNI_ZERO(&t, sizeof t);
    t.cs = t.bs = strip;
    t.c = tile;
    t.next = tile; /* no tile of rows fetches it */
    do {
        t.k = detnni_min(deep, out - n);
        for (m = 0; m < rows; m += width) {
            width = detnni_min(strip, rows - m);
            DETNNI_N(turn)(dz + m * out + n, out, width, t.k, turned + m * t.k, strip);
        }
        for (k = p->from; k < p->to; k += high) {
            high = detnni_min(DETNNI_CHUNK, p->to - k);
            if (spread) DETNNI_N(spread)(w + k * out + n, out, high, t.k, apart);
            t.a = spread ? apart : w + k * out + n;
            t.as = spread ? t.k + DETNNI_PAD : out;
            for (m = 0; m < rows; m += width) {
                width = detnni_min(strip, rows - m);
                t.b = turned + m * t.k;
                t.b_last = width - detnni_min(width, DETNNI_W);
                t.init = n ? tile : 0;
                t.is = n ? strip : 0;
                if (n) DETNNI_N(turn)(dx + m * in + k, in, width, high, tile, strip);
                DETNNI_N(down)(t, DETNNI_N(as_rows), high, width);
                DETNNI_N(turn)(tile, strip, high, width, dx + m * in + k, in);
            }
        }
        n += t.k;
    } while (n < out);
}

/* dx = dz w^T for R rows, or fewer of which the last is there again: vectors of w's rows are turned in registers, four
   of its columns at a time, and go on with the chains at once. */
#define DETNNI_DX_ZERO(i, j) VF c##i = vf_set(0.0f);
#define DETNNI_DX_STEP(i, j) c##i = vf_fma(vf_set((i < 5 ? d : d5)[i % 5 * out]), x, c##i);
#define DETNNI_DX_SAVE(i, j) if (i < p->rows) vf_store(dx + i * p->in + k, c##i);
#define DETNNI_DX_COLUMN(R, column) x = column; DETNNI_R##R(DETNNI_C1, DETNNI_DX_STEP) d++; d5++; v++;
#define DETNNI_DX(R) \
DETNNI_FN0 void DETNNI_N(input_gradient_##R)(const detnni_dense *p, const float *dz, const float *w, float *dx) \
{ \
    const size_t out = p->out; \
    size_t k, n, i; \
    for (k = p->from; k < p->to; k += DETNNI_W) { \
        const float *d = dz, *d5 = dz + (R > 5 ? 5 * out : 0), *v; \
        DETNNI_R##R(DETNNI_C1, DETNNI_DX_ZERO) \
        k = detnni_min(k, p->to - DETNNI_W); \
        v = w + k * out; \
        for (n = out; n >= 4; n -= 4) { \
            VF x, x0 = DETNNI_N(quads)(v, out), x1 = DETNNI_N(quads)(v + out, out); \
            VF x2 = DETNNI_N(quads)(v + 2 * out, out), x3 = DETNNI_N(quads)(v + 3 * out, out); \
            DETNNI_TURN4(x0, x1, x2, x3); \
            DETNNI_DX_COLUMN(R, x0) \
            DETNNI_DX_COLUMN(R, x1) \
            DETNNI_DX_COLUMN(R, x2) \
            DETNNI_DX_COLUMN(R, x3) \
        } \
        for (; n; n--) { \
            float column[DETNNI_W]; \
            VF x; \
            for (i = 0; i < DETNNI_W; i++) column[i] = v[i * out]; \
            DETNNI_DX_COLUMN(R, vf_load(column)) \
        } \
        DETNNI_R##R(DETNNI_C1, DETNNI_DX_SAVE) \
    } \
}
DETNNI_DX(1)
DETNNI_DX(2)
#if DETNNI_W > 4
DETNNI_DX(4)
#endif
#if DETNNI_W > 8
DETNNI_DX(8)
#endif

/* Does one of these for at most half a vector of rows, if it can. */
DETNNI_FN0 int DETNNI_N(input_gradient_few)(const detnni_dense *p, const float *dz, const float *w, float *dx)
{
    const size_t rows = p->rows, out = p->out, height = rows < 3 ? rows : rows < 5 ? 4 : 8;
    size_t i;
    if (!rows || rows > DETNNI_W / 2 || p->to - p->from < DETNNI_W || (height == 8 && DETNNI_N(clash)(out))) return 0;
    if (rows < height) {
        if (height * out > p->room) return 0;
        for (i = 0; i < height; i++)
            DETNNI_COPY(p->scratch + i * out, dz + detnni_min(i, rows - 1) * out, out * sizeof(float));
        dz = p->scratch;
    }
    switch (height) {
    case 1: DETNNI_N(input_gradient_1)(p, dz, w, dx); break;
    case 2: DETNNI_N(input_gradient_2)(p, dz, w, dx); break;
#if DETNNI_W > 4
    case 4: DETNNI_N(input_gradient_4)(p, dz, w, dx); break;
#endif
#if DETNNI_W > 8
    case 8: DETNNI_N(input_gradient_8)(p, dz, w, dx); break;
#endif
    default: return 0;
    }
    return 1;
}

DETNNI_FN0 void DETNNI_N(input_gradient)(const detnni_dense *p, const float *dz, const float *w, float *dx)
{
    DETNNI_N(product) q;
    if (DETNNI_N(input_gradient_few)(p, dz, w, dx)) return;
    if (p->rows > DETNNI_W / 2 && p->rows <= DETNNI_TURNED) {
        DETNNI_N(input_gradient_turned)(p, dz, w, dx);
        return;
    }
    DETNNI_ZERO(&q, sizeof q);
    q.rows = p->rows;
    q.cols = p->to - p->from;
    q.k = q.as = q.bs = p->out;
    q.cs = p->in;
    q.a = dz;
    q.b = w + p->from * p->out;
    q.bt = 1;
    q.c = dx + p->from;
    q.scratch = p->scratch;
    q.room = p->room;
    DETNNI_N(blocks)(&q);
}

DETNNI_FN0 void DETNNI_N(weight_gradient)(const detnni_dense *p, const float *x, const float *dz, float *dw,
                                          float *db)
{
    const float one = 1.0f;
    DETNNI_N(product) q;
    DETNNI_ZERO(&q, sizeof q);
    q.rows = p->to - p->from;
    q.cols = q.bs = q.cs = p->out;
    q.k = p->rows;
    q.a = x + p->from;
    q.as = p->in;
    q.at = 1;
    q.b = dz;
    q.c = dw + p->from * p->out;
    q.scratch = p->scratch;
    q.room = p->room;
    DETNNI_N(blocks)(&q);
    if (!db) return;
    q.rows = 1;
    q.a = &one; /* fma(1, dz, acc) is acc + dz */
    q.as = 0;
    q.c = db;
    DETNNI_N(blocks)(&q);
}

/* ---- Along vectors. The loops take a vector at a time, the last one short. ---- */

#define DETNNI_EACH(...) \
    do { \
        size_t i = 0; \
        for (; n - i >= DETNNI_W; i += DETNNI_W) { enum { whole = 1 }; __VA_ARGS__ } \
        if (i < n) { enum { whole = 0 }; __VA_ARGS__ } \
    } while (0)
#define DETNNI_LOAD(p)     (whole ? vf_load((p) + i) : vf_get((p) + i, vf_lanes(n - i)))
#define DETNNI_STORE(p, x) \
    do { if (whole) vf_store((p) + i, x); else vf_put((p) + i, vf_lanes(n - i), x); } while (0)

/* Sums in 64 lanes (C4) of x, or of x * y where y is not null. */
DETNNI_FN float DETNNI_N(lanes)(const float *x, const float *y, size_t n)
{
    enum { V = 64 / DETNNI_W };
    detnni_tree tree;
    detnni_tree_start(&tree);
    while (n) {
        float lane[64];
        size_t chunk = n < 4096 ? n : 4096, i = 0, l, h;
#define DETNNI_LANE(l) VF s##l = vf_set(0.0f);
#define DETNNI_ADD(l) \
    { \
        VF v = vf_load(x + i + l * DETNNI_W); \
        if (y) s##l = vf_fma(v, vf_load(y + i + l * DETNNI_W), s##l); \
        else s##l = vf_add(s##l, v); \
    }
#define DETNNI_OUT(l) vf_store(lane + l * DETNNI_W, s##l);
#define DETNNI_LANES4(X) X(0) X(1) X(2) X(3)
#define DETNNI_LANES8(X) DETNNI_LANES4(X) X(4) X(5) X(6) X(7)
#if DETNNI_W == 16
#define DETNNI_64(X) DETNNI_LANES4(X)
#elif DETNNI_W == 8
#define DETNNI_64(X) DETNNI_LANES8(X)
#else
#define DETNNI_64(X) DETNNI_LANES8(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#endif
        DETNNI_64(DETNNI_LANE)
        for (; i + 64 <= chunk; i += 64) { DETNNI_64(DETNNI_ADD) }
        DETNNI_64(DETNNI_OUT)
        for (l = 0; i + l < chunk; l += DETNNI_W) {
            const size_t rest = detnni_min(chunk - i - l, DETNNI_W);
            const VL m = vf_lanes(rest);
            VF v = vf_get(x + i + l, m), s = vf_load(lane + l);
            if (y) s = vf_fma(v, vf_get(y + i + l, m), s);
            else s = vf_add(s, v);
            vf_put(lane + l, m, s);
        }
        for (h = 32; h >= DETNNI_W; h /= 2)
            for (l = 0; l < h; l += DETNNI_W) vf_store(lane + l, vf_add(vf_load(lane + l), vf_load(lane + l + h)));
        for (; h; h /= 2)
            for (l = 0; l < h; l++) lane[l] = lane[l] + lane[l + h];
        detnni_tree_add(&tree, lane[0]);
        x += chunk;
        if (y) y += chunk;
        n -= chunk;
    }
    return detnni_tree_sum(&tree);
}
DETNNI_FN0 float DETNNI_N(sum)(const float *x, size_t n) { return DETNNI_N(lanes)(x, 0, n); }
DETNNI_FN0 float DETNNI_N(dot)(const float *x, const float *y, size_t n) { return DETNNI_N(lanes)(x, y, n); }

/* y = y + x. */
DETNNI_FN0 void DETNNI_N(add)(const float *x, size_t n, float *y)
{
    DETNNI_EACH(VF v = vf_add(DETNNI_LOAD(y), DETNNI_LOAD(x)); DETNNI_STORE(y, v););
}

/* The largest bits without sign: those of the largest |x|, or of an infinity or a NaN. */
DETNNI_FN VU DETNNI_N(larger)(VU largest, VF x) { return vu_max(largest, vu_and(vf_bits(x), vu_set(0x7fffffff))); }
DETNNI_FN uint32_t DETNNI_N(largest)(VU x)
{
    uint32_t b[DETNNI_W], m = 0;
    size_t i;
    vu_store(b, x);
    for (i = 0; i < DETNNI_W; i++) m = b[i] > m ? b[i] : m;
    return m;
}
DETNNI_FN0 uint32_t DETNNI_N(magnitude)(const float *x, size_t n)
{
    VU a = vu_set(0), b = a;
    size_t i = 0;
    for (; n - i >= 2 * DETNNI_W; i += 2 * DETNNI_W) {
        a = DETNNI_N(larger)(a, vf_load(x + i));
        b = DETNNI_N(larger)(b, vf_load(x + i + DETNNI_W));
    }
    for (; n - i >= DETNNI_W; i += DETNNI_W) a = DETNNI_N(larger)(a, vf_load(x + i));
    if (i < n) a = DETNNI_N(larger)(a, vf_get(x + i, vf_lanes(n - i)));
    return DETNNI_N(largest)(vu_max(a, b));
}

/* IEEE 754-2019 maximum: as integers, negative numbers turned round. */
DETNNI_FN VU DETNNI_N(order)(VU x) { return vu_xor(x, vu_and(vu_sign(x), vu_set(0x7fffffff))); } /* and back */
DETNNI_FN0 float DETNNI_N(max)(const float *x, size_t n)
{
    const VF infinite = vu_float(vu_set(0xff800000u));
    VU key = vu_set(0x807fffffu), size = vu_set(0);
    uint32_t k[DETNNI_W];
    int32_t top = -0x7f800001;
    size_t j;
    DETNNI_EACH(
        VF y = infinite;
        if (whole) y = vf_load(x + i);
        else { /* -infinity in the lanes without an element */
            float pad[DETNNI_W];
            vf_store(pad, infinite);
            vf_put(pad, vf_lanes(n - i), vf_get(x + i, vf_lanes(n - i)));
            y = vf_load(pad);
        }
        size = DETNNI_N(larger)(size, y);
        key = vu_max(key, DETNNI_N(order)(vf_bits(y)));
    );
    if (DETNNI_N(largest)(size) > 0x7f800000) return detnni_float(0x7fc00000);
    vu_store(k, key);
    for (j = 0; j < DETNNI_W; j++) if ((int32_t)k[j] > top) top = (int32_t)k[j];
    return detnni_float(top < 0 ? (uint32_t)top ^ 0x7fffffff : (uint32_t)top);
}

/* Softmax of so many rows, at most W, of at most FEW elements: turned, so that each lane computes a row. */
#define DETNNI_FEW 32
DETNNI_FN0 void DETNNI_N(softmax_turned)(const float *z, size_t rows, size_t n, float *p, float *max, float *sum)
{
    float t[DETNNI_FEW * DETNNI_W], part[DETNNI_FEW * DETNNI_W], top[DETNNI_W];
    const VL m = vf_lanes(rows);
    VU key = vu_set(0x807fffffu), size = vu_set(0);
    size_t i, j, h;
    VF v;
    for (i = 0; i < DETNNI_W; i++)
        for (j = 0; j < n; j++) t[j * DETNNI_W + i] = z[(i < rows ? i : 0) * n + j];
    for (j = 0; j < n; j++) {
        v = vf_load(t + j * DETNNI_W);
        size = DETNNI_N(larger)(size, v);
        key = vu_max(key, DETNNI_N(order)(vf_bits(v)));
    }
    v = vf_sel(vu_ge(size, vu_set(0x7f800001)), vu_float(vu_set(0x7fc00000)), vu_float(DETNNI_N(order)(key)));
    vf_store(top, v);
    for (j = 0; j < rows; j++) max[j] = top[j];
    for (j = 0; j < n; j++) vf_store(t + j * DETNNI_W, vf_sub(vf_load(t + j * DETNNI_W), v));
    DETNNI_N(exp_n)(t, n * DETNNI_W, t);
    DETNNI_COPY(part, t, n * DETNNI_W * sizeof(float));
    for (h = DETNNI_FEW / 2; h; h /= 2) /* C4; what it adds beyond n is +0, and no exp is -0 */
        for (j = 0; j < h && j + h < n; j++) {
            float *l = part + j * DETNNI_W;
            vf_store(l, vf_add(vf_load(l), vf_load(l + h * DETNNI_W)));
        }
    v = vf_load(part);
    vf_put(sum, m, v);
    for (j = 0; j < n; j++) vf_store(t + j * DETNNI_W, vf_div(vf_load(t + j * DETNNI_W), v));
    for (i = 0; i < rows; i++)
        for (j = 0; j < n; j++) p[i * n + j] = t[j * DETNNI_W + i];
}

/* p = softmax(z), row by row, and may be z; max and sum [rows] as m and s of C8. */
DETNNI_FN0 void DETNNI_N(softmax)(const float *z, size_t rows, size_t n, float *p, float *max, float *sum)
{
    size_t m;
    for (; rows; rows -= m, z += m * n, p += m * n, max += m, sum += m) {
        m = detnni_min(rows, DETNNI_W);
        if (m > 1 && n > 0 && n <= DETNNI_FEW) DETNNI_N(softmax_turned)(z, m, n, p, max, sum);
        else {
            const VF top = vf_set(*max = DETNNI_N(max)(z, n));
            VF s;
            DETNNI_EACH(VF v = vf_sub(DETNNI_LOAD(z), top); DETNNI_STORE(p, v););
            DETNNI_N(exp_n)(p, n, p);
            s = vf_set(*sum = DETNNI_N(sum)(p, n));
            DETNNI_EACH(VF v = vf_div(DETNNI_LOAD(p), s); DETNNI_STORE(p, v););
            m = 1;
        }
    }
}

/* y = z > 0 ? scale * z : alpha * expm1(z) */
DETNNI_FN0 void DETNNI_N(elu)(float scale, float alpha, const float *z, size_t n, float *y)
{
    DETNNI_EACH(
        float e[DETNNI_W];
        VF v = DETNNI_LOAD(z);
        vf_store(e, v);
        DETNNI_N(expm1_n)(e, DETNNI_W, e);
        v = vf_sel(vf_gt(v, vf_set(0.0f)), vf_mul(vf_set(scale), v), vf_mul(vf_set(alpha), vf_load(e)));
        DETNNI_STORE(y, v);
    );
}

/* y = activation(z), but for softmax; y may be z. */
DETNNI_FN0 void DETNNI_N(activate)(detnn_activation activation, float alpha, const float *z, size_t n, float *y)
{
    const VF zero = vf_set(0.0f), al = vf_set(alpha);
    if (activation == DETNN_RELU) {
        DETNNI_EACH(VF v = DETNNI_LOAD(z); v = vf_sel(vf_gt(zero, v), zero, v); DETNNI_STORE(y, v););
    } else if (!DETNNI_HAS(ACTIVATIONS) || activation == DETNN_LINEAR) {
        if (y != z) DETNNI_EACH(VF v = DETNNI_LOAD(z); DETNNI_STORE(y, v););
    } else switch (activation) {
    case DETNN_LEAKY_RELU:
        DETNNI_EACH(VF v = DETNNI_LOAD(z); v = vf_sel(vf_gt(v, zero), v, vf_mul(al, v)); DETNNI_STORE(y, v););
        break;
    case DETNN_ELU:  DETNNI_N(elu)(1.0f, alpha, z, n, y); break;
    case DETNN_SELU: DETNNI_N(elu)(detnni_float(0x3f867d5f), detnni_float(0x3fe10966), z, n, y); break;
    default: DETNNI_N(activate_exact)(activation, z, n, y); break;
    }
}

/* d, the gradient for y, becomes that for z. Only softplus, SiLU and GELU look at z. */
DETNNI_FN0 void DETNNI_N(activate_back)(detnn_activation activation, float alpha, const float *z, const float *y,
                                        size_t n, float *d)
{
    const VF zero = vf_set(0.0f), one = vf_set(1.0f), al = vf_set(alpha);
    const VF scale = vf_set(detnni_float(0x3f867d5f)), sa = vf_set(detnni_float(0x3fe10966));
#define DETNNI_BACK(expression) \
    DETNNI_EACH(VF v = DETNNI_LOAD(y), g = DETNNI_LOAD(d); g = expression; DETNNI_STORE(d, g);); \
    break
    if (!DETNNI_HAS(ACTIVATIONS) && activation != DETNN_RELU) return;
    switch (activation) {
    case DETNN_RELU:       DETNNI_BACK(vf_sel(vf_gt(v, zero), g, zero));
    case DETNN_LEAKY_RELU: DETNNI_BACK(vf_sel(vf_gt(v, zero), g, vf_mul(al, g)));
    case DETNN_ELU:        DETNNI_BACK(vf_sel(vf_gt(v, zero), g, vf_mul(g, vf_add(v, al))));
    case DETNN_SELU:       DETNNI_BACK(vf_sel(vf_gt(v, zero), vf_mul(scale, g), vf_mul(g, vf_add(v, sa))));
    case DETNN_SIGMOID:    DETNNI_BACK(vf_mul(g, vf_mul(v, vf_sub(one, v))));
    case DETNN_TANH:       DETNNI_BACK(vf_mul(g, vf_mul(vf_sub(one, v), vf_add(one, v))));
    case DETNN_SOFTPLUS: case DETNN_SILU: case DETNN_GELU:
        DETNNI_EACH(
            float e[DETNNI_W];
            VF g = DETNNI_LOAD(d);
            vf_store(e, DETNNI_LOAD(z));
            if (activation == DETNN_SOFTPLUS) DETNNI_N(sigmoid_n)(e, DETNNI_W, e);
            else if (activation == DETNN_SILU) DETNNI_N(silu_grad_n)(e, DETNNI_W, e);
            else DETNNI_N(gelu_grad_n)(e, DETNNI_W, e);
            g = vf_mul(g, vf_load(e));
            DETNNI_STORE(d, g);
        );
        break;
    default: break;
    }
#undef DETNNI_BACK
}

/* The words of so many Philox blocks, from the given one on (C6), in order: streams of W / 2, side by side. A block is
   computed in 64-bit lanes: c0 .. c3 are the low halves, what is above them never matters. vu_upper(x): the upper
   halves in the lower ones; vu_pair(x, y): the lower halves of x with those of y above them. */
#if DETNNI_W == 16
#define DETNNI_STREAMS(X) X(0, a) X(1, b) X(2, c) X(3, d)
#define DETNNI_DRAWN      (8 * DETNNI_W)
#else
#define DETNNI_STREAMS(X) X(0, a) X(1, b)
#define DETNNI_DRAWN      (4 * DETNNI_W)
#endif
DETNNI_FN void DETNNI_N(philox)(const uint32_t key[20], const detnni_stream *s, uint32_t block, uint32_t *word)
{
    /* lane 2 q + j of W / 2 holds block (W / 4) j + q, so that pairs come out in order */
#if DETNNI_W == 16
    static const uint32_t lane[16] = { 0, 0, 4, 0, 1, 0, 5, 0, 2, 0, 6, 0, 3, 0, 7, 0 };
#elif DETNNI_W == 8
    static const uint32_t lane[8] = { 0, 0, 2, 0, 1, 0, 3, 0 };
#else
    static const uint32_t lane[4] = { 0, 0, 1, 0 };
#endif
    const VU m0 = vu_set(0xD2511F53u), m1 = vu_set(0xCD9E8D57u), first = vu_add(vu_load(lane), vu_set(block));
    size_t i;
    VU p, q;
#define DETNNI_COUNT(n, c) \
    VU c##0 = vu_add(first, vu_set(n * DETNNI_W / 2)), c##1 = vu_set(s->counter[1]); \
    VU c##2 = vu_set(s->counter[2]), c##3 = vu_set(s->counter[3]);
#define DETNNI_TWICE(n, c) /* words 1 and 3 of a round are products of the one before */ \
    p = vu_mul(c##0, m0); \
    q = vu_mul(c##2, m1); \
    c##0 = vu_xor3(vu_upper(q), c##1, vu_set(key[i])); \
    c##2 = vu_xor3(vu_upper(p), c##3, vu_set(key[i + 1])); \
    c##3 = vu_mul(c##0, m0); \
    c##1 = vu_mul(c##2, m1); \
    c##0 = vu_xor3(vu_upper(c##1), q, vu_set(key[i + 2])); \
    c##2 = vu_xor3(vu_upper(c##3), p, vu_set(key[i + 3]));
#define DETNNI_WORDS(n, c) \
    p = vu_pair(c##0, c##1); \
    q = vu_pair(c##2, c##3); \
    vu_store(word + 2 * n * DETNNI_W, vu_low(p, q)); \
    vu_store(word + (2 * n + 1) * DETNNI_W, vu_high(p, q));
    DETNNI_STREAMS(DETNNI_COUNT)
    for (i = 0; i < 20; i += 4) { DETNNI_STREAMS(DETNNI_TWICE) }
    DETNNI_STREAMS(DETNNI_WORDS)
}
DETNNI_FN void DETNNI_N(philox_key)(const detnni_stream *s, uint32_t key[20]) /* of every round */
{
    uint32_t i;
    for (i = 0; i < 10; i++) {
        key[2 * i] = (uint32_t)s->seed + i * 0x9E3779B9u;
        key[2 * i + 1] = (uint32_t)(s->seed >> 32) + i * 0xBB67AE85u;
    }
}

/* Fetches what so many numbers are written to a little later. */
#define DETNNI_SOON 896
DETNNI_FN void DETNNI_N(soon)(const void *out, size_t all)
{
    size_t i;
    if (all < DETNNI_SOON + DETNNI_DRAWN) return;
    for (i = 0; i < 4 * DETNNI_DRAWN; i += 64) vf_ahead((const char *)out + 4 * DETNNI_SOON + i);
}

DETNNI_FN0 void DETNNI_N(words)(const detnni_stream *s, uint64_t first, size_t all, uint32_t *out)
{
    uint32_t word[DETNNI_DRAWN], key[20];
    size_t n, skip = (size_t)(first & 3);
    DETNNI_N(philox_key)(s, key);
    for (; all; all -= n, out += n, first += n, skip = 0) {
        const int whole = all >= DETNNI_DRAWN && !skip;
        n = detnni_min(all, DETNNI_DRAWN - skip);
        DETNNI_N(soon)(out, all);
        DETNNI_N(philox)(key, s, (uint32_t)(first >> 2), whole ? out : word);
        if (!whole) DETNNI_COPY(out, word + skip, n * sizeof *word);
    }
}

/* fma(scale, u, offset) of the stream's uniform numbers u (C6): the words' upper 24 bits. */
DETNNI_FN0 void DETNNI_N(uniform)(const detnni_stream *s, uint64_t first, size_t all, float scale, float offset,
                                  float *y)
{
    const VF unit = vf_set(1.0f / 16777216.0f), by = vf_set(scale), low = vf_set(offset);
    uint32_t word[DETNNI_DRAWN + 4], key[20];
    size_t n, skip = (size_t)(first & 3);
    DETNNI_ZERO(word + DETNNI_DRAWN, 4 * sizeof *word);
    DETNNI_N(philox_key)(s, key);
    for (; all; all -= n, y += n, first += n, skip = 0) {
        DETNNI_N(soon)(y, all);
        DETNNI_N(philox)(key, s, (uint32_t)(first >> 2), word);
        n = detnni_min(all, DETNNI_DRAWN - skip);
        DETNNI_EACH(
            VF u = vf_mul(vu_top(vu_load(word + skip + i)), unit);
            DETNNI_STORE(y, vf_fma(by, u, low));
        );
    }
}

/* y = x where the element is kept, scaled, else +0 (C8); first: the index of x[0] in the whole tensor. Backward
 * it is the same on the gradient. y may be x. */
DETNNI_FN0 void DETNNI_N(dropout)(float rate, uint64_t seed, uint64_t step, uint32_t layer, uint64_t first,
                                  const float *x, size_t all, float *y)
{
    const detnni_stream s = detnni_stream_of(seed, step, DETNNI_DROPOUT, layer);
    const double product = (double)rate * 4294967296.0; /* exact */
    const uint64_t floor = (uint64_t)product;
    const VU threshold = vu_set((uint32_t)(floor + ((double)floor < product))); /* below 2^32, as rate < 1 */
    const VF scale = vf_set(1.0f / (1.0f - rate)), zero = vf_set(0.0f);
    uint32_t word[DETNNI_DRAWN + 4], key[20];
    size_t n, skip = (size_t)(first & 3);
    DETNNI_ZERO(word + DETNNI_DRAWN, 4 * sizeof *word);
    DETNNI_N(philox_key)(&s, key);
    for (; all; all -= n, x += n, y += n, first += n, skip = 0) {
        DETNNI_N(philox)(key, &s, (uint32_t)(first >> 2), word);
        n = detnni_min(all, DETNNI_DRAWN - skip);
        DETNNI_EACH(
            VF v = vf_mul(DETNNI_LOAD(x), scale);
            v = vf_sel(vu_ge(vu_load(word + skip + i), threshold), v, zero);
            DETNNI_STORE(y, v);
        );
    }
}

/* Moments of what has no gradient any more fade into subnormal numbers, at which x86 takes a hundred times as long. */
#if DETNNI_ISA == DETNNI_ISA_AVX512 || DETNNI_ISA == DETNNI_ISA_AVX2
#if DETNNI_ISA == DETNNI_ISA_AVX512
#define vu_value           _mm512_cvtepi32_ps
#define vf_subnormal(x)    _mm512_fpclass_ps_mask(x, 0x20)
#define vf_and(x, y)       ((VFM)((x) & (y)))
#define vf_or(x, y)        ((VFM)((x) | (y)))
#define vf_any(x)          ((x) != 0)
#else
#define vu_value           _mm256_cvtepi32_ps
#define vf_subnormal(x) \
    vf_and(vf_gt(vu_value(vf_size(x)), vf_set(0.0f)), vf_gt(vf_set(8388608.0f), vu_value(vf_size(x))))
#define vf_and             _mm256_and_ps
#define vf_or              _mm256_or_ps
#define vf_any(x)          (_mm256_movemask_ps(x) != 0)
#endif
#define vf_size(x)         vu_and(vf_bits(x), vu_set(0x7fffffff))
/* fma(b, m, t), 0 <= b < 1: where m is subnormal and t is 0, the integer that m is in units of 2^-149 is multiplied,
   and rounded to an integer by the addition of 2^23. */
DETNNI_FN VF DETNNI_N(average)(VF b, VF m, VF t)
{
    VFM tiny = vf_subnormal(m);
    VF whole;
    VU left;
    if (!DETNNI_RARE(vf_any(tiny))) return vf_fma(b, m, t);
    tiny = vf_and(tiny, vf_and(vf_gt(b, vf_set(0.0f)), vu_ge(vu_set(0), vf_size(t))));
    whole = vf_fma(b, vf_sel(tiny, vf_set(0.0f), m), t);
    left = vf_bits(vf_fma(b, vu_value(vf_size(m)), vf_set(8388608.0f)));
    left = vu_or(vu_add(left, vu_set(0u - 0x4b000000u)), vu_and(vf_bits(m), vu_set(1u << 31)));
    return vf_sel(tiny, vu_float(left), whole);
}
/* For v + rate * (m / (sqrt(s) * r + epsilon)), epsilon above 2^-30, |rate| below 2^10, 0 < r < 2^8: takes subnormal
   m and s for 0 where that changes nothing. Such an m moves v by less than 2^-86, such an s the divisor by less than
   half of its last place, unless its root is NaN. */
DETNNI_FN void DETNNI_N(flush)(VF *m, VF *s, VF v)
{
    const VF zero = vf_set(0.0f), moving = vu_float(vu_set(0x26800000)); /* 2^-50 */
    const VFM tiny = vf_subnormal(*m), tiny_s = vf_subnormal(*s);
    VFM moved;
    if (!DETNNI_RARE(vf_any(vf_or(tiny, tiny_s)))) return;
    moved = vf_and(tiny, vf_gt(moving, vu_float(vf_size(v))));
    if (vf_any(vf_or(moved, vf_and(tiny_s, vu_ge(vf_bits(*s), vu_set(1u << 31)))))) return;
    *m = vf_sel(tiny, zero, *m);
    *s = vf_sel(tiny_s, zero, *s);
}
#undef vf_and
#undef vf_any
#undef vf_or
#undef vf_size
#undef vf_subnormal
#undef vu_value
#else
DETNNI_FN VF DETNNI_N(average)(VF b, VF m, VF t) { return vf_fma(b, m, t); }
DETNNI_FN void DETNNI_N(flush)(VF *m, VF *s, VF v) { (void)m; (void)s; (void)v; }
#endif

/* One update (C10), clipping apart. Returns the largest bits without sign among what it wrote: from
 * 0x7f800000 on, something is not finite. */
DETNNI_FN0 uint32_t DETNNI_N(update)(const detnni_update *u, int decay, size_t n, const float *g, float *w, float *m1,
                                     float *m2)
{
    const float wd = u->o.weight_decay;
    const int shrink = decay && u->o.kind == DETNN_ADAMW, l2 = decay && wd > 0.0f && !shrink;
    const VF rate = vf_set(-u->rate), decayed = vf_set(wd);
    const VF momentum = vf_set(u->o.momentum), epsilon = vf_set(u->o.epsilon), one = vf_set(1.0f);
    const int nesterov = u->o.nesterov, flush = u->o.epsilon > 1e-9f && u->rate < 1024.0f && u->correction < 256.0f;
    VU largest = vu_set(0);
#define DETNNI_WRITE(p, x) \
    do { VF written = x; largest = DETNNI_N(larger)(largest, written); DETNNI_STORE(p, written); } while (0)
#define DETNNI_OVER(...) \
    DETNNI_EACH(VF v = DETNNI_LOAD(w), d = DETNNI_LOAD(g); if (l2) d = vf_fma(decayed, v, d); __VA_ARGS__)
    if (u->o.kind == DETNN_SGD && (!DETNNI_HAS(MOMENTUM) || !m1)) {
        DETNNI_OVER(
            DETNNI_WRITE(w, vf_fma(rate, d, v));
        );
    } else if (u->o.kind == DETNN_SGD) {
        DETNNI_OVER(
            VF m = DETNNI_N(average)(momentum, DETNNI_LOAD(m1), d), s = one;
            DETNNI_WRITE(m1, m);
            if (nesterov) m = DETNNI_N(average)(momentum, m, d);
            if (flush) DETNNI_N(flush)(&m, &s, v);
            DETNNI_WRITE(w, vf_fma(rate, m, v));
        );
    } else if (DETNNI_HAS(ADAM) && (u->o.kind == DETNN_ADAM || u->o.kind == DETNN_ADAMW)) {
        const VF b1 = vf_set(u->o.beta1), b2 = vf_set(u->o.beta2);
        const VF c1 = vf_set(1.0f - u->o.beta1), c2 = vf_set(1.0f - u->o.beta2);
        const VF r = vf_set(u->correction), keep = vf_set(u->keep);
        DETNNI_OVER(
            VF m = DETNNI_N(average)(b1, DETNNI_LOAD(m1), vf_mul(c1, d));
            VF s = DETNNI_N(average)(b2, DETNNI_LOAD(m2), vf_mul(vf_mul(c2, d), d));
            DETNNI_WRITE(m1, m);
            DETNNI_WRITE(m2, s);
            if (shrink) v = vf_mul(keep, v);
            if (flush) DETNNI_N(flush)(&m, &s, v);
            DETNNI_WRITE(w, vf_fma(rate, vf_div(m, vf_fma(vf_sqrt(s), r, epsilon)), v));
        );
    } else if (DETNNI_HAS(RMSPROP) && u->o.kind == DETNN_RMSPROP) {
        const VF rho = vf_set(u->o.rho), c = vf_set(1.0f - u->o.rho);
        DETNNI_OVER(
            VF s = DETNNI_N(average)(rho, DETNNI_LOAD(m1), vf_mul(vf_mul(c, d), d)), h;
            DETNNI_WRITE(m1, s);
            if (flush) DETNNI_N(flush)(&d, &s, m2 ? vf_set(0.0f) : v); /* a moment is moved by the least */
            h = vf_div(d, vf_add(vf_sqrt(s), epsilon));
            if (m2) {
                h = DETNNI_N(average)(momentum, DETNNI_LOAD(m2), h);
                DETNNI_WRITE(m2, h);
                s = one;
                if (flush) DETNNI_N(flush)(&h, &s, v);
            }
            DETNNI_WRITE(w, vf_fma(rate, h, v));
        );
    }
#undef DETNNI_WRITE
#undef DETNNI_OVER
    return DETNNI_N(largest)(largest);
}

#undef DETNNI_64
#undef DETNNI_ADD
#undef DETNNI_AHEAD
#undef DETNNI_ALL
#undef DETNNI_AT
#undef DETNNI_B
#undef DETNNI_BACK
#undef DETNNI_BEGIN
#undef DETNNI_C1
#undef DETNNI_C2
#undef DETNNI_C4
#undef DETNNI_C8
#undef DETNNI_CASE
#undef DETNNI_CASE_PACKED
#undef DETNNI_CASE_PANEL_1
#undef DETNNI_CASE_PANEL_2
#undef DETNNI_CASE_PANEL_C
#undef DETNNI_CASE_PANEL_V
#undef DETNNI_CASE_ROWS_1
#undef DETNNI_CASE_ROWS_2
#undef DETNNI_CASE_ROWS_C
#undef DETNNI_CASE_ROWS_V
#undef DETNNI_CHUNK
#undef DETNNI_COLUMN
#undef DETNNI_COUNT
#undef DETNNI_DRAWN
#undef DETNNI_DX
#undef DETNNI_DX_COLUMN
#undef DETNNI_DX_SAVE
#undef DETNNI_DX_STEP
#undef DETNNI_DX_ZERO
#undef DETNNI_EACH
#undef DETNNI_FEW
#undef DETNNI_FINISH
#undef DETNNI_FROM
#undef DETNNI_GET
#undef DETNNI_HEIGHT
#undef DETNNI_INIT
#undef DETNNI_JOIN
#undef DETNNI_KEEP
#undef DETNNI_LANE
#undef DETNNI_LANES4
#undef DETNNI_LANES8
#undef DETNNI_LINE
#undef DETNNI_LOAD
#undef DETNNI_LONG
#undef DETNNI_LOW
#undef DETNNI_MASK
#undef DETNNI_MOST
#undef DETNNI_ON
#undef DETNNI_OUT
#undef DETNNI_OVER
#undef DETNNI_PACKED_2
#undef DETNNI_PAD
#undef DETNNI_PANEL_1
#undef DETNNI_PANEL_2
#undef DETNNI_PANEL_C
#undef DETNNI_PANEL_V
#undef DETNNI_PLACE
#undef DETNNI_PLAIN
#undef DETNNI_PUT
#undef DETNNI_R1
#undef DETNNI_R10
#undef DETNNI_R11
#undef DETNNI_R12
#undef DETNNI_R13
#undef DETNNI_R14
#undef DETNNI_R2
#undef DETNNI_R3
#undef DETNNI_R4
#undef DETNNI_R5
#undef DETNNI_R6
#undef DETNNI_R7
#undef DETNNI_R8
#undef DETNNI_R9
#undef DETNNI_ROW
#undef DETNNI_ROWS_1
#undef DETNNI_ROWS_2
#undef DETNNI_ROWS_C
#undef DETNNI_ROWS_V
#undef DETNNI_SOME
#undef DETNNI_SOON
#undef DETNNI_SOON_C
#undef DETNNI_STEP
#undef DETNNI_STEPS
#undef DETNNI_STORE
#undef DETNNI_STREAMS
#undef DETNNI_TALL
#undef DETNNI_TILE
#undef DETNNI_TO
#undef DETNNI_TURN4
#undef DETNNI_TWICE
#undef DETNNI_WIDE
#undef DETNNI_WORDS
#undef DETNNI_WRITE
#undef VF
#undef VFM
#undef VL
#undef VU
#undef vf_add
#undef vf_again
#undef vf_ahead
#undef vf_bits
#undef vf_div
#undef vf_fma
#undef vf_get
#undef vf_gt
#undef vf_hide
#undef vf_high2
#undef vf_lanes
#undef vf_load
#undef vf_low2
#undef vf_mul
#undef vf_order
#undef vf_put
#undef vf_sel
#undef vf_set
#undef vf_sqrt
#undef vf_store
#undef vf_sub
#undef vu_add
#undef vu_and
#undef vu_float
#undef vu_ge
#undef vu_high
#undef vu_load
#undef vu_low
#undef vu_max
#undef vu_mul
#undef vu_or
#undef vu_pair
#undef vu_set
#undef vu_sign
#undef vu_store
#undef vu_top
#undef vu_upper
#undef vu_xor
#undef vu_xor3

#endif

#define DETNNI_EXACT_ENTRY(f) DETNNI_N(f##_n),
static const detnni_kernels DETNNI_N(kernels) = {
    DETNNI_SET,
    DETNNI_N(forward), DETNNI_N(input_gradient), DETNNI_N(weight_gradient), DETNNI_N(max), DETNNI_N(sum), DETNNI_N(dot),
    DETNNI_N(softmax), DETNNI_N(activate), DETNNI_N(activate_back), DETNNI_N(dropout), DETNNI_N(update),
    DETNNI_N(add), DETNNI_N(magnitude), DETNNI_N(words), DETNNI_N(uniform),
    { DETNN_FUNCTIONS(DETNNI_EXACT_ENTRY) }
};
#endif /* DETNNI_ISA != DETNNI_ISA_CUDA */

#undef DETNNI_EXACT_ENTRY
#undef DETNNI_FMA
#undef DETNNI_FN
#undef DETNNI_FN0
#undef DETNNI_ISA
#undef DETNNI_N
#undef DETNNI_SET
#undef DETNNI_TABLE
#undef DETNNI_W
#undef VD
#undef VI
#undef VM
#undef vd_add
#undef vd_and
#undef vd_at
#undef vd_bits
#undef vd_div
#undef vd_load
#undef vd_lt
#undef vd_mad
#undef vd_msb
#undef vd_nmad
#undef vd_max
#undef vd_min
#undef vd_mul
#undef vd_or
#undef vd_sel
#undef vd_set
#undef vd_store
#undef vd_sub
#undef vd_xor
#undef vi_add
#undef vi_and
#undef vi_double
#undef vi_none
#undef vi_or
#undef vi_set
#undef vi_shl48
#undef vi_shl52
#undef vi_shl63
#undef vi_shr52
#undef vi_sub
#undef vm_any
#undef vm_none
#undef vm_or

#else /* the sections that are read once go on */

/* ==== 12. Choice of kernels ============================================================================= */

/* The passes: this header again, for section 11 alone. DETNNI_FN: small functions, to be inlined;
 * DETNNI_FN0: the kernels themselves. */
#define DETNNI_ISA DETNNI_ISA_SCALAR
#define DETNNI_SET DETNN_ISA_PLAIN
#define DETNNI_FN static inline DETNNI_UNUSED
#define DETNNI_FN0 static DETNNI_NOINLINE
#define DETNNI_N(name) detnni_##name##_plain
#define DETNNI_FMA(a, b, c) DETNNI_FMA_PLAIN(a, b, c)
#include DETNN_SELF
#if DETNNI_X86
#define DETNNI_ISA DETNNI_ISA_SSE2
#define DETNNI_SET DETNN_ISA_SSE2
#define DETNNI_FN static inline __attribute__((target("sse2"), unused, always_inline))
#define DETNNI_FN0 static __attribute__((target("sse2"), noinline, unused))
#define DETNNI_N(name) detnni_##name##_sse2
#define DETNNI_FMA(a, b, c) DETNNI_FMA_PLAIN(a, b, c)
#include DETNN_SELF
#define DETNNI_ISA DETNNI_ISA_AVX2
#define DETNNI_SET DETNN_ISA_AVX2
#define DETNNI_FN static inline __attribute__((target("avx2,fma"), unused, always_inline))
#define DETNNI_FN0 static __attribute__((target("avx2,fma"), noinline, unused))
#define DETNNI_N(name) detnni_##name##_avx2
#define DETNNI_FMA(a, b, c) __builtin_fmaf(a, b, c)
#include DETNN_SELF
#define DETNNI_ISA DETNNI_ISA_AVX512
#define DETNNI_SET DETNN_ISA_AVX512
#define DETNNI_FN \
    static inline __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"), unused, always_inline))
#define DETNNI_FN0 static __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"), noinline, unused))
#define DETNNI_N(name) detnni_##name##_avx512
#define DETNNI_FMA(a, b, c) __builtin_fmaf(a, b, c)
#include DETNN_SELF
#endif
#if DETNNI_NEON
#define DETNNI_ISA DETNNI_ISA_NEON
#define DETNNI_SET DETNN_ISA_NEON
#define DETNNI_FN static inline __attribute__((unused, always_inline))
#define DETNNI_FN0 static __attribute__((noinline, unused))
#define DETNNI_N(name) detnni_##name##_neon
#define DETNNI_FMA(a, b, c) DETNNI_FMA_PLAIN(a, b, c)
#include DETNN_SELF
#endif
#if DETNNI_WASM
#define DETNNI_ISA DETNNI_ISA_WASM
#define DETNNI_SET DETNN_ISA_WASM
#define DETNNI_FN static inline __attribute__((unused, always_inline))
#define DETNNI_FN0 static __attribute__((noinline, unused))
#define DETNNI_N(name) detnni_##name##_wasm
#define DETNNI_FMA(a, b, c) DETNNI_FMA_PLAIN(a, b, c)
#include DETNN_SELF
#endif

#if DETNN_CUDA
#define DETNNI_ISA DETNNI_ISA_CUDA
#define DETNNI_FN static __device__ inline
#define DETNNI_N(name) detnni_##name##_cuda
#include DETNN_SELF
#endif

/* The kernels of a set, the fastest for AUTO; null where this machine or build has none. */
static const detnni_kernels *detnni_kernels_of(detnn_isa isa)
{
#if DETNNI_X86
    __builtin_cpu_init();
    if ((isa == DETNN_ISA_AUTO || isa == DETNN_ISA_AVX512) && __builtin_cpu_supports("avx512f")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return &detnni_kernels_avx512;
    if ((isa == DETNN_ISA_AUTO || isa == DETNN_ISA_AVX2) && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return &detnni_kernels_avx2;
    if (isa == DETNN_ISA_AUTO || isa == DETNN_ISA_SSE2) return &detnni_kernels_sse2;
#endif
#if DETNNI_NEON
    if (isa == DETNN_ISA_AUTO || isa == DETNN_ISA_NEON) return &detnni_kernels_neon;
#endif
#if DETNNI_WASM
    if (isa == DETNN_ISA_AUTO || isa == DETNN_ISA_WASM) return &detnni_kernels_wasm;
#endif
    return isa == DETNN_ISA_AUTO || isa == DETNN_ISA_PLAIN ? &detnni_kernels_plain : 0;
}

/* The kernels that a net uses. Where there is one set, the compiler sees which functions are called, and drops
 * those that no feature of the build needs. */
#if DETNNI_X86 || DETNNI_NEON || DETNNI_WASM
#define DETNNI_ONE_SET 0
#define DETNNI_KERNELS(net) ((net)->k)
#else
#define DETNNI_ONE_SET 1
#define DETNNI_KERNELS(net) ((void)(net), &detnni_kernels_plain)
#endif
#define DETNNI_ONE(k) (DETNNI_ONE_SET ? &detnni_kernels_plain : (k))

static void detnni_bulk_words(const detnni_kernels *k, const detnni_stream *s, uint64_t first, size_t n, uint32_t *out)
{
    DETNNI_ONE(k)->words(s, first, n, out);
}

enum { DETNNI_DRAW = DETNNI_LANES < 4 ? 64 : 16 * DETNNI_LANES }; /* numbers that are drawn at a time */

/* y = fma(scale, x, offset): a product with one input. */
static void detnni_scaled(const detnni_kernels *k, float scale, const float *x, float offset, size_t n, float *y)
{
    const detnni_dense p = detnni_dense_of(1, 1, n, n, 0, 0);
    float b[DETNNI_DRAW];
    size_t i;
    for (i = 0; i < n; i++) b[i] = offset;
    DETNNI_ONE(k)->forward(&p, &scale, x, b, y);
}

static void detnni_uniforms(const detnni_kernels *k, const detnni_stream *s, uint64_t first, size_t n, float low,
                            float high, float *out)
{
    DETNNI_ONE(k)->uniform(s, first, n, high - low, low, out);
}

/* Pair by pair as detnni_normal does. */
static void detnni_normals(const detnni_kernels *k, const detnni_stream *s, uint64_t first, size_t n, float mean,
                           float deviation, float *out)
{
    size_t m, i;
    for (; n; n -= m, first += m, out += m) {
        const size_t skip = (size_t)(first & 1), pairs = (detnni_min(n, DETNNI_DRAW - skip) + skip + 1) / 2;
        uint32_t word[DETNNI_DRAW];
        float r[DETNNI_DRAW / 2], u[DETNNI_DRAW / 2], c[DETNNI_DRAW / 2], z[DETNNI_DRAW];
        m = detnni_min(n, DETNNI_DRAW - skip);
        DETNNI_ONE(k)->words(s, first - skip, 2 * pairs, word);
        for (i = 0; i < pairs; i++) {
            r[i] = (float)(int32_t)((word[2 * i] >> 8) + 1) * (1.0f / 16777216.0f);
            u[i] = detnni_unit(word[2 * i + 1]);
        }
        DETNNI_ONE(k)->exact[DETNNI_EXACT_log](r, pairs, r);
        DETNNI_ONE(k)->exact[DETNNI_EXACT_cos2pi](u, pairs, c);
        DETNNI_ONE(k)->exact[DETNNI_EXACT_sin2pi](u, pairs, u);
        for (i = 0; i < pairs; i++) {
            r[i] = detnni_sqrt(-2.0f * r[i]);
            z[2 * i] = r[i] * c[i];
            z[2 * i + 1] = r[i] * u[i];
        }
        detnni_scaled(k, deviation, z + skip, mean, m, out);
    }
}

#define DETNNI_EXACT_PUBLIC(f)                                                                           \
    DETNN_API float detnn_##f(float x) { return detnni_##f##_1_plain(x); }                               \
    DETNN_API void detnn_##f##_n(const float *x, size_t n, float *y)                                     \
    {                                                                                                    \
        detnni_kernels_of(DETNN_ISA_AUTO)->exact[DETNNI_EXACT_##f](x, n, y);                             \
    }
DETNN_FUNCTIONS(DETNNI_EXACT_PUBLIC)

/* ==== 13. Network: memory and creation ================================================================== */

/* What training has reached. With weights, moments and best weights after it, it is all that changes from
 * step to step, and lies in one piece: snapshots and copies copy it whole. */
typedef struct detnni_state {
    uint64_t step, epoch;
    uint64_t position, samples; /* of the epoch under way */
    double loss_sum;            /* A of C9 */
    uint64_t correct;           /* for the epoch's accuracy */
    float best_loss;
    float learning_rate;
    uint64_t best_epoch, stale;
    uint32_t has_best, adapted;
} detnni_state;

typedef struct detnni_layer {
    detnn_layer d;
    size_t inputs, outputs;
    size_t kernel, bias;           /* offsets in the weights; standardize: mean and deviation */
    size_t kernel_size, bias_size; /* elements, 0 where there is none */
    size_t scales;                 /* desc.packed: offset in scales; kernel is one in bfloat16 or int8 */
    float *y, *z;                  /* training, [batch_max][outputs]: outputs; what the activation took in, if
                                      backward needs it */
} detnni_layer;

typedef struct detnni_trace_item {
    detnni_tensor_sha sha;
    size_t cols; /* 0: nothing yet */
} detnni_trace_item;

typedef struct detnni_trace {
    detnn_trace_desc d;
    int on;
    int failed; /* a write failed */
    detnni_trace_item *items; /* input, outputs, gradient of the loss, input gradients */
} detnni_trace;

struct detnn_net {
    uint32_t magic;
    int owned; /* memory came from the allocator */
    void *memory;
    size_t memory_size;
    detnn_net_desc desc; /* layers point to the copy below */
    const detnni_kernels *k;
    detnni_layer *layers;
    size_t inputs, outputs, width; /* width: the widest row of any layer */
    size_t parameters;
    int raw; /* the loss takes the last activation's input (softmax or sigmoid and its cross-entropy) */
    detnni_state *state;
    size_t state_size;
    float *own_weights;   /* in the block, or null */
    const float *weights; /* own_weights or desc.weights */
    float *moment1, *moment2, *best;
    float *gradients; /* node 0 of the tree over parts; node i lies i * parameters behind */
    float *scratch;   /* [workers][room], of products */
    size_t room;
    float *a, *b;     /* [batch_max][width], for rows on their way up or down */
    float *row;       /* [2 + min(DETNNI_LANES, batch_max)][outputs], for losses */
    float *batch_x, *batch_targets, *batch_weights;
    uint32_t *batch_labels;
    float *columns; /* standardize: nodes of a tree of rows */
    uint32_t magnitude; /* bound on what the last step wrote, as bits; unknown: 0x7f800000 */
    size_t forward_rows;             /* of a forward that waits for its backward */
    const float *forward_x;
    size_t parts, part_rows, rows_done; /* of the step under way */
    int nodes;                       /* of the tree over its parts */
    int failed;                      /* detnn_step failed on it */
    int busy;                        /* a fit, step or evaluation is under way: callbacks may not train */
    struct detnni_gpu *gpu;          /* what it has on the GPU, or null */
    detnni_trace trace;
};

/* ---- What the GPU does for the functions below (section 20) ---- */

typedef struct detnni_made { /* steps that were made there */
    size_t steps, rows; /* rows: of the last */
    float loss;
    uint64_t correct;
} detnni_made;

#if DETNN_CUDA
static detnn_result detnni_gpu_open(detnn_net *net, detnn_error *err);
static void detnni_gpu_close(detnn_net *net);
static int detnni_gpu_fetch(const detnn_net *net); /* the host has all that changed; 0 where the GPU failed */
static void detnni_gpu_changed(detnn_net *net);    /* the host has changed something */
static int detnni_gpu_best(detnn_net *net, int restore); /* weights to best, or back; 0: the host's are to be, too */
static detnn_result detnni_gpu_predict(detnn_net *net, const float *x, size_t count, float *y, detnn_error *err);
static detnn_result detnni_gpu_evaluate(detnn_net *net, const detnn_data *data, size_t first, size_t count,
                                        detnn_metrics *metrics, detnn_error *err);
/* Between them the data stay on the GPU; end leaves all with the host. */
static void detnni_gpu_begin(detnn_net *net, const detnn_data *data, size_t batch);
static detnn_result detnni_gpu_end(detnn_net *net, detnn_result r, detnn_error *err);
/* Makes up to `most` steps of `batch` rows from place first on, the last maybe shorter; adds them to the state (the
 * epoch's only for a fit). The step after those made is for the CPU where made->steps is less. */
static detnn_result detnni_gpu_train(detnn_net *net, const detnn_data *data, const struct detnni_order *order,
                                     uint64_t first, uint64_t end, size_t batch, size_t most, int fit,
                                     detnni_made *made, detnn_error *err);
#else
static DETNNI_UNUSED detnn_result detnni_gpu_open(detnn_net *net, detnn_error *err)
{
    (void)net;
    return detnni_fail(err, DETNN_ERROR_FEATURE, "device: this build has no GPU kernels (DETNN_CUDA, nvcc)");
}
#define detnni_gpu_close(net)   (void)0
#define detnni_gpu_fetch(net)   1
#define detnni_gpu_changed(net) (void)0
#define detnni_gpu_best(net, restore) 0
#define detnni_gpu_predict(net, x, count, y, err) DETNN_OK
#define detnni_gpu_evaluate(net, data, first, count, metrics, err) DETNN_OK
#define detnni_gpu_begin(net, data, batch) (void)0
#define detnni_gpu_end(net, r, err) (r)
#define detnni_gpu_train(net, data, order, first, end, batch, most, fit, made, err) DETNN_OK
#endif
#define DETNNI_ON_GPU(net) (DETNN_CUDA && (net)->gpu)

#define DETNNI_MAGIC_NET 0x6e6e7464u
#define DETNNI_COLUMN_LEVELS 32
#define DETNNI_HEADER_MAX    100000000u /* bytes of a file's header, as the safetensors package has it */

/* A block being cut into arrays: with base null it only adds up. */
typedef struct detnni_arena {
    char *base;
    size_t used;
    int overflow;
} detnni_arena;

static size_t detnni_product(size_t a, size_t b, int *overflow)
{
    if (b && a > (size_t)-1 / b) { *overflow = 1; return 0; }
    return a * b;
}

static void *detnni_take(detnni_arena *a, size_t count, size_t size)
{
    const size_t most = (size_t)-1 / 2;
    size_t bytes = detnni_product(count, size, &a->overflow), start = (a->used + 63) & ~(size_t)63;
    if (a->used > most - 64 || bytes > most - start) a->overflow = 1;
    if (a->overflow) return 0;
    a->used = start + bytes;
    return a->base ? a->base + start : 0;
}

static float *detnni_floats(detnni_arena *a, size_t rows, size_t cols)
{
    return (float *)detnni_take(a, detnni_product(rows, cols, &a->overflow), sizeof(float));
}

static int detnni_needs_z(detnn_activation a) { return a == DETNN_SOFTPLUS || a == DETNN_SILU || a == DETNN_GELU; }

static int detnni_trainable(const detnni_layer *l) { return l->d.kind == DETNN_LAYER_DENSE && !l->d.frozen; }

/* How many moments an optimizer keeps. */
static int detnni_moments(const detnn_optimizer *o)
{
    if (o->kind == DETNN_SGD) return o->momentum > 0.0f;
    if (o->kind == DETNN_RMSPROP) return 1 + (o->momentum > 0.0f);
    return 2;
}

/* Cuts the block for a checked description; twice the same, so that size and use cannot differ. */
static void detnni_layout(detnn_net *net, const detnn_net_desc *desc, detnni_arena *a)
{
    const size_t rows = desc->batch_max;
    const int training = DETNNI_HAS(TRAINING) && !desc->predict_only, moments = detnni_moments(&desc->optimizer);
    detnni_layer *layers;
    detnn_layer *copies;
    size_t i, room, state_start, packed = 0, units = 0;
    (void)detnni_take(a, 1, sizeof(detnn_net));
    copies = (detnn_layer *)detnni_take(a, desc->layer_count, sizeof *copies);
    layers = (detnni_layer *)detnni_take(a, desc->layer_count, sizeof *layers);
    net->layers = layers;
    net->inputs = net->outputs = net->width = desc->inputs;
    net->parameters = 0;
    for (i = 0; i < desc->layer_count; i++) {
        detnni_layer l;
        DETNNI_ZERO(&l, sizeof l);
        l.d = desc->layers[i];
        l.inputs = net->outputs;
        l.outputs = l.d.kind == DETNN_LAYER_DENSE ? l.d.units : l.inputs;
        if (l.d.kind == DETNN_LAYER_DENSE) {
            l.kernel_size = detnni_product(l.inputs, l.outputs, &a->overflow);
            l.bias_size = l.d.use_bias ? l.outputs : 0;
        } else if (l.d.kind == DETNN_LAYER_STANDARDIZE) {
            l.kernel_size = l.bias_size = l.inputs;
        }
        l.kernel = net->parameters;
        l.bias = l.kernel + l.kernel_size;
        net->parameters = l.bias + l.bias_size;
        if (net->parameters < l.bias || l.bias < l.kernel) a->overflow = 1;
        if (DETNNI_HAS(PACKED) && desc->packed) {
            l.bias -= packed; /* among the rest */
            if (l.d.kind == DETNN_LAYER_DENSE) {
                l.bias -= l.kernel_size;
                l.kernel = packed;
                l.scales = units;
                packed += l.kernel_size;
                units += l.outputs;
            } else {
                l.kernel -= packed;
            }
        }
        net->outputs = l.outputs;
        if (l.outputs > net->width) net->width = l.outputs;
        room = l.d.kind == DETNN_LAYER_DENSE ? detnni_room(rows, l.inputs, l.outputs, training) : 0;
        if (room > net->room) net->room = room;
        if (training) l.y = detnni_floats(a, rows, l.outputs);
        if (training && l.d.kind == DETNN_LAYER_DENSE && detnni_needs_z(l.d.activation))
            l.z = detnni_floats(a, rows, l.outputs);
        if (layers) { layers[i] = l; copies[i] = l.d; }
    }
    a->used = (a->used + 63) & ~(size_t)63;
    state_start = a->used;
    net->state = (detnni_state *)detnni_take(a, 1, sizeof(detnni_state));
    net->own_weights = desc->weights ? 0 : detnni_floats(a, net->parameters, 1);
    net->moment1 = training && moments > 0 ? detnni_floats(a, net->parameters, 1) : 0;
    net->moment2 = training && moments > 1 ? detnni_floats(a, net->parameters, 1) : 0;
    net->best = training && desc->keep_best ? detnni_floats(a, net->parameters, 1) : 0;
    net->state_size = a->used - state_start;
    net->a = detnni_floats(a, rows, net->width);
    net->b = detnni_floats(a, rows, net->width);
    net->row = detnni_floats(a, detnni_min(DETNNI_LANES, rows) + 2, net->outputs);
    net->room = (net->room + 15) & ~(size_t)15; /* every worker's begins on a line of the cache */
    net->scratch = detnni_floats(a, net->room, desc->workers > 1 ? desc->workers : 1);
    if (training) {
        net->gradients = detnni_floats(a, net->parameters, 1 + detnni_log2(desc->parts_max));
        net->batch_x = detnni_floats(a, rows, net->inputs);
        net->batch_targets = detnni_floats(a, rows, net->outputs);
        net->batch_weights = detnni_floats(a, rows, 1);
        net->batch_labels = (uint32_t *)detnni_take(a, rows, sizeof(uint32_t));
        if (desc->layers[0].kind == DETNN_LAYER_STANDARDIZE)
            net->columns = detnni_floats(a, DETNNI_COLUMN_LEVELS + 1, net->inputs);
        if (desc->trace)
            net->trace.items =
                (detnni_trace_item *)detnni_take(a, 2 * desc->layer_count + 2, sizeof(detnni_trace_item));
    }
    if (copies) {
        net->desc = *desc;
        net->desc.layers = copies;
    }
}

static detnn_result detnni_check_optimizer(const detnn_optimizer *o, detnn_error *err)
{
    static const char name[] = "optimizer";
    if ((unsigned)o->kind >= DETNN_OPTIMIZER_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: unknown kind %z", name, (size_t)o->kind);
    if (!(o->learning_rate > 0.0f) || !detnni_finite(o->learning_rate))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: learning_rate %g is not above 0 and finite", name,
                           (double)o->learning_rate);
    if (!(o->momentum >= 0.0f && o->momentum < 1.0f))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: momentum %g is not in [0, 1)", name, (double)o->momentum);
    if (o->nesterov && !(o->kind == DETNN_SGD && o->momentum > 0.0f))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: nesterov needs SGD with momentum above 0", name);
    if (!(o->beta1 >= 0.0f && o->beta1 < 1.0f) || !(o->beta2 >= 0.0f && o->beta2 < 1.0f))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: beta1 %g, beta2 %g are not in [0, 1)", name, (double)o->beta1,
                           (double)o->beta2);
    if (!(o->rho >= 0.0f && o->rho < 1.0f))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: rho %g is not in [0, 1)", name, (double)o->rho);
    if (!(o->epsilon > 0.0f) || !detnni_finite(o->epsilon))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: epsilon %g is not above 0 and finite", name,
                           (double)o->epsilon);
    if (!(o->weight_decay >= 0.0f) || !detnni_finite(o->weight_decay))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: weight_decay %g is not 0 or more and finite", name,
                           (double)o->weight_decay);
    if (!(o->clip_value >= 0.0f) || !detnni_finite(o->clip_value) || !(o->clip_norm >= 0.0f) ||
        !detnni_finite(o->clip_norm))
        return detnni_fail(err, DETNN_ERROR_VALUE, "%s: clip_value %g, clip_norm %g are not 0 or more and finite", name,
                           (double)o->clip_value, (double)o->clip_norm);
    if ((!DETNNI_HAS(ADAM) && (o->kind == DETNN_ADAM || o->kind == DETNN_ADAMW))
        || (!DETNNI_HAS(RMSPROP) && o->kind == DETNN_RMSPROP)
        || (!DETNNI_HAS(MOMENTUM) && o->kind == DETNN_SGD && o->momentum > 0.0f)
        || (!DETNNI_HAS(CLIPPING) && (o->clip_value > 0.0f || o->clip_norm > 0.0f)))
        return detnni_fail(err, DETNN_ERROR_FEATURE,
                           "%s: this build's DETNN_FEATURES leave out its kind, momentum or clipping", name);
    return DETNN_OK;
}

static detnn_result detnni_check_schedule(const detnn_schedule *s, detnn_error *err)
{
    if ((unsigned)s->kind >= DETNN_SCHEDULE_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "schedule: unknown kind %z", (size_t)s->kind);
    if (!s->period) return detnni_fail(err, DETNN_ERROR_VALUE, "schedule: period is 0");
    if (!(s->gamma > 0.0f && s->gamma <= 1.0f))
        return detnni_fail(err, DETNN_ERROR_VALUE, "schedule: gamma %g is not in (0, 1]", (double)s->gamma);
    if (!(s->final >= 0.0f) || !detnni_finite(s->final))
        return detnni_fail(err, DETNN_ERROR_VALUE, "schedule: final %g is not 0 or more and finite", (double)s->final);
    if (!DETNNI_HAS(SCHEDULES) && (s->kind != DETNN_SCHEDULE_CONSTANT || s->warmup_steps))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "schedule: this build's DETNN_FEATURES leave schedules out");
    return DETNN_OK;
}

static detnn_result detnni_check_layer(const detnn_layer *l, size_t i, size_t inputs, detnn_error *err)
{
    detnn_result r;
    if ((unsigned)l->kind >= DETNN_LAYER_KIND_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z: unknown kind %z", i, (size_t)l->kind);
    if (l->kind == DETNN_LAYER_DENSE || l->kind == DETNN_LAYER_ACTIVATION) {
        if ((unsigned)l->activation >= DETNN_ACTIVATION_COUNT)
            return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z (%s): unknown activation %z", i,
                               detnni_layer_names[l->kind], (size_t)l->activation);
        if ((l->activation == DETNN_LEAKY_RELU && !(l->alpha >= 0.0f)) ||
            (l->activation == DETNN_ELU && !(l->alpha > 0.0f)) || !detnni_finite(l->alpha))
            return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z (%s): alpha %g is out of range for %s", i,
                               detnni_layer_names[l->kind], (double)l->alpha, detnni_activation_names[l->activation]);
        if (!DETNNI_HAS(ACTIVATIONS) && l->activation != DETNN_LINEAR && l->activation != DETNN_RELU
            && l->activation != DETNN_SOFTMAX)
            return detnni_fail(err, DETNN_ERROR_FEATURE, "layer %z (%s): this build's DETNN_FEATURES leave %s out", i,
                               detnni_layer_names[l->kind], detnni_activation_names[l->activation]);
    }
    if (l->kind == DETNN_LAYER_DENSE) {
        if (!l->units) return detnni_fail(err, DETNN_ERROR_SIZE, "layer %z (dense): units is 0", i);
        if (l->units > UINT32_MAX || (uint64_t)inputs > ((uint64_t)1 << 34) / l->units)
            return detnni_fail(err, DETNN_ERROR_SIZE,
                               "layer %z (dense): %z inputs x %z units: more than 2^34 weights or 2^32 - 1 units", i,
                               inputs, l->units);
        r = detnni_check_initializer(&l->kernel, i, "kernel", err);
        if (r) return r;
        r = detnni_check_initializer(&l->bias, i, "bias", err);
        if (r) return r;
    }
    if (l->kind == DETNN_LAYER_DROPOUT) {
        if (!(l->rate >= 0.0f && l->rate < 1.0f))
            return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z (dropout): rate %g is not in [0, 1)", i,
                               (double)l->rate);
        if (!DETNNI_HAS(DROPOUT))
            return detnni_fail(err, DETNN_ERROR_FEATURE, "layer %z (dropout): this build's DETNN_FEATURES leave it out",
                               i);
    }
    if (l->kind == DETNN_LAYER_STANDARDIZE) {
        if (i)
            return detnni_fail(err, DETNN_ERROR_SHAPE, "layer %z (standardize): only the first layer can standardize",
                               i);
        if (!DETNNI_HAS(STANDARDIZE))
            return detnni_fail(err, DETNN_ERROR_FEATURE,
                               "layer %z (standardize): this build's DETNN_FEATURES leave it out", i);
    }
    return DETNN_OK;
}

static detnn_result detnni_check_desc(const detnn_net_desc *d, detnn_error *err)
{
    size_t i, width;
    detnn_result r;
    const detnn_layer *last;
    if (!d) return detnni_fail(err, DETNN_ERROR_NULL, "desc is null");
    if (!d->layers) return detnni_fail(err, DETNN_ERROR_NULL, "desc.layers is null");
    if (!d->layer_count) return detnni_fail(err, DETNN_ERROR_SIZE, "desc.layer_count is 0");
    if (d->layer_count >= (size_t)1 << 24)
        return detnni_fail(err, DETNN_ERROR_SIZE, "desc.layer_count %z is 2^24 or more", d->layer_count);
    if (!d->inputs) return detnni_fail(err, DETNN_ERROR_SIZE, "desc.inputs is 0");
    if (d->inputs > UINT32_MAX) return detnni_fail(err, DETNN_ERROR_SIZE, "desc.inputs %z is 2^32 or more", d->inputs);
    if (!d->batch_max) return detnni_fail(err, DETNN_ERROR_SIZE, "desc.batch_max is 0");
    if (!d->parts_max) return detnni_fail(err, DETNN_ERROR_SIZE, "desc.parts_max is 0");
    if (d->workers > DETNN_WORKERS_MAX)
        return detnni_fail(err, DETNN_ERROR_SIZE, "desc.workers %z is above %z", d->workers, (size_t)DETNN_WORKERS_MAX);
    if (d->workers > 1 && !DETNNI_HAS(WORKERS))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "desc.workers: this build's DETNN_FEATURES leave them out");
    if (d->workers > 1 && !d->parallel_for)
        return detnni_fail(err, DETNN_ERROR_NULL, "desc.workers is %z, but desc.parallel_for is null", d->workers);
    for (i = 0, width = d->inputs; i < d->layer_count; i++) {
        r = detnni_check_layer(&d->layers[i], i, width, err);
        if (r) return r;
        if (d->layers[i].kind == DETNN_LAYER_DENSE) width = d->layers[i].units;
    }
    last = &d->layers[d->layer_count - 1];
    if ((unsigned)d->loss >= DETNN_LOSS_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "desc.loss: unknown loss %z", (size_t)d->loss);
    if (d->loss == DETNN_CROSS_ENTROPY || d->loss == DETNN_BINARY_CROSS_ENTROPY) {
        detnn_activation wanted = d->loss == DETNN_CROSS_ENTROPY ? DETNN_SOFTMAX : DETNN_SIGMOID;
        int has = last->kind == DETNN_LAYER_DENSE || last->kind == DETNN_LAYER_ACTIVATION;
        if (!has || (last->activation != wanted && last->activation != DETNN_LINEAR))
            return detnni_fail(err, DETNN_ERROR_SHAPE,
                               "desc.loss: %s needs a last layer with activation %s or linear, layer %z (%s) has %s",
                               detnni_loss_names[d->loss], detnni_activation_names[wanted], d->layer_count - 1,
                               detnni_layer_names[last->kind],
                               has ? detnni_activation_names[last->activation] : "none");
    }
    if (d->loss == DETNN_CROSS_ENTROPY && width < 2)
        return detnni_fail(
            err, DETNN_ERROR_SHAPE,
            "desc.loss: cross_entropy needs 2 outputs or more, the net has 1 (binary_cross_entropy takes 1)");
    if (!DETNNI_HAS(LOSSES) && !d->predict_only && d->loss != DETNN_CROSS_ENTROPY)
        return detnni_fail(err, DETNN_ERROR_FEATURE, "desc.loss: this build's DETNN_FEATURES leave %s out",
                           detnni_loss_names[d->loss]);
    if (!(d->label_smoothing >= 0.0f && d->label_smoothing < 1.0f))
        return detnni_fail(err, DETNN_ERROR_VALUE, "desc.label_smoothing %g is not in [0, 1)",
                           (double)d->label_smoothing);
    if (!(d->huber_delta > 0.0f) || !detnni_finite(d->huber_delta))
        return detnni_fail(err, DETNN_ERROR_VALUE, "desc.huber_delta %g is not above 0 and finite",
                           (double)d->huber_delta);
    r = d->predict_only ? DETNN_OK : detnni_check_optimizer(&d->optimizer, err);
    if (!r && !d->predict_only) r = detnni_check_schedule(&d->schedule, err);
    if (r) return r;
    if (d->weights && !d->predict_only)
        return detnni_fail(err, DETNN_ERROR_VALUE,
                           "desc.weights are used where they lie, which needs desc.predict_only");
    if (d->packed && !DETNNI_HAS(PACKED))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "desc.packed: this build's DETNN_FEATURES leave it out");
    if (d->packed && (!d->weights || !d->packed->bfloat16 == !d->packed->int8 ||
                      (d->packed->int8 && !d->packed->scales)))
        return detnni_fail(err, DETNN_ERROR_NULL,
                           "desc.packed needs desc.weights for the rest, and bfloat16 or int8 with scales");
    if (d->trace && !DETNNI_HAS(TRACE))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "desc.trace: this build's DETNN_FEATURES leave it out");
    if (!d->allocator.alloc != !d->allocator.release)
        return detnni_fail(err, DETNN_ERROR_NULL, "desc.allocator: alloc and release go together");
    if ((unsigned)d->isa >= DETNN_ISA_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "desc.isa: unknown set %z", (size_t)d->isa);
    if (!detnni_kernels_of(d->isa))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "desc.isa: this machine or build has no %s",
                           detnni_isa_names[d->isa]);
    if ((unsigned)d->device >= DETNN_DEVICE_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "desc.device: unknown device %z", (size_t)d->device);
    if (d->device == DETNN_GPU && !DETNN_CUDA) return detnni_gpu_open(0, err);
    return DETNN_OK;
}

static detnn_result detnni_net_size(const detnn_net_desc *desc, size_t *size, detnn_error *err)
{
    detnn_net net;
    detnni_arena a;
    detnn_result r = detnni_check_desc(desc, err);
    if (r) return r;
    DETNNI_ZERO(&net, sizeof net);
    DETNNI_ZERO(&a, sizeof a);
    detnni_layout(&net, desc, &a);
    if (a.overflow || a.used > (size_t)-1 / 2 - 64)
        return detnni_fail(err, DETNN_ERROR_SIZE,
                           "the net's memory does not fit an address: batch_max %z, inputs %z, %z layers",
                           desc->batch_max, desc->inputs, desc->layer_count);
    *size = a.used + 63; /* the block may start anywhere */
    return detnni_ok(err);
}

DETNNI_NOINLINE static detnn_result detnni_net_init(detnn_net **out, const detnn_net_desc *desc, void *block,
                                                    size_t size, detnn_error *err)
{
    detnni_arena a;
    detnn_net *net;
    size_t need = 0, i;
    const detnn_layer *last;
    detnn_result r = detnni_net_size(desc, &need, err);
    if (r) return r;
    if (size < need)
        return detnni_fail(err, DETNN_ERROR_MEMORY, "the block has %z bytes, the net needs %z", size, need);
    DETNNI_ZERO(block, need);
    a.base = (char *)block + (64 - ((uintptr_t)block & 63)) % 64;
    a.used = 0;
    a.overflow = 0;
    net = (detnn_net *)(void *)a.base;
    detnni_layout(net, desc, &a);
    net->memory = block;
    net->memory_size = need;
    net->k = DETNNI_ONE_SET ? 0 : detnni_kernels_of(desc->isa);
    net->weights = desc->weights ? desc->weights : net->own_weights;
    last = &desc->layers[desc->layer_count - 1];
    net->raw = (desc->loss == DETNN_CROSS_ENTROPY && last->activation == DETNN_SOFTMAX)
            || (desc->loss == DETNN_BINARY_CROSS_ENTROPY && last->activation == DETNN_SIGMOID);
    net->magnitude = 0x7f800000;
    net->state->best_loss = detnni_float(0x7f800000);
    net->state->learning_rate = desc->optimizer.learning_rate;
    net->state->adapted = desc->layers[0].kind != DETNN_LAYER_STANDARDIZE || desc->weights;
    if (net->own_weights)
        for (i = 0; i < desc->layer_count; i++) {
            const detnni_layer *l = &net->layers[i];
            const detnni_kernels *k = DETNNI_KERNELS(net);
            float *w = net->own_weights + l->kernel, *b = net->own_weights + l->bias;
            size_t e;
            if (l->d.kind == DETNN_LAYER_DENSE) {
                detnni_fill(k, &l->d.kernel, desc->seed, (uint32_t)i, DETNNI_KERNEL, l->inputs, l->inputs, l->outputs,
                            w);
                if (l->bias_size)
                    detnni_fill(k, &l->d.bias, desc->seed, (uint32_t)i, DETNNI_BIAS, 1, l->inputs, l->outputs, b);
            }
            if (l->d.kind == DETNN_LAYER_STANDARDIZE)
                for (e = 0; e < l->inputs; e++) b[e] = 1.0f; /* mean 0, deviation 1 until it is adapted */
        }
    for (i = 0; net->own_weights && i < desc->layer_count; i++) {
        const detnni_layer *l = &net->layers[i];
        if (DETNNI_KERNELS(net)->magnitude(net->own_weights + l->kernel, l->kernel_size + l->bias_size) >= 0x7f800000)
            return detnni_fail(err, DETNN_ERROR_VALUE, "layer %z (%s): its initializers give infinite weights", i,
                               detnni_layer_names[l->d.kind]);
    }
    net->desc.device = DETNN_CPU;
    if (desc->device == DETNN_GPU) {
        r = detnni_gpu_open(net, err);
        if (r) return r;
    }
    net->magic = DETNNI_MAGIC_NET;
    *out = net;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_net_size(const detnn_net_desc *desc, size_t *size, detnn_error *err)
{
    if (!size) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_net_size: size is null");
    *size = 0;
    DETNNI_GUARDED(detnni_net_size(desc, size, err));
}

DETNN_API detnn_result detnn_net_init(detnn_net **net, const detnn_net_desc *desc, void *block, size_t block_size,
                                      detnn_error *err)
{
    if (!net) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_net_init: net is null");
    *net = 0;
    if (!block) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_net_init: block is null");
    DETNNI_GUARDED(detnni_net_init(net, desc, block, block_size, err));
}

#if !DETNN_NO_MALLOC
#if defined(__linux__) && __STDC_HOSTED__ && DETNNI_GNU && !DETNN_CUDA
#define DETNNI_HUGE_PAGE ((uintptr_t)1 << 21)
#ifdef __cplusplus
extern "C"
#else
extern
#endif
/* hidden in <sys/mman.h> by -std=c99; its own visibility, as the implementation may stand where it is another */
int detnni_madvise(void *at, size_t size, int advice) __asm__("madvise") __attribute__((visibility("default")));
#endif

/* A net's block. Huge pages are asked for, where some fit: the TLB misses less, and no pages fall on the same lines
 * of a cache by chance. It is advice: where the system has none, or no wish to give any, nothing follows. */
static void *detnni_malloc(size_t size)
{
    void *memory = malloc(size);
#ifdef DETNNI_HUGE_PAGE
    const uintptr_t from = ((uintptr_t)memory + DETNNI_HUGE_PAGE - 1) & ~(DETNNI_HUGE_PAGE - 1);
    const uintptr_t to = ((uintptr_t)memory + size) & ~(DETNNI_HUGE_PAGE - 1);
    if (memory && to > from) (void)detnni_madvise((void *)from, to - from, 14); /* MADV_HUGEPAGE */
#endif
    return memory;
}
#endif

DETNNI_NOINLINE static detnn_result detnni_net_create(detnn_net **net, const detnn_net_desc *desc, detnn_error *err)
{
    size_t size = 0;
    void *memory;
    detnn_result r = detnni_net_size(desc, &size, err);
    if (r) return r;
    if (desc->allocator.alloc) memory = desc->allocator.alloc(desc->allocator.user, size);
#if DETNN_NO_MALLOC
    else
        return detnni_fail(err, DETNN_ERROR_MEMORY,
                           "this build has no malloc: give desc.allocator, or use detnn_net_init");
#else
    else memory = detnni_malloc(size);
#endif
    if (!memory) return detnni_fail(err, DETNN_ERROR_MEMORY, "no memory: the net needs %z bytes", size);
    r = detnni_net_init(net, desc, memory, size, err);
    if (!r) (*net)->owned = 1;
    else if (desc->allocator.release) desc->allocator.release(desc->allocator.user, memory, size);
#if !DETNN_NO_MALLOC
    else free(memory);
#endif
    return r;
}

DETNN_API detnn_result detnn_net_create(detnn_net **net, const detnn_net_desc *desc, detnn_error *err)
{
    if (!net) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_net_create: net is null");
    *net = 0;
    DETNNI_GUARDED(detnni_net_create(net, desc, err));
}

DETNN_API void detnn_net_destroy(detnn_net *net)
{
    detnn_allocator allocator;
    if (!net || net->magic != DETNNI_MAGIC_NET) return;
    net->magic = 0;
    detnni_gpu_close(net);
    if (!net->owned) return;
    allocator = net->desc.allocator;
    if (allocator.release) allocator.release(allocator.user, net->memory, net->memory_size);
#if !DETNN_NO_MALLOC
    else free(net->memory);
#endif
}

static detnn_result detnni_check_alive(const detnn_net *net, detnn_error *err)
{
    if (!net) return detnni_fail(err, DETNN_ERROR_NULL, "net is null");
    if (net->magic != DETNNI_MAGIC_NET)
        return detnni_fail(err, DETNN_ERROR_STATE, "this is not a net, or it was destroyed or never made");
    return DETNN_OK;
}

/* ... and the host has what a callback of a fit on the GPU may read (elsewhere it has it). */
static detnn_result detnni_check_net(const detnn_net *net, detnn_error *err)
{
    detnn_result r = detnni_check_alive(net, err);
    if (r) return r;
    return detnni_gpu_fetch(net) ? DETNN_OK : detnni_fail(err, DETNN_ERROR_DEVICE, "the GPU failed");
}

/* Between steps of one's own loop, and not called by a callback of fit? */
static detnn_result detnni_check_idle(const detnn_net *net, const char *name, detnn_error *err)
{
    if (net->busy)
        return detnni_fail(err, DETNN_ERROR_STATE, "%s: not from a callback of detnn_fit or data.get on the same net",
                           name);
    if (net->parts || net->forward_rows)
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "%s: a step of forward and backward is under way (finish it, or detnn_clear_gradients)",
                           name);
    return DETNN_OK;
}

static detnn_result detnni_check_training(const detnn_net *net, detnn_error *err)
{
    detnn_result r = detnni_check_alive(net, err);
    if (r) return r;
    if (!DETNNI_HAS(TRAINING))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "this build's DETNN_FEATURES leave training out");
    if (net->desc.predict_only)
        return detnni_fail(err, DETNN_ERROR_STATE, "the net was made with desc.predict_only: it cannot train");
    return DETNN_OK;
}

/* The float array in net that holds what its layers' tensors are, or null; at: where the tensor begins. */
static const detnni_layer *detnni_find(const detnn_net *net, size_t layer, detnn_tensor tensor, size_t *at,
                                       size_t *rows, size_t *cols)
{
    const detnni_layer *l;
    int first, standardize;
    size_t r = 0, c = 0;
    if (rows) *rows = 0;
    if (cols) *cols = 0;
    if (!net || net->magic != DETNNI_MAGIC_NET || layer >= net->desc.layer_count ||
        (unsigned)tensor >= DETNN_TENSOR_COUNT)
        return 0;
    l = &net->layers[layer];
    first = tensor == DETNN_KERNEL || tensor == DETNN_MEAN;
    standardize = tensor == DETNN_MEAN || tensor == DETNN_DEVIATION;
    if (standardize != (l->d.kind == DETNN_LAYER_STANDARDIZE) || !(first ? l->kernel_size : l->bias_size)) return 0;
    r = tensor == DETNN_KERNEL ? l->inputs : 1;
    c = l->outputs;
    if (rows) *rows = r;
    if (cols) *cols = c;
    *at = first ? l->kernel : l->bias;
    return l;
}

/* ---- Tensors one after another, wherever they lie ---- */

enum { DETNNI_WEIGHTS, DETNNI_MOMENT1, DETNNI_MOMENT2, DETNNI_BEST, DETNNI_GROUPS };
static const char *const detnni_group_names[] = { "", ".moment1", ".moment2", ".best" };

typedef struct detnni_slot {
    int group, tensor;
    size_t layer, module;       /* module: the layer's index in torch.nn.Sequential (F1) */
    size_t at, rows, cols;
    const unsigned char *bytes; /* where it lies in a file, a kernel as [cols][rows]; null: in the net */
} detnni_slot;

static void detnni_slot_start(detnni_slot *s)
{
    DETNNI_ZERO(s, sizeof *s);
    s->tensor = -1;
}

/* The next tensor of the groups (bit 1 << group; the weights are one of them), in the digest's order; 0 after the last
 * one. */
static int detnni_slot_next(const detnn_net *net, unsigned groups, detnni_slot *s)
{
    s->bytes = 0;
    for (;;) {
        const detnn_layer *d = &net->layers[s->layer].d;
        if (++s->tensor == (int)DETNN_TENSOR_COUNT) {
            s->tensor = -1;
            s->module += d->kind == DETNN_LAYER_DENSE && d->activation != DETNN_LINEAR ? 2 : 1;
            if (++s->layer < net->desc.layer_count) continue;
            s->layer = s->module = 0;
            do if (++s->group == DETNNI_GROUPS) return 0; while (!(groups >> s->group & 1));
            continue;
        }
        if ((s->group == DETNNI_MOMENT1 || s->group == DETNNI_MOMENT2) && d->kind != DETNN_LAYER_DENSE) continue;
        if (detnni_find(net, s->layer, (detnn_tensor)s->tensor, &s->at, &s->rows, &s->cols)) return 1;
    }
}

/* Elements first, first + 1, ... of a tensor, row-major as in the net. */
static void detnni_fetch(const detnn_net *net, const detnni_slot *s, size_t first, size_t count, float *to)
{
    const detnn_packed *packed = s->group == DETNNI_WEIGHTS && s->tensor == DETNN_KERNEL ? net->desc.packed : 0;
    size_t i, k = first / s->cols, n = first % s->cols;
    if (s->bytes) {
        for (i = 0; i < count; i++) {
            const unsigned char *p = s->bytes + 4 * (n * s->rows + k);
            to[i] = detnni_float((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
            if (++n == s->cols) { n = 0; k++; }
        }
    } else if (DETNNI_HAS(PACKED) && packed && packed->bfloat16) {
        for (i = 0; i < count; i++) to[i] = detnni_float((uint32_t)packed->bfloat16[s->at + first + i] << 16);
    } else if (DETNNI_HAS(PACKED) && packed) {
        const float *scales = packed->scales + net->layers[s->layer].scales;
        for (i = 0; i < count; i++) {
            to[i] = (float)packed->int8[s->at + first + i] * scales[n];
            if (++n == s->cols) n = 0;
        }
    } else {
        const float *from = s->group == DETNNI_WEIGHTS ? net->weights : s->group == DETNNI_MOMENT1 ? net->moment1
                          : s->group == DETNNI_MOMENT2 ? net->moment2 : net->best;
        DETNNI_COPY(to, from + s->at + first, count * sizeof(float));
    }
}

DETNN_API const float *detnn_weights(const detnn_net *net, size_t layer, detnn_tensor tensor, size_t *rows,
                                     size_t *cols)
{
    size_t at = 0;
    return detnni_find(net, layer, tensor, &at, rows, cols) && !(net->desc.packed && tensor == DETNN_KERNEL)
        && detnni_gpu_fetch(net) ? net->weights + at : 0;
}

DETNN_API const float *detnn_gradient(const detnn_net *net, size_t layer, detnn_tensor tensor, size_t *rows,
                                      size_t *cols)
{
    size_t at = 0;
    return detnni_find(net, layer, tensor, &at, rows, cols) && net->gradients && detnni_gpu_fetch(net)
               ? net->gradients + at : 0;
}

DETNN_API detnn_result detnn_weights_set(detnn_net *net, size_t layer, detnn_tensor tensor, const float *values,
                                         size_t count, detnn_error *err)
{
    size_t at = 0, rows, cols, i;
    detnn_result r = detnni_check_net(net, err);
    if (r) return r;
    if (!values) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_weights_set: values is null");
    if (!detnni_find(net, layer, tensor, &at, &rows, &cols))
        return detnni_fail(err, DETNN_ERROR_VALUE, "detnn_weights_set: layer %z has no %s", layer,
                           (unsigned)tensor < DETNN_TENSOR_COUNT ? detnni_tensor_names[tensor] : "such tensor");
    if (count != rows * cols)
        return detnni_fail(err, DETNN_ERROR_SHAPE, "layer %z: %s has %z x %z values, got %z", layer,
                           detnni_tensor_names[tensor], rows, cols, count);
    if (net->parts || net->forward_rows)
        return detnni_fail(
            err, DETNN_ERROR_STATE,
            "detnn_weights_set: a step of forward and backward is under way (finish it, or detnn_clear_gradients)");
    if (!net->own_weights)
        return detnni_fail(err, DETNN_ERROR_STATE, "the net's weights lie in desc.weights and cannot be set");
    for (i = 0; i < count; i++)
        if (!detnni_finite(values[i]) ||
            (tensor == DETNN_DEVIATION && !(detnni_float_bits(values[i]) - 1 < 0x7f7fffff)))
            return detnni_fail(err, DETNN_ERROR_DATA, "layer %z: value %z for %s is %g", layer, i,
                               detnni_tensor_names[tensor], (double)values[i]);
    DETNNI_COPY(net->own_weights + at, values, count * sizeof(float));
    detnni_gpu_changed(net);
    if (tensor == DETNN_DEVIATION) net->state->adapted = 1;
    net->magnitude = 0x7f800000;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_freeze(detnn_net *net, size_t layer, int frozen, detnn_error *err)
{
    detnn_result r = detnni_check_net(net, err);
    detnni_layer *l;
    size_t node;
    if (r) return r;
    if (layer >= net->desc.layer_count || net->layers[layer].d.kind != DETNN_LAYER_DENSE)
        return detnni_fail(err, DETNN_ERROR_VALUE, "detnn_freeze: layer %z is not a dense layer", layer);
    r = detnni_check_idle(net, "detnn_freeze", err);
    if (r) return r;
    l = &net->layers[layer];
    l->d.frozen = frozen != 0;
    detnni_gpu_changed(net);
    for (node = 0; net->gradients && node <= detnni_log2(net->desc.parts_max); node++)
        DETNNI_ZERO(net->gradients + node * net->parameters + l->kernel,
                    (l->kernel_size + l->bias_size) * sizeof(float));
    net->magnitude = 0x7f800000;
    return detnni_ok(err);
}

DETNNI_NOINLINE static detnn_result detnni_set_learning_rate(detnn_net *net, float learning_rate, detnn_error *err)
{
    detnn_result r = detnni_check_training(net, err);
    detnn_optimizer o;
    if (r) return r;
    o = net->desc.optimizer;
    o.learning_rate = learning_rate;
    r = detnni_check_optimizer(&o, err);
    if (r) return r;
    net->state->learning_rate = learning_rate;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_set_learning_rate(detnn_net *net, float learning_rate, detnn_error *err)
{
    DETNNI_GUARDED(detnni_set_learning_rate(net, learning_rate, err));
}

DETNN_API detnn_result detnn_set_device(detnn_net *net, detnn_device device, detnn_error *err)
{
    detnn_result r = detnni_check_net(net, err);
    if (!r) r = detnni_check_idle(net, "detnn_set_device", err);
    if (r) return r;
    if ((unsigned)device >= DETNN_DEVICE_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "detnn_set_device: unknown device %z", (size_t)device);
    if (device == net->desc.device) return detnni_ok(err);
    if (device == DETNN_GPU) {
        r = detnni_gpu_open(net, err);
        return r ? r : detnni_ok(err);
    }
    detnni_gpu_close(net);
    return detnni_ok(err);
}

/* ---- Snapshots and copies ---- */

/* What must agree between the net that gave a snapshot and the one that takes it. */
typedef struct detnni_snapshot {
    uint32_t magic, contract;
    uint64_t size, parameters, shape; /* shape: a hash of the layers */
} detnni_snapshot;

static detnni_snapshot detnni_snapshot_of(const detnn_net *net)
{
    detnni_snapshot s;
    size_t i;
    DETNNI_ZERO(&s, sizeof s);
    s.magic = 0x736e7464u;
    s.contract = DETNN_CONTRACT;
    s.size = net->state_size;
    s.parameters = net->parameters;
    s.shape = 0xcbf29ce484222325u;
    for (i = 0; i < net->desc.layer_count; i++) {
        const detnni_layer *l = &net->layers[i];
        s.shape = (s.shape ^ (uint64_t)l->d.kind) * 0x100000001b3u;
        s.shape = (s.shape ^ l->outputs) * 0x100000001b3u;
        s.shape = (s.shape ^ (uint64_t)(l->bias_size != 0)) * 0x100000001b3u;
        s.shape = (s.shape ^ (uint64_t)l->d.activation) * 0x100000001b3u;
        s.shape = (s.shape ^ detnni_float_bits(l->d.rate)) * 0x100000001b3u;
        s.shape = (s.shape ^ detnni_float_bits(l->d.alpha)) * 0x100000001b3u;
    }
    s.shape = (s.shape ^ (uint64_t)net->desc.optimizer.kind) * 0x100000001b3u;
    s.shape = (s.shape ^ (uint64_t)net->desc.loss) * 0x100000001b3u;
    s.shape = (s.shape ^ net->desc.seed) * 0x100000001b3u;
    return s;
}

DETNN_API size_t detnn_snapshot_size(const detnn_net *net)
{
    return net && net->magic == DETNNI_MAGIC_NET ? sizeof(detnni_snapshot) + net->state_size : 0;
}

DETNN_API detnn_result detnn_snapshot(const detnn_net *net, void *memory, size_t size, detnn_error *err)
{
    detnni_snapshot s;
    detnn_result r = detnni_check_net(net, err);
    if (r) return r;
    if (!memory) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_snapshot: memory is null");
    if (size < detnn_snapshot_size(net))
        return detnni_fail(err, DETNN_ERROR_MEMORY, "detnn_snapshot: %z bytes given, %z needed", size,
                           detnn_snapshot_size(net));
    s = detnni_snapshot_of(net);
    DETNNI_COPY(memory, &s, sizeof s);
    DETNNI_COPY((char *)memory + sizeof s, net->state, net->state_size);
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_restore(detnn_net *net, const void *memory, size_t size, detnn_error *err)
{
    detnni_snapshot mine, given;
    detnn_result r = detnni_check_net(net, err);
    if (r) return r;
    if (!memory) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_restore: memory is null");
    if (size < detnn_snapshot_size(net))
        return detnni_fail(err, DETNN_ERROR_MEMORY, "detnn_restore: %z bytes given, %z needed", size,
                           detnn_snapshot_size(net));
    mine = detnni_snapshot_of(net);
    DETNNI_COPY(&given, memory, sizeof given);
    if (given.magic != mine.magic || given.contract != mine.contract)
        return detnni_fail(err, DETNN_ERROR_DATA, "detnn_restore: this memory holds no snapshot of this version");
    if (given.size != mine.size || given.parameters != mine.parameters || given.shape != mine.shape)
        return detnni_fail(
            err, DETNN_ERROR_SHAPE,
            "detnn_restore: the snapshot is of a net with another seed, other layers, loss, optimizer or keep_best");
    if (net->busy)
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "detnn_restore: not from a callback of detnn_fit or data.get on the same net");
    DETNNI_COPY(net->state, (const char *)memory + sizeof given, net->state_size);
    detnni_gpu_changed(net);
    net->magnitude = 0x7f800000;
    detnn_clear_gradients(net);
    return detnni_ok(err);
}

DETNN_API void detnn_clear_gradients(detnn_net *net)
{
    if (!net || net->magic != DETNNI_MAGIC_NET) return;
    net->forward_rows = net->parts = net->part_rows = net->rows_done = 0;
    net->nodes = net->failed = 0;
}

DETNN_API detnn_result detnn_net_copy(detnn_net **copy, const detnn_net *net, detnn_error *err)
{
    detnn_net_desc desc;
    detnn_result r;
    size_t i;
    if (!copy) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_net_copy: copy is null");
    *copy = 0;
    r = detnni_check_net(net, err);
    if (r) return r;
    if (!net->owned)
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "detnn_net_copy: the net was made by detnn_net_init: init another and restore a snapshot");
    desc = net->desc;
    r = detnn_net_create(copy, &desc, err);
    if (r) return r;
    DETNNI_COPY((*copy)->state, net->state, net->state_size);
    for (i = 0; i < desc.layer_count; i++) (*copy)->layers[i].d.frozen = net->layers[i].d.frozen;
    detnni_gpu_changed(*copy);
    return DETNN_OK;
}

/* ---- What a net is ---- */

DETNN_API detnn_net_info detnn_info(const detnn_net *net)
{
    detnn_net_info info;
    size_t i;
    DETNNI_ZERO(&info, sizeof info);
    if (!net || net->magic != DETNNI_MAGIC_NET) return info;
    info.inputs = net->inputs;
    info.outputs = net->outputs;
    info.layer_count = net->desc.layer_count;
    info.parameters = net->parameters;
    for (i = 0; i < info.layer_count; i++)
        if (detnni_trainable(&net->layers[i])) info.trainable += net->layers[i].kernel_size + net->layers[i].bias_size;
    info.step = net->state->step;
    info.epoch = net->state->epoch;
    info.position = (size_t)net->state->position;
    info.samples = (size_t)net->state->samples;
    info.best_loss = net->state->best_loss;
    info.best_epoch = net->state->best_epoch;
    info.stale_epochs = net->state->stale;
    info.isa = DETNNI_KERNELS(net)->isa;
    info.device = net->desc.device;
    info.memory = net->memory_size;
    return info;
}

static void detnni_pad(detnni_text *t, size_t column)
{
    do detnni_put(t, ' '); while (t->length < column);
}

DETNN_API size_t detnn_summary(const detnn_net *net, char *text, size_t size)
{
    detnni_text t;
    size_t i, line;
    t.p = text;
    t.size = text ? size : 0;
    t.length = 0;
    if (!net || net->magic != DETNNI_MAGIC_NET) {
        detnni_format(&t, "no net\n");
        return t.length;
    }
    detnni_format(&t, "layer              activation  inputs -> outputs  parameters\n");
    for (i = 0; i < net->desc.layer_count; i++) {
        const detnni_layer *l = &net->layers[i];
        int active = l->d.kind == DETNN_LAYER_DENSE || l->d.kind == DETNN_LAYER_ACTIVATION;
        line = t.length;
        detnni_format(&t, "%z %s", i, detnni_layer_names[l->d.kind]);
        if (l->d.kind == DETNN_LAYER_DROPOUT) detnni_format(&t, " %g", (double)l->d.rate);
        detnni_pad(&t, line + 19);
        detnni_format(&t, "%s", active ? detnni_activation_names[l->d.activation] : "-");
        detnni_pad(&t, line + 31);
        detnni_format(&t, "%z -> %z", l->inputs, l->outputs);
        detnni_pad(&t, line + 50);
        detnni_format(&t, "%z%s\n", l->kernel_size + l->bias_size, l->d.frozen ? " (frozen)" : "");
    }
    detnni_format(&t, "%z parameters, %z bytes in all, kernels: %s\n", net->parameters, net->memory_size,
                  detnni_isa_names[DETNNI_KERNELS(net)->isa]);
    return t.length;
}

/* ---- Digests of a net ---- */

/* Adds the lines "layer name shape digest\n" of the tensors of one group. They lie in the net, or where locate finds
 * them. */
static void detnni_sha_group(detnni_sha *s, const detnn_net *net, int group,
                             int (*locate)(void *user, detnni_slot *slot), void *user)
{
    detnni_slot slot;
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, 1u << DETNNI_WEIGHTS | 1u << group, &slot)) {
        char line[160], digest[DETNN_DIGEST_TEXT];
        detnni_tensor_sha tensor;
        detnni_text text;
        size_t n = slot.rows * slot.cols, i, m;
        if (slot.group != group) continue;
        if (locate) (void)locate(user, &slot);
        detnni_tensor_sha_start(&tensor);
        for (i = 0; i < n; i += m) {
            float x[64];
            m = detnni_min(64, n - i);
            detnni_fetch(net, &slot, i, m, x);
            detnni_tensor_sha_add(&tensor, x, m);
        }
        text.p = line;
        text.size = sizeof line;
        text.length = 0;
        detnni_format(&text, "%z %s%s ", slot.layer, detnni_tensor_names[slot.tensor], detnni_group_names[group]);
        if (slot.tensor == DETNN_KERNEL) detnni_format(&text, "%zx", slot.rows);
        detnni_format(&text, "%z %s\n", slot.cols, detnni_tensor_sha_end(&tensor, digest));
        detnni_sha_add(s, line, text.length);
    }
}

/* Adds the lines about counters. */
static void detnni_sha_state(detnni_sha *s, uint64_t seed, const detnni_state *state)
{
    char lines[400];
    detnni_text t;
    t.p = lines;
    t.size = sizeof lines;
    t.length = 0;
    detnni_format(&t,
                  "contract %z\nseed %l\nstep %l\nepoch %l\nposition %l\nsamples %l\n"
                  "learning_rate %x\nadapted %z\nloss_sum %X\nbest %x %l %l\n",
                  (size_t)DETNN_CONTRACT, seed, state->step, state->epoch, state->position, state->samples,
                  detnni_float_bits(state->learning_rate), (size_t)state->adapted, detnni_double_bits(state->loss_sum),
                  detnni_float_bits(state->best_loss), state->best_epoch, state->stale);
    detnni_sha_add(s, lines, t.length);
}

DETNN_API char *detnn_digest(const detnn_net *net, char out[DETNN_DIGEST_TEXT])
{
    detnni_sha s;
    unsigned char digest[32];
    if (!out) return out;
    out[0] = 0;
    if (!net || net->magic != DETNNI_MAGIC_NET || !detnni_gpu_fetch(net)) return out;
    detnni_sha_start(&s);
    detnni_sha_group(&s, net, DETNNI_WEIGHTS, 0, 0);
    detnni_sha_end(&s, digest);
    return detnni_hex(digest, out);
}

DETNN_API char *detnn_state_digest(const detnn_net *net, char out[DETNN_DIGEST_TEXT])
{
    detnni_sha s;
    unsigned char digest[32];
    if (!out) return out;
    out[0] = 0;
    if (!net || net->magic != DETNNI_MAGIC_NET || !detnni_gpu_fetch(net)) return out;
    detnni_sha_start(&s);
    detnni_sha_group(&s, net, DETNNI_WEIGHTS, 0, 0);
    if (net->moment1) detnni_sha_group(&s, net, DETNNI_MOMENT1, 0, 0);
    if (net->moment2) detnni_sha_group(&s, net, DETNNI_MOMENT2, 0, 0);
    if (net->best && net->state->has_best) detnni_sha_group(&s, net, DETNNI_BEST, 0, 0);
    detnni_sha_state(&s, net->desc.seed, net->state);
    detnni_sha_end(&s, digest);
    return detnni_hex(digest, out);
}

/* ==== 14. Trace ========================================================================================= */

/* What a step computes on its way to the gradients: input, every layer's outputs, the gradient of the loss,
 * and for every layer the gradient of its input, numbered 0, 1 + layer, 1 + n, 2 + n + layer. */

static int detnni_tracing(const detnn_net *net)
{
    return DETNNI_HAS(TRACE) && net->trace.on && net->state->step >= net->trace.d.from &&
           net->state->step < net->trace.d.to;
}

static void detnni_trace_write(detnn_net *net, const detnni_text *t)
{
    if (net->trace.failed) return;
    net->trace.failed = net->trace.d.write(net->trace.d.user, t->p, t->length) != 0;
    (void)detnni_fp_enter(); /* the caller's code may have left another mode */
}

/* "step layer tensor", the beginning of every line; layer -1 is written "-". */
static void detnni_trace_name(detnni_text *t, char *buffer, size_t size, uint64_t step, size_t layer,
                              const char *tensor, const char *suffix)
{
    t->p = buffer;
    t->size = size;
    t->length = 0;
    detnni_format(t, "%l ", step);
    if (layer == (size_t)-1) detnni_put(t, '-');
    else detnni_format(t, "%z", layer);
    detnni_format(t, " %s%s ", tensor, suffix);
}

/* In full: lines "step layer tensor @index word word ...", index the first word's in the whole tensor. */
static void detnni_trace_full(detnn_net *net, size_t layer, const char *tensor, const char *suffix, const float *x,
                              size_t n, uint64_t first)
{
    size_t i, j;
    uint64_t step = net->state->step;
    if (step < net->trace.d.full_from || step >= net->trace.d.full_to) return;
    for (i = 0; i < n; i += 8) {
        char line[200];
        detnni_text t;
        detnni_trace_name(&t, line, sizeof line, step, layer, tensor, suffix);
        detnni_format(&t, "@%l", first + i);
        for (j = i; j < n && j < i + 8; j++)
            detnni_format(&t, " %x", detnni_nan(x[j]) ? (uint32_t)0x7fc00000 : detnni_float_bits(x[j]));
        detnni_format(&t, "\n");
        detnni_trace_write(net, &t);
    }
}

/* Where item stands: its layer and its tensor's name. */
static const char *detnni_trace_item_name(const detnn_net *net, size_t item, size_t *layer)
{
    size_t n = net->desc.layer_count;
    if (item == 0) { *layer = (size_t)-1; return "input"; }
    if (item <= n) { *layer = item - 1; return "output"; }
    if (item == n + 1) { *layer = n - 1; return "output.gradient"; }
    *layer = item - n - 2;
    return "input.gradient";
}

/* Rows [first, first + rows) of an item. */
static void detnni_trace_rows(detnn_net *net, size_t item, const float *x, size_t rows, size_t cols, size_t first)
{
    detnni_trace_item *t;
    size_t layer;
    const char *name;
    if (!detnni_tracing(net)) return;
    if (!item && !first) { /* a new step: nothing stays of one that was given up */
        size_t i;
        for (i = 0; i < 2 * net->desc.layer_count + 2; i++) net->trace.items[i].cols = 0;
        net->trace.failed = 0;
    }
    t = &net->trace.items[item];
    if (!first) detnni_tensor_sha_start(&t->sha);
    detnni_tensor_sha_add(&t->sha, x, rows * cols);
    t->cols = cols;
    name = detnni_trace_item_name(net, item, &layer);
    detnni_trace_full(net, layer, name, "", x, rows * cols, (uint64_t)first * cols);
}

/* The lines of the items, when all rows of the step went through; loss: null in one's own loop. */
static void detnni_trace_items(detnn_net *net, size_t rows, const float *loss)
{
    size_t n = net->desc.layer_count, k, layer;
    char line[200], digest[DETNN_DIGEST_TEXT];
    detnni_text t;
    if (!detnni_tracing(net)) return;
    for (k = 0; k < 2 * n + 2; k++) {
        size_t i = k <= n + 1 ? k : 3 * n + 3 - k; /* gradients come from the last layer down */
        detnni_trace_item *item = &net->trace.items[i];
        const char *name = detnni_trace_item_name(net, i, &layer);
        if (k == n + 1 && loss) {
            detnni_trace_name(&t, line, sizeof line, net->state->step, (size_t)-1, "loss", "");
            detnni_format(&t, "1 %x\n", detnni_float_bits(*loss));
            detnni_trace_write(net, &t);
        }
        if (!item->cols) continue;
        detnni_trace_name(&t, line, sizeof line, net->state->step, layer, name, "");
        detnni_format(&t, "%zx%z %s\n", rows, item->cols, detnni_tensor_sha_end(&item->sha, digest));
        detnni_trace_write(net, &t);
        item->cols = 0;
    }
}

/* The lines of kernels and biases, or of what lies like them. */
static void detnni_trace_tensors(detnn_net *net, const float *values, const char *suffix)
{
    size_t i;
    int k;
    if (!detnni_tracing(net)) return;
    for (i = 0; i < net->desc.layer_count; i++)
        for (k = 0; k < 2; k++) {
            char line[200], digest[DETNN_DIGEST_TEXT];
            detnni_text t;
            detnn_tensor tensor = k ? DETNN_BIAS : DETNN_KERNEL;
            size_t at = 0, rows, cols;
            if (!detnni_find(net, i, tensor, &at, &rows, &cols) || net->layers[i].d.frozen) continue;
            detnni_trace_full(net, i, detnni_tensor_names[tensor], suffix, values + at, rows * cols, 0);
            detnni_trace_name(&t, line, sizeof line, net->state->step, i, detnni_tensor_names[tensor], suffix);
            if (!k) detnni_format(&t, "%zx", rows);
            detnni_format(&t, "%z %s\n", cols, detnn_tensor_digest(values + at, rows * cols, digest));
            detnni_trace_write(net, &t);
        }
}

/* After a step: did all its lines go out? */
static detnn_result detnni_trace_check(detnn_net *net, detnn_error *err)
{
    if (!DETNNI_HAS(TRACE) || !net->trace.failed) return DETNN_OK;
    net->trace.failed = 0;
    return detnni_fail(err, DETNN_ERROR_CALLBACK, "trace.write failed in step %l; the step itself was made",
                       net->state->step - 1);
}

DETNN_API detnn_trace_desc detnn_trace_desc_default(void)
{
    detnn_trace_desc d;
    DETNNI_ZERO(&d, sizeof d);
    d.to = UINT64_MAX;
    return d;
}

DETNN_API detnn_result detnn_trace_start(detnn_net *net, const detnn_trace_desc *trace, detnn_error *err)
{
    detnn_result r = detnni_check_net(net, err);
    if (r) return r;
    if (!DETNNI_HAS(TRACE))
        return detnni_fail(err, DETNN_ERROR_FEATURE, "this build's DETNN_FEATURES leave the trace out");
    if (!net->trace.items)
        return detnni_fail(err, DETNN_ERROR_STATE, "detnn_trace_start: the net was not made with desc.trace");
    r = detnni_check_idle(net, "detnn_trace_start", err);
    if (r) return r;
    if (trace && !trace->write) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_trace_start: trace.write is null");
    net->trace.on = trace != 0;
    net->trace.failed = 0;
    if (trace) net->trace.d = *trace;
    return detnni_ok(err);
}

/* ==== 15. Threads ======================================================================================= */

#if DETNN_THREADS

#if DETNNI_GNU
#define DETNNI_ATOMIC_ADD(p, n)  __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST)
#define DETNNI_ATOMIC_GET(p)     __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define DETNNI_ATOMIC_SET(p, x)  __atomic_store_n(p, x, __ATOMIC_SEQ_CST)
#define DETNNI_ATOMIC_SWAP(p, x) __atomic_exchange_n(p, x, __ATOMIC_SEQ_CST)
#else
#define DETNNI_ATOMIC_ADD(p, n)  (InterlockedExchangeAdd((volatile LONG *)(p), n) + (n))
#define DETNNI_ATOMIC_GET(p)     InterlockedExchangeAdd((volatile LONG *)(p), 0)
#define DETNNI_ATOMIC_SET(p, x)  (void)InterlockedExchange((volatile LONG *)(p), x)
#define DETNNI_ATOMIC_SWAP(p, x) InterlockedExchange((volatile LONG *)(p), x)
#endif

#if defined(_WIN32)
typedef SRWLOCK detnni_mutex;
typedef CONDITION_VARIABLE detnni_condition;
typedef HANDLE detnni_thread;
#define detnni_lock(m)         AcquireSRWLockExclusive(m)
#define detnni_unlock(m)       ReleaseSRWLockExclusive(m)
#define detnni_wait(c, m)      (void)SleepConditionVariableSRW(c, m, INFINITE, 0)
#define detnni_wake(c)         WakeAllConditionVariable(c)
static void detnni_prepare(detnni_mutex *m, detnni_condition *a, detnni_condition *b)
{
    InitializeSRWLock(m);
    InitializeConditionVariable(a);
    InitializeConditionVariable(b);
}
static size_t detnni_processors(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return (size_t)info.dwNumberOfProcessors;
}
#define DETNNI_THREAD DWORD WINAPI
#define detnni_start(t, f, arg) ((*(t) = CreateThread(0, 0, f, arg, 0, 0)) == 0)
#define detnni_join(t) ((void)WaitForSingleObject(t, INFINITE), (void)CloseHandle(t))
#else
typedef pthread_mutex_t detnni_mutex;
typedef pthread_cond_t detnni_condition;
typedef pthread_t detnni_thread;
#define detnni_lock(m)         (void)pthread_mutex_lock(m)
#define detnni_unlock(m)       (void)pthread_mutex_unlock(m)
#define detnni_wait(c, m)      (void)pthread_cond_wait(c, m)
#define detnni_wake(c)         (void)pthread_cond_broadcast(c)
static void detnni_prepare(detnni_mutex *m, detnni_condition *a, detnni_condition *b)
{
    (void)pthread_mutex_init(m, 0);
    (void)pthread_cond_init(a, 0);
    (void)pthread_cond_init(b, 0);
}
static size_t detnni_processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (size_t)n : 1;
}
#define DETNNI_THREAD void *
#define detnni_start(t, f, arg) (pthread_create(t, 0, f, arg) != 0)
#define detnni_join(t) (void)pthread_join(t, 0)
#endif

#if DETNNI_GNU && (defined(__x86_64__) || defined(__i386__))
#define detnni_pause() __builtin_ia32_pause()
#elif DETNNI_GNU && defined(__aarch64__)
#define detnni_pause() __asm__ volatile("yield")
#else
#define detnni_pause() (void)0
#endif

/* One job at a time. A worker that sees a new job enters (active), and takes indices only while the job is open; the
 * caller closes it when the indices have run out and waits until all have left. So no worker touches a job after its
 * end, however late it wakes. Workers look for the next job for some microseconds before they sleep. */
struct detnn_pool {
    detnni_mutex mutex;
    detnni_condition work, idle;
    detnn_task task;
    void *arg;
    long count, next;
    long job, open, active, busy, stop; /* open: the number of the job that takes workers, or 0 */
    long sleepers, waiting;             /* on the two conditions */
    long spins;                         /* 0 where there are more threads than processors */
    size_t threads, started;
    detnni_thread thread[DETNN_WORKERS_MAX];
};

static void detnni_pool_work(detnn_pool *pool)
{
    const long count = pool->count;
    long i;
    while ((i = DETNNI_ATOMIC_ADD(&pool->next, 1) - 1) < count) pool->task(pool->arg, (size_t)i);
}

static DETNNI_THREAD detnni_pool_thread(void *arg)
{
    detnn_pool *pool = (detnn_pool *)arg;
    long seen = 0, spin;
    for (;;) {
        for (spin = 0; spin < pool->spins && DETNNI_ATOMIC_GET(&pool->job) == seen; spin++) detnni_pause();
        if (DETNNI_ATOMIC_GET(&pool->job) == seen) {
            detnni_lock(&pool->mutex);
            (void)DETNNI_ATOMIC_ADD(&pool->sleepers, 1);
            while (DETNNI_ATOMIC_GET(&pool->job) == seen) detnni_wait(&pool->work, &pool->mutex);
            (void)DETNNI_ATOMIC_ADD(&pool->sleepers, -1);
            detnni_unlock(&pool->mutex);
        }
        seen = DETNNI_ATOMIC_GET(&pool->job);
        if (DETNNI_ATOMIC_GET(&pool->stop)) return 0;
        (void)DETNNI_ATOMIC_ADD(&pool->active, 1);
        if (DETNNI_ATOMIC_GET(&pool->open) == seen) detnni_pool_work(pool);
        if (DETNNI_ATOMIC_ADD(&pool->active, -1) == 0 && DETNNI_ATOMIC_GET(&pool->waiting)) {
            detnni_lock(&pool->mutex);
            detnni_wake(&pool->idle);
            detnni_unlock(&pool->mutex);
        }
    }
}

/* A new number for the job, never 0. The mutex is taken only where somebody sleeps: who goes to sleep counts himself
 * before he looks for a job once more. */
static void detnni_pool_call(detnn_pool *pool)
{
    const long job = pool->job < 0x7fffffff ? pool->job + 1 : 1;
    DETNNI_ATOMIC_SET(&pool->open, job);
    DETNNI_ATOMIC_SET(&pool->job, job);
    if (!DETNNI_ATOMIC_GET(&pool->sleepers)) return;
    detnni_lock(&pool->mutex);
    detnni_wake(&pool->work);
    detnni_unlock(&pool->mutex);
}

DETNN_API void detnn_pool_for(void *user, detnn_task task, void *arg, size_t count)
{
    detnn_pool *pool = (detnn_pool *)user;
    long spin;
    size_t i;
    if (count < 2 || count > 0x7fffff || pool->threads < 2 || DETNNI_ATOMIC_SWAP(&pool->busy, 1)) {
        for (i = 0; i < count; i++) task(arg, i);
        return;
    }
    pool->task = task;
    pool->arg = arg;
    pool->count = (long)count;
    DETNNI_ATOMIC_SET(&pool->next, 0);
    detnni_pool_call(pool);
    detnni_pool_work(pool);
    DETNNI_ATOMIC_SET(&pool->open, 0);
    for (spin = 0; spin < pool->spins && DETNNI_ATOMIC_GET(&pool->active); spin++) detnni_pause();
    if (DETNNI_ATOMIC_GET(&pool->active)) {
        detnni_lock(&pool->mutex);
        DETNNI_ATOMIC_SET(&pool->waiting, 1);
        while (DETNNI_ATOMIC_GET(&pool->active)) detnni_wait(&pool->idle, &pool->mutex);
        DETNNI_ATOMIC_SET(&pool->waiting, 0);
        detnni_unlock(&pool->mutex);
    }
    DETNNI_ATOMIC_SET(&pool->busy, 0);
}

DETNN_API size_t detnn_pool_threads(const detnn_pool *pool) { return pool ? pool->threads : 1; }

DETNN_API void detnn_pool_destroy(detnn_pool *pool)
{
    size_t i;
    if (!pool) return;
    DETNNI_ATOMIC_SET(&pool->stop, 1);
    detnni_pool_call(pool);
    for (i = 0; i < pool->started; i++) detnni_join(pool->thread[i]);
#if !defined(_WIN32)
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->idle);
    (void)pthread_mutex_destroy(&pool->mutex);
#endif
    free(pool);
}

DETNN_API detnn_result detnn_pool_create(detnn_pool **out, size_t threads, detnn_error *err)
{
    const size_t processors = detnni_processors();
    detnn_pool *pool;
    if (!out) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_pool_create: pool is null");
    *out = 0;
    if (threads > DETNN_WORKERS_MAX)
        return detnni_fail(err, DETNN_ERROR_VALUE, "detnn_pool_create: %z threads, at most %z are possible", threads,
                           (size_t)DETNN_WORKERS_MAX);
    if (!threads) threads = detnni_min(processors, DETNN_WORKERS_MAX);
    pool = (detnn_pool *)malloc(sizeof *pool);
    if (!pool) return detnni_fail(err, DETNN_ERROR_MEMORY, "detnn_pool_create: no memory");
    DETNNI_ZERO(pool, sizeof *pool);
    detnni_prepare(&pool->mutex, &pool->work, &pool->idle);
    pool->threads = threads;
    pool->spins = threads > processors ? 0 : 1000;
    for (; pool->started + 1 < threads; pool->started++)
        if (detnni_start(&pool->thread[pool->started], detnni_pool_thread, pool)) {
            detnn_pool_destroy(pool);
            return detnni_fail(err, DETNN_ERROR_MEMORY, "detnn_pool_create: the system gives no thread");
        }
    *out = pool;
    return detnni_ok(err);
}

#endif /* DETNN_THREADS */

/* ---- Work shared out. A job is cut by shape into tasks that write apart from each other; each number is computed as
 * ever, so the cut shows in no bit. ---- */

typedef struct detnni_shared {
    void (*work)(void *job, size_t task);
    void *job;
} detnni_shared;

static void detnni_shared_task(void *arg, size_t i)
{
    const detnni_shared *s = (const detnni_shared *)arg;
    uint64_t mode = detnni_fp_enter(); /* of this thread */
    s->work(s->job, i);
    detnni_fp_leave(mode);
}

static void detnni_share(const detnn_net *net, size_t tasks, void (*work)(void *job, size_t task), void *job)
{
    detnni_shared s;
    if (!DETNNI_HAS(WORKERS) || tasks < 2) {
        work(job, 0);
        return;
    }
    s.work = work;
    s.job = job;
    net->desc.parallel_for(net->desc.parallel_user, detnni_shared_task, &s, tasks);
    (void)detnni_fp_enter(); /* the caller's code may have left another mode */
}

/* How many tasks for so many operations (fmas of a product; other elements cost DETNNI_ELEMENT of them) that can be cut
 * into so many pieces. */
static size_t detnni_tasks(const detnn_net *net, size_t workers, double operations, size_t pieces)
{
    const double worth = operations / (double)(net->desc.task_work ? net->desc.task_work : 1);
    if (!DETNNI_HAS(WORKERS) || workers < 2 || !(worth >= 2.0)) return 1;
    if (worth < (double)workers) workers = (size_t)worth;
    return detnni_min(workers, pieces ? pieces : 1);
}
#define DETNNI_ELEMENT 16.0

/* Where task i of so many begins in n things, of which `unit` stay together. */
static size_t detnni_cut(size_t n, size_t unit, size_t tasks, size_t i)
{
    size_t pieces;
    if (!DETNNI_HAS(WORKERS) || tasks < 2) return i ? n : 0;
    pieces = n / unit + (n % unit != 0);
    return detnni_min(n, (pieces / tasks * i + detnni_min(pieces % tasks, i)) * unit);
}

/* ==== 16. Layers forward and backward =================================================================== */

/* Who computes: so many workers with scratch [room] each (null: a little slower). */
typedef struct detnni_crew {
    size_t workers;
    float *scratch;
} detnni_crew;

static detnni_crew detnni_own_crew(const detnn_net *net)
{
    detnni_crew c;
    c.workers = net->desc.workers;
    c.scratch = net->scratch;
    return c;
}

/* y = activation(z), row by row for softmax; y may be z. */
static void detnni_activate_rows(const detnn_net *net, const detnni_layer *l, const float *z, size_t rows, float *y)
{
    const size_t n = l->outputs;
    float max[DETNNI_LANES], sum[DETNNI_LANES];
    size_t m;
    if (l->d.activation != DETNN_SOFTMAX) DETNNI_KERNELS(net)->activate(l->d.activation, l->d.alpha, z, rows * n, y);
    else
        for (m = 0; m < rows; m += DETNNI_LANES)
            DETNNI_KERNELS(net)->softmax(z + m * n, detnni_min(DETNNI_LANES, rows - m), n, y + m * n, max, sum);
}

/* Columns [from, to) of z [rows][cols] = x kernel + bias (or null), apart from x, with weights that are fetched in
 * blocks: the chains of C2, continued from block to block. */
static void detnni_dense_fetched(const detnn_net *net, const detnni_slot *kernel, const detnni_slot *bias,
                                 const float *x, size_t rows, size_t from, size_t to, float *z)
{
    enum { DEPTH = 8, WIDTH = 32 };
    const size_t in = kernel->rows, out = kernel->cols;
    float w[DEPTH * WIDTH], b[WIDTH], part[WIDTH];
    size_t n, k, j, m, depth, width;
    for (n = from; n < to; n += width) {
        width = detnni_min(WIDTH, to - n);
        if (bias) detnni_fetch(net, bias, n, width, b);
        for (k = 0; k < in; k += depth) {
            depth = detnni_min(DEPTH, in - k);
            for (j = 0; j < depth; j++) detnni_fetch(net, kernel, (k + j) * out + n, width, w + j * width);
            for (m = 0; m < rows; m++) {
                const detnni_dense p = detnni_dense_of(1, depth, width, width, 0, 0);
                float *acc = z + m * out + n;
                DETNNI_KERNELS(net)->forward(&p, x + m * in + k, w, k ? acc : bias ? b : 0, part);
                DETNNI_COPY(acc, part, width * sizeof(float));
            }
        }
    }
}

static void detnni_dense_packed(const detnn_net *net, const detnni_layer *l, const detnni_dense *p, const float *x,
                                float *z)
{
    detnni_slot kernel, bias;
    DETNNI_ZERO(&kernel, sizeof kernel);
    kernel.tensor = DETNN_KERNEL;
    kernel.layer = (size_t)(l - net->layers);
    kernel.rows = l->inputs;
    kernel.cols = l->outputs;
    bias = kernel;
    bias.tensor = DETNN_BIAS;
    bias.rows = 1;
    kernel.at = l->kernel;
    bias.at = l->bias;
    detnni_dense_fetched(net, &kernel, l->bias_size ? &bias : 0, x, p->rows, p->from, p->to, z);
}

/* The product of a dense layer, without the activation. */
static void detnni_dense_forward(const detnn_net *net, const detnni_layer *l, const detnni_dense *p, const float *x,
                                 float *z)
{
    if (DETNNI_HAS(PACKED) && net->desc.packed) detnni_dense_packed(net, l, p, x, z);
    else DETNNI_KERNELS(net)->forward(p, x, net->weights + l->kernel, l->bias_size ? net->weights + l->bias : 0, z);
}

/* A layer on its way forward: x [rows][inputs] -> y [rows][outputs]; z may be y and gets dense's input to the
 * activation; activate = 0 leaves the activation out. Shared out by columns of a product that has many, else rows. */
typedef struct detnni_forward_job {
    const detnn_net *net;
    const detnni_layer *l;
    const float *x;
    float *z, *y, *scratch; /* of all workers, or null */
    size_t rows, first;     /* first: the number of x's first row in the batch, for dropout (only training calls it) */
    int activate, columns;
    size_t tasks;
} detnni_forward_job;

static void detnni_forward_part(const detnni_forward_job *f, size_t row, size_t rows, float *scratch)
{
    const detnn_net *net = f->net;
    const detnni_layer *l = f->l;
    const size_t in = l->inputs, out = l->outputs;
    const float *x = f->x + row * in;
    float *z = f->z + row * out, *y = f->y + row * out;
    size_t m, j;
    if (l->d.kind == DETNN_LAYER_DENSE) {
        const detnni_dense p = detnni_dense_of(rows, in, out, out, scratch, net->room);
        detnni_dense_forward(net, l, &p, x, z);
        if (f->activate) detnni_activate_rows(net, l, z, rows, y);
    } else if (l->d.kind == DETNN_LAYER_ACTIVATION) {
        detnni_activate_rows(net, l, x, rows, y);
    } else if (DETNNI_HAS(STANDARDIZE) && l->d.kind == DETNN_LAYER_STANDARDIZE) {
        const float *mean = net->weights + l->kernel, *deviation = net->weights + l->bias;
        for (m = 0; m < rows; m++)
            for (j = 0; j < in; j++) y[m * in + j] = (x[m * in + j] - mean[j]) / deviation[j];
    } else if (DETNNI_HAS(DROPOUT) && l->d.kind == DETNN_LAYER_DROPOUT) {
        DETNNI_KERNELS(net)->dropout(l->d.rate, net->desc.seed, net->state->step, (uint32_t)(l - net->layers),
                                     ((uint64_t)f->first + row) * out, x, rows * out, y);
    }
}

static void detnni_forward_task(void *arg, size_t i)
{
    const detnni_forward_job *f = (const detnni_forward_job *)arg;
    const detnn_net *net = f->net;
    const detnni_layer *l = f->l;
    const size_t row = detnni_cut(f->rows, 1, f->tasks, i), out = l->outputs;
    float *scratch = f->scratch ? f->scratch + i * net->room : 0;
    detnni_dense p = detnni_dense_of(f->rows, l->inputs, out, 0, scratch, net->room);
    size_t m;
    if (!f->columns) {
        detnni_forward_part(f, row, detnni_cut(f->rows, 1, f->tasks, i + 1) - row, scratch);
        return;
    }
    p.from = detnni_cut(out, 16, f->tasks, i);
    p.to = detnni_cut(out, 16, f->tasks, i + 1);
    detnni_dense_forward(net, l, &p, f->x, f->z);
    for (m = 0; f->activate && m < f->rows; m++)
        DETNNI_KERNELS(net)->activate(l->d.activation, l->d.alpha, f->z + m * out + p.from, p.to - p.from,
                                      f->y + m * out + p.from);
}

/* f, whose columns and tasks are found here, by so many workers. */
static void detnni_layer_forward(detnni_forward_job *f, size_t workers)
{
    const detnni_layer *l = f->l;
    const int dense = l->d.kind == DETNN_LAYER_DENSE, softmax = f->activate && l->d.activation == DETNN_SOFTMAX;
    const double width = dense ? (double)l->inputs : DETNNI_ELEMENT;
    if (DETNNI_HAS(WORKERS) && workers > 1) {
        f->columns = dense && !softmax && l->outputs / 32 >= workers;
        f->tasks = detnni_tasks(f->net, workers, (double)f->rows * (double)l->outputs * width,
                                f->columns ? l->outputs / 16 : f->rows);
        if (f->tasks > 1) {
            detnni_share(f->net, f->tasks, detnni_forward_task, f);
            return;
        }
    }
    detnni_forward_part(f, 0, f->rows, f->scratch);
}

/* Prediction: x [rows][inputs] through all layers, dropout passed by, between the buffers a and b [rows][width].
 * Returns where the outputs are: y where it is not null and something was computed, else a buffer or x.
 * raw: without the last activation where the loss takes its input. */
static const float *detnni_infer(const detnn_net *net, const detnni_crew *crew, const float *x, size_t rows, float *y,
                                 float *a, float *b, int raw)
{
    size_t i, last = net->desc.layer_count;
    detnni_forward_job f;
    f.net = net;
    f.scratch = crew->scratch;
    f.rows = rows;
    f.first = 0;
    while (last > 0 && net->layers[last - 1].d.kind == DETNN_LAYER_DROPOUT) last--;
    for (i = 0; i < last; i++) {
        const detnni_layer *l = &net->layers[i];
        int skip = raw && net->raw && i + 1 == last;
        if (l->d.kind == DETNN_LAYER_DROPOUT || (skip && l->d.kind == DETNN_LAYER_ACTIVATION)) continue;
        f.l = l;
        f.x = x;
        f.z = f.y = y && i + 1 == last ? y : x == a ? b : a;
        f.activate = !skip;
        detnni_layer_forward(&f, crew->workers);
        x = f.y;
    }
    return x;
}

/* Training: x [rows][inputs], the rows from `first` on of the step's batch; every layer keeps its outputs.
 * Returns the last layer's outputs, with raw as above. */
static const float *detnni_forward_rows(detnn_net *net, const float *x, size_t rows, size_t first, int raw)
{
    size_t i, n = net->desc.layer_count;
    detnni_forward_job f;
    f.net = net;
    f.scratch = net->scratch;
    f.rows = rows;
    f.first = first;
    detnni_trace_rows(net, 0, x, rows, net->inputs, first);
    for (i = 0; i < n; i++) {
        const detnni_layer *l = &net->layers[i];
        int skip = raw && net->raw && i + 1 == n;
        f.l = l;
        f.x = x;
        f.z = l->z && !skip ? l->z : l->y;
        f.y = l->y;
        f.activate = !skip;
        if (skip && l->d.kind == DETNN_LAYER_ACTIVATION) DETNNI_COPY(l->y, x, rows * l->outputs * sizeof(float));
        else detnni_layer_forward(&f, net->desc.workers);
        x = l->y;
        detnni_trace_rows(net, 1 + i, x, rows, l->outputs, first);
    }
    return x;
}

/* d [rows][outputs], the gradient for the activation's output y, becomes that for its input z. */
static void detnni_activate_back_rows(const detnn_net *net, const detnni_layer *l, const float *z, const float *y,
                                      size_t rows, float *d)
{
    size_t m, j, n = l->outputs;
    if (l->d.activation != DETNN_SOFTMAX) {
        DETNNI_KERNELS(net)->activate_back(l->d.activation, l->d.alpha, z, y, rows * n, d);
        return;
    }
    for (m = 0; m < rows; m++) {
        const float *p = y + m * n;
        float *row = d + m * n, s = DETNNI_KERNELS(net)->dot(p, row, n);
        for (j = 0; j < n; j++) row[j] = p[j] * (row[j] - s);
    }
}

/* A layer on its way back: first what is done to each element of d, by rows; then the products. */
typedef struct detnni_backward_job {
    const detnn_net *net;
    const detnni_layer *l;
    const float *z, *x;   /* inputs of the activation, of the product */
    float *d, *g, *other; /* gradient for the outputs; for the weights; for the inputs: the last two may be null */
    size_t rows, tasks;
    uint64_t first;
    int activation;
} detnni_backward_job;

static void detnni_elements_task(void *arg, size_t i)
{
    const detnni_backward_job *b = (const detnni_backward_job *)arg;
    const detnn_net *net = b->net;
    const detnni_layer *l = b->l;
    const size_t n = l->outputs, row = detnni_cut(b->rows, 1, b->tasks, i);
    const size_t rows = detnni_cut(b->rows, 1, b->tasks, i + 1) - row;
    float *d = b->d + row * n;
    size_t m, j;
    if (b->activation) detnni_activate_back_rows(net, l, b->z ? b->z + row * n : 0, l->y + row * n, rows, d);
    if (DETNNI_HAS(DROPOUT) && l->d.kind == DETNN_LAYER_DROPOUT)
        DETNNI_KERNELS(net)->dropout(l->d.rate, net->desc.seed, net->state->step, (uint32_t)(l - net->layers),
                        (b->first + row) * n, d, rows * n, d);
    if (DETNNI_HAS(STANDARDIZE) && l->d.kind == DETNN_LAYER_STANDARDIZE)
        for (m = 0; m < rows; m++)
            for (j = 0; j < n; j++) d[m * n + j] = d[m * n + j] / net->weights[l->bias + j];
}

static void detnni_gradients_task(void *arg, size_t i)
{
    const detnni_backward_job *b = (const detnni_backward_job *)arg;
    const detnn_net *net = b->net;
    const detnni_layer *l = b->l;
    detnni_dense p = detnni_dense_of(b->rows, l->inputs, l->outputs, 0, net->scratch + i * net->room, net->room);
    p.from = detnni_cut(l->inputs, 16, b->tasks, i);
    p.to = detnni_cut(l->inputs, 16, b->tasks, i + 1);
    if (b->g)
        DETNNI_KERNELS(net)->weight_gradient(&p, b->x, b->d, b->g + l->kernel,
                                             l->bias_size && i == 0 ? b->g + l->bias : 0);
    if (b->other) DETNNI_KERNELS(net)->input_gradient(&p, b->d, net->weights + l->kernel, b->other);
}

/* A bound on the layer's gradients, infinite or NaN where none is known: twice rows * |x| * |d| (the bias's x is 1) or
 * their own largest, whichever is read sooner. */
static float detnni_bound(const detnni_backward_job *b)
{
    const detnni_kernels *k = DETNNI_KERNELS(b->net);
    const size_t in = b->l->inputs, out = b->l->outputs;
    uint32_t x;
    if ((double)b->rows * (double)(in + out) >= (double)in * (double)out)
        return 2.0f * detnni_float(k->magnitude(b->g + b->l->kernel, b->l->kernel_size + b->l->bias_size));
    x = k->magnitude(b->x, b->rows * in);
    if (x < 0x3f800000) x = 0x3f800000;
    return 2.0f * (float)b->rows * detnni_float(x) * detnni_float(k->magnitude(b->d, b->rows * out));
}

/* net->a holds the gradient for the outputs (raw: for the last activation's input) of rows that
 * detnni_forward_rows saw. Writes the gradients of all trainable tensors to g, and that for x to dx where
 * it is not null. Adds a bound on all in g to *bound, where that is not null. */
static void detnni_backward_rows(detnn_net *net, size_t rows, size_t first, int raw, float *g, float *dx, float *bound)
{
    size_t n = net->desc.layer_count, lowest = 0, i;
    float *d = net->a, *other = net->b, *t;
    detnni_backward_job b;
    b.net = net;
    b.rows = rows;
    b.first = first;
    while (lowest < n && !detnni_trainable(&net->layers[lowest])) lowest++;
    detnni_trace_rows(net, 1 + n, d, rows, net->outputs, first);
    for (i = n; i-- > 0 && (dx || i >= lowest);) {
        const detnni_layer *l = &net->layers[i];
        const int dense = l->d.kind == DETNN_LAYER_DENSE, wanted = dx || i > lowest;
        const double size = (double)rows * (double)l->outputs;
        b.l = l;
        b.x = i ? net->layers[i - 1].y : net->forward_x;
        b.z = dense ? l->z : b.x;
        b.d = d;
        b.activation = (dense || l->d.kind == DETNN_LAYER_ACTIVATION) && !(raw && net->raw && i + 1 == n);
        b.tasks = detnni_tasks(net, net->desc.workers, size * DETNNI_ELEMENT, rows);
        detnni_share(net, b.tasks, detnni_elements_task, &b);
        if (dense) {
            b.g = detnni_trainable(l) ? g : 0;
            b.other = wanted ? other : 0;
            b.tasks = detnni_tasks(net, net->desc.workers, size * (double)l->inputs * (b.g && wanted ? 2.0 : 1.0),
                                   l->inputs / 16);
            detnni_share(net, b.tasks, detnni_gradients_task, &b);
            if (b.g && bound) *bound += detnni_bound(&b);
        }
        if (!wanted) break;
        if (dense) { t = d; d = other; other = t; }
        detnni_trace_rows(net, 2 + n + i, d, rows, l->inputs, first);
    }
    if (dx) DETNNI_COPY(dx, d, rows * net->inputs * sizeof(float));
}

/* ---- The tree over the parts of a step (C3): nodes are whole sets of gradients ---- */

static float *detnni_node(const detnn_net *net, int i) { return net->gradients + (size_t)i * net->parameters; }

/* The part's gradients were written to node net->nodes. */
static void detnni_part_done(detnn_net *net, size_t rows)
{
    size_t c;
    if (!net->parts) net->part_rows = rows;
    net->nodes++;
    for (c = net->parts++; c & 1; c >>= 1) {
        net->nodes--;
        DETNNI_KERNELS(net)->add(detnni_node(net, net->nodes), net->parameters, detnni_node(net, net->nodes - 1));
    }
    net->rows_done += rows;
}

static void detnni_parts_join(detnn_net *net)
{
    for (; net->nodes > 1; net->nodes--)
        DETNNI_KERNELS(net)->add(detnni_node(net, net->nodes - 1), net->parameters, detnni_node(net, net->nodes - 2));
}

/* ==== 17. Losses and metrics ============================================================================ */

/* Rows of data in arrays: the caller's or the net's own batch. */
typedef struct detnni_rows {
    const float *x, *targets, *weights;
    const uint32_t *labels;
} detnni_rows;

/* Sums over samples that go on from part to part. */
typedef struct detnni_score {
    detnni_batch_sum loss, error;
    uint64_t correct;
    size_t rows, bad; /* bad: the first row whose loss is not finite, counted from 1 */
} detnni_score;

static void detnni_score_start(detnni_score *s)
{
    DETNNI_ZERO(s, sizeof *s);
    detnni_batch_sum_start(&s->loss);
    detnni_batch_sum_start(&s->error);
}

/* Target j of a sample: given, or of its label: the label itself where there is one output, else one-hot. */
static float detnni_target(const float *target, uint32_t label, size_t n, size_t j)
{
    return target ? target[j] : n == 1 ? (float)label : j == label ? 1.0f : 0.0f;
}

/* Cross-entropy of one row (C9) from logits z, their softmax p, max and log(sum); d gets the gradient times c where it
 * is not null. row: [2][n]. */
static float detnni_cross_entropy(const detnn_net *net, const float *z, size_t n, const float *target, uint32_t label,
                                  float c, const float *p, float max, float log_sum, float *row, float *d)
{
    const float eps = net->desc.label_smoothing;
    float *t = row, *v = row + n;
    size_t j;
    if (!target && !(eps > 0.0f)) {
        if (d) {
            for (j = 0; j < n; j++) d[j] = p[j] * c;
            d[label] = (p[label] - 1.0f) * c;
        }
        return log_sum - (z[label] - max);
    }
    for (j = 0; j < n; j++) {
        t[j] = target ? target[j] : j == label ? 1.0f : 0.0f;
        if (eps > 0.0f) t[j] = DETNNI_FMA_PLAIN(1.0f - eps, t[j], eps / (float)n);
        v[j] = t[j] == 0.0f ? 0.0f : log_sum - (z[j] - max);
        if (d) d[j] = (p[j] - t[j]) * c;
    }
    return DETNNI_KERNELS(net)->dot(t, v, n);
}

/* The other losses of one row. y: outputs, or logits for binary cross-entropy; label: where target is null. */
static float detnni_other_loss(const detnn_net *net, const float *y, size_t n, const float *target, uint32_t label,
                               float q, float *row, float *d)
{
    const float delta = net->desc.huber_delta;
    float *v = row, *e = row + n;
    size_t j;
    if (!DETNNI_HAS(LOSSES)) return 0.0f;
    switch (net->desc.loss) {
    case DETNN_BINARY_CROSS_ENTROPY:
        for (j = 0; j < n; j++) v[j] = -y[j];
        DETNNI_KERNELS(net)->exact[DETNNI_EXACT_softplus](v, n, v);
        DETNNI_KERNELS(net)->exact[DETNNI_EXACT_softplus](y, n, e);
        for (j = 0; j < n; j++) {
            float t = detnni_target(target, label, n, j);
            v[j] = DETNNI_FMA_PLAIN(t, v[j], (1.0f - t) * e[j]);
            if (d) d[j] = (detnn_sigmoid(y[j]) - t) * q;
        }
        return DETNNI_KERNELS(net)->sum(v, n) / (float)n;
    case DETNN_MEAN_SQUARED_ERROR:
        for (j = 0; j < n; j++) {
            v[j] = y[j] - detnni_target(target, label, n, j);
            if (d) d[j] = (v[j] + v[j]) * q;
        }
        return DETNNI_KERNELS(net)->dot(v, v, n) / (float)n;
    case DETNN_MEAN_ABSOLUTE_ERROR:
        for (j = 0; j < n; j++) {
            float r = y[j] - detnni_target(target, label, n, j);
            v[j] = detnni_float(detnni_float_bits(r) & 0x7fffffff);
            if (d) d[j] = r > 0.0f ? q : r < 0.0f ? -q : 0.0f;
        }
        return DETNNI_KERNELS(net)->sum(v, n) / (float)n;
    case DETNN_HUBER:
        for (j = 0; j < n; j++) {
            float r = y[j] - detnni_target(target, label, n, j), a = detnni_float(detnni_float_bits(r) & 0x7fffffff);
            v[j] = a <= delta ? (0.5f * r) * r : delta * (a - 0.5f * delta);
            if (d) d[j] = a <= delta ? r * q : r > 0.0f ? delta * q : -(delta * q);
        }
        return DETNNI_KERNELS(net)->sum(v, n) / (float)n;
    default: return 0.0f;
    }
}

/* Losses of rows, added to score; d [rows][outputs] gets their gradients times inv (null: none). out: the
 * net's outputs, or the last activation's input where net->raw. */
static void detnni_losses(const detnn_net *net, const detnni_rows *data, const float *out, size_t rows, float inv,
                          detnni_score *score, float *d)
{
    const size_t n = net->outputs;
    const int cross_entropy = net->desc.loss == DETNN_CROSS_ENTROPY;
    float max[DETNNI_LANES], log_sum[DETNNI_LANES], *row = net->row, *p = row + 2 * n;
    size_t m, j;
    for (m = 0; m < rows; m++) {
        const size_t i = m % DETNNI_LANES, some = detnni_min(DETNNI_LANES, rows - m);
        const float *z = out + m * n, *target = data->targets ? data->targets + m * n : 0;
        uint32_t label = data->labels ? data->labels[m] : 0;
        float weight = data->weights ? data->weights[m] : 1.0f, c = data->weights ? weight * inv : inv, loss;
        if (cross_entropy && i == 0) {
            DETNNI_KERNELS(net)->softmax(z, some, n, p, max, log_sum);
            DETNNI_KERNELS(net)->exact[DETNNI_EXACT_log](log_sum, some, log_sum);
        }
        if (cross_entropy) {
            loss = detnni_cross_entropy(net, z, n, target, label, c, p + i * n, max[i], log_sum[i], row,
                                        d ? d + m * n : 0);
            score->correct += detnn_argmax(z, n) == (target ? detnn_argmax(target, n) : label);
        } else {
            loss = detnni_other_loss(net, z, n, target, label, c / (float)n, row, d ? d + m * n : 0);
            if (net->desc.loss == DETNN_BINARY_CROSS_ENTROPY)
                for (j = 0; j < n; j++) score->correct += (z[j] > 0.0f) == (detnni_target(target, label, n, j) > 0.5f);
        }
        if (data->weights) loss = weight * loss;
        score->rows++;
        if (!score->bad && !detnni_finite(loss)) score->bad = score->rows;
        detnni_batch_sum_add(&score->loss, loss);
    }
}

/* Mean absolute error of rows on the net's outputs y, added to score. */
static void detnni_errors(const detnn_net *net, const detnni_rows *data, const float *y, size_t rows,
                          detnni_score *score)
{
    size_t n = net->outputs, m, j;
    for (m = 0; m < rows; m++) {
        for (j = 0; j < n; j++) {
            float t =
                detnni_target(data->targets ? data->targets + m * n : 0, data->labels ? data->labels[m] : 0, n, j);
            net->row[j] = detnni_float(detnni_float_bits(y[m * n + j] - t) & 0x7fffffff);
        }
        detnni_batch_sum_add(&score->error, DETNNI_KERNELS(net)->sum(net->row, n) / (float)n);
    }
}

static float detnni_accuracy(const detnn_net *net, uint64_t correct, uint64_t samples)
{
    uint64_t of = net->desc.loss == DETNN_CROSS_ENTROPY ? samples : samples * net->outputs;
    return (float)((double)correct / (double)of);
}

/* ==== 18. Optimizers and schedules ====================================================================== */

static double detnni_power(double b, uint64_t t)
{
    double r = 1.0;
    for (; t; t >>= 1) {
        if (t & 1) r = detnni_rounded(r, b);
        b = b * b;
    }
    return r;
}

/* floor(t * 2^23 / period), t < period, without a wider type */
static uint32_t detnni_cosine_phase(uint64_t t, uint64_t period)
{
    uint32_t k = 0;
    int i;
    for (i = 0; i < 23; i++) { /* long division, one bit at a time */
        int carry = (int)(t >> 63);
        t <<= 1;
        k <<= 1;
        if (carry || t >= period) { t -= period; k |= 1; }
    }
    return k;
}

/* The learning rate at step t (C10). */
static double detnni_rate(const detnn_optimizer *o, const detnn_schedule *s, uint64_t t)
{
    double rate = (double)o->learning_rate;
    if (!DETNNI_HAS(SCHEDULES)) return rate;
    if (t < s->warmup_steps) return rate * (double)(t + 1) / (double)s->warmup_steps;
    t -= s->warmup_steps;
    switch (s->kind) {
    case DETNN_SCHEDULE_STEP:        return rate * detnni_power((double)s->gamma, t / s->period);
    case DETNN_SCHEDULE_EXPONENTIAL: return rate * detnni_power((double)s->gamma, t);
    case DETNN_SCHEDULE_COSINE: {
        uint32_t k = t >= s->period ? 1u << 23 : detnni_cosine_phase(t, s->period);
        double cosine = (double)detnn_cos2pi((float)k * (1.0f / 16777216.0f)), final = (double)s->final;
        return final + detnni_rounded(rate - final, 0.5 * (1.0 + cosine));
    }
    default: return rate;
    }
}

DETNN_API float detnn_learning_rate(const detnn_optimizer *optimizer, const detnn_schedule *schedule, uint64_t t)
{
    return (float)detnni_rate(optimizer, schedule, t);
}

static detnni_update detnni_update_of(const detnn_optimizer *o, const detnn_schedule *s, uint64_t t)
{
    detnni_update u;
    double rate = detnni_rate(o, s, t);
    u.o = *o;
    u.rate = (float)rate;
    u.correction = 1.0f;
    u.keep = (float)(1.0 - detnni_rounded(rate, (double)o->weight_decay));
    if (DETNNI_HAS(ADAM) && (o->kind == DETNN_ADAM || o->kind == DETNN_ADAMW)) {
        u.rate = (float)(rate / (1.0 - detnni_power((double)o->beta1, t + 1)));
        u.correction = (float)(1.0 / detnni_sqrt64(1.0 - detnni_power((double)o->beta2, t + 1)));
    }
    return u;
}

DETNN_API detnn_result detnn_optimizer_update(const detnn_optimizer *optimizer, const detnn_schedule *schedule,
                                              uint64_t t, int decay, size_t n, const float *g, float *w, float *moment1,
                                              float *moment2, detnn_error *err)
{
    detnni_update u;
    detnn_result r;
    int moments;
    if (!optimizer || !schedule || (n && (!g || !w)))
        return detnni_fail(err, DETNN_ERROR_NULL, "detnn_optimizer_update: a pointer is null");
    r = detnni_check_optimizer(optimizer, err);
    if (!r) r = detnni_check_schedule(schedule, err);
    if (r) return r;
    moments = detnni_moments(optimizer);
    if (n && ((moments > 0 && !moment1) || (moments > 1 && !moment2)))
        return detnni_fail(err, DETNN_ERROR_NULL, "detnn_optimizer_update: this optimizer keeps %z moments",
                           (size_t)moments);
    u = detnni_update_of(optimizer, schedule, t);
    detnni_kernels_of(DETNN_ISA_AUTO)->update(&u, decay, n, g, w, moments > 0 ? moment1 : 0, moments > 1 ? moment2 : 0);
    return detnni_ok(err);
}

/* The trainable tensors, in the digest's order: number i, or 0 when there are no more. */
typedef struct detnni_tensor {
    size_t layer, at, n;
    int kernel;
} detnni_tensor;

static int detnni_next_tensor(const detnn_net *net, detnni_tensor *t)
{
    for (;;) {
        const detnni_layer *l;
        if (t->n && t->kernel) {
            t->kernel = 0;
        } else {
            t->layer = t->n ? t->layer + 1 : 0;
            t->kernel = 1;
            t->n = 1;
        }
        if (t->layer >= net->desc.layer_count) return 0;
        l = &net->layers[t->layer];
        if (!detnni_trainable(l)) { t->kernel = 0; continue; }
        if (!t->kernel && !l->bias_size) continue;
        t->at = t->kernel ? l->kernel : l->bias;
        t->n = t->kernel ? l->kernel_size : l->bias_size;
        return 1;
    }
}

static const char *detnni_tensor_name(const detnni_tensor *t)
{
    return detnni_tensor_names[t->kernel ? DETNN_KERNEL : DETNN_BIAS];
}

/* The first element that is not finite. */
static size_t detnni_bad(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && detnni_finite(x[i])) i++;
    return i;
}

static float *detnni_at(float *values, size_t at) { return values ? values + at : 0; }

/* Would the update write anything that is not finite? Tries it on copies. */
static detnn_result detnni_try_update(const detnn_net *net, const detnni_update *u, detnn_error *err)
{
    detnni_tensor t;
    DETNNI_ZERO(&t, sizeof t);
    while (detnni_next_tensor(net, &t)) {
        size_t i, m;
        for (i = 0; i < t.n; i += m) {
            float g[64], w[64], m1[64], m2[64];
            size_t at = t.at + i, bytes;
            m = detnni_min(64, t.n - i);
            bytes = m * sizeof(float);
            DETNNI_COPY(g, net->gradients + at, bytes);
            DETNNI_COPY(w, net->weights + at, bytes);
            if (net->moment1) DETNNI_COPY(m1, net->moment1 + at, bytes);
            if (net->moment2) DETNNI_COPY(m2, net->moment2 + at, bytes);
            if (DETNNI_KERNELS(net)->update(u, t.kernel, m, g, w, net->moment1 ? m1 : 0, net->moment2 ? m2 : 0)
                >= 0x7f800000) {
                size_t bad = detnni_bad(w, m);
                return detnni_fail(err, DETNN_ERROR_NONFINITE,
                                   "epoch %l, step %l: the update makes %s of layer %z (%s), element %z or after, "
                                   "infinite or NaN; it was not made",
                                   net->state->epoch, net->state->step, bad < m ? "a weight" : "a moment", t.layer,
                                   detnni_tensor_name(&t), i + (bad < m ? bad : 0));
            }
        }
    }
    return DETNN_OK;
}

/* Work on all trainable tensors, a slice of each for a task. What is largest among the values seen or written: its bits
 * without sign, from 0x7f800000 on where something is not finite. */
typedef enum detnni_slices_kind { DETNNI_LARGEST, DETNNI_CLIP, DETNNI_SCALE, DETNNI_UPDATE } detnni_slices_kind;
typedef struct detnni_slices {
    detnn_net *net;
    detnni_slices_kind kind;
    float by; /* the bound for CLIP, the factor for SCALE */
    const detnni_update *u;
    size_t tasks;
    uint32_t largest[DETNN_WORKERS_MAX];
} detnni_slices;

static void detnni_slices_task(void *arg, size_t task)
{
    detnni_slices *s = (detnni_slices *)arg;
    const detnn_net *net = s->net;
    uint32_t largest = 0;
    detnni_tensor t;
    size_t i;
    DETNNI_ZERO(&t, sizeof t);
    while (detnni_next_tensor(net, &t)) {
        const size_t from = detnni_cut(t.n, 64, s->tasks, task), n = detnni_cut(t.n, 64, s->tasks, task + 1) - from;
        const size_t at = t.at + from;
        float *g = net->gradients + at, c = s->by;
        uint32_t m = 0;
        switch (s->kind) {
        case DETNNI_LARGEST: m = DETNNI_KERNELS(net)->magnitude(g, n); break;
        case DETNNI_CLIP:    for (i = 0; i < n; i++) g[i] = g[i] < -c ? -c : g[i] > c ? c : g[i]; break;
        case DETNNI_SCALE:   for (i = 0; i < n; i++) g[i] = g[i] * c; break;
        case DETNNI_UPDATE:
            m = DETNNI_KERNELS(net)->update(s->u, t.kernel, n, g, net->own_weights + at, detnni_at(net->moment1, at),
                               detnni_at(net->moment2, at));
            break;
        default: break;
        }
        if (m > largest) largest = m;
    }
    s->largest[task] = largest;
}

static uint32_t detnni_slices_of(detnn_net *net, detnni_slices_kind kind, float by, const detnni_update *u)
{
    detnni_slices s;
    uint32_t largest = 0;
    size_t i;
    s.net = net;
    s.kind = kind;
    s.by = by;
    s.u = u;
    s.tasks = detnni_tasks(net, net->desc.workers, (double)net->parameters * DETNNI_ELEMENT, net->parameters / 64);
    detnni_share(net, s.tasks, detnni_slices_task, &s);
    for (i = 0; i < s.tasks; i++) if (s.largest[i] > largest) largest = s.largest[i];
    return largest;
}

/* Applies the gathered gradients, at most `bound` (infinite, NaN: not known); on an error nothing but the gradients has
 * changed. */
static detnn_result detnni_apply(detnn_net *net, float bound, detnn_error *err)
{
    const detnni_kernels *k = DETNNI_KERNELS(net);
    detnni_state *state = net->state;
    detnn_optimizer o = net->desc.optimizer;
    const uint32_t safe = 0x4e800000; /* 2^30 */
    const float ordinary = 1024.0f;
    uint32_t largest = detnni_float_bits(bound);
    detnni_update u;
    detnni_tensor t;
    DETNNI_ZERO(&t, sizeof t);
    detnni_parts_join(net);
    net->failed = 1; /* until it is done: a second try would clip twice */
    detnni_trace_tensors(net, net->gradients, ".gradient");
    if (!(largest < safe)) largest = detnni_slices_of(net, DETNNI_LARGEST, 0.0f, 0);
    while (largest >= 0x7f800000 && detnni_next_tensor(net, &t)) {
        const float *g = net->gradients + t.at;
        const size_t bad = detnni_bad(g, t.n);
        if (bad < t.n)
            return detnni_fail(err, DETNN_ERROR_NONFINITE,
                               "epoch %l, step %l: the gradient of layer %z (%s), element %z, is %g", state->epoch,
                               state->step, t.layer, detnni_tensor_name(&t), bad, (double)g[bad]);
    }
    o.learning_rate = state->learning_rate;
    if (DETNNI_HAS(CLIPPING) && o.clip_value > 0.0f) (void)detnni_slices_of(net, DETNNI_CLIP, o.clip_value, 0);
    if (DETNNI_HAS(CLIPPING) && o.clip_norm > 0.0f) {
        detnni_tree tree;
        float norm;
        detnni_tree_start(&tree);
        for (DETNNI_ZERO(&t, sizeof t); detnni_next_tensor(net, &t);)
            detnni_tree_add(&tree, k->dot(net->gradients + t.at, net->gradients + t.at, t.n));
        norm = detnni_sqrt(detnni_tree_sum(&tree));
        if (!detnni_finite(norm))
            return detnni_fail(err, DETNN_ERROR_NONFINITE, "epoch %l, step %l: the norm of the gradients overflows",
                               state->epoch, state->step);
        if (norm > o.clip_norm) (void)detnni_slices_of(net, DETNNI_SCALE, o.clip_norm / norm, 0);
    }
    u = detnni_update_of(&o, &net->desc.schedule, state->step);
    /* Below these bounds no operation of an update can overflow (2^115 is the most that Adam reaches). */
    if (!(largest < safe && net->magnitude < safe &&
          (float)detnni_rate(&o, &net->desc.schedule, state->step) < ordinary && o.weight_decay < ordinary &&
          o.epsilon > 1.0f / (1024.0f * 1024.0f * 1024.0f * 1024.0f))) {
        detnn_result r = detnni_try_update(net, &u, err);
        if (r) return r;
    }
    net->magnitude = detnni_slices_of(net, DETNNI_UPDATE, 0.0f, &u);
    detnni_trace_tensors(net, net->own_weights, "");
    state->step++;
    detnn_clear_gradients(net);
    return DETNN_OK;
}

/* ==== 19. Training, evaluation, prediction ============================================================== */

DETNN_API detnn_schedule detnn_schedule_default(void)
{
    detnn_schedule s;
    DETNNI_ZERO(&s, sizeof s);
    s.period = 1;
    s.gamma = 1.0f;
    return s;
}

static detnn_optimizer detnni_optimizer_of(detnn_optimizer_kind kind, float learning_rate)
{
    detnn_optimizer o;
    DETNNI_ZERO(&o, sizeof o);
    o.kind = kind;
    o.learning_rate = learning_rate;
    o.beta1 = detnni_float(0x3f666666);
    o.beta2 = detnni_float(0x3f7fbe77);
    o.rho = detnni_float(0x3f666666);
    o.epsilon = detnni_float(kind == DETNN_RMSPROP ? 0x33d6bf95 : 0x322bcc77);
    return o;
}

DETNN_API detnn_optimizer detnn_sgd(float learning_rate) { return detnni_optimizer_of(DETNN_SGD, learning_rate); }
DETNN_API detnn_optimizer detnn_sgd_momentum(float learning_rate, float momentum, int nesterov)
{
    detnn_optimizer o = detnni_optimizer_of(DETNN_SGD, learning_rate);
    o.momentum = momentum;
    o.nesterov = nesterov;
    return o;
}
DETNN_API detnn_optimizer detnn_adam(float learning_rate) { return detnni_optimizer_of(DETNN_ADAM, learning_rate); }
DETNN_API detnn_optimizer detnn_adamw(float learning_rate, float weight_decay)
{
    detnn_optimizer o = detnni_optimizer_of(DETNN_ADAMW, learning_rate);
    o.weight_decay = weight_decay;
    return o;
}
DETNN_API detnn_optimizer detnn_rmsprop(float learning_rate)
{
    return detnni_optimizer_of(DETNN_RMSPROP, learning_rate);
}

DETNN_API detnn_net_desc detnn_net_desc_default(void)
{
    detnn_net_desc d;
    DETNNI_ZERO(&d, sizeof d);
    d.loss = DETNN_CROSS_ENTROPY;
    d.huber_delta = 1.0f;
    d.optimizer = detnn_adam(0.001f);
    d.schedule = detnn_schedule_default();
    d.batch_max = 256;
    d.parts_max = 1;
    d.isa = DETNN_ISA_AUTO;
    d.workers = 1;
    d.task_work = 250000;
    return d;
}

DETNN_API detnn_data detnn_data_default(void)
{
    detnn_data d;
    DETNNI_ZERO(&d, sizeof d);
    return d;
}

DETNN_API detnn_fit_desc detnn_fit_desc_default(void)
{
    detnn_fit_desc f;
    DETNNI_ZERO(&f, sizeof f);
    f.epochs = 1;
    f.batch_size = 32;
    f.shuffle = 1;
    return f;
}

/* ---- Data ---- */

/* One value in the sentences about bad data. */
static detnn_result detnni_bad_value(detnn_error *err, const char *what, uint64_t sample, size_t element, float value,
                                     const char *wanted)
{
    return detnni_fail(err, DETNN_ERROR_DATA, "sample %l: %s[%z] is %g, which is not %s", sample, what, element,
                       (double)value, wanted);
}

/* Checks one sample's values (each may be null). */
static detnn_result detnni_check_sample(const detnn_net *net, uint64_t sample, const float *x, const float *target,
                                        const uint32_t *label, const float *weight, detnn_error *err)
{
    size_t j;
    if (DETNNI_KERNELS(net)->magnitude(x, net->inputs) >= 0x7f800000) {
        j = detnni_bad(x, net->inputs);
        return detnni_bad_value(err, "x", sample, j, x[j], "finite");
    }
    if (target)
        for (j = 0; j < net->outputs; j++) {
            if (!detnni_finite(target[j])) return detnni_bad_value(err, "target", sample, j, target[j], "finite");
            if (net->desc.loss == DETNN_CROSS_ENTROPY && target[j] < 0.0f)
                return detnni_bad_value(err, "target", sample, j, target[j], "0 or more (cross_entropy)");
            if (net->desc.loss == DETNN_BINARY_CROSS_ENTROPY && !(target[j] >= 0.0f && target[j] <= 1.0f))
                return detnni_bad_value(err, "target", sample, j, target[j], "in [0, 1] (binary_cross_entropy)");
        }
    if (label) {
        int regression = net->outputs == 1 && net->desc.loss > DETNN_BINARY_CROSS_ENTROPY; /* the label is a number */
        size_t classes = net->outputs > 1 || net->desc.loss == DETNN_CROSS_ENTROPY ? net->outputs : 2;
        if (regression) classes = UINT32_MAX;
        if (*label >= classes)
            return detnni_fail(err, DETNN_ERROR_DATA, "sample %l: label %z is not below %z, the number of classes",
                               sample, (size_t)*label, classes);
    }
    if (weight && !(*weight >= 0.0f && detnni_finite(*weight)))
        return detnni_fail(err, DETNN_ERROR_DATA, "sample %l: weight %g is not 0 or more and finite", sample,
                           (double)*weight);
    return DETNN_OK;
}

/* Checks what data offers, and every sample of arrays. targets = 0: inputs are enough. */
static detnn_result detnni_check_data(const detnn_net *net, const detnn_data *data, int targets, detnn_error *err)
{
    int overflow = 0;
    size_t i;
    if (!data) return detnni_fail(err, DETNN_ERROR_NULL, "data is null");
    if (!data->count) return detnni_fail(err, DETNN_ERROR_SIZE, "data.count is 0");
    if (data->inputs && data->inputs != net->inputs)
        return detnni_fail(err, DETNN_ERROR_SHAPE, "data.inputs is %z, the net has %z inputs", data->inputs,
                           net->inputs);
    if (data->outputs && data->outputs != net->outputs)
        return detnni_fail(err, DETNN_ERROR_SHAPE, "data.outputs is %z, the net has %z outputs", data->outputs,
                           net->outputs);
    if (data->get) {
        if (!net->batch_x)
            return detnni_fail(err, DETNN_ERROR_STATE, "a net made with desc.predict_only has no room for data.get");
        if (net->forward_rows)
            return detnni_fail(err, DETNN_ERROR_STATE,
                               "data.get needs the room that a forward without its backward holds");
        if (data->x || data->labels || data->targets || data->weights)
            return detnni_fail(err, DETNN_ERROR_VALUE, "data has both arrays and get: give one of them");
    } else {
        if (!data->x) return detnni_fail(err, DETNN_ERROR_NULL, "data.x is null, and there is no data.get");
        if (targets && !data->labels && !data->targets)
            return detnni_fail(err, DETNN_ERROR_NULL, "data has neither labels nor targets");
        if (data->labels && data->targets)
            return detnni_fail(err, DETNN_ERROR_VALUE, "data has both labels and targets: give one of them");
        (void)detnni_product(detnni_product(data->count, sizeof(float), &overflow), net->width, &overflow);
        if (overflow)
            return detnni_fail(err, DETNN_ERROR_SIZE, "data.count %z times %z values do not fit an address",
                               data->count, net->width);
    }
    for (i = 0; !data->get && i < data->count; i++) {
        detnn_result r = detnni_check_sample(
            net, i, data->x + i * net->inputs, targets && data->targets ? data->targets + i * net->outputs : 0,
            targets && data->labels ? data->labels + i : 0, data->weights ? data->weights + i : 0, err);
        if (r) return r;
    }
    return DETNN_OK;
}

typedef struct detnni_gather_job {
    const detnn_net *net;
    const detnn_data *data; /* arrays */
    const detnni_order *order;
    uint64_t first;
    size_t rows, tasks;
} detnni_gather_job;

static void detnni_gather_task(void *arg, size_t task)
{
    const detnni_gather_job *g = (const detnni_gather_job *)arg;
    const detnn_net *net = g->net;
    const detnn_data *data = g->data;
    const size_t in = net->inputs, n = net->outputs, end = detnni_cut(g->rows, 1, g->tasks, task + 1);
    size_t m;
    for (m = detnni_cut(g->rows, 1, g->tasks, task); m < end; m++) {
        const size_t i = (size_t)(g->order ? detnni_order_at(g->order, g->first + m) : g->first + m);
        DETNNI_COPY(net->batch_x + m * in, data->x + i * in, in * sizeof(float));
        if (data->targets) DETNNI_COPY(net->batch_targets + m * n, data->targets + i * n, n * sizeof(float));
        if (data->labels) net->batch_labels[m] = data->labels[i];
        if (data->weights) net->batch_weights[m] = data->weights[i];
    }
}

/* Rows for the samples at places first .. first + rows - 1 (of order, null: as they lie): in place where
 * they lie together, else gathered into the net's batch. */
static detnn_result detnni_gather(detnn_net *net, const detnn_data *data, const detnni_order *order, uint64_t first,
                                  size_t rows, int training, detnni_rows *out, detnn_error *err)
{
    size_t m, in = net->inputs, n = net->outputs;
    if (!data->get && !order) {
        out->x = data->x + first * in;
        out->targets = data->targets ? data->targets + first * n : 0;
        out->labels = data->labels ? data->labels + first : 0;
        out->weights = data->weights ? data->weights + first : 0;
        return DETNN_OK;
    }
    out->x = net->batch_x;
    out->labels = (data->get ? data->get_labels : data->labels != 0) ? net->batch_labels : 0;
    out->targets = out->labels ? 0 : net->batch_targets;
    out->weights = data->get || data->weights ? net->batch_weights : 0;
    if (!data->get) {
        detnni_gather_job g;
        g.net = net;
        g.data = data;
        g.order = order;
        g.first = first;
        g.rows = rows;
        g.tasks = detnni_tasks(net, net->desc.workers, (double)rows * (double)in * DETNNI_ELEMENT / 2.0, rows);
        detnni_share(net, g.tasks, detnni_gather_task, &g);
        return DETNN_OK;
    }
    for (m = 0; m < rows; m++) {
        uint64_t i = order ? detnni_order_at(order, first + m) : first + m;
        float *x = net->batch_x + m * in, *target = net->batch_targets + m * n;
        detnn_sample s;
        detnn_result r;
        int failed;
        DETNNI_ZERO(&s, sizeof s);
        s.index = i;
        s.epoch = training ? net->state->epoch : 0;
        s.seed = net->desc.seed;
        s.training = training;
        s.x = x;
        s.target = out->targets ? target : 0;
        s.weight = 1.0f;
        DETNNI_ZERO(x, in * sizeof(float));
        DETNNI_ZERO(target, n * sizeof(float));
        failed = data->get(data->user, &s);
        (void)detnni_fp_enter(); /* the caller's code may have left another mode */
        if (failed) return detnni_fail(err, DETNN_ERROR_CALLBACK, "data.get failed on sample %l", i);
        r = detnni_check_sample(net, i, x, s.target, out->labels ? &s.label : 0, &s.weight, err);
        if (r) return r;
        net->batch_labels[m] = s.label;
        net->batch_weights[m] = s.weight;
    }
    return DETNN_OK;
}

/* ---- Prediction and evaluation ---- */

DETNNI_NOINLINE static detnn_result detnni_predict(const detnn_net *net, detnn_net *gpu, detnni_crew crew,
                                                   const float *x, size_t count, float *y, size_t part, float *a,
                                                   float *b, detnn_error *err)
{
    int overflow = 0;
    size_t i, rows;
    if (!count) return detnni_ok(err);
    if (!x || !y) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_predict: %s is null", x ? "y" : "x");
    if (count > part) (void)detnni_product(detnni_product(count, sizeof(float), &overflow), net->width, &overflow);
    if (overflow) return detnni_fail(err, DETNN_ERROR_SIZE, "detnn_predict: %z rows do not fit an address", count);
    if (!net->state->adapted)
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "layer 0 (standardize) has seen no data: call detnn_fit or detnn_adapt first");
    if (gpu) return detnni_gpu_predict(gpu, x, count, y, err);
    for (i = 0; i < count; i += rows) {
        const float *in = x + i * net->inputs;
        rows = detnni_min(part, count - i);
        if (detnni_infer(net, &crew, in, rows, y + i * net->outputs, a, b, 0) == in) /* a net of dropout alone */
            DETNNI_COPY(y + i * net->outputs, in, rows * net->outputs * sizeof(float));
    }
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_predict(detnn_net *net, const float *x, size_t count, float *y, detnn_error *err)
{
    detnn_result r = detnni_check_alive(net, err);
    if (r) return r;
    DETNNI_GUARDED(detnni_predict(net, DETNNI_ON_GPU(net) ? net : 0, detnni_own_crew(net), x, count, y,
                                  net->desc.batch_max, net->a, net->b, err));
}

DETNN_API size_t detnn_predict_size(const detnn_net *net, size_t rows)
{
    int overflow = 0;
    size_t bytes;
    if (!net || net->magic != DETNNI_MAGIC_NET) return 0;
    bytes = detnni_product(detnni_product(2 * sizeof(float), net->width, &overflow), rows, &overflow);
    return overflow || bytes > (size_t)-1 - 63 ? 0 : bytes + 63;
}

DETNN_API detnn_result detnn_predict_const(const detnn_net *net, const float *x, size_t count, float *y, void *scratch,
                                           size_t scratch_size, detnn_error *err)
{
    detnn_result r = detnni_check_net(net, err);
    detnni_crew alone;
    size_t rows;
    float *a;
    if (r) return r;
    if (!scratch) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_predict_const: scratch is null");
    if (scratch_size < detnn_predict_size(net, 1))
        return detnni_fail(err, DETNN_ERROR_MEMORY, "detnn_predict_const: scratch has %z bytes, one row needs %z",
                           scratch_size, detnn_predict_size(net, 1));
    rows = detnni_min((scratch_size - 63) / (2 * sizeof(float) * net->width), count ? count : 1);
    a = (float *)(void *)((char *)scratch + (64 - ((uintptr_t)scratch & 63)) % 64);
    alone.workers = 1;
    alone.scratch = 0;
    DETNNI_GUARDED(detnni_predict(net, 0, alone, x, count, y, rows, a, a + rows * net->width, err));
}

/* Samples [first, first + count) of data, checked before. */
static detnn_result detnni_evaluate_range(detnn_net *net, const detnn_data *data, size_t first, size_t count,
                                          detnn_metrics *metrics, detnn_error *err)
{
    const detnni_crew crew = detnni_own_crew(net);
    detnni_score score;
    detnni_rows rows;
    float inv = 1.0f / (float)count;
    size_t i, m;
    if (!net->state->adapted)
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "layer 0 (standardize) has seen no data: call detnn_fit or detnn_adapt first");
    if (DETNNI_ON_GPU(net) && !data->get) return detnni_gpu_evaluate(net, data, first, count, metrics, err);
    if (!detnni_gpu_fetch(net)) return detnni_fail(err, DETNN_ERROR_DEVICE, "the GPU failed");
    detnni_score_start(&score);
    for (i = 0; i < count; i += m) {
        const float *out, *y;
        detnn_result r;
        m = detnni_min(net->desc.batch_max, count - i);
        r = detnni_gather(net, data, 0, first + i, m, 0, &rows, err);
        if (r) return r;
        y = out = detnni_infer(net, &crew, rows.x, m, 0, net->a, net->b, 1);
        detnni_losses(net, &rows, out, m, inv, &score, 0);
        if (net->raw) {
            float *other = out == net->a ? net->b : net->a;
            detnni_activate_rows(net, &net->layers[net->desc.layer_count - 1], out, m, other);
            y = other;
        }
        detnni_errors(net, &rows, y, m, &score);
    }
    metrics->loss = detnni_batch_sum_end(&score.loss) * inv;
    if (score.bad || !detnni_finite(metrics->loss))
        return detnni_fail(err, DETNN_ERROR_NONFINITE,
                           "the loss of sample %z is infinite or NaN, or the sum of all losses overflows",
                           first + (score.bad ? score.bad - 1 : count - 1));
    metrics->mean_absolute_error = detnni_batch_sum_end(&score.error) * inv;
    metrics->accuracy = detnni_accuracy(net, score.correct, count);
    metrics->count = count;
    return DETNN_OK;
}

DETNNI_NOINLINE static detnn_result detnni_evaluate(detnn_net *net, const detnn_data *data, detnn_metrics *metrics,
                                                    detnn_error *err)
{
    detnn_metrics m = { 0.0f, 0.0f, 0.0f, 0 };
    detnn_result r = detnni_check_alive(net, err);
    if (r) return r;
    if (!metrics) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_evaluate: metrics is null");
    r = detnni_check_data(net, data, 1, err);
    if (!r) r = detnni_evaluate_range(net, data, 0, data->count, &m, err);
    if (r) return r;
    *metrics = m;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_evaluate(detnn_net *net, const detnn_data *data, detnn_metrics *metrics, detnn_error *err)
{
    DETNNI_GUARDED(detnni_evaluate(net, data, metrics, err));
}

/* ---- Standardize ---- */

/* The sums over all samples (C3) of x, or of (x - mean)^2, for every feature at once, to net->columns: rows of
 * nodes like those of detnni_tree, then the leaf. */
static detnn_result detnni_column_sums(detnn_net *net, const detnn_data *data, size_t count, const float *mean,
                                       detnn_error *err)
{
    size_t in = net->inputs, i, j, m, r, samples = 0;
    float *leaf = net->columns + DETNNI_COLUMN_LEVELS * in;
    int depth = 0, d;
    uint64_t leaves = 0, c;
    for (j = 0; j < in; j++) leaf[j] = 0.0f;
    for (i = 0; i < count; i += m) {
        detnni_rows rows;
        detnn_result result;
        m = detnni_min(net->desc.batch_max, count - i);
        result = detnni_gather(net, data, 0, i, m, 0, &rows, err);
        if (result) return result;
        for (r = 0; r < m; r++) {
            const float *x = rows.x + r * in;
            for (j = 0; j < in; j++) {
                float v = mean ? x[j] - mean[j] : x[j];
                leaf[j] = mean ? DETNNI_FMA_PLAIN(v, v, leaf[j]) : leaf[j] + v;
            }
            if (++samples % 64 && samples != count) continue;
            for (c = leaves++; c & 1; c >>= 1) {
                depth--;
                for (j = 0; j < in; j++) leaf[j] = net->columns[(size_t)depth * in + j] + leaf[j];
            }
            for (j = 0; j < in; j++) {
                net->columns[(size_t)depth * in + j] = leaf[j];
                leaf[j] = 0.0f;
            }
            depth++;
        }
    }
    for (d = depth - 2; d >= 0; d--)
        DETNNI_KERNELS(net)->add(net->columns + ((size_t)d + 1) * in, in, net->columns + (size_t)d * in);
    return DETNN_OK;
}

/* From the first count samples of data, checked before. Nothing changes on failure. */
static detnn_result detnni_adapt_range(detnn_net *net, const detnn_data *data, size_t count, detnn_error *err)
{
    size_t in = net->inputs, j;
    float n = (float)count, *mean = net->a, *deviation = net->b; /* [batch_max][width] is room enough */
    detnn_result r;
    if ((uint64_t)count >> 37)
        return detnni_fail(err, DETNN_ERROR_SIZE, "layer 0 (standardize): %z samples are more than 2^37", count);
    r = detnni_column_sums(net, data, count, 0, err);
    if (r) return r;
    for (j = 0; j < in; j++) mean[j] = net->columns[j] / n;
    r = detnni_column_sums(net, data, count, mean, err);
    if (r) return r;
    for (j = 0; j < in; j++) {
        deviation[j] = detnni_sqrt(net->columns[j] / n);
        if (deviation[j] == 0.0f) deviation[j] = 1.0f;
        if (!detnni_finite(mean[j]) || !detnni_finite(deviation[j]))
            return detnni_fail(err, DETNN_ERROR_NONFINITE,
                               "layer 0 (standardize): the mean or deviation of feature %z overflows", j);
    }
    DETNNI_COPY(net->own_weights + net->layers[0].kernel, mean, in * sizeof(float));
    detnni_gpu_changed(net);
    DETNNI_COPY(net->own_weights + net->layers[0].bias, deviation, in * sizeof(float));
    net->state->adapted = 1;
    return DETNN_OK;
}

DETNNI_NOINLINE static detnn_result detnni_adapt(detnn_net *net, const detnn_data *data, detnn_error *err)
{
    detnn_result r = detnni_check_training(net, err);
    if (r) return r;
    if (!net->columns) return detnni_fail(err, DETNN_ERROR_STATE, "detnn_adapt: layer 0 is not standardize");
    r = detnni_check_idle(net, "detnn_adapt", err);
    if (!r) r = detnni_check_data(net, data, 0, err);
    if (r) return r;
    net->busy = 1;
    r = detnni_adapt_range(net, data, data->count, err);
    net->busy = 0;
    return r ? r : detnni_ok(err);
}

DETNN_API detnn_result detnn_adapt(detnn_net *net, const detnn_data *data, detnn_error *err)
{
    DETNNI_GUARDED(detnni_adapt(net, data, err));
}

/* ---- One step ---- */

/* Dropout's elements are counted over the whole batch of a step, in 34 bits (C6). */
static detnn_result detnni_check_rows(const detnn_net *net, size_t rows, detnn_error *err)
{
    size_t i;
    for (i = 0; i < net->desc.layer_count; i++)
        if (net->layers[i].d.kind == DETNN_LAYER_DROPOUT &&
            (uint64_t)rows > ((uint64_t)1 << 34) / net->layers[i].outputs)
            return detnni_fail(err, DETNN_ERROR_SIZE,
                               "layer %z (dropout): a batch of %z samples has more than 2^34 elements", i, rows);
    return DETNN_OK;
}

/* The rows of a part for a batch of this many samples, or 0 where they do not fit. */
static size_t detnni_part_rows(const detnn_net *net, size_t batch, detnn_error *err)
{
    size_t part = net->desc.batch_max, parts;
    if (detnni_check_rows(net, batch, err)) return 0;
    if (batch <= part) return batch;
    if (part < 64) {
        (void)detnni_fail(err, DETNN_ERROR_SIZE,
                          "a batch of %z does not fit batch_max %z: parts of a batch need room for 64 samples", batch,
                          part);
        return 0;
    }
    part = (size_t)64 << detnni_log2(part / 64);
    parts = (batch - 1) / part + 1;
    if (parts > net->desc.parts_max) {
        (void)detnni_fail(err, DETNN_ERROR_SIZE, "a batch of %z with batch_max %z needs desc.parts_max %z, not %z",
                          batch, net->desc.batch_max, parts, net->desc.parts_max);
        return 0;
    }
    return part;
}

/* One whole step on the rows places [first, first + rows) of order. On an error the net is as before. */
static detnn_result detnni_train_rows(detnn_net *net, const detnn_data *data, const detnni_order *order, uint64_t first,
                                      size_t rows, float *loss, uint64_t *correct, detnn_error *err)
{
    detnni_score score;
    float inv = 1.0f / (float)rows, bound = 0.0f;
    size_t part = detnni_part_rows(net, rows, err), done, m;
    detnn_result r = part ? DETNN_OK : DETNN_ERROR_SIZE;
    detnn_clear_gradients(net);
    detnni_score_start(&score);
    for (done = 0; !r && done < rows; done += m) {
        detnni_rows batch;
        const float *out;
        m = detnni_min(part, rows - done);
        r = detnni_gather(net, data, order, first + done, m, 1, &batch, err);
        if (r) break;
        net->forward_x = batch.x;
        out = detnni_forward_rows(net, batch.x, m, done, 1);
        detnni_losses(net, &batch, out, m, inv, &score, net->a);
        detnni_backward_rows(net, m, done, 1, detnni_node(net, net->nodes), 0, &bound);
        detnni_part_done(net, m);
    }
    if (!r) {
        *loss = detnni_batch_sum_end(&score.loss) * inv;
        *correct = score.correct;
        if (score.bad) {
            uint64_t place = first + score.bad - 1;
            r = detnni_fail(
                err, DETNN_ERROR_NONFINITE,
                "epoch %l, step %l: the loss of sample %l is infinite or NaN; the weights are those before this step",
                net->state->epoch, net->state->step, order ? detnni_order_at(order, place) : place);
        } else if (!detnni_finite(*loss)) {
            r = detnni_fail(
                err, DETNN_ERROR_NONFINITE,
                "epoch %l, step %l: the sum of the losses overflows; the weights are those before this step",
                net->state->epoch, net->state->step);
        }
    }
    if (!r) detnni_trace_items(net, rows, loss);
    if (!r) r = detnni_apply(net, bound, err);
    if (r) detnn_clear_gradients(net);
    return r;
}

DETNNI_NOINLINE static detnn_result detnni_train_batch(detnn_net *net, const detnn_data *data, float *loss,
                                                       detnn_error *err)
{
    uint64_t correct;
    float l;
    detnni_made made;
    detnn_result r = detnni_check_training(net, err);
    if (!r) r = detnni_check_data(net, data, 1, err);
    if (r) return r;
    r = detnni_check_idle(net, "detnn_train_batch", err);
    if (r) return r;
    if (!net->state->adapted)
        return detnni_fail(err, DETNN_ERROR_STATE, "layer 0 (standardize) has seen no data: call detnn_adapt first");
    net->busy = 1;
    made.steps = 0;
    if (DETNNI_ON_GPU(net)) {
        r = detnni_gpu_train(net, data, 0, 0, data->count, data->count, 1, 0, &made, err);
        r = detnni_gpu_end(net, r, err);
        l = made.loss;
    }
    if (!r && !made.steps) r = detnni_train_rows(net, data, 0, 0, data->count, &l, &correct, err);
    net->busy = 0;
    if (r) return r;
    if (loss) *loss = l;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_train_batch(detnn_net *net, const detnn_data *data, float *loss, detnn_error *err)
{
    DETNNI_GUARDED(detnni_train_batch(net, data, loss, err));
}

/* ---- One's own loop ---- */

DETNNI_NOINLINE static detnn_result detnni_forward(detnn_net *net, const float *x, size_t count, float *y,
                                                   detnn_error *err)
{
    const float *out;
    detnn_result r = detnni_check_training(net, err);
    if (r) return r;
    if (!x) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_forward: x is null");
    if (!count || count > net->desc.batch_max)
        return detnni_fail(err, DETNN_ERROR_SIZE, "detnn_forward: %z samples, batch_max is %z", count,
                           net->desc.batch_max);
    if (!net->state->adapted)
        return detnni_fail(err, DETNN_ERROR_STATE, "layer 0 (standardize) has seen no data: call detnn_adapt first");
    if (net->busy) return detnni_check_idle(net, "detnn_forward", err);
    r = detnni_check_rows(net, net->rows_done + count, err);
    if (r) return r;
    if (net->failed)
        return detnni_fail(err, DETNN_ERROR_STATE, "detnn_forward: the step failed; detnn_clear_gradients begins anew");
    if (net->parts && net->forward_rows)
        return detnni_fail(err, DETNN_ERROR_STATE, "detnn_forward: the part before it has had no backward");
    if (net->parts) {
        size_t part = net->part_rows;
        if (net->parts >= net->desc.parts_max)
            return detnni_fail(err, DETNN_ERROR_STATE,
                               "detnn_forward: this step has %z parts already, desc.parts_max is %z", net->parts,
                               net->desc.parts_max);
        if (part % 64 || (part & (part - 1)) || net->rows_done != part * net->parts || count > part)
            return detnni_fail(err, DETNN_ERROR_STATE,
                               "detnn_forward: a part of %z after %z samples in parts of %z: all but the last must "
                               "have the same 64 * 2^k",
                               count, net->rows_done, part);
    }
    net->forward_rows = 0;
    DETNNI_COPY(net->batch_x, x, count * net->inputs * sizeof(float));
    net->forward_x = net->batch_x;
    out = detnni_forward_rows(net, net->batch_x, count, net->rows_done, 0);
    if (y) DETNNI_COPY(y, out, count * net->outputs * sizeof(float));
    net->forward_rows = count;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_forward(detnn_net *net, const float *x, size_t count, float *y, detnn_error *err)
{
    DETNNI_GUARDED(detnni_forward(net, x, count, y, err));
}

DETNNI_NOINLINE static detnn_result detnni_backward(detnn_net *net, const float *dy, float *dx, detnn_error *err)
{
    detnn_result r = detnni_check_training(net, err);
    size_t rows;
    if (r) return r;
    if (!dy) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_backward: dy is null");
    rows = net->forward_rows;
    if (!rows) return detnni_fail(err, DETNN_ERROR_STATE, "detnn_backward: there is no forward before it");
    DETNNI_COPY(net->a, dy, rows * net->outputs * sizeof(float));
    detnni_backward_rows(net, rows, net->rows_done, 0, detnni_node(net, net->nodes), dx, 0);
    net->forward_rows = 0;
    detnni_part_done(net, rows);
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_backward(detnn_net *net, const float *dy, float *dx, detnn_error *err)
{
    DETNNI_GUARDED(detnni_backward(net, dy, dx, err));
}

DETNNI_NOINLINE static detnn_result detnni_step(detnn_net *net, detnn_error *err)
{
    detnn_result r = detnni_check_training(net, err);
    if (r) return r;
    if (!net->parts || net->forward_rows)
        return detnni_fail(err, DETNN_ERROR_STATE, "detnn_step: there is no backward before it");
    if (net->failed)
        return detnni_fail(err, DETNN_ERROR_STATE, "detnn_step: the step failed; detnn_clear_gradients begins anew");
    detnni_trace_items(net, net->rows_done, 0);
    r = detnni_apply(net, detnni_float(0x7f800000), err);
    detnni_gpu_changed(net);
    if (!r) r = detnni_trace_check(net, err);
    return r ? r : detnni_ok(err);
}

DETNN_API detnn_result detnn_step(detnn_net *net, detnn_error *err)
{
    DETNNI_GUARDED(detnni_step(net, err));
}

/* ---- Fit ---- */

static detnn_result detnni_check_fit(const detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                     size_t *validation, detnn_error *err)
{
    detnn_result r = detnni_check_training(net, err);
    if (!r) r = detnni_check_data(net, data, 1, err);
    if (r) return r;
    if (!fit) return detnni_fail(err, DETNN_ERROR_NULL, "fit is null");
    if (!fit->epochs) return detnni_fail(err, DETNN_ERROR_SIZE, "fit.epochs is 0");
    r = detnni_check_idle(net, "detnn_fit", err);
    if (r) return r;
    if (!fit->batch_size) return detnni_fail(err, DETNN_ERROR_SIZE, "fit.batch_size is 0");
    if (!(fit->validation_split >= 0.0f && fit->validation_split < 1.0f))
        return detnni_fail(err, DETNN_ERROR_VALUE, "fit.validation_split %g is not in [0, 1)",
                           (double)fit->validation_split);
    if (!(fit->min_delta >= 0.0f) || !detnni_finite(fit->min_delta))
        return detnni_fail(err, DETNN_ERROR_VALUE, "fit.min_delta %g is not 0 or more and finite",
                           (double)fit->min_delta);
    if (fit->validation && fit->validation_split > 0.0f)
        return detnni_fail(err, DETNN_ERROR_VALUE, "fit has both validation and validation_split: give one of them");
    if (fit->restore_best && !net->best)
        return detnni_fail(err, DETNN_ERROR_STATE, "fit.restore_best needs a net made with desc.keep_best");
    *validation = (size_t)((double)fit->validation_split * (double)data->count);
    if (*validation >= data->count)
        return detnni_fail(err, DETNN_ERROR_SIZE, "fit.validation_split leaves no samples to train on");
    if (fit->validation) {
        detnn_error inner;
        inner.text[0] = 0;
        r = detnni_check_data(net, fit->validation, 1, &inner);
        if (r) return detnni_fail(err, r, "validation: %s", inner.text);
    }
    if (!detnni_part_rows(net, detnni_min(fit->batch_size, data->count - *validation), err)) return DETNN_ERROR_SIZE;
    if (net->state->samples && !fit->restart && net->state->samples != data->count - *validation)
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "an epoch of %l samples is under way at sample %l, the data have %z: go on with the same "
                           "data or set fit.restart",
                           net->state->samples, net->state->position, data->count - *validation);
    return DETNN_OK;
}

/* What the callbacks are told about the state of things. */
static detnn_progress detnni_progress(const detnn_net *net, float loss, float accuracy)
{
    detnn_progress p;
    detnn_optimizer o = net->desc.optimizer;
    DETNNI_ZERO(&p, sizeof p);
    o.learning_rate = net->state->learning_rate;
    p.epoch = net->state->epoch;
    p.step = net->state->step;
    p.position = (size_t)net->state->position;
    p.samples = (size_t)net->state->samples;
    p.loss = loss;
    p.accuracy = accuracy;
    p.learning_rate = (float)detnni_rate(&o, &net->desc.schedule, p.step ? p.step - 1 : 0);
    return p;
}

/* The end of an epoch: its loss, validation, early stopping. *stop: FINISH by patience, or the callback's answer. */
static detnn_result detnni_end_epoch(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                     size_t validation, int *stop, detnn_error *err)
{
    detnni_state *s = net->state;
    float loss = (float)(s->loss_sum / (double)s->samples), watched = loss;
    detnn_progress p = detnni_progress(net, loss, detnni_accuracy(net, s->correct, s->samples));
    if (fit->validation || validation) {
        const detnn_data *from = fit->validation ? fit->validation : data;
        size_t count = fit->validation ? from->count : validation;
        detnn_metrics m;
        detnn_error inner;
        detnn_result r;
        inner.text[0] = 0;
        r = detnni_evaluate_range(net, from, from->count - count, count, &m, &inner);
        if (r) return detnni_fail(err, r, "validation: %s", inner.text);
        p.val_loss = watched = m.loss;
        p.val_accuracy = m.accuracy;
    }
    p.improved = watched < s->best_loss - fit->min_delta;
    if (p.improved) {
        s->best_loss = watched;
        s->best_epoch = s->epoch;
        s->stale = 0;
        if (net->best) {
            if (!detnni_gpu_best(net, 0)) DETNNI_COPY(net->best, net->own_weights, net->parameters * sizeof(float));
            s->has_best = 1;
        }
    } else {
        s->stale++;
    }
    s->epoch++;
    s->position = 0;
    s->loss_sum = 0.0;
    s->correct = 0;
    *stop = fit->patience && s->stale >= fit->patience ? DETNN_FINISH : DETNN_GO_ON;
    if (fit->on_epoch) {
        int answer = fit->on_epoch(fit->user, net, &p);
        (void)detnni_fp_enter(); /* the caller's code may have left another mode */
        if (answer && !*stop) *stop = answer;
    }
    return DETNN_OK;
}

static detnn_result detnni_fit_checked(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                       size_t validation, detnn_error *err)
{
    uint64_t done;
    int stop = DETNN_GO_ON;
    detnni_made made;
    detnni_state *s = net->state;
    detnn_result r;
    if (!s->adapted) {
        r = detnni_adapt_range(net, data, data->count - validation, err);
        if (r) return r;
    }
    if (!s->samples || fit->restart) { /* a new fit; otherwise the one that was stopped goes on */
        s->samples = data->count - validation;
        s->position = 0;
        s->loss_sum = 0.0;
        s->correct = 0;
        s->best_loss = detnni_float(0x7f800000);
        s->best_epoch = s->stale = 0;
        s->has_best = 0;
    }
    for (done = 0; done < fit->epochs && !stop; done++) {
        detnni_order order = detnni_order_of(net->desc.seed, s->epoch, s->samples);
        while (s->position < s->samples) {
            size_t rows = (size_t)(s->samples - s->position);
            uint64_t correct = 0;
            float loss = 0.0f;
            if (rows > fit->batch_size) rows = fit->batch_size;
            made.steps = 0;
            if (DETNNI_ON_GPU(net)) {
                r = detnni_gpu_train(net, data, fit->shuffle ? &order : 0, s->position, s->samples, fit->batch_size,
                                     fit->on_step ? 1 : (size_t)-1, 1, &made, err);
                if (r) return r;
            }
            if (made.steps) {
                rows = made.rows;
                loss = made.loss;
                correct = made.correct;
            } else {
                r = detnni_train_rows(net, data, fit->shuffle ? &order : 0, s->position, rows, &loss, &correct, err);
                if (r) return r;
                s->position += rows;
                s->loss_sum = s->loss_sum + detnni_rounded((double)loss, (double)rows);
                s->correct += correct;
            }
            r = detnni_trace_check(net, err);
            if (r) return r;
            if (fit->on_step) {
                detnn_progress p = detnni_progress(net, loss, detnni_accuracy(net, correct, rows));
                stop = fit->on_step(fit->user, net, &p);
                (void)detnni_fp_enter(); /* the caller's code may have left another mode */
                if (stop) break;
            }
        }
        if (!stop) {
            r = detnni_end_epoch(net, data, fit, validation, &stop, err);
            if (r) return r;
            if (done + 1 == fit->epochs) stop = DETNN_FINISH;
        }
    }
    if (stop != DETNN_FINISH) return DETNN_OK; /* to be continued */
    s->samples = s->position = 0;
    s->loss_sum = 0.0;
    s->correct = 0;
    if (fit->restore_best && s->has_best) {
        if (!detnni_gpu_best(net, 1)) DETNNI_COPY(net->own_weights, net->best, net->parameters * sizeof(float));
        net->magnitude = 0x7f800000;
    }
    return DETNN_OK;
}

DETNNI_NOINLINE static detnn_result detnni_fit(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                               detnn_error *err)
{
    size_t validation = 0;
    detnn_result r = detnni_check_fit(net, data, fit, &validation, err);
    if (r) return r;
    net->busy = 1;
    detnni_gpu_begin(net, data, detnni_min(fit->batch_size, data->count - validation));
    r = detnni_fit_checked(net, data, fit, validation, err);
    r = detnni_gpu_end(net, r, err);
    net->busy = 0;
    return r ? r : detnni_ok(err);
}

DETNN_API detnn_result detnn_fit(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit, detnn_error *err)
{
    DETNNI_GUARDED(detnni_fit(net, data, fit, err));
}

/* ---- Progress bar ---- */

#if !DETNN_NO_STDIO
static int detnni_bar_write(void *user, const char *text, size_t length)
{
    (void)user;
    return fwrite(text, 1, length, stderr) != length || fflush(stderr);
}

static uint64_t detnni_bar_clock(void *user)
{
    (void)user;
    return (uint64_t)time(0);
}
#endif

DETNN_API detnn_progress_bar detnn_progress_bar_default(void)
{
    detnn_progress_bar bar;
    DETNNI_ZERO(&bar, sizeof bar);
#if !DETNN_NO_STDIO
    bar.write = detnni_bar_write;
    bar.clock = detnni_bar_clock;
    bar.terminal = DETNNI_TERMINAL();
#endif
    return bar;
}

static void detnni_bar_loss(detnni_text *t, const detnn_progress_bar *bar, int validation)
{
    detnni_format(t, "  loss ");
    detnni_put_float(t, bar->loss, 4);
    if (!validation) return;
    detnni_format(t, "  val ");
    detnni_put_float(t, bar->val_loss, 4);
}

/* The line in the terminal; last: nothing comes after it. */
static void detnni_bar_line(detnn_progress_bar *bar, const detnn_progress *p, int validation, int last)
{
    char text[256];
    detnni_text t = { text, sizeof text, 0 };
    const uint64_t all = bar->fit.epochs * p->samples, done = (p->epoch - bar->first) * p->samples + p->position;
    const uint64_t seconds = bar->now - bar->since, fresh = done - bar->skipped;
    size_t i, length;
    detnni_format(&t, "\repoch %l/%l [", p->epoch - bar->first + 1, bar->fit.epochs);
    for (i = 0; i < 10; i++) detnni_put(&t, (double)done * 10.0 >= (double)(i + 1) * (double)all ? '=' : ' ');
    detnni_format(&t, "] %l %%", (uint64_t)(100.0 * ((double)done / (double)all)));
    if (bar->timed && seconds && fresh) {
        const uint64_t left = (uint64_t)((double)(all - done) * ((double)seconds / (double)fresh) + 0.5);
        detnni_format(&t, "  %l samples/s", fresh / seconds);
        if (!last) {
            detnni_format(&t, "  %l:", left / 60);
            detnni_put_number(&t, left % 60, 10, 2);
            detnni_format(&t, " left");
        }
    }
    detnni_bar_loss(&t, bar, validation);
    length = t.length;
    while (t.length < bar->length) detnni_put(&t, ' '); /* over what is left of a longer line */
    bar->length = length;
    if (last) detnni_put(&t, '\n');
    bar->write(bar->user, text, t.length);
}

/* Begins at the first call of a fit. 1 where a second has begun since the last time. */
static int detnni_bar_tick(detnn_progress_bar *bar, const detnn_progress *p)
{
    const uint64_t now = bar->clock ? bar->clock(bar->user) : 0;
    if (!bar->started) {
        bar->started = 1;
        bar->timed = 0;
        bar->length = 0;
        bar->first = p->epoch;
        bar->now = now;
    }
    if (now == bar->now) return 0;
    bar->now = now;
    if (!bar->timed) { /* the rate is counted from the beginning of a second */
        bar->timed = 1;
        bar->since = now;
        bar->skipped = (p->epoch - bar->first) * p->samples + p->position;
    }
    return 1;
}

static int detnni_bar_step(void *user, detnn_net *net, const detnn_progress *p)
{
    detnn_progress_bar *bar = (detnn_progress_bar *)user;
    const int answer = bar->fit.on_step ? bar->fit.on_step(bar->fit.user, net, p) : DETNN_GO_ON;
    const int tick = detnni_bar_tick(bar, p), later = p->epoch > bar->first;
    const int validation = later && (bar->fit.validation || bar->fit.validation_split > 0.0f);
    if (!later) bar->loss = p->loss;
    if (bar->write && bar->terminal && (tick || answer)) detnni_bar_line(bar, p, validation, answer);
    if (answer) bar->started = 0;
    return answer;
}

static int detnni_bar_epoch(void *user, detnn_net *net, const detnn_progress *p)
{
    detnn_progress_bar *bar = (detnn_progress_bar *)user;
    const int answer = bar->fit.on_epoch ? bar->fit.on_epoch(bar->fit.user, net, p) : DETNN_GO_ON;
    const int tick = detnni_bar_tick(bar, p);
    const int validation = bar->fit.validation || bar->fit.validation_split > 0.0f;
    const int last = answer || p->epoch + 1 - bar->first == bar->fit.epochs
                     || (bar->fit.patience && net->state->stale >= bar->fit.patience);
    bar->loss = p->loss;
    bar->val_loss = p->val_loss;
    if (bar->write && bar->terminal && (tick || last)) detnni_bar_line(bar, p, validation, last);
    if (bar->write && !bar->terminal) {
        char text[128];
        detnni_text t = { text, sizeof text, 0 };
        detnni_format(&t, "epoch %l/%l", p->epoch + 1 - bar->first, bar->fit.epochs);
        detnni_bar_loss(&t, bar, validation);
        detnni_put(&t, '\n');
        bar->write(bar->user, text, t.length);
    }
    if (last) bar->started = 0;
    return answer;
}

DETNN_API void detnn_show_progress(detnn_fit_desc *fit, detnn_progress_bar *bar)
{
    detnn_fit_desc inner = *fit;
    if (fit->on_epoch == detnni_bar_epoch && fit->user == bar) { /* shown before: its callbacks are those of then */
        inner.on_step = bar->fit.on_step;
        inner.on_epoch = bar->fit.on_epoch;
        inner.user = bar->fit.user;
    }
    bar->fit = inner;
    bar->started = 0;
    fit->on_step = detnni_bar_step;
    fit->on_epoch = detnni_bar_epoch;
    fit->user = bar;
}

/* ==== 20. CUDA ========================================================================================== */

#if DETNN_CUDA

#ifdef __NVCC__
#include <cuda_pipeline_primitives.h>
#endif

/* The same bits as the plain kernels of section 11, which are the meaning. Every output is computed by one thread,
 * along its chain, or by one warp for the sums of C4; how the work is cut depends on shapes alone; atomics touch
 * integers only (the largest magnitude, where order does not matter).
 *
 * A step is a chain of launches, captured once for a fit as a graph. What changes from step to step lies on the device
 * (detnni_gpu_run), so that many steps are queued without the host. Where a loss, gradient or weight becomes so large
 * that a check of the host might fail, the run stops before its update: nothing that follows changes anything, and the
 * host makes that step on the CPU, with the CPU's sentences. */

/* ---- What kernels are given ---- */

typedef struct detnni_gpu_run {
    uint64_t step, first, slot; /* steps done; the place in the epoch of the step's first row; steps of this launch */
    uint64_t batch;             /* rows of a step; the last one may have fewer */
    uint32_t stop;                        /* set by detnni_k_next alone */
    uint32_t largest, magnitude, written; /* bits: of gradients; of what the last update wrote, and this one */
    uint32_t scaled;                      /* by clip_norm, with this factor */
    float scale;
    uint32_t shuffled;
    detnni_order order;
} detnni_gpu_run;

/* The values of a step that are numbers of the schedule. */
typedef struct detnni_gpu_rate { float rate, correction, keep; } detnni_gpu_rate;

/* A trainable tensor: where it lies, and how many elements and chunks of 4096 those before it have. */
typedef struct detnni_gpu_tensor {
    size_t at, n, from, chunk;
    int kernel;
} detnni_gpu_tensor;

enum { DETNNI_FORWARD, DETNNI_INPUT_GRADIENT, DETNNI_WEIGHT_GRADIENT };

/* A product [rows][cols] with chains of so many terms: z = x w + b; dx = dz w^T; dw = x^T dz. */
typedef struct detnni_gpu_dense {
    detnni_gpu_run *run;      /* null outside of training */
    const float *a, *b;       /* x or dz; w or dz */
    const float *start;       /* the bias, or null */
    float *c;
    size_t rows, cols, terms, lda, ldb;
    size_t a_rows;            /* of dw: rows that a has; one more is a row of ones, for the bias */
    uint32_t row_tiles;
    int a_wide, b_wide;       /* 16 bytes at a time */
    size_t leaves;            /* of dw: 64 samples each, of a block; c then is [groups][rows][cols] */
    int last;                 /* of dw: c is the gradient */
    detnn_activation activation; /* cheap ones: of z; of dx, back through y */
    float alpha;
    const float *y;
} detnni_gpu_dense;

typedef struct detnni_gpu_gather {
    detnni_gpu_run *run;
    const float *x, *targets, *weights;
    const uint32_t *labels;
    float *batch_x, *batch_targets, *batch_weights;
    uint32_t *batch_labels;
    size_t in, out, done;
} detnni_gpu_gather;

typedef enum detnni_gpu_kind {
    DETNNI_ACTIVATE, DETNNI_ACTIVATE_BACK, DETNNI_DROP, DETNNI_STANDARDIZE, DETNNI_STANDARDIZE_BACK
} detnni_gpu_kind;
typedef struct detnni_gpu_elements {
    detnni_gpu_run *run;
    detnni_gpu_kind kind;
    detnn_activation activation;
    float alpha, scale;
    const float *x, *y, *mean, *deviation; /* back: x is the activation's input */
    float *to;
    size_t n, width;
    uint64_t first, seed, threshold; /* dropout: the first element, in the whole batch */
    uint32_t layer;
} detnni_gpu_elements;

typedef struct detnni_gpu_rows {
    detnni_gpu_run *run;
    int back;
    const float *x;
    float *to;
    size_t rows, n;
} detnni_gpu_rows;

typedef struct detnni_gpu_losses {
    detnni_gpu_run *run;
    detnn_loss loss;
    const float *z, *targets, *weights;
    const uint32_t *labels;
    float *d; /* room for a row's softmax; then the gradient, where it is wanted */
    float *losses;
    uint32_t *correct;
    size_t rows, n, done; /* done: rows before */
    float inv, smooth, sharp, delta, outputs; /* eps / n, 1 - eps */
    int smoothing, gradient, error; /* error: |y - t| instead of the loss */
} detnni_gpu_losses;

typedef struct detnni_gpu_step {
    detnni_gpu_run *run;
    detnn_optimizer o;
    float c1, c2;
    const detnni_gpu_rate *rates;
    const detnni_gpu_tensor *tensors;
    size_t count, elements, rows;
    float *g, *w, *m1, *m2, *sums;
    const float *parts; /* add: g += parts, [elements] */
    size_t groups;      /* join: g = the tree over parts [groups][elements] */
} detnni_gpu_step;

#define DETNNI_SAFE 0x4e800000u /* 2^30: as in detnni_apply */

/* ---- Pieces ---- */

static __device__ inline size_t detnni_g_index(void) { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }

/* All lanes of a warp call it: *to becomes the largest. */
static __device__ inline void detnni_g_largest(uint32_t *to, uint32_t v)
{
    int h;
    for (h = 16; h; h /= 2) {
        uint32_t other = __shfl_xor_sync(0xffffffffu, v, h);
        v = other > v ? other : v;
    }
    if (threadIdx.x % 32 == 0 && v > *(volatile uint32_t *)to) atomicMax(to, v);
}

static __device__ inline uint32_t detnni_g_size(float x) { return detnni_float_bits(x) & 0x7fffffffu; }

/* The 64 lanes of C4 in a warp, l and l + 32 in a thread: their fold, in all threads. */
static __device__ inline float detnni_g_fold(float low, float high)
{
    float v = detnni_g_add(low, high);
    int h;
    for (h = 16; h; h /= 2) v = detnni_g_add(v, __shfl_down_sync(0xffffffffu, v, h));
    return __shfl_sync(0xffffffffu, v, 0);
}

/* detnni_tree, with the kernels' addition. */
typedef struct detnni_g_tree {
    uint64_t count;
    int depth;
    float node[32];
} detnni_g_tree;

static __device__ inline void detnni_g_tree_add(detnni_g_tree *t, float leaf)
{
    uint64_t c;
    for (c = t->count++; c & 1; c >>= 1) leaf = detnni_g_add(t->node[--t->depth], leaf);
    t->node[t->depth++] = leaf;
}

static __device__ inline float detnni_g_tree_sum(const detnni_g_tree *t)
{
    int d = t->depth - 1;
    float sum = d >= 0 ? t->node[d] : 0.0f;
    while (d-- > 0) sum = detnni_g_add(t->node[d], sum);
    return sum;
}

static __device__ inline float detnni_g_maximum(float a, float b)
{
    if (detnni_nan(a)) return a;
    if (detnni_nan(b)) return b;
    if (!(detnni_g_size(a) | detnni_g_size(b))) return detnni_float(detnni_float_bits(a) & detnni_float_bits(b));
    return detnni_g_greater(a, b) ? a : b;
}

/* y = activation(z); cheap: without the exact functions (a product does these itself). */
static __device__ inline float detnni_g_activate_cheap(detnn_activation activation, float alpha, float z)
{
    if (activation == DETNN_RELU) return detnni_negative(z) ? 0.0f : z;
    if (activation == DETNN_LEAKY_RELU) return detnni_positive(z) ? z : detnni_g_mul(alpha, z);
    return z;
}

static __device__ inline float detnni_g_activate(detnn_activation activation, float alpha, float z)
{
    const float scale = detnni_float(0x3f867d5f), sa = detnni_float(0x3fe10966);
    switch (activation) {
    case DETNN_ELU:      return detnni_positive(z) ? z : detnni_g_mul(alpha, detnni_expm1_1_cuda(z));
    case DETNN_SELU:     return detnni_positive(z) ? detnni_g_mul(scale, z) : detnni_g_mul(sa, detnni_expm1_1_cuda(z));
    case DETNN_SIGMOID:  return detnni_sigmoid_1_cuda(z);
    case DETNN_TANH:     return detnni_tanh_1_cuda(z);
    case DETNN_SOFTPLUS: return detnni_softplus_1_cuda(z);
    case DETNN_SILU:     return detnni_silu_1_cuda(z);
    case DETNN_GELU:     return detnni_gelu_1_cuda(z);
    default:             return detnni_g_activate_cheap(activation, alpha, z);
    }
}

static __device__ inline float detnni_g_back_cheap(detnn_activation activation, float alpha, float y, float d)
{
    const float scale = detnni_float(0x3f867d5f), sa = detnni_float(0x3fe10966);
    switch (activation) {
    case DETNN_RELU:       return detnni_positive(y) ? d : 0.0f;
    case DETNN_LEAKY_RELU: return detnni_positive(y) ? d : detnni_g_mul(alpha, d);
    case DETNN_ELU:        return detnni_positive(y) ? d : detnni_g_mul(d, detnni_g_add(y, alpha));
    case DETNN_SELU:       return detnni_positive(y) ? detnni_g_mul(scale, d) : detnni_g_mul(d, detnni_g_add(y, sa));
    case DETNN_SIGMOID:    return detnni_g_mul(d, detnni_g_mul(y, detnni_g_sub(1.0f, y)));
    case DETNN_TANH:       return detnni_g_mul(d, detnni_g_mul(detnni_g_sub(1.0f, y), detnni_g_add(1.0f, y)));
    default:               return d;
    }
}

static __device__ inline float detnni_g_back(detnn_activation activation, float alpha, float z, float y, float d)
{
    switch (activation) {
    case DETNN_SOFTPLUS: return detnni_g_mul(d, detnni_sigmoid_1_cuda(z));
    case DETNN_SILU:     return detnni_g_mul(d, detnni_silu_grad_1_cuda(z));
    case DETNN_GELU:     return detnni_g_mul(d, detnni_gelu_grad_1_cuda(z));
    default:             return detnni_g_back_cheap(activation, alpha, y, d);
    }
}

/* ---- Products ----
 *
 * A block of 256 threads computes a tile of BM x BN outputs, a thread TM x TN of them in registers, over panels of BK
 * terms that pass through a ring of STAGES panels in shared memory. Loads run ahead of the arithmetic (cp.async from
 * compute capability 8.0 on). Where terms are contiguous in memory (x, dz, w^T) a panel is turned round on its way in,
 * 4 bytes at a time, 8 terms x 4 rows for a warp: full sectors, and no bank conflicts with a pitch of 4 floats more
 * than the tile. Chains are never padded: fma(0, 0, -0) is +0. */

/* R rows of `terms` from term k on, zeros outside of [rows][terms]; one: ones in the row after them. */
template <int R, int BK>
static __device__ inline void detnni_g_panel(float (*to)[R + 4], const float *from, size_t ld, int turned, int wide,
                                             size_t row, size_t rows, size_t k, size_t terms, int one)
{
    int i;
    if (turned) {
        for (i = (int)threadIdx.x; i < R * BK; i += 256) {
            const int term = i % 8 + i / (8 * R) * 8, r = i / 8 % R;
            if (row + (size_t)r < rows && k + (size_t)term < terms)
                __pipeline_memcpy_async(&to[term][r], from + (row + (size_t)r) * ld + k + (size_t)term, 4);
            else to[term][r] = 0.0f;
        }
    } else if (wide) {
        for (i = (int)threadIdx.x; i < R * BK / 4; i += 256) {
            const int term = i / (R / 4), r = i % (R / 4) * 4;
            if (row + (size_t)r < rows && k + (size_t)term < terms)
                __pipeline_memcpy_async(&to[term][r], from + (k + (size_t)term) * ld + row + (size_t)r, 16);
            else {
                to[term][r] = one && row + (size_t)r == rows ? 1.0f : 0.0f;
                to[term][r + 1] = to[term][r + 2] = to[term][r + 3] = 0.0f;
            }
        }
    } else {
        for (i = (int)threadIdx.x; i < R * BK; i += 256) {
            const int term = i / R, r = i % R;
            if (row + (size_t)r < rows && k + (size_t)term < terms)
                __pipeline_memcpy_async(&to[term][r], from + (k + (size_t)term) * ld + row + (size_t)r, 4);
            else to[term][r] = one && row + (size_t)r == rows ? 1.0f : 0.0f;
        }
    }
}

/* N = 1, 2 or 4 floats from shared memory at once. */
template <int N> static __device__ inline void detnni_g_read(float *to, const float *from)
{
    if (N == 4) {
        const float4 v = *(const float4 *)(const void *)from;
        to[0] = v.x;
        to[N > 1 ? 1 : 0] = v.y;
        to[N > 2 ? 2 : 0] = v.z;
        to[N > 3 ? 3 : 0] = v.w;
    } else if (N == 2) {
        const float2 v = *(const float2 *)(const void *)from;
        to[0] = v.x;
        to[N > 1 ? 1 : 0] = v.y;
    } else {
        to[0] = *from;
    }
}

#define DETNNI_EACH_OUTPUT for (i = 0; i < TM; i++) for (j = 0; j < TN; j++)

template <int FORM, int BM, int BN, int TM, int TN, int BK, int STAGES>
static __global__ void __launch_bounds__(256) detnni_k_dense(detnni_gpu_dense p)
{
    enum { VM = TM < 4 ? TM : 4, VN = TN < 4 ? TN : 4, WEIGHTS = FORM == DETNNI_WEIGHT_GRADIENT };
    enum { NODES = WEIGHTS ? 3 : 1, N1 = NODES > 1, N2 = NODES > 2 ? 2 : 0 };
    __shared__ __align__(16) float as[STAGES][BK][BM + 4];
    __shared__ __align__(16) float bs[STAGES][BK][BN + 4];
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32; /* 4 x 8 threads, 4 x 2 warps */
    const int tx = warp % 2 * 8 + lane % 8, ty = warp / 2 * 4 + lane / 8;
    const size_t row = (size_t)(blockIdx.x % p.row_tiles) * BM, col = (size_t)(blockIdx.x / p.row_tiles) * BN;
    const size_t first = WEIGHTS ? (size_t)blockIdx.y * p.leaves * 64 : 0;
    const size_t end = WEIGHTS && p.terms - first > p.leaves * 64 ? first + p.leaves * 64 : p.terms;
    const int panels = (int)((end - first + BK - 1) / BK);
    const size_t a_rows = WEIGHTS ? p.a_rows : p.rows;
    const int one = WEIGHTS && p.rows > p.a_rows;
    float *c = WEIGHTS ? p.c + (size_t)blockIdx.y * p.rows * p.cols : p.c;
    float acc[TM][TN], node[NODES][TM][TN];
    uint32_t largest = 0;
    int i, j, t, leaf = 0;
    if (p.run && p.run->stop) return;
#define DETNNI_LOAD(panel) \
    do { \
        const size_t at = first + (size_t)(panel) * BK; \
        detnni_g_panel<BM, BK>(as[(panel) % STAGES], p.a, p.lda, !WEIGHTS, p.a_wide, row, a_rows, at, end, one); \
        detnni_g_panel<BN, BK>(bs[(panel) % STAGES], p.b, p.ldb, FORM == DETNNI_INPUT_GRADIENT, p.b_wide, col, p.cols, \
                               at, end, 0); \
    } while (0)
#define DETNNI_DOWN(i)   ((i) / VM * (BM / (TM / VM)) + ty * VM) /* in the tile, of VM outputs or VN together */
#define DETNNI_ACROSS(j) ((j) / VN * (BN / (TN / VN)) + tx * VN)
#define DETNNI_ROW(i) (row + (size_t)(DETNNI_DOWN(i) + (i) % VM))
#define DETNNI_COL(j) (col + (size_t)(DETNNI_ACROSS(j) + (j) % VN))
#define DETNNI_TERM(k) \
    do { \
        float a[TM], b[TN]; \
        for (i = 0; i < TM; i += VM) detnni_g_read<VM>(a + i, &as[t % STAGES][k][DETNNI_DOWN(i)]); \
        for (j = 0; j < TN; j += VN) detnni_g_read<VN>(b + j, &bs[t % STAGES][k][DETNNI_ACROSS(j)]); \
        DETNNI_EACH_OUTPUT acc[i][j] = detnni_g_fma(a[i], b[j], acc[i][j]); \
    } while (0)
#pragma unroll
    DETNNI_EACH_OUTPUT acc[i][j] = !WEIGHTS && p.start && DETNNI_COL(j) < p.cols ? p.start[DETNNI_COL(j)] : 0.0f;
    for (t = 0; t < STAGES - 1; t++) {
        if (t < panels) DETNNI_LOAD(t);
        __pipeline_commit();
    }
    for (t = 0; t < panels; t++) {
        const int left = (int)(end - first - (size_t)t * BK < BK ? end - first - (size_t)t * BK : BK);
        int k;
        __pipeline_wait_prior(STAGES - 2);
        __syncthreads(); /* the panel is there, and all have done with the one that the next load overwrites */
        if (t + STAGES - 1 < panels) DETNNI_LOAD(t + STAGES - 1);
        __pipeline_commit();
        if (left == BK) {
#pragma unroll
            for (k = 0; k < BK; k++) DETNNI_TERM(k);
        } else {
#pragma unroll 1
            for (k = 0; k < left; k++) DETNNI_TERM(k);
        }
        if (WEIGHTS && ((t + 1) % (64 / BK) == 0 || t + 1 == panels)) { /* a leaf is done: into the tree (C3) */
            int level, up = leaf++;
#pragma unroll
            for (level = 0; level < NODES && up & 1; level++, up >>= 1)
                DETNNI_EACH_OUTPUT acc[i][j] = detnni_g_add(node[level][i][j], acc[i][j]);
            if (level == NODES) { /* eight leaves wait in c */
                DETNNI_EACH_OUTPUT if (DETNNI_ROW(i) < p.rows && DETNNI_COL(j) < p.cols) {
                    float *w = c + DETNNI_ROW(i) * p.cols + DETNNI_COL(j);
                    *w = up & 1 ? detnni_g_add(*w, acc[i][j]) : acc[i][j];
                }
            }
#pragma unroll
            for (up = 0; up < NODES; up++)
                if (up == level) DETNNI_EACH_OUTPUT node[up][i][j] = acc[i][j];
            DETNNI_EACH_OUTPUT acc[i][j] = 0.0f;
        }
    }
#pragma unroll
    DETNNI_EACH_OUTPUT {
        const size_t m = DETNNI_ROW(i), n = DETNNI_COL(j);
        float v = acc[i][j];
        if (m >= p.rows || n >= p.cols) continue;
        if (WEIGHTS) {
            int have = 0;
            v = 0.0f;
            if (leaf & 1) { v = node[0][i][j]; have = 1; }
            if (leaf & 2) { v = have ? detnni_g_add(node[N1][i][j], v) : node[N1][i][j]; have = 1; }
            if (leaf & 4) { v = have ? detnni_g_add(node[N2][i][j], v) : node[N2][i][j]; have = 1; }
            if (leaf & 24) v = have ? detnni_g_add(c[m * p.cols + n], v) : c[m * p.cols + n];
            if (detnni_g_size(v) > largest) largest = detnni_g_size(v);
        } else if (FORM == DETNNI_FORWARD) {
            v = detnni_g_activate_cheap(p.activation, p.alpha, v);
        } else if (p.y) {
            v = detnni_g_back_cheap(p.activation, p.alpha, p.y[m * p.cols + n], v);
        }
        c[m * p.cols + n] = v;
    }
    if (WEIGHTS && p.last) detnni_g_largest(&p.run->largest, largest);
#undef DETNNI_LOAD
#undef DETNNI_DOWN
#undef DETNNI_ACROSS
#undef DETNNI_ROW
#undef DETNNI_COL
#undef DETNNI_TERM
}
#undef DETNNI_EACH_OUTPUT

/* ---- The other kernels ---- */

static __global__ void detnni_k_gather(detnni_gpu_gather p) /* a block for a row */
{
    __shared__ size_t from;
    const size_t to = blockIdx.x;
    size_t j;
    if (p.run->stop) return;
    if (threadIdx.x == 0) {
        const uint64_t place = p.run->first + p.done + to;
        from = (size_t)(p.run->shuffled ? detnni_order_at(&p.run->order, place) : place);
        if (p.labels) p.batch_labels[to] = p.labels[from];
        if (p.weights) p.batch_weights[to] = p.weights[from];
    }
    __syncthreads();
    for (j = threadIdx.x; j < p.in; j += blockDim.x) p.batch_x[to * p.in + j] = p.x[from * p.in + j];
    for (j = threadIdx.x; p.targets && j < p.out; j += blockDim.x)
        p.batch_targets[to * p.out + j] = p.targets[from * p.out + j];
}

static __global__ void detnni_k_elements(detnni_gpu_elements p)
{
    const size_t e = detnni_g_index();
    if (p.run && p.run->stop) return;
    if (p.kind == DETNNI_DROP) { /* a thread for each block of four words */
        const uint64_t block = (p.first >> 2) + e;
        uint32_t counter[4], word[4];
        int i;
        if (block * 4 >= p.first + p.n) return;
        counter[0] = (uint32_t)block;
        counter[1] = (uint32_t)p.run->step;
        counter[2] = (uint32_t)(p.run->step >> 32);
        counter[3] = (uint32_t)DETNNI_DROPOUT << 24 | (p.layer & 0xffffff);
        detnni_philox(p.seed, counter, word);
        for (i = 0; i < 4; i++) {
            const uint64_t at = block * 4 + (uint64_t)i - p.first;
            if (at < p.n) p.to[at] = word[i] >= p.threshold ? detnni_g_mul(p.x[at], p.scale) : 0.0f;
        }
        return;
    }
    if (e >= p.n) return;
    switch (p.kind) {
    case DETNNI_ACTIVATE:      p.to[e] = detnni_g_activate(p.activation, p.alpha, p.x[e]); break;
    case DETNNI_ACTIVATE_BACK: p.to[e] = detnni_g_back(p.activation, p.alpha, p.x[e], p.y[e], p.to[e]); break;
    case DETNNI_STANDARDIZE:
        p.to[e] = detnni_g_div(detnni_g_sub(p.x[e], p.mean[e % p.width]), p.deviation[e % p.width]);
        break;
    case DETNNI_STANDARDIZE_BACK: p.to[e] = detnni_g_div(p.x[e], p.deviation[e % p.width]); break;
    default: break;
    }
}

/* The sums of C4 over a row, by a warp: TERM(v, j) is v with element j. */
#define DETNNI_ROW_SUM(sum, n, TERM) \
    do { \
        detnni_g_tree tree; \
        size_t start, half; \
        tree.count = 0; \
        tree.depth = 0; \
        for (start = 0; start < (n); start += 4096) { \
            const size_t stop = (n) - start < 4096 ? (n) : start + 4096; \
            float lane[2] = { 0.0f, 0.0f }; \
            for (half = 0; half < 2; half++) \
                for (j = start + threadIdx.x % 32 + half * 32; j < stop; j += 64) lane[half] = TERM(lane[half], j); \
            detnni_g_tree_add(&tree, detnni_g_fold(lane[0], lane[1])); \
        } \
        (sum) = detnni_g_tree_sum(&tree); \
    } while (0)
#define DETNNI_PLUS(v, j) detnni_g_add(v, to[j])

/* to = softmax(x), the maximum and the sum; a warp. */
static __device__ inline void detnni_g_softmax(const float *x, size_t n, float *to, float *max, float *sum)
{
    float m = detnni_float(0xff800000);
    size_t j;
    int h;
    for (j = threadIdx.x % 32; j < n; j += 32) m = detnni_g_maximum(m, x[j]);
    for (h = 16; h; h /= 2) m = detnni_g_maximum(m, __shfl_xor_sync(0xffffffffu, m, h));
    for (j = threadIdx.x % 32; j < n; j += 32) to[j] = detnni_exp_1_cuda(detnni_g_sub(x[j], m));
    DETNNI_ROW_SUM(*sum, n, DETNNI_PLUS);
    *max = m;
    for (j = threadIdx.x % 32; j < n; j += 32) to[j] = detnni_g_div(to[j], *sum);
}

#define DETNNI_PRODUCT(v, j) detnni_g_fma(x[j], to[j], v)
static __global__ void detnni_k_softmax(detnni_gpu_rows p) /* a warp for a row */
{
    const size_t m = detnni_g_index() / 32;
    const float *x = p.x + m * p.n;
    float *to = p.to + m * p.n, max, sum;
    size_t j;
    if ((p.run && p.run->stop) || m >= p.rows) return;
    if (!p.back) {
        detnni_g_softmax(x, p.n, to, &max, &sum);
        return;
    }
    DETNNI_ROW_SUM(sum, p.n, DETNNI_PRODUCT); /* x: the probabilities */
    for (j = threadIdx.x % 32; j < p.n; j += 32) to[j] = detnni_g_mul(x[j], detnni_g_sub(to[j], sum));
}

/* The lowest index of a NaN, else the lowest of the largest; a warp. */
static __device__ inline size_t detnni_g_argmax(const float *x, size_t n)
{
    uint64_t best = 0; /* of (key, ~index): keys order numbers as floats do, with NaN above and one zero */
    size_t j;
    int h;
    for (j = threadIdx.x % 32; j < n; j += 32) {
        uint32_t b = detnni_float_bits(x[j]);
        uint64_t key;
        if (detnni_nan(x[j])) b = 0x7fffffff;
        if (b == 0x80000000u) b = 0;
        key = (uint64_t)(b >> 31 ? ~b : b | 0x80000000u) << 32 | (uint32_t)~(uint32_t)j;
        if (key > best) best = key;
    }
    for (h = 16; h; h /= 2) {
        uint64_t other = __shfl_xor_sync(0xffffffffu, best, h);
        if (other > best) best = other;
    }
    return (uint32_t)~(uint32_t)best;
}

static __device__ inline float detnni_g_target(const detnni_gpu_losses *p, size_t m, size_t j)
{
    if (p->targets) return p->targets[m * p->n + j];
    return p->n == 1 ? (float)p->labels[m] : j == p->labels[m] ? 1.0f : 0.0f;
}

static __device__ inline float detnni_g_smoothed(const detnni_gpu_losses *p, size_t m, size_t j)
{
    float t = p->targets ? p->targets[m * p->n + j] : j == p->labels[m] ? 1.0f : 0.0f;
    return p->smoothing ? detnni_g_fma(p->sharp, t, p->smooth) : t;
}

/* A term of a loss (C9), and the gradient for it. */
static __device__ inline float detnni_g_loss(const detnni_gpu_losses *p, float y, float t, float q, float *d)
{
    float r = detnni_g_sub(y, t), a = detnni_float(detnni_g_size(r)), big;
    switch (p->loss) {
    case DETNN_BINARY_CROSS_ENTROPY:
        if (p->gradient) *d = detnni_g_mul(detnni_g_sub(detnni_sigmoid_1_cuda(y), t), q);
        big = detnni_g_mul(detnni_g_sub(1.0f, t), detnni_softplus_1_cuda(y));
        return detnni_g_fma(t, detnni_softplus_1_cuda(detnni_float(detnni_float_bits(y) ^ 0x80000000u)), big);
    case DETNN_MEAN_SQUARED_ERROR:
        *d = detnni_g_mul(detnni_g_add(r, r), q);
        return r;
    case DETNN_MEAN_ABSOLUTE_ERROR:
        *d = detnni_positive(r) ? q : detnni_negative(r) ? detnni_float(detnni_float_bits(q) ^ 0x80000000u) : 0.0f;
        return a;
    default: /* Huber */
        big = detnni_g_mul(p->delta, q);
        if (!detnni_nan(a) && !detnni_g_greater(a, p->delta)) {
            *d = detnni_g_mul(r, q);
            return detnni_g_mul(detnni_g_mul(0.5f, r), r);
        }
        *d = detnni_positive(r) ? big : detnni_float(detnni_float_bits(big) ^ 0x80000000u);
        return detnni_g_mul(p->delta, detnni_g_sub(a, detnni_g_mul(0.5f, p->delta)));
    }
}

#define DETNNI_CROSS(v, j) detnni_g_cross(&p, m, j, z, max, log_sum, v)
static __device__ inline float detnni_g_cross(const detnni_gpu_losses *p, size_t m, size_t j, const float *z, float max,
                                              float log_sum, float v)
{
    const float t = detnni_g_smoothed(p, m, j);
    return detnni_g_fma(t, detnni_g_size(t) ? detnni_g_sub(log_sum, detnni_g_sub(z[j], max)) : 0.0f, v);
}
#define DETNNI_LOSS(v, j) detnni_g_loss_sum(&p, m, j, z, q, d, &correct, v)
static __device__ inline float detnni_g_loss_sum(const detnni_gpu_losses *p, size_t m, size_t j, const float *z,
                                                 float q, float *d, uint32_t *correct, float v)
{
    const float t = detnni_g_target(p, m, j);
    float gradient = 0.0f, term;
    if (p->error) return detnni_g_add(v, detnni_float(detnni_g_size(detnni_g_sub(z[j], t))));
    term = detnni_g_loss(p, z[j], t, q, &gradient);
    if (p->gradient) d[j] = gradient;
    if (p->loss == DETNN_BINARY_CROSS_ENTROPY) *correct += detnni_positive(z[j]) == detnni_g_greater(t, 0.5f);
    return p->loss == DETNN_MEAN_SQUARED_ERROR ? detnni_g_fma(term, term, v) : detnni_g_add(v, term);
}

static __global__ void detnni_k_losses(detnni_gpu_losses p) /* a warp for a row */
{
    const size_t m = detnni_g_index() / 32, n = p.n;
    const float *z = p.z + m * n;
    float *d = p.d + m * n, c, q, loss = 0.0f, max, sum;
    uint32_t correct = 0;
    size_t j, to;
    int h;
    if ((p.run && p.run->stop) || m >= p.rows) return;
    c = p.weights && !p.error ? detnni_g_mul(p.weights[m], p.inv) : p.inv;
    q = detnni_g_div(c, p.outputs);
    if (p.loss == DETNN_CROSS_ENTROPY && !p.error) {
        float log_sum;
        detnni_g_softmax(z, n, d, &max, &sum);
        log_sum = detnni_log_1_cuda(sum);
        if (p.targets || p.smoothing) DETNNI_ROW_SUM(loss, n, DETNNI_CROSS);
        else loss = detnni_g_sub(log_sum, detnni_g_sub(z[p.labels[m]], max));
        for (j = threadIdx.x % 32; p.gradient && j < n; j += 32)
            d[j] = detnni_g_mul(detnni_g_sub(d[j], detnni_g_smoothed(&p, m, j)), c);
        correct = detnni_g_argmax(z, n) == (p.targets ? detnni_g_argmax(p.targets + m * n, n) : p.labels[m]);
    } else {
        DETNNI_ROW_SUM(loss, n, DETNNI_LOSS);
        loss = detnni_g_div(loss, p.outputs);
        for (h = 16; h; h /= 2) correct += __shfl_xor_sync(0xffffffffu, correct, h);
    }
    if (threadIdx.x % 32) return;
    if (p.weights && !p.error) loss = detnni_g_mul(p.weights[m], loss);
    to = (p.run ? (size_t)(p.run->slot * p.run->batch) : 0) + p.done + m;
    p.losses[to] = loss;
    p.correct[to] = correct;
    if (p.run && detnni_g_size(loss) >= 0x6c800000u) atomicMax(&p.run->largest, 0xffffffffu); /* 2^90: no sum of
                                                                                               losses below overflows */
}

/* Gradients of parts: g = g + parts, or the tree over groups of leaves. */
static __global__ void detnni_k_join(detnni_gpu_step p)
{
    const size_t e = detnni_g_index();
    uint32_t size = 0;
    if (p.run->stop) return;
    if (e < p.elements) {
        float v;
        if (p.groups) {
            detnni_g_tree tree;
            size_t i;
            tree.count = 0;
            tree.depth = 0;
            for (i = 0; i < p.groups; i++) detnni_g_tree_add(&tree, p.parts[i * p.elements + e]);
            v = detnni_g_tree_sum(&tree);
        } else {
            v = detnni_g_add(p.g[e], p.parts[e]);
        }
        p.g[e] = v;
        size = detnni_g_size(v);
    }
    detnni_g_largest(&p.run->largest, size);
}

/* The tensor that element or chunk e belongs to. */
static __device__ inline const detnni_gpu_tensor *detnni_g_tensor(const detnni_gpu_step *p, size_t e, int chunks)
{
    size_t low = 0, high = p->count;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if ((chunks ? p->tensors[middle].chunk : p->tensors[middle].from) <= e) low = middle;
        else high = middle;
    }
    return p->tensors + low;
}

static __global__ void detnni_k_clip(detnni_gpu_step p)
{
    const size_t e = detnni_g_index();
    const float c = p.o.clip_value, minus = detnni_float(detnni_float_bits(c) | 0x80000000u);
    const detnni_gpu_tensor *t;
    float *g;
    if (p.run->stop || e >= p.elements) return;
    t = detnni_g_tensor(&p, e, 0);
    g = p.g + t->at + (e - t->from);
    *g = detnni_g_greater(minus, *g) ? minus : detnni_g_greater(*g, c) ? c : *g;
}

/* For clip_norm: the sum of squares of a chunk, by a warp ... */
static __global__ void detnni_k_squares(detnni_gpu_step p)
{
    const size_t chunk = detnni_g_index() / 32;
    const detnni_gpu_tensor *t;
    const float *g;
    float lane[2] = { 0.0f, 0.0f };
    size_t j, end, h;
    if (p.run->stop || chunk >= p.groups) return; /* groups: chunks in all */
    t = detnni_g_tensor(&p, chunk, 1);
    g = p.g + t->at;
    j = (chunk - t->chunk) * 4096;
    end = t->n - j < 4096 ? t->n : j + 4096;
    for (h = 0; h < 2; h++) {
        size_t i;
        for (i = j + threadIdx.x % 32 + h * 32; i < end; i += 64) lane[h] = detnni_g_fma(g[i], g[i], lane[h]);
    }
    lane[0] = detnni_g_fold(lane[0], lane[1]);
    if (threadIdx.x % 32 == 0) p.sums[chunk] = lane[0];
}

/* ... and, by one block, the trees over chunks and over tensors. */
static __global__ void detnni_k_norm(detnni_gpu_step p)
{
    size_t i, left, at;
    if (p.run->stop) return;
    for (i = 0; i < p.count; i++) {
        float *sums = p.sums + p.tensors[i].chunk;
        for (left = (p.tensors[i].n + 4095) / 4096; left > 1; left = (left + 1) / 2)
            for (at = 0; at < (left + 1) / 2; at += blockDim.x) { /* pairs of neighbours, a last one alone goes up */
                const size_t pair = at + threadIdx.x;
                float v = 0.0f;
                if (2 * pair < left) v = sums[2 * pair];
                if (2 * pair + 1 < left) v = detnni_g_add(v, sums[2 * pair + 1]);
                __syncthreads();
                if (2 * pair < left) sums[pair] = v;
                __syncthreads();
            }
    }
    if (threadIdx.x == 0) {
        detnni_g_tree tree;
        float norm;
        tree.count = 0;
        tree.depth = 0;
        for (i = 0; i < p.count; i++) detnni_g_tree_add(&tree, p.sums[p.tensors[i].chunk]);
        norm = detnni_g_sqrt(detnni_g_tree_sum(&tree));
        if (!detnni_finite(norm)) p.run->largest = 0xffffffffu;
        p.run->scaled = (uint32_t)detnni_g_greater(norm, p.o.clip_norm);
        p.run->scale = detnni_g_div(p.o.clip_norm, norm);
    }
}

static __global__ void detnni_k_update(detnni_gpu_step p)
{
    const size_t e = detnni_g_index();
    uint32_t size = 0;
    if (p.run->stop || p.run->largest >= DETNNI_SAFE || p.run->magnitude >= DETNNI_SAFE) return;
    if (e < p.elements) {
        const detnni_gpu_tensor *t = detnni_g_tensor(&p, e, 0);
        const size_t at = t->at + (e - t->from);
        const detnni_gpu_rate u = p.rates[p.run->slot];
        const float minus = detnni_float(detnni_float_bits(u.rate) ^ 0x80000000u);
        float g = p.g[at], w = p.w[at], v = w;
        if (p.run->scaled) p.g[at] = g = detnni_g_mul(g, p.run->scale);
        if (t->kernel && p.o.kind != DETNN_ADAMW && detnni_positive(p.o.weight_decay))
            g = detnni_g_fma(p.o.weight_decay, w, g);
        if (p.o.kind == DETNN_SGD && !p.m1) {
            w = detnni_g_fma(minus, g, w);
        } else if (p.o.kind == DETNN_SGD) {
            const float m = detnni_g_fma(p.o.momentum, p.m1[at], g);
            p.m1[at] = m;
            size = detnni_g_size(m);
            w = detnni_g_fma(minus, p.o.nesterov ? detnni_g_fma(p.o.momentum, m, g) : m, w);
        } else if (p.o.kind == DETNN_RMSPROP) {
            const float s = detnni_g_fma(p.o.rho, p.m1[at], detnni_g_mul(detnni_g_mul(p.c1, g), g));
            float h = detnni_g_div(g, detnni_g_add(detnni_g_sqrt(s), p.o.epsilon));
            p.m1[at] = s;
            size = detnni_g_size(s);
            if (p.m2) {
                p.m2[at] = h = detnni_g_fma(p.o.momentum, p.m2[at], h);
                size = detnni_g_size(h) > size ? detnni_g_size(h) : size;
            }
            w = detnni_g_fma(minus, h, w);
        } else {
            const float m = detnni_g_fma(p.o.beta1, p.m1[at], detnni_g_mul(p.c1, g));
            const float s = detnni_g_fma(p.o.beta2, p.m2[at], detnni_g_mul(detnni_g_mul(p.c2, g), g));
            if (t->kernel && p.o.kind == DETNN_ADAMW) v = detnni_g_mul(u.keep, w);
            p.m1[at] = m;
            p.m2[at] = s;
            size = detnni_g_size(m) > detnni_g_size(s) ? detnni_g_size(m) : detnni_g_size(s);
            w = detnni_g_fma(minus, detnni_g_div(m, detnni_g_fma(detnni_g_sqrt(s), u.correction, p.o.epsilon)), v);
        }
        p.w[at] = w;
        size = detnni_g_size(w) > size ? detnni_g_size(w) : size;
    }
    detnni_g_largest(&p.run->written, size);
}

/* After the update: on to the next step, or the end of the run, by the same test. */
static __global__ void detnni_k_next(detnni_gpu_step p)
{
    detnni_gpu_run *r = p.run;
    if (r->stop) return;
    if (r->largest >= DETNNI_SAFE || r->magnitude >= DETNNI_SAFE) {
        r->stop = 1;
        return;
    }
    r->magnitude = r->written;
    r->largest = r->written = r->scaled = 0;
    r->step++;
    r->slot++;
    r->first += p.rows;
}

/* ---- The host's side ---- */

typedef struct detnni_gpu {
    cudaStream_t stream;
    cudaError_t error;         /* the first one */
    char *block;               /* the net's memory, as it is cut on the host */
    detnni_gpu_run *run;
    detnni_gpu_rate *rates;    /* [DETNNI_GPU_STEPS] */
    detnni_gpu_tensor *tensors, *tensor_list; /* on the device and here */
    size_t tensor_count, elements, chunks;
    float *foreign;            /* desc.weights, where they lie outside of the block */
    float *sums, *partial;     /* of chunks; of groups of leaves */
    float *targets, *weights, *losses; /* [batch_max] of what is evaluated; [room] of rows of steps */
    uint32_t *labels, *correct;
    size_t room;
    float *host_losses;        /* [room], then correct */
    void *data;                /* of a fit */
    const detnn_data *data_of;
    float *data_x, *data_targets, *data_weights;
    uint32_t *data_labels;
    cudaGraphExec_t graph;     /* a step of graph_rows */
    size_t graph_rows;
    int ahead, behind;         /* the device has what the host has not, or the other way round */
    detnni_state kept;         /* that the host's arrays belong to, where the device is ahead */
} detnni_gpu;

#define DETNNI_GPU_STEPS 4096

static int detnni_gpu_good(detnni_gpu *g, cudaError_t e)
{
    if (e != cudaSuccess && g->error == cudaSuccess) g->error = e;
    return g->error == cudaSuccess;
}

/* What lies at p in the net's block, on the device. */
static float *detnni_gpu_at(const detnn_net *net, const float *p)
{
    return p ? (float *)(void *)(net->gpu->block + ((const char *)p - (const char *)net)) : 0;
}
static float *detnni_gpu_weights(const detnn_net *net)
{
    return net->gpu->foreign ? net->gpu->foreign : detnni_gpu_at(net, net->weights);
}

static void detnni_gpu_up(detnni_gpu *g, void *to, const void *from, size_t bytes)
{
    if (bytes) (void)detnni_gpu_good(g, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, g->stream));
}

/* Waits for all that was queued; 0 where something failed. */
static int detnni_gpu_down(detnni_gpu *g, void *to, const void *from, size_t bytes)
{
    if (bytes) (void)detnni_gpu_good(g, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, g->stream));
    return detnni_gpu_good(g, cudaStreamSynchronize(g->stream));
}

template <typename A>
static void detnni_launch(detnni_gpu *g, void (*kernel)(A), size_t blocks, size_t rows, unsigned threads, A a)
{
    void *args[1];
    args[0] = &a;
    if (!blocks || blocks > 0x7fffffff || rows > 65535) {
        (void)detnni_gpu_good(g, blocks ? cudaErrorInvalidConfiguration : cudaSuccess);
        return;
    }
    (void)detnni_gpu_good(g, cudaLaunchKernel(kernel, dim3((unsigned)blocks, (unsigned)rows), dim3(threads), args,
                                              (size_t)0, g->stream));
}

static size_t detnni_tiles(size_t n, size_t tile) { return n / tile + (n % tile != 0); }

/* The float arrays of the training state lie behind it in one piece. */
static float *detnni_gpu_floats(const detnn_net *net, size_t *bytes)
{
    const size_t before = ((sizeof(detnni_state) + 63) & ~(size_t)63);
    *bytes = net->own_weights ? net->state_size - before : 0;
    return net->own_weights;
}

/* ---- Opening and closing ---- */

static void detnni_gpu_forget(detnni_gpu *g)
{
    if (g->graph) (void)cudaGraphExecDestroy(g->graph);
    g->graph = 0;
    g->graph_rows = 0;
}

static void detnni_gpu_free_data(detnni_gpu *g)
{
    if (g->data) (void)cudaFree(g->data);
    g->data = 0;
    g->data_of = 0;
    g->data_x = g->data_targets = g->data_weights = 0;
    g->data_labels = 0;
}

static void detnni_gpu_close(detnn_net *net)
{
    detnni_gpu *g = net->gpu;
    if (!g) return;
    net->gpu = 0;
    net->desc.device = DETNN_CPU;
    detnni_gpu_forget(g);
    detnni_gpu_free_data(g);
    (void)cudaFree(g->losses);
    (void)cudaFree(g->block);
    if (g->stream) (void)cudaStreamDestroy(g->stream);
    free(g->host_losses);
    free(g->tensor_list);
    free(g);
}

/* The GPU failed: the net goes back to what the host has, and to the CPU. */
static detnn_result detnni_gpu_lost(detnn_net *net, detnn_error *err)
{
    detnni_gpu *g = net->gpu;
    const char *what = cudaGetErrorString(g->error);
    if (g->ahead) {
        *net->state = g->kept;
        net->magnitude = 0x7f800000;
    }
    (void)cudaGetLastError();
    detnni_gpu_close(net);
    return detnni_fail(err, DETNN_ERROR_DEVICE,
                       "the GPU failed (%s): the net is as after step %l and goes on on the CPU", what,
                       net->state->step);
}

/* The groups of a weight gradient over so many rows, each of *leaves leaves: by shape alone. */
static size_t detnni_gpu_groups(size_t rows, size_t tiles, size_t *leaves)
{
    const size_t all = detnni_tiles(rows, 64);
    size_t most = 16;
    while (all >= 8 && most > 2 && tiles * detnni_tiles(all, most) < 96) most /= 2;
    *leaves = most;
    return detnni_tiles(all, most);
}

/* The most groups for any number of rows up to this one: fewer rows may have more of them, where groups of 16 leaves
 * gave too few blocks. */
static size_t detnni_gpu_groups_most(size_t rows, size_t tiles)
{
    const size_t all = detnni_tiles(rows, 64), large = detnni_tiles(all, 16);
    const size_t of_two = detnni_min(2 * (detnni_tiles(96, tiles) - 1), detnni_tiles(all, 2));
    return all >= 8 && of_two > large ? of_two : large;
}

/* Sizes of tiles; the largest that give so many blocks. */
static int detnni_gpu_tile(int weights, size_t rows, size_t cols)
{
    if (detnni_tiles(rows, 128) * detnni_tiles(cols, weights ? 64 : 128) >= 96) return 128;
    if (detnni_tiles(rows, 64) * detnni_tiles(cols, 64) >= 96) return 64;
    if (detnni_tiles(rows, 32) * detnni_tiles(cols, 32) >= 64) return 32;
    return 16;
}
static size_t detnni_gpu_tile_count(int tile, int weights, size_t rows, size_t cols)
{
    return detnni_tiles(rows, (size_t)tile) * detnni_tiles(cols, weights && tile == 128 ? 64 : (size_t)tile);
}

static detnn_result detnni_gpu_open(detnn_net *net, detnn_error *err)
{
    const size_t rows = net->desc.batch_max, layers = net->desc.layer_count;
    const size_t foreign = net->own_weights ? 0 : net->parameters, chunks = net->parameters / 4096 + 2 * layers;
    const size_t training = net->gradients != 0;
    int count = 0, device = 0, major = 0, minor = 0;
    size_t i, sums = 0;
    detnni_arena a;
    detnni_gpu *g;
    cudaFuncAttributes kernel;
    cudaError_t e;
    if (net->desc.packed)
        return detnni_fail(err, DETNN_ERROR_FEATURE, "device: desc.packed kernels are for the CPU alone");
    e = cudaGetDeviceCount(&count);
    if (e != cudaSuccess || count < 1) {
        (void)cudaGetLastError();
        return detnni_fail(err, DETNN_ERROR_DEVICE, "device: there is no CUDA device (%s)",
                           e == cudaSuccess ? "none found" : cudaGetErrorString(e));
    }
    e = cudaGetDevice(&device);
    if (e == cudaSuccess) e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (e == cudaSuccess) e = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    if (e != cudaSuccess) return detnni_fail(err, DETNN_ERROR_DEVICE, "device: %s", cudaGetErrorString(e));
    if (major * 10 + minor < 75)
        return detnni_fail(err, DETNN_ERROR_DEVICE, "device: the GPU has compute capability %z.%z, 7.5 is needed",
                           (size_t)major, (size_t)minor);
    e = cudaFuncGetAttributes(&kernel, detnni_k_next);
    if (e != cudaSuccess) {
        (void)cudaGetLastError();
        return detnni_fail(err, DETNN_ERROR_DEVICE,
                           "device: this build's kernels do not run on a GPU of compute capability %z.%z (%s)",
                           (size_t)major, (size_t)minor, cudaGetErrorString(e));
    }
    for (i = 0; training && i < 2 * layers; i++) { /* of the kernel and the bias; of the bias alone */
        const detnni_layer *l = &net->layers[i / 2];
        const size_t m = i % 2 ? 1 : l->inputs + (l->bias_size != 0), n = l->outputs;
        size_t groups;
        if (l->d.kind != DETNN_LAYER_DENSE) continue;
        groups = detnni_gpu_groups_most(rows, detnni_gpu_tile_count(detnni_gpu_tile(1, m, n), 1, m, n));
        if (groups > 1 && groups > ((size_t)1 << 28) / m / n)
            return detnni_fail(err, DETNN_ERROR_SIZE,
                               "device: with batch_max %z, partial sums of layer %z take more than 1 GB on the GPU: "
                               "take a smaller one and more parts_max", rows, i / 2);
        if (groups > 1 && groups * m * n > sums) sums = groups * m * n;
    }
    g = (detnni_gpu *)calloc(1, sizeof *g);
    if (g) g->tensor_list = (detnni_gpu_tensor *)calloc(2 * layers, sizeof *g->tensor_list);
    if (!g || !g->tensor_list) {
        free(g);
        return detnni_fail(err, DETNN_ERROR_MEMORY, "device: no memory");
    }
    for (i = 0; i < 2; i++) { /* once to add up, once to cut */
        a.base = i ? g->block : 0;
        a.used = 0;
        a.overflow = 0;
        (void)detnni_take(&a, net->memory_size, 1);
        g->run = (detnni_gpu_run *)detnni_take(&a, 1, sizeof *g->run);
        g->rates = (detnni_gpu_rate *)detnni_take(&a, DETNNI_GPU_STEPS, sizeof *g->rates);
        g->tensors = (detnni_gpu_tensor *)detnni_take(&a, 2 * layers, sizeof *g->tensors);
        g->foreign = foreign ? detnni_floats(&a, foreign, 1) : 0;
        g->sums = detnni_floats(&a, chunks, 1);
        g->partial = detnni_floats(&a, sums, 1);
        g->targets = detnni_floats(&a, rows, net->outputs);
        g->weights = detnni_floats(&a, rows, 1);
        g->labels = (uint32_t *)detnni_take(&a, rows, sizeof(uint32_t));
        if (i) break;
        e = a.overflow ? cudaErrorMemoryAllocation : cudaMalloc((void **)&g->block, a.used);
        if (e == cudaSuccess) e = cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking);
        if (e != cudaSuccess) {
            (void)cudaGetLastError();
            (void)cudaFree(g->block);
            free(g->tensor_list);
            free(g);
            return detnni_fail(err, e == cudaErrorMemoryAllocation ? DETNN_ERROR_MEMORY : DETNN_ERROR_DEVICE,
                               "device: the GPU gives no %z bytes (%s)", a.used, cudaGetErrorString(e));
        }
    }
    g->behind = 1;
    net->gpu = g;
    net->desc.device = DETNN_GPU;
    return DETNN_OK;
}

/* Room for the losses of so many rows. */
static int detnni_gpu_room(detnni_gpu *g, size_t rows)
{
    if (rows <= g->room) return 1;
    (void)cudaFree(g->losses);
    free(g->host_losses);
    g->room = 0;
    g->losses = 0;
    detnni_gpu_forget(g); /* it has the old address */
    g->host_losses = (float *)malloc(2 * rows * sizeof(float));
    if (!g->host_losses) {
        (void)detnni_gpu_good(g, cudaErrorMemoryAllocation);
        return 0;
    }
    if (!detnni_gpu_good(g, cudaMalloc((void **)&g->losses, 2 * rows * sizeof(float)))) return 0;
    g->correct = (uint32_t *)(void *)(g->losses + rows);
    g->room = rows;
    return 1;
}

/* ---- Which side has what ---- */

static int detnni_gpu_fetch(const detnn_net *net)
{
    detnni_gpu *g = net->gpu;
    size_t bytes;
    float *floats;
    if (!g || !g->ahead) return 1;
    floats = detnni_gpu_floats(net, &bytes);
    /* Errors of kernels show in the wait, before anything is written here; a copy that breaks off leaves a part. */
    if (!detnni_gpu_down(g, 0, 0, 0)
        || !detnni_gpu_down(g, net->gradients, detnni_gpu_at(net, net->gradients), net->parameters * sizeof(float))
        || !detnni_gpu_down(g, floats, detnni_gpu_at(net, floats), bytes))
        return 0;
    g->ahead = 0;
    return 1;
}

static void detnni_gpu_changed(detnn_net *net)
{
    if (!net->gpu) return;
    net->gpu->behind = 1;
    detnni_gpu_forget(net->gpu);
}

/* The device gets what it has not: weights and moments, and which tensors are trained. */
static void detnni_gpu_send(detnn_net *net)
{
    detnni_gpu *g = net->gpu;
    size_t bytes;
    float *floats;
    detnni_tensor t;
    if (!g->behind) return;
    floats = detnni_gpu_floats(net, &bytes);
    detnni_gpu_up(g, detnni_gpu_at(net, floats), floats, bytes);
    if (g->foreign) detnni_gpu_up(g, g->foreign, net->weights, net->parameters * sizeof(float));
    if (net->gradients) /* all nodes: frozen parts of them are joined, too */
        detnni_gpu_up(g, detnni_gpu_at(net, net->gradients), net->gradients,
                      (1 + (size_t)detnni_log2(net->desc.parts_max)) * net->parameters * sizeof(float));
    g->tensor_count = g->elements = g->chunks = 0;
    DETNNI_ZERO(&t, sizeof t);
    while (detnni_next_tensor(net, &t)) {
        detnni_gpu_tensor *to = &g->tensor_list[g->tensor_count++];
        to->at = t.at;
        to->n = t.n;
        to->from = g->elements;
        to->chunk = g->chunks;
        to->kernel = t.kernel;
        g->elements += t.n;
        g->chunks += detnni_tiles(t.n, 4096);
    }
    detnni_gpu_up(g, g->tensors, g->tensor_list, g->tensor_count * sizeof *g->tensors);
    g->behind = 0;
}

static int detnni_gpu_best(detnn_net *net, int restore)
{
    detnni_gpu *g = net->gpu;
    const size_t bytes = net->parameters * sizeof(float);
    float *w, *best;
    if (!g || g->behind) return 0;
    w = detnni_gpu_at(net, net->own_weights);
    best = detnni_gpu_at(net, net->best);
    (void)detnni_gpu_good(g, cudaMemcpyAsync(restore ? w : best, restore ? best : w, bytes, cudaMemcpyDeviceToDevice,
                                             g->stream));
    return g->ahead; /* the host's arrays stay those of g->kept */
}

/* ---- Launches: arrays are the device's ---- */

static void detnni_gpu_product(detnni_gpu *g, int form, detnni_gpu_dense p)
{
    const int weights = form == DETNNI_WEIGHT_GRADIENT, tile = detnni_gpu_tile(weights, p.rows, p.cols);
    const size_t blocks = detnni_gpu_tile_count(tile, weights, p.rows, p.cols);
    const size_t a_rows = weights ? p.a_rows : p.rows;
    size_t groups = 1;
    p.row_tiles = (uint32_t)detnni_tiles(p.rows, (size_t)tile);
    p.a_wide = p.lda % 4 == 0 && a_rows % 4 == 0 && (uintptr_t)p.a % 16 == 0;
    p.b_wide = p.ldb % 4 == 0 && p.cols % 4 == 0 && (uintptr_t)p.b % 16 == 0;
    if (weights) {
        groups = detnni_gpu_groups(p.terms, blocks, &p.leaves);
        p.last = groups == 1;
    }
#define DETNNI_TILES(FORM) \
    do { \
        enum { W = (FORM) == DETNNI_WEIGHT_GRADIENT }; \
        if (tile == 128) \
            detnni_launch(g, detnni_k_dense<FORM, 128, W ? 64 : 128, 8, W ? 4 : 8, 16, W ? 3 : 2>, blocks, groups, \
                          256, p); \
        else if (tile == 64) detnni_launch(g, detnni_k_dense<FORM, 64, 64, 4, 4, 16, 4>, blocks, groups, 256, p); \
        else if (tile == 32) detnni_launch(g, detnni_k_dense<FORM, 32, 32, 2, 2, 32, 4>, blocks, groups, 256, p); \
        else detnni_launch(g, detnni_k_dense<FORM, 16, 16, 1, 1, 64, 4>, blocks, groups, 256, p); \
    } while (0)
    if (form == DETNNI_FORWARD) DETNNI_TILES(DETNNI_FORWARD);
    else if (form == DETNNI_INPUT_GRADIENT) DETNNI_TILES(DETNNI_INPUT_GRADIENT);
    else if (groups == 1) DETNNI_TILES(DETNNI_WEIGHT_GRADIENT);
    else {
        detnni_gpu_step join;
        DETNNI_ZERO(&join, sizeof join);
        join.run = p.run;
        join.g = p.c;
        join.parts = p.c = g->partial;
        join.groups = groups;
        join.elements = p.rows * p.cols;
        DETNNI_TILES(DETNNI_WEIGHT_GRADIENT);
        detnni_launch(g, detnni_k_join, detnni_tiles(join.elements, 256), 1, 256, join);
    }
#undef DETNNI_TILES
}

static int detnni_gpu_cheap(detnn_activation a) { return a <= DETNN_LEAKY_RELU; }
static int detnni_gpu_cheap_back(detnn_activation a) { return a <= DETNN_TANH; }

static detnni_gpu_elements detnni_gpu_elements_of(detnni_gpu_run *run, const detnni_layer *l, detnni_gpu_kind kind,
                                                  const float *x, size_t rows, float *to)
{
    detnni_gpu_elements e;
    DETNNI_ZERO(&e, sizeof e);
    e.run = run;
    e.kind = kind;
    e.activation = l->d.activation;
    e.alpha = l->d.alpha;
    e.x = x;
    e.to = to;
    e.n = rows * l->outputs;
    e.width = l->outputs;
    return e;
}

static void detnni_gpu_drop(detnn_net *net, const detnni_layer *l, const float *x, size_t rows, size_t first, float *to)
{
    detnni_gpu_elements e = detnni_gpu_elements_of(net->gpu->run, l, DETNNI_DROP, x, rows, to);
    const double product = (double)l->d.rate * 4294967296.0; /* exact */
    e.threshold = (uint64_t)product + ((double)(uint64_t)product < product);
    e.scale = 1.0f / (1.0f - l->d.rate);
    e.first = (uint64_t)first * l->outputs;
    e.seed = net->desc.seed;
    e.layer = (uint32_t)(l - net->layers);
    detnni_launch(net->gpu, detnni_k_elements, detnni_tiles((size_t)(e.first & 3) + e.n, 1024), 1, 256, e);
}

static void detnni_gpu_activate(detnn_net *net, detnni_gpu_run *run, const detnni_layer *l, const float *z, size_t rows,
                                float *y)
{
    if (l->d.activation == DETNN_SOFTMAX) {
        detnni_gpu_rows p;
        DETNNI_ZERO(&p, sizeof p);
        p.run = run;
        p.x = z;
        p.to = y;
        p.rows = rows;
        p.n = l->outputs;
        detnni_launch(net->gpu, detnni_k_softmax, detnni_tiles(rows, 4), 1, 128, p);
    } else {
        detnni_gpu_elements e = detnni_gpu_elements_of(run, l, DETNNI_ACTIVATE, z, rows, y);
        detnni_launch(net->gpu, detnni_k_elements, detnni_tiles(e.n, 256), 1, 256, e);
    }
}

/* As detnni_layer_forward; run: null outside of training. */
static void detnni_gpu_forward(detnn_net *net, detnni_gpu_run *run, const detnni_layer *l, const float *x, size_t rows,
                               size_t first, float *z, float *y, int activate)
{
    detnni_gpu *g = net->gpu;
    const float *weights = detnni_gpu_weights(net);
    detnni_gpu_elements e;
    detnni_gpu_dense p;
    switch (l->d.kind) {
    case DETNN_LAYER_DENSE:
        DETNNI_ZERO(&p, sizeof p);
        p.run = run;
        p.a = x;
        p.b = weights + l->kernel;
        p.start = l->bias_size ? weights + l->bias : 0;
        p.rows = rows;
        p.cols = p.ldb = l->outputs;
        p.terms = p.lda = l->inputs;
        p.alpha = l->d.alpha;
        p.activation = activate && detnni_gpu_cheap(l->d.activation) ? l->d.activation : DETNN_LINEAR;
        p.c = z;
        detnni_gpu_product(g, DETNNI_FORWARD, p);
        if (activate && !detnni_gpu_cheap(l->d.activation)) detnni_gpu_activate(net, run, l, z, rows, y);
        break;
    case DETNN_LAYER_ACTIVATION:
        detnni_gpu_activate(net, run, l, x, rows, y);
        break;
    case DETNN_LAYER_STANDARDIZE:
        e = detnni_gpu_elements_of(run, l, DETNNI_STANDARDIZE, x, rows, y);
        e.mean = weights + l->kernel;
        e.deviation = weights + l->bias;
        detnni_launch(g, detnni_k_elements, detnni_tiles(e.n, 256), 1, 256, e);
        break;
    case DETNN_LAYER_DROPOUT:
        detnni_gpu_drop(net, l, x, rows, first, y);
        break;
    default: break;
    }
}

/* As detnni_infer. */
static const float *detnni_gpu_infer(detnn_net *net, const float *x, size_t rows, int raw)
{
    float *a = detnni_gpu_at(net, net->a), *b = detnni_gpu_at(net, net->b);
    size_t i, last = net->desc.layer_count;
    while (last > 0 && net->layers[last - 1].d.kind == DETNN_LAYER_DROPOUT) last--;
    for (i = 0; i < last; i++) {
        const detnni_layer *l = &net->layers[i];
        int skip = raw && net->raw && i + 1 == last;
        float *out = x == a ? b : a;
        if (l->d.kind == DETNN_LAYER_DROPOUT || (skip && l->d.kind == DETNN_LAYER_ACTIVATION)) continue;
        detnni_gpu_forward(net, 0, l, x, rows, 0, out, out, !skip);
        x = out;
    }
    return x;
}

static detnni_gpu_losses detnni_gpu_losses_of(const detnn_net *net, const detnni_rows *data, const float *z,
                                              size_t rows, float inv, float *d)
{
    detnni_gpu_losses p;
    DETNNI_ZERO(&p, sizeof p);
    p.loss = net->desc.loss;
    p.z = z;
    p.targets = data->targets;
    p.weights = data->weights;
    p.labels = data->labels;
    p.d = d;
    p.losses = net->gpu->losses;
    p.correct = net->gpu->correct;
    p.rows = rows;
    p.n = net->outputs;
    p.inv = inv;
    p.smoothing = net->desc.label_smoothing > 0.0f;
    p.sharp = 1.0f - net->desc.label_smoothing;
    p.smooth = net->desc.label_smoothing / (float)net->outputs;
    p.delta = net->desc.huber_delta;
    p.outputs = (float)net->outputs;
    return p;
}

/* ---- Prediction and evaluation ---- */

static detnn_result detnni_gpu_predict(detnn_net *net, const float *x, size_t count, float *y, detnn_error *err)
{
    detnni_gpu *g = net->gpu;
    float *a = detnni_gpu_at(net, net->a);
    size_t i, m;
    detnni_gpu_send(net);
    for (i = 0; i < count; i += m) {
        m = detnni_min(net->desc.batch_max, count - i);
        detnni_gpu_up(g, a, x + i * net->inputs, m * net->inputs * sizeof(float));
        if (!detnni_gpu_down(g, y + i * net->outputs, detnni_gpu_infer(net, a, m, 0), m * net->outputs * sizeof(float)))
            return detnni_gpu_lost(net, err);
    }
    return detnni_ok(err);
}

static detnn_result detnni_gpu_evaluate(detnn_net *net, const detnn_data *data, size_t first, size_t count,
                                        detnn_metrics *metrics, detnn_error *err)
{
    detnni_gpu *g = net->gpu;
    const size_t in = net->inputs, n = net->outputs, batch = net->desc.batch_max;
    const int here = g->data_of == data;
    const float inv = 1.0f / (float)count;
    float *a = detnni_gpu_at(net, net->a), *b = detnni_gpu_at(net, net->b);
    const size_t most = detnni_min(count, batch > 65536 ? batch : 65536); /* rows for one wait */
    detnni_score score;
    size_t i, j, m, held = 0;
    detnni_gpu_send(net);
    if (!detnni_gpu_room(g, 2 * most)) return detnni_gpu_lost(net, err);
    detnni_score_start(&score);
    for (i = 0; i < count; i += m) {
        const size_t at = first + i;
        const float *x = g->data_x + at * in, *out;
        float *other;
        detnni_rows rows;
        detnni_gpu_losses p;
        m = detnni_min(batch, count - i);
        rows.targets = data->targets ? g->data_targets + at * n : 0;
        rows.labels = data->labels ? g->data_labels + at : 0;
        rows.weights = data->weights ? g->data_weights + at : 0;
        if (!here) {
            detnni_gpu_up(g, a, data->x + at * in, m * in * sizeof(float));
            if (data->targets) detnni_gpu_up(g, g->targets, data->targets + at * n, m * n * sizeof(float));
            if (data->labels) detnni_gpu_up(g, g->labels, data->labels + at, m * sizeof(uint32_t));
            if (data->weights) detnni_gpu_up(g, g->weights, data->weights + at, m * sizeof(float));
            x = a;
            rows.targets = data->targets ? g->targets : 0;
            rows.labels = data->labels ? g->labels : 0;
            rows.weights = data->weights ? g->weights : 0;
        }
        out = detnni_gpu_infer(net, x, m, 1);
        other = out == a ? b : a;
        p = detnni_gpu_losses_of(net, &rows, out, m, inv, other);
        p.done = held;
        detnni_launch(g, detnni_k_losses, detnni_tiles(m, 4), 1, 128, p);
        if (net->raw) {
            detnni_gpu_activate(net, 0, &net->layers[net->desc.layer_count - 1], out, m, other);
            p.z = other;
        }
        p.error = 1;
        p.done = most + held; /* of correct, too, where nothing is looked at */
        detnni_launch(g, detnni_k_losses, detnni_tiles(m, 4), 1, 128, p);
        held += m;
        if (i + m < count && held + batch <= most) continue;
        if (!detnni_gpu_down(g, g->host_losses, g->losses, held * sizeof(float))
            || !detnni_gpu_down(g, g->host_losses + most, g->losses + most, held * sizeof(float))
            || !detnni_gpu_down(g, g->host_losses + g->room, g->correct, held * sizeof(uint32_t)))
            return detnni_gpu_lost(net, err);
        for (j = 0; j < held; j++) {
            score.rows++;
            if (!score.bad && !detnni_finite(g->host_losses[j])) score.bad = score.rows;
            detnni_batch_sum_add(&score.loss, g->host_losses[j]);
            detnni_batch_sum_add(&score.error, g->host_losses[most + j]);
            score.correct += detnni_float_bits(g->host_losses[g->room + j]);
        }
        held = 0;
    }
    metrics->loss = detnni_batch_sum_end(&score.loss) * inv;
    if (score.bad || !detnni_finite(metrics->loss))
        return detnni_fail(err, DETNN_ERROR_NONFINITE,
                           "the loss of sample %z is infinite or NaN, or the sum of all losses overflows",
                           first + (score.bad ? score.bad - 1 : count - 1));
    metrics->mean_absolute_error = detnni_batch_sum_end(&score.error) * inv;
    metrics->accuracy = detnni_accuracy(net, score.correct, count);
    metrics->count = count;
    return DETNN_OK;
}

/* ---- Training ---- */

static void detnni_gpu_begin(detnn_net *net, const detnn_data *data, size_t batch)
{
    detnni_gpu *g = net->gpu;
    const size_t n = data->count;
    detnni_arena a;
    int i;
    if (!g) return;
    (void)detnni_gpu_room(g, detnni_min(n, (size_t)1 << 20) > batch ? detnni_min(n, (size_t)1 << 20) : batch);
    if (data->get) return;
    for (i = 0; i < 2; i++) {
        a.base = i ? (char *)g->data : 0;
        a.used = 0;
        a.overflow = 0;
        g->data_x = detnni_floats(&a, n, net->inputs);
        if (data->targets) g->data_targets = detnni_floats(&a, n, net->outputs);
        if (data->weights) g->data_weights = detnni_floats(&a, n, 1);
        if (data->labels) g->data_labels = (uint32_t *)detnni_take(&a, n, sizeof(uint32_t));
        if (!i && (a.overflow || cudaMalloc(&g->data, a.used) != cudaSuccess)) { /* batches come from the host */
            (void)cudaGetLastError();
            g->data = 0;
            detnni_gpu_free_data(g);
            return;
        }
    }
    detnni_gpu_up(g, g->data_x, data->x, n * net->inputs * sizeof(float));
    if (data->targets) detnni_gpu_up(g, g->data_targets, data->targets, n * net->outputs * sizeof(float));
    if (data->weights) detnni_gpu_up(g, g->data_weights, data->weights, n * sizeof(float));
    if (data->labels) detnni_gpu_up(g, g->data_labels, data->labels, n * sizeof(uint32_t));
    g->data_of = data;
}

static detnn_result detnni_gpu_end(detnn_net *net, detnn_result r, detnn_error *err)
{
    detnni_gpu *g = net->gpu;
    if (!g) return r;
    if (!detnni_gpu_fetch(net)) {
        detnn_result lost = detnni_gpu_lost(net, r ? 0 : err);
        return r ? r : lost;
    }
    detnni_gpu_forget(g);
    detnni_gpu_free_data(g);
    return r;
}

/* Rows of the device's array x go to the host's array and from there to the trace. */
static void detnni_gpu_trace(detnn_net *net, size_t item, const float *x, float *host, size_t rows, size_t cols,
                             size_t first)
{
    if (!detnni_tracing(net)) return;
    if (detnni_gpu_down(net->gpu, host, x, rows * cols * sizeof(float)))
        detnni_trace_rows(net, item, host, rows, cols, first);
}

/* As detnni_forward_rows, detnni_losses and detnni_backward_rows: rows [first, first + rows) of a step of `batch`,
 * which lie in the device's batch. */
static void detnni_gpu_part(detnn_net *net, const detnni_rows *data, size_t rows, size_t first, size_t batch)
{
    detnni_gpu *g = net->gpu;
    const float *x = detnni_gpu_at(net, net->batch_x), *weights = detnni_gpu_weights(net);
    float *d = detnni_gpu_at(net, net->a), *other = detnni_gpu_at(net, net->b), *t;
    float *gradients = detnni_gpu_at(net, detnni_node(net, net->nodes));
    const int tracing = detnni_tracing(net);
    size_t i, n = net->desc.layer_count, lowest = 0;
    int done = 0; /* the activation of layer i was gone back through by the product above it */
    detnni_gpu_losses p;
    detnni_rows on_device;
    detnni_gpu_trace(net, 0, x, net->batch_x, rows, net->inputs, first);
    for (i = 0; i < n; i++) {
        const detnni_layer *l = &net->layers[i];
        float *y = detnni_gpu_at(net, l->y);
        int skip = net->raw && i + 1 == n;
        if (skip && l->d.kind == DETNN_LAYER_ACTIVATION)
            (void)detnni_gpu_good(g, cudaMemcpyAsync(y, x, rows * l->outputs * sizeof(float), cudaMemcpyDeviceToDevice,
                                                     g->stream));
        else
            detnni_gpu_forward(net, g->run, l, x, rows, first, l->z && !skip ? detnni_gpu_at(net, l->z) : y, y, !skip);
        x = y;
        detnni_gpu_trace(net, 1 + i, x, l->y, rows, l->outputs, first);
    }
    on_device.x = 0;
    on_device.targets = data->targets ? detnni_gpu_at(net, net->batch_targets) : 0;
    on_device.labels = data->labels ? (uint32_t *)(void *)detnni_gpu_at(net, (float *)(void *)net->batch_labels) : 0;
    on_device.weights = data->weights ? detnni_gpu_at(net, net->batch_weights) : 0;
    p = detnni_gpu_losses_of(net, &on_device, x, rows, 1.0f / (float)batch, d);
    p.run = g->run;
    p.gradient = 1;
    p.done = first;
    detnni_launch(g, detnni_k_losses, detnni_tiles(rows, 4), 1, 128, p);
    detnni_gpu_trace(net, 1 + n, d, net->a, rows, net->outputs, first);
    while (lowest < n && !detnni_trainable(&net->layers[lowest])) lowest++;
    for (i = n; i-- > 0 && i >= lowest;) {
        const detnni_layer *l = &net->layers[i], *below = i ? l - 1 : 0;
        const int dense = l->d.kind == DETNN_LAYER_DENSE, wanted = i > lowest;
        const int activation = (dense || l->d.kind == DETNN_LAYER_ACTIVATION) && !(net->raw && i + 1 == n) && !done;
        const float *in = i ? detnni_gpu_at(net, below->y) : detnni_gpu_at(net, net->batch_x);
        if (activation && l->d.activation == DETNN_SOFTMAX) {
            detnni_gpu_rows r;
            DETNNI_ZERO(&r, sizeof r);
            r.run = g->run;
            r.back = 1;
            r.x = detnni_gpu_at(net, l->y);
            r.to = d;
            r.rows = rows;
            r.n = l->outputs;
            detnni_launch(g, detnni_k_softmax, detnni_tiles(rows, 4), 1, 128, r);
        } else if (activation && l->d.activation != DETNN_LINEAR) {
            detnni_gpu_elements e = detnni_gpu_elements_of(g->run, l, DETNNI_ACTIVATE_BACK,
                                                           dense ? detnni_gpu_at(net, l->z) : in, rows, d);
            e.y = detnni_gpu_at(net, l->y);
            if (!e.x) e.x = e.y; /* of no use to it */
            detnni_launch(g, detnni_k_elements, detnni_tiles(e.n, 256), 1, 256, e);
        }
        done = 0;
        if (l->d.kind == DETNN_LAYER_DROPOUT) detnni_gpu_drop(net, l, d, rows, first, d);
        if (l->d.kind == DETNN_LAYER_STANDARDIZE) {
            detnni_gpu_elements e = detnni_gpu_elements_of(g->run, l, DETNNI_STANDARDIZE_BACK, d, rows, d);
            e.deviation = weights + l->bias;
            detnni_launch(g, detnni_k_elements, detnni_tiles(e.n, 256), 1, 256, e);
        }
        if (dense) {
            detnni_gpu_dense q;
            DETNNI_ZERO(&q, sizeof q);
            q.run = g->run;
            if (detnni_trainable(l)) { /* the bias is the row of the kernel after its last, for an input of 1 */
                q.a = in;
                q.b = d;
                q.c = gradients + l->kernel;
                q.a_rows = q.lda = l->inputs;
                q.cols = q.ldb = l->outputs;
                q.terms = rows;
                q.rows = l->inputs + (l->bias_size != 0);
                if (l->bias_size && l->inputs % 128 == 0 && detnni_gpu_tile(1, q.rows, q.cols) == 128) {
                    q.rows--; /* a row of tiles for it would cost more than a launch */
                    detnni_gpu_product(g, DETNNI_WEIGHT_GRADIENT, q);
                    q.c += l->kernel_size;
                    q.a_rows = 0;
                    q.rows = 1;
                }
                detnni_gpu_product(g, DETNNI_WEIGHT_GRADIENT, q);
            }
            if (wanted) {
                DETNNI_ZERO(&q, sizeof q);
                q.run = g->run;
                q.a = d;
                q.b = weights + l->kernel;
                q.c = other;
                q.rows = rows;
                q.cols = l->inputs;
                q.terms = q.lda = q.ldb = l->outputs;
                if (!tracing && (below->d.kind == DETNN_LAYER_DENSE || below->d.kind == DETNN_LAYER_ACTIVATION)
                    && detnni_gpu_cheap_back(below->d.activation)) {
                    q.activation = below->d.activation;
                    q.alpha = below->d.alpha;
                    q.y = detnni_gpu_at(net, below->y);
                    done = 1;
                }
                detnni_gpu_product(g, DETNNI_INPUT_GRADIENT, q);
                t = d;
                d = other;
                other = t;
            }
        }
        if (wanted) detnni_gpu_trace(net, 2 + n + i, d, net->a, rows, l->inputs, first);
    }
    /* as detnni_part_done */
    if (!net->parts) net->part_rows = rows;
    net->nodes++;
    for (i = net->parts++; i & 1; i >>= 1) {
        detnni_gpu_step s;
        DETNNI_ZERO(&s, sizeof s);
        net->nodes--;
        s.run = g->run;
        s.g = detnni_gpu_at(net, detnni_node(net, net->nodes - 1));
        s.parts = detnni_gpu_at(net, detnni_node(net, net->nodes));
        s.elements = net->parameters;
        detnni_launch(g, detnni_k_join, detnni_tiles(s.elements, 256), 1, 256, s);
    }
    net->rows_done += rows;
}

/* What remains of a step when all parts went through: as detnni_parts_join and detnni_apply. */
static void detnni_gpu_finish(detnn_net *net, size_t rows)
{
    detnni_gpu *g = net->gpu;
    detnni_gpu_step s;
    DETNNI_ZERO(&s, sizeof s);
    s.run = g->run;
    s.g = detnni_gpu_at(net, net->gradients);
    s.o = net->desc.optimizer;
    s.rates = g->rates;
    s.tensors = g->tensors;
    s.count = g->tensor_count;
    s.elements = g->elements;
    s.rows = rows;
    s.w = detnni_gpu_at(net, net->own_weights);
    s.m1 = detnni_gpu_at(net, net->moment1);
    s.m2 = detnni_gpu_at(net, net->moment2);
    s.sums = g->sums;
    s.c1 = s.o.kind == DETNN_RMSPROP ? 1.0f - s.o.rho : 1.0f - s.o.beta1;
    s.c2 = 1.0f - s.o.beta2;
    if (s.elements && s.o.clip_value > 0.0f) detnni_launch(g, detnni_k_clip, detnni_tiles(s.elements, 256), 1, 256, s);
    if (s.elements && s.o.clip_norm > 0.0f) {
        const size_t chunks = g->chunks;
        detnni_gpu_step q = s;
        q.groups = chunks;
        detnni_launch(g, detnni_k_squares, detnni_tiles(chunks, 4), 1, 128, q);
        detnni_launch(g, detnni_k_norm, 1, 1, 256, s);
    }
    detnni_launch(g, detnni_k_update, detnni_tiles(s.elements, 256), 1, 256, s);
    detnni_launch(g, detnni_k_next, 1, 1, 1, s);
}

static void detnni_gpu_join(detnn_net *net)
{
    for (; net->nodes > 1; net->nodes--) {
        detnni_gpu_step s;
        DETNNI_ZERO(&s, sizeof s);
        s.run = net->gpu->run;
        s.g = detnni_gpu_at(net, detnni_node(net, net->nodes - 2));
        s.parts = detnni_gpu_at(net, detnni_node(net, net->nodes - 1));
        s.elements = net->parameters;
        detnni_launch(net->gpu, detnni_k_join, detnni_tiles(s.elements, 256), 1, 256, s);
    }
}

/* The parts of a step of so many rows, and their gradients; host: rows come from there, from place `first` on. */
static detnn_result detnni_gpu_parts(detnn_net *net, const detnn_data *data, const detnni_order *order, int host,
                                     uint64_t first, size_t rows, size_t part, detnn_error *err)
{
    detnni_gpu *g = net->gpu;
    size_t done, m;
    detnn_clear_gradients(net);
    for (done = 0; done < rows; done += m) {
        detnni_rows batch;
        m = detnni_min(part, rows - done);
        if (host) {
            detnn_result r;
            if (done && !detnni_gpu_down(g, 0, 0, 0)) return DETNN_OK; /* the batch before may still be on its way */
            r = detnni_gather(net, data, order, first + done, m, 1, &batch, err);
            if (r) return r;
            detnni_gpu_up(g, detnni_gpu_at(net, net->batch_x), batch.x, m * net->inputs * sizeof(float));
            if (batch.targets)
                detnni_gpu_up(g, detnni_gpu_at(net, net->batch_targets), batch.targets,
                              m * net->outputs * sizeof(float));
            if (batch.labels)
                detnni_gpu_up(g, detnni_gpu_at(net, (float *)(void *)net->batch_labels), batch.labels,
                              m * sizeof(uint32_t));
            if (batch.weights)
                detnni_gpu_up(g, detnni_gpu_at(net, net->batch_weights), batch.weights, m * sizeof(float));
        } else {
            detnni_gpu_gather p;
            p.run = g->run;
            p.x = g->data_x;
            p.targets = g->data_targets;
            p.weights = g->data_weights;
            p.labels = g->data_labels;
            p.batch_x = detnni_gpu_at(net, net->batch_x);
            p.batch_targets = detnni_gpu_at(net, net->batch_targets);
            p.batch_weights = detnni_gpu_at(net, net->batch_weights);
            p.batch_labels = (uint32_t *)(void *)detnni_gpu_at(net, (float *)(void *)net->batch_labels);
            p.in = net->inputs;
            p.out = net->outputs;
            p.done = done;
            detnni_launch(g, detnni_k_gather, m, 1, 128, p);
            batch.targets = data->targets;
            batch.labels = data->labels;
            batch.weights = data->weights;
        }
        detnni_gpu_part(net, &batch, m, done, rows);
    }
    detnni_gpu_join(net);
    return DETNN_OK;
}

/* Steps of `rows` as a graph, where it can be had. */
static int detnni_gpu_graph(detnn_net *net, const detnn_data *data, size_t rows, size_t part)
{
    detnni_gpu *g = net->gpu;
    cudaGraph_t graph = 0;
    detnn_error ignored;
    int good;
    if (g->graph && g->graph_rows == rows) return 1;
    detnni_gpu_forget(g);
    if (cudaStreamBeginCapture(g->stream, cudaStreamCaptureModeThreadLocal) != cudaSuccess) return 0;
    (void)detnni_gpu_parts(net, data, 0, 0, 0, rows, part, &ignored);
    detnni_gpu_finish(net, rows);
    good = cudaStreamEndCapture(g->stream, &graph) == cudaSuccess && g->error == cudaSuccess;
    good = good && cudaGraphInstantiate(&g->graph, graph, 0) == cudaSuccess;
    if (graph) (void)cudaGraphDestroy(graph);
    if (good) {
        g->graph_rows = rows;
    } else { /* the step's launches follow; of a GPU that failed, they fail too */
        g->graph = 0;
        g->error = cudaSuccess;
        (void)cudaGetLastError();
    }
    return good;
}

/* The loss of step i of a launch. */
static float detnni_gpu_loss(const detnni_gpu *g, size_t i, size_t batch, size_t rows, uint64_t *correct)
{
    const float *losses = g->host_losses + i * batch, *right = g->host_losses + g->room + i * batch;
    detnni_batch_sum sum;
    size_t m;
    detnni_batch_sum_start(&sum);
    *correct = 0;
    for (m = 0; m < rows; m++) {
        detnni_batch_sum_add(&sum, losses[m]);
        *correct += detnni_float_bits(right[m]);
    }
    return detnni_batch_sum_end(&sum) * (1.0f / (float)rows);
}

static detnn_result detnni_gpu_train(detnn_net *net, const detnn_data *data, const detnni_order *order, uint64_t first,
                                     uint64_t end, size_t batch, size_t most, int fit, detnni_made *made,
                                     detnn_error *err)
{
    detnni_gpu *g = net->gpu;
    detnni_state *s = net->state;
    const int host = data->get || g->data_of != data, tracing = detnni_tracing(net);
    detnn_optimizer o = net->desc.optimizer;
    detnni_gpu_rate *rates;
    detnni_gpu_run run;
    size_t part, steps, i;
    detnn_result r = DETNN_OK;
    detnn_error ignored;
    DETNNI_ZERO(made, sizeof *made);
    if (batch > end - first) batch = (size_t)(end - first);
    part = detnni_part_rows(net, batch, &ignored);
    if (!part) return DETNN_OK; /* the CPU says why */
    if (!detnni_gpu_room(g, batch)) return detnni_gpu_lost(net, err);
    if (host || tracing) most = 1;
    steps = (size_t)detnni_min(most, (size_t)((end - first - 1) / batch + 1));
    steps = detnni_min(steps, detnni_min(DETNNI_GPU_STEPS, g->room / batch));
    if (DETNNI_HAS(TRACE) && net->trace.on && s->step < net->trace.d.from) /* up to the first that is traced */
        steps = (size_t)detnni_min(steps, net->trace.d.from - s->step);
    if (net->magnitude >= 0x7f800000) { /* not known: what is there already counts too */
        detnni_tensor t;
        uint32_t largest = 0, m;
        if (!detnni_gpu_fetch(net)) return detnni_gpu_lost(net, err);
        DETNNI_ZERO(&t, sizeof t);
        while (detnni_next_tensor(net, &t)) {
            m = DETNNI_KERNELS(net)->magnitude(net->weights + t.at, t.n);
            if (m > largest) largest = m;
            m = net->moment1 ? DETNNI_KERNELS(net)->magnitude(net->moment1 + t.at, t.n) : 0;
            if (m > largest) largest = m;
            m = net->moment2 ? DETNNI_KERNELS(net)->magnitude(net->moment2 + t.at, t.n) : 0;
            if (m > largest) largest = m;
        }
        net->magnitude = largest;
    }
    if (!g->ahead) g->kept = *s;
    o.learning_rate = s->learning_rate;
    rates = (detnni_gpu_rate *)malloc(steps * sizeof *rates);
    if (!rates) return detnni_fail(err, DETNN_ERROR_MEMORY, "no memory for %z learning rates", steps);
    for (i = 0; i < steps; i++) {
        const float ordinary = 1024.0f; /* as in detnni_apply */
        const detnni_update u = detnni_update_of(&o, &net->desc.schedule, s->step + i);
        rates[i].rate = u.rate;
        rates[i].correction = u.correction;
        rates[i].keep = u.keep;
        if (!((float)detnni_rate(&o, &net->desc.schedule, s->step + i) < ordinary && o.weight_decay < ordinary
              && o.epsilon > 1.0f / (1024.0f * 1024.0f * 1024.0f * 1024.0f)))
            break;
    }
    steps = i;
    DETNNI_ZERO(&run, sizeof run);
    run.step = s->step;
    run.first = first;
    run.batch = batch;
    run.magnitude = net->magnitude;
    run.shuffled = order != 0;
    if (order) run.order = *order;
    if (steps && run.magnitude < DETNNI_SAFE) {
        uint64_t place = first;
        int good;
        detnni_gpu_send(net);
        detnni_gpu_up(g, g->run, &run, sizeof run);
        detnni_gpu_up(g, g->rates, rates, steps * sizeof *rates);
        for (i = 0; !r && i < steps && g->error == cudaSuccess; i++) {
            const size_t rows = (size_t)(end - place < batch ? end - place : batch);
            if (!host && !tracing && rows == batch && detnni_gpu_graph(net, data, rows, part)) {
                g->ahead = 1;
                (void)detnni_gpu_good(g, cudaGraphLaunch(g->graph, g->stream));
            } else {
                r = detnni_gpu_parts(net, data, order, host, place, rows, part, err);
                if (!r && tracing && detnni_gpu_down(g, &run, g->run, sizeof run) && !run.stop
                    && run.largest < DETNNI_SAFE
                    && detnni_gpu_down(g, g->host_losses, g->losses, rows * sizeof(float))
                    && detnni_gpu_down(g, net->gradients, detnni_gpu_at(net, net->gradients),
                                       net->parameters * sizeof(float))) {
                    uint64_t correct;
                    float loss = detnni_gpu_loss(g, 0, batch, rows, &correct);
                    detnni_trace_items(net, rows, &loss);
                    detnni_trace_tensors(net, net->gradients, ".gradient");
                }
                if (!r) {
                    g->ahead = 1;
                    detnni_gpu_finish(net, rows);
                }
            }
            place += rows;
        }
        detnn_clear_gradients(net);
        good = detnni_gpu_down(g, &run, g->run, sizeof run);
        free(rates); /* not before: a copy may be taking them from here */
        if (!good) return detnni_gpu_lost(net, err);
        i = (size_t)detnni_min(run.slot * batch, end - first); /* rows that were gone through */
        if (i && (!detnni_gpu_down(g, g->host_losses, g->losses, i * sizeof(float))
            || !detnni_gpu_down(g, g->host_losses + g->room, g->correct, i * sizeof(float))))
            return detnni_gpu_lost(net, err);
        if (r) return r;
        net->magnitude = run.magnitude;
    } else {
        free(rates);
    }
    for (i = 0; i < run.slot; i++) {
        made->rows = (size_t)(end - first < batch ? end - first : batch);
        made->loss = detnni_gpu_loss(g, i, batch, made->rows, &made->correct);
        if (tracing) {
            if (!detnni_gpu_fetch(net)) return detnni_gpu_lost(net, err);
            detnni_trace_tensors(net, net->own_weights, "");
        }
        made->steps++;
        first += made->rows;
        s->step++;
        if (fit) {
            s->position += made->rows;
            s->loss_sum = s->loss_sum + (double)made->loss * (double)made->rows;
            s->correct += made->correct;
        }
    }
    if (!made->steps) { /* the CPU makes it */
        if (!detnni_gpu_fetch(net)) return detnni_gpu_lost(net, err);
        detnni_gpu_changed(net);
    }
    return DETNN_OK;
}

#undef DETNNI_CROSS
#undef DETNNI_GPU_STEPS
#undef DETNNI_LOSS
#undef DETNNI_PLUS
#undef DETNNI_PRODUCT
#undef DETNNI_ROW_SUM
#undef DETNNI_SAFE
#endif /* DETNN_CUDA */

/* ==== 21. Level 3: the building blocks ================================================================== */

/* IEEE 754-2019 maximum. */
static float detnni_maximum(float a, float b)
{
    if (detnni_nan(a)) return a;
    if (detnni_nan(b)) return b;
    if (a == b) return detnni_float(detnni_float_bits(a) & detnni_float_bits(b)); /* +0 beats -0 */
    return a > b ? a : b;
}

DETNN_API float detnn_max(const float *x, size_t n)
{
    float m = detnni_float(0xff800000);
    size_t i;
    for (i = 0; i < n; i++) m = detnni_maximum(m, x[i]);
    return m;
}

DETNN_API size_t detnn_argmax(const float *x, size_t n)
{
    size_t best = 0, i;
    for (i = 0; i < n; i++) {
        if (detnni_nan(x[i])) return i;
        if (x[i] > x[best]) best = i;
    }
    return best;
}

DETNN_API float detnn_sum(const float *x, size_t n) { return detnni_kernels_of(DETNN_ISA_AUTO)->sum(x, n); }
DETNN_API float detnn_dot(const float *x, const float *y, size_t n)
{
    return detnni_kernels_of(DETNN_ISA_AUTO)->dot(x, y, n);
}

DETNN_API float detnn_batch_sum(const float *x, size_t n)
{
    detnni_batch_sum s;
    size_t i;
    detnni_batch_sum_start(&s);
    for (i = 0; i < n; i++) detnni_batch_sum_add(&s, x[i]);
    return detnni_batch_sum_end(&s);
}

DETNN_API void detnn_softmax(const float *x, size_t n, float *y)
{
    float max, sum;
    detnni_kernels_of(DETNN_ISA_AUTO)->softmax(x, 1, n, y, &max, &sum);
}

DETNN_API size_t detnn_dense_scratch(size_t rows, size_t in, size_t out) { return detnni_room(rows, in, out, 1); }

DETNN_API void detnn_dense_forward(const float *x, const float *w, const float *b, size_t rows, size_t in, size_t out,
                                   float *z, float *scratch)
{
    detnni_dense p = detnni_dense_of(rows, in, out, out, scratch, detnni_room(rows, in, out, 0));
    detnni_kernels_of(DETNN_ISA_AUTO)->forward(&p, x, w, b, z);
}

DETNN_API void detnn_dense_input_gradient(const float *dz, const float *w, size_t rows, size_t in, size_t out,
                                          float *dx, float *scratch)
{
    detnni_dense p = detnni_dense_of(rows, in, out, in, scratch, detnni_room(rows, in, out, 1));
    detnni_kernels_of(DETNN_ISA_AUTO)->input_gradient(&p, dz, w, dx);
}

DETNN_API void detnn_dense_weight_gradient(const float *x, const float *dz, size_t rows, size_t in, size_t out,
                                           float *dw, float *db, float *scratch)
{
    detnni_dense p = detnni_dense_of(rows, in, out, in, scratch, detnni_room(rows, in, out, 1));
    detnni_kernels_of(DETNN_ISA_AUTO)->weight_gradient(&p, x, dz, dw, db);
}

DETNN_API void detnn_activate(detnn_activation activation, float alpha, const float *z, size_t n, float *y)
{
    detnni_kernels_of(DETNN_ISA_AUTO)->activate(activation, alpha, z, n, y);
}

/* ==== 22. Self-test ===================================================================================== */

static detnn_result detnni_selftest_failed(detnn_error *err, const char *what, detnn_isa isa)
{
    return detnni_fail(err, DETNN_ERROR_SELFTEST, "%s: wrong bits (kernels: %s)", what, detnni_isa_names[isa]);
}

/* The rules of C1 on operands that the compiler cannot know. */
static const char *detnni_selftest_arithmetic(void)
{
    volatile float one = 1.0f, tiny = detnni_float(0x33800000);                                     /* 2^-24 */
    volatile float minute = detnni_float(0x0d800000), little = detnni_float(0x2b800000); /* 2^-100, 2^-40 */
    volatile float a = detnni_float(0x3f800001), b = detnni_float(0x3f7fffff), three = 3.0f,
                   huge = detnni_float(0x7f7fffff);
    volatile double c = 1.0 + 1.0 / 4503599627370496.0, d = 1.0 - 1.0 / 4503599627370496.0;
    float product, sum;
    double wide;
    product = minute * little;
    if (detnni_float_bits(product) != 0x00000200) return "subnormal product (flush to zero?)";
    sum = product + product;
    if (detnni_float_bits(sum) != 0x00000400) return "subnormal sum (denormals are zero?)";
    if (detnni_float_bits(one + tiny) != 0x3f800000 || detnni_float_bits(one + three * tiny) != 0x3f800002
        || detnni_float_bits(-one - three * tiny) != 0xbf800002) return "rounding to nearest even";
    sum = a * b - one;
    if (!DETNNI_CONTRACTS && detnni_float_bits(sum) != 0x00000000) return "a * b + c contracted";
    wide = detnni_rounded(c, d) - (double)one;
    if (detnni_double_bits(wide) != 0) return "a * b + c contracted in binary64";
    sum = (one + huge) - huge;
    if (detnni_float_bits(sum) != 0) return "sums re-associated";
    if (detnni_float_bits(one / three) != 0x3eaaaaab || detnni_float_bits(detnni_sqrt(three)) != 0x3fddb3d7)
        return "division or square root";
    sum = one - one;
    if (detnni_float_bits(-(sum - sum) + (-sum)) != 0x80000000) return "signed zeros";
    sum = huge * huge;
    if (sum - sum == sum - sum) return "infinities and NaN";
    return 0;
}

/* fma cases: a halfway case that two roundings get wrong, cancellation, subnormal results, overflow. */
static const uint32_t detnni_selftest_fma[][4] = {
    { 0x3f800001, 0x337ffffe, 0x3f800001, 0x3f800001 }, { 0x3f800001, 0x3f7fffff, 0xbf800000, 0x337ffffe },
    { 0x4b800001, 0x3f800001, 0x33800000, 0x4b800002 }, { 0x00800001, 0x3f000001, 0x80000001, 0x00400000 },
    { 0x7f7fffff, 0x40000000, 0xff7fffff, 0x7f7fffff }, { 0x1a800000, 0x1a800000, 0x00000001, 0x00000003 },
    { 0x3f800000, 0x80000000, 0x00000000, 0x00000000 }, { 0x0d800000, 0x8d800000, 0x80000000, 0x80000000 }
};

/* Exact functions: hard cases. */
static const struct { unsigned char function; uint32_t x, y; } detnni_selftest_exact[] = {
    { DETNNI_EXACT_exp, 0xc16912cd, 0x34fd331b }, { DETNNI_EXACT_exp, 0xbbf0edf1, 0x3f7e1fe9 },
    { DETNNI_EXACT_exp, 0x377eff81, 0x3f800080 }, { DETNNI_EXACT_log, 0x0dc8bba4, 0xc289bac4 },
    { DETNNI_EXACT_log, 0x4665a9a6, 0x41198725 }, { DETNNI_EXACT_log, 0x79e7ec37, 0x42a1ffb7 },
    { DETNNI_EXACT_expm1, 0x33b504f3, 0x33b504f3 }, { DETNNI_EXACT_expm1, 0x3a254e7a, 0x3a255bd3 },
    { DETNNI_EXACT_expm1, 0xbb7b3b6c, 0xbb7ac04e }, { DETNNI_EXACT_log1p, 0x35400003, 0x353fffff },
    { DETNNI_EXACT_log1p, 0x5ee8984e, 0x422e4a21 }, { DETNNI_EXACT_log1p, 0xbb0ec8c4, 0xbb0ef0a5 },
    { DETNNI_EXACT_tanh, 0x3ac37de2, 0x3ac37dd9 }, { DETNNI_EXACT_tanh, 0xbac37de2, 0xbac37dd9 },
    { DETNNI_EXACT_tanh, 0x3eee0566, 0x3ede3cbe }, { DETNNI_EXACT_sigmoid, 0x3a689801, 0x3f000e89 },
    { DETNNI_EXACT_sigmoid, 0xba928601, 0x3effdb5f }, { DETNNI_EXACT_sigmoid, 0xbf1964d0, 0x3eb584b1 },
    { DETNNI_EXACT_softplus, 0x398b9622, 0x3f317ad1 }, { DETNNI_EXACT_softplus, 0x3ad68ba7, 0x3f31a7c1 },
    { DETNNI_EXACT_softplus, 0xb36fa39f, 0x3f317218 }, { DETNNI_EXACT_erf, 0x358e9d2d, 0x35a0ec32 },
    { DETNNI_EXACT_erf, 0xb58e9d2d, 0xb5a0ec32 }, { DETNNI_EXACT_erf, 0xb9c0057d, 0xb9d8ac49 },
    { DETNNI_EXACT_gelu, 0x334aa765, 0x32caa765 }, { DETNNI_EXACT_gelu, 0xb34aa765, 0xb2caa765 },
    { DETNNI_EXACT_gelu, 0xc13ced3a, 0x8c882138 }, { DETNNI_EXACT_silu, 0x34000000, 0x33800000 },
    { DETNNI_EXACT_silu, 0xb3800000, 0xb3000000 }, { DETNNI_EXACT_silu, 0xb8126c8e, 0xb7926be7 },
    { DETNNI_EXACT_gelu_grad, 0x33206c99, 0x3f000001 }, { DETNNI_EXACT_gelu_grad, 0x40411b04, 0x3f817633 },
    { DETNNI_EXACT_gelu_grad, 0xb8d0df65, 0x3efff595 }, { DETNNI_EXACT_silu_grad, 0x3a389c01, 0x3f001713 },
    { DETNNI_EXACT_silu_grad, 0xbe2b19ce, 0x3ed56c4a }, { DETNNI_EXACT_silu_grad, 0xc2697de5, 0x9845ce52 },
    { DETNNI_EXACT_sin2pi, 0x34654db5, 0x35b41836 }, { DETNNI_EXACT_sin2pi, 0xb4654db5, 0xb5b41836 },
    { DETNNI_EXACT_sin2pi, 0xbee05015, 0xbec21dd8 }, { DETNNI_EXACT_cos2pi, 0x388d23e4, 0x3f7fffff },
    { DETNNI_EXACT_cos2pi, 0xb88d23e4, 0x3f7fffff }, { DETNNI_EXACT_cos2pi, 0xbe9fafeb, 0xbec21dd8 }
};

static int detnni_same_bits(const float *a, const float *b, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        if (detnni_float_bits(a[i]) != detnni_float_bits(b[i]) && !(detnni_nan(a[i]) && detnni_nan(b[i]))) return 0;
    return 1;
}

/* Every kernel of a set against plain C on odd sizes and special values. */
static const char *detnni_selftest_kernels(const detnni_kernels *k, const detnni_kernels *plain)
{
    enum { ROWS = 67, INPUTS = 5, OUTPUTS = 7, N = ROWS * OUTPUTS };
    static const uint32_t special[] = {0x80000000, 0x00000001, 0x7f800000, 0x7fc00000,
                                       0xff800000, 0x007fffff, 0x7f7fffff};
    float x[N], w[N], a[N], b[N], m[4][N], scratch[DETNNI_LANES > 1 ? 4400 : 2 * OUTPUTS];
    float ma = 0.0f, mb = 0.0f, sa = 0.0f, sb = 0.0f;
    detnn_schedule constant = detnn_schedule_default();
    const detnni_stream stream = detnni_stream_of(1, 0, DETNNI_USER, 0);
    const size_t room = detnni_room(ROWS, INPUTS, OUTPUTS, 1);
    detnni_dense p = detnni_dense_of(ROWS, INPUTS, OUTPUTS, OUTPUTS, scratch, room), gradient = p;
    size_t i, f;
    int round;
    gradient.to = INPUTS;
    for (i = 0; i < N; i++) { x[i] = detnni_float(0x80000002); w[i] = 1.0f; } /* vectors may flush */
    k->forward(&p, x, w, 0, a);
    k->weight_gradient(&gradient, x, w, b, b + INPUTS * OUTPUTS);
    for (i = 0; i < OUTPUTS; i++)
        if (detnni_float_bits(a[i]) != 0x80000000 + 2 * INPUTS || detnni_float_bits(b[i]) != 0x80000000 + 2 * ROWS)
            return "subnormal products";
    if (detnni_float_bits(k->sum(x, N)) != 0x80000000 + 2 * N
        || detnni_float_bits(k->dot(x, w, N)) != 0x80000000 + 2 * N)
        return "subnormal sums";
    k->activate(DETNN_LEAKY_RELU, 0.5f, x, N, a);
    DETNNI_COPY(b, x, sizeof x);
    k->add(x, N, b);
    for (i = 0; i < N; i++)
        if ((DETNNI_HAS(ACTIVATIONS) && detnni_float_bits(a[i]) != 0x80000001) || detnni_float_bits(b[i]) != 0x80000004)
            return "subnormal elements";
    plain->uniform(&stream, 1, N, 3.0f, -1.0f, a);
    k->uniform(&stream, 1, N, 3.0f, -1.0f, b);
    if (!detnni_same_bits(a, b, N)) return "uniform numbers";
    for (round = 0; round < 2; round++) {
        detnn_random_normal(1, 0, 0, 0, N, 0.0f, 2.0f, x);
        detnn_random_normal(2, 0, 0, 0, N, 0.0f, 2.0f, w);
        for (i = 0; round && i < sizeof special / sizeof *special; i++)
            x[31 * i] = w[29 * i + 3] = detnni_float(special[i]);
        plain->forward(&p, x, w, w, a);
        k->forward(&p, x, w, w, b);
        if (!detnni_same_bits(a, b, N)) return "dense forward";
        plain->input_gradient(&gradient, x, w, a);
        k->input_gradient(&gradient, x, w, b);
        if (!detnni_same_bits(a, b, ROWS * INPUTS)) return "dense input gradient";
        plain->weight_gradient(&gradient, x, w, a, a + INPUTS * OUTPUTS);
        k->weight_gradient(&gradient, x, w, b, b + INPUTS * OUTPUTS);
        if (!detnni_same_bits(a, b, INPUTS * OUTPUTS + OUTPUTS)) return "dense weight gradient";
        a[0] = plain->sum(x, N); a[1] = plain->dot(x, w, N);
        b[0] = k->sum(x, N); b[1] = k->dot(x, w, N);
        if (!detnni_same_bits(a, b, 2)) return "sums";
        plain->softmax(x, 1, N, a, &ma, &sa);
        k->softmax(x, 1, N, b, &mb, &sb);
        if (!detnni_same_bits(a, b, N)) return "softmax";
        for (f = DETNN_LINEAR; f < DETNN_SOFTMAX; f++) {
            plain->activate((detnn_activation)f, 0.25f, x, N, a);
            k->activate((detnn_activation)f, 0.25f, x, N, b);
            if (!detnni_same_bits(a, b, N)) return detnni_activation_names[f];
            DETNNI_COPY(m[0], w, sizeof w);
            DETNNI_COPY(m[1], w, sizeof w);
            plain->activate_back((detnn_activation)f, 0.25f, x, a, N, m[0]);
            k->activate_back((detnn_activation)f, 0.25f, x, a, N, m[1]);
            if (!detnni_same_bits(m[0], m[1], N)) return detnni_activation_names[f];
        }
        for (f = 0; f < DETNN_OPTIMIZER_COUNT; f++) {
            detnn_optimizer o = detnni_optimizer_of((detnn_optimizer_kind)f, 0.125f);
            detnni_update u;
            o.momentum = f == DETNN_SGD || f == DETNN_RMSPROP ? 0.875f : 0.0f;
            o.weight_decay = 0.0625f;
            u = detnni_update_of(&o, &constant, 3);
            DETNNI_ZERO(m, sizeof m);
            DETNNI_COPY(a, w, sizeof w);
            DETNNI_COPY(b, w, sizeof w);
            plain->update(&u, 1, N, x, a, m[0], m[2]);
            k->update(&u, 1, N, x, b, m[1], m[3]);
            if (!detnni_same_bits(a, b, N) || !detnni_same_bits(m[0], m[1], N) || !detnni_same_bits(m[2], m[3], N))
                return "optimizers";
        }
        DETNNI_COPY(a, w, sizeof w);
        DETNNI_COPY(b, w, sizeof w);
        plain->add(x, N, a);
        k->add(x, N, b);
        if (!detnni_same_bits(a, b, N) || plain->magnitude(x, 3) != k->magnitude(x, 3)) return "addition, magnitude";
        for (f = 0; f < DETNNI_EXACT_COUNT; f++) {
            plain->exact[f](x, N, a);
            k->exact[f](x, N, b);
            if (!detnni_same_bits(a, b, N)) return "an exact function";
        }
        plain->dropout(0.3f, 1, 2, 3, 5, x, N, a);
        k->dropout(0.3f, 1, 2, 3, 5, x, N, b);
        if (!detnni_same_bits(a, b, N)) return "dropout";
    }
    return 0;
}

DETNNI_NOINLINE static detnn_result detnni_selftest(detnn_error *err)
{
    static const uint32_t zero[4] = { 0, 0, 0, 0 };
    const detnni_kernels *plain = detnni_kernels_of(DETNN_ISA_PLAIN);
    const char *what = detnni_selftest_arithmetic();
    uint32_t word[4];
    char digest[DETNN_DIGEST_TEXT];
    unsigned char sha[32];
    detnni_sha s;
    detnn_rng rng;
    size_t i;
    int isa;
    if (what) return detnni_selftest_failed(err, what, DETNN_ISA_PLAIN);
    detnn_philox(0, zero, word);
    if (word[0] != 0x6627e8d5 || word[1] != 0xe169c58d || word[2] != 0xbc57ac4c || word[3] != 0x9b00dbd8)
        return detnni_selftest_failed(err, "Philox", DETNN_ISA_PLAIN);
    detnn_rng_seed(&rng, 0); /* SplitMix64's first word for 0, then what xoshiro256++ makes of its state */
    if (rng.s[0] != 0xe220a8397b1dcdafu || detnn_rng_next(&rng) != 0x53175d61490b23dfu)
        return detnni_selftest_failed(err, "xoshiro256++", DETNN_ISA_PLAIN);
    detnni_sha_start(&s);
    detnni_sha_add(&s, "abc", 3);
    detnni_sha_end(&s, sha);
    detnni_hex(sha, digest);
    for (i = 0; i < 64; i++)
        if (digest[i] != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"[i])
            return detnni_selftest_failed(err, "SHA-256", DETNN_ISA_PLAIN);
    for (isa = DETNN_ISA_PLAIN; isa < (int)DETNN_ISA_COUNT; isa++) {
        const detnni_kernels *k = detnni_kernels_of((detnn_isa)isa);
        const detnni_dense p = detnni_dense_of(1, 1, 1, 1, 0, 0);
        float x, w, b, y;
        if (!k) continue;
        for (i = 0; i < sizeof detnni_selftest_fma / sizeof *detnni_selftest_fma; i++) {
            x = detnni_float(detnni_selftest_fma[i][0]);
            w = detnni_float(detnni_selftest_fma[i][1]);
            b = detnni_float(detnni_selftest_fma[i][2]);
            k->forward(&p, &x, &w, &b, &y);
            if (detnni_float_bits(y) != detnni_selftest_fma[i][3])
                return detnni_selftest_failed(err, "fma", (detnn_isa)isa);
        }
        for (i = 0; i < sizeof detnni_selftest_exact / sizeof *detnni_selftest_exact; i++) {
            x = detnni_float(detnni_selftest_exact[i].x);
            k->exact[detnni_selftest_exact[i].function](&x, 1, &y);
            if (detnni_float_bits(y) != detnni_selftest_exact[i].y)
                return detnni_selftest_failed(err, "an exact function", (detnn_isa)isa);
        }
        what = detnni_selftest_kernels(k, plain);
        if (what) return detnni_selftest_failed(err, what, (detnn_isa)isa);
    }
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_selftest(detnn_error *err)
{
    DETNNI_GUARDED(detnni_selftest(err));
}



/* ==== 23. Files, flash images, receipts ================================================================= */

static const char *const detnni_initializer_names[] = { DETNN_INITIALIZERS(DETNNI_TEXT) };
static const char *const detnni_optimizer_names[] = { DETNN_OPTIMIZERS(DETNNI_TEXT) };
static const char *const detnni_schedule_names[] = { DETNN_SCHEDULES(DETNNI_TEXT) };
static const char *const detnni_packing_names[] = { DETNN_PACKINGS(DETNNI_TEXT) };

DETNN_API detnn_save_desc detnn_save_desc_default(void)
{
    detnn_save_desc d;
    DETNNI_ZERO(&d, sizeof d);
    d.test = 1;
    return d;
}

DETNN_API detnn_load_desc detnn_load_desc_default(void)
{
    const detnn_net_desc n = detnn_net_desc_default();
    detnn_load_desc d;
    DETNNI_ZERO(&d, sizeof d);
    d.memory_max = (size_t)-1;
    d.batch_max = n.batch_max;
    d.parts_max = n.parts_max;
    d.isa = n.isa;
    d.workers = n.workers;
    d.task_work = n.task_work;
    return d;
}

DETNN_API detnn_export_desc detnn_export_desc_default(void)
{
    detnn_export_desc d;
    DETNNI_ZERO(&d, sizeof d);
    d.name = "model";
    d.packing = DETNN_FLOAT32;
    d.test = 1;
    return d;
}

static detnn_result detnni_check_files(detnn_error *err)
{
    if (DETNNI_HAS(FILES)) return DETNN_OK;
    return detnni_fail(err, DETNN_ERROR_FEATURE, "this build's DETNN_FEATURES leave files out");
}

/* ---- Memory for a while ---- */

static void *detnni_alloc(const detnn_allocator *a, size_t size)
{
    if (a->alloc) return a->alloc(a->user, size ? size : 1);
#if DETNN_NO_MALLOC
    return 0;
#else
    return malloc(size ? size : 1);
#endif
}

static void detnni_release(const detnn_allocator *a, void *memory, size_t size)
{
    if (!memory) return;
    if (a->alloc) a->release(a->user, memory, size ? size : 1);
#if !DETNN_NO_MALLOC
    else free(memory);
#endif
}

/* ---- Writing ---- */

/* Where bytes go: counted, hashed where sha is not null, and handed on where write is not null. */
typedef struct detnni_sink {
    int (*write)(void *user, const void *bytes, size_t size);
    void *user;
    detnni_sha *sha;
    uint64_t length;
    size_t used;
    int failed;
    unsigned char buffer[256];
} detnni_sink;

static void detnni_sink_start(detnni_sink *s, int (*write)(void *user, const void *bytes, size_t size), void *user)
{
    s->write = write;
    s->user = user;
    s->sha = 0;
    s->length = 0;
    s->used = 0;
    s->failed = 0;
}

static void detnni_sink_flush(detnni_sink *s)
{
    if (s->used && !s->failed) {
        if (s->write(s->user, s->buffer, s->used)) s->failed = 1;
        (void)detnni_fp_enter(); /* the caller's code may have left another mode */
    }
    s->used = 0;
}

static void detnni_sink_add(detnni_sink *s, const void *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    s->length += n;
    if (s->sha) detnni_sha_add(s->sha, p, n);
    while (s->write && n) {
        size_t m = detnni_min(n, sizeof s->buffer - s->used);
        DETNNI_COPY(s->buffer + s->used, p, m);
        s->used += m;
        p += m;
        n -= m;
        if (s->used == sizeof s->buffer) detnni_sink_flush(s);
    }
}

static void detnni_sink_text(detnni_sink *s, const char *text)
{
    for (; *text; text++) detnni_sink_add(s, text, 1);
}

/* A line of at most 319 characters. */
static void detnni_sink_format(detnni_sink *s, const char *format, ...)
{
    char line[320];
    detnni_text t;
    va_list args;
    t.p = line;
    t.size = sizeof line;
    t.length = 0;
    va_start(args, format);
    detnni_vformat(&t, format, args);
    va_end(args);
    detnni_sink_add(s, line, detnni_min(t.length, sizeof line - 1));
}

static void detnni_sink_hex(detnni_sink *s, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) detnni_sink_format(s, "%x", detnni_nan(x[i]) ? 0x7fc00000 : detnni_float_bits(x[i]));
}

/* A net's description in words (F2, F4), one function for each line. */
static void detnni_put_net(detnni_sink *s, const detnn_net_desc *d)
{
    detnni_sink_format(s, "seed %l inputs %z loss %s label_smoothing %x huber_delta %x", d->seed, d->inputs,
                       detnni_loss_names[d->loss], detnni_float_bits(d->label_smoothing),
                       detnni_float_bits(d->huber_delta));
}

static void detnni_put_layer(detnni_sink *s, const detnn_layer *l)
{
    detnni_sink_text(s, detnni_layer_names[l->kind]);
    if (l->kind == DETNN_LAYER_DROPOUT) detnni_sink_format(s, " %x", detnni_float_bits(l->rate));
    if (l->kind == DETNN_LAYER_DENSE) detnni_sink_format(s, " %z", l->units);
    if (l->kind == DETNN_LAYER_DENSE || l->kind == DETNN_LAYER_ACTIVATION)
        detnni_sink_format(s, " %s %x", detnni_activation_names[l->activation], detnni_float_bits(l->alpha));
    if (l->kind == DETNN_LAYER_DENSE)
        detnni_sink_format(s, " %s %x %x %s %x %x bias %z frozen %z", detnni_initializer_names[l->kernel.kind],
                           detnni_float_bits(l->kernel.a), detnni_float_bits(l->kernel.b),
                           detnni_initializer_names[l->bias.kind], detnni_float_bits(l->bias.a),
                           detnni_float_bits(l->bias.b), (size_t)(l->use_bias != 0), (size_t)(l->frozen != 0));
}

static void detnni_put_layers(detnni_sink *s, const detnn_net *net)
{
    size_t i;
    for (i = 0; i < net->desc.layer_count; i++) {
        if (i) detnni_sink_text(s, ", ");
        detnni_put_layer(s, &net->layers[i].d);
    }
}

static void detnni_put_optimizer(detnni_sink *s, const detnn_optimizer *o)
{
    detnni_sink_format(s,
                       "%s learning_rate %x momentum %x nesterov %z beta1 %x beta2 %x rho %x epsilon %x "
                       "weight_decay %x clip_value %x clip_norm %x",
                       detnni_optimizer_names[o->kind], detnni_float_bits(o->learning_rate),
                       detnni_float_bits(o->momentum), (size_t)(o->nesterov != 0), detnni_float_bits(o->beta1),
                       detnni_float_bits(o->beta2), detnni_float_bits(o->rho), detnni_float_bits(o->epsilon),
                       detnni_float_bits(o->weight_decay), detnni_float_bits(o->clip_value),
                       detnni_float_bits(o->clip_norm));
}

static void detnni_put_schedule(detnni_sink *s, const detnn_schedule *d)
{
    detnni_sink_format(s, "%s warmup_steps %l period %l gamma %x final %x", detnni_schedule_names[d->kind],
                       d->warmup_steps, d->period, detnni_float_bits(d->gamma), detnni_float_bits(d->final));
}

/* The keys of the metadata (F2), in their order. */
#define DETNNI_KEYS(X)                                                                                   \
    X(FORMAT, "detnn.format") X(CONTRACT, "detnn.contract") X(NET, "detnn.net") X(LAYERS, "detnn.layers") \
    X(OPTIMIZER, "detnn.optimizer") X(SCHEDULE, "detnn.schedule") X(TRAINED, "detnn.trained")           \
    X(DIGEST, "detnn.digest") X(TEST, "detnn.test") X(STATE, "detnn.state") X(CHECK, "detnn.check")
#define DETNNI_ENUM_KEY(name, text) DETNNI_KEY_##name,
#define DETNNI_TEXT_KEY(name, text) text,
enum { DETNNI_KEYS(DETNNI_ENUM_KEY) DETNNI_KEY_COUNT };
static const char *const detnni_keys[] = { DETNNI_KEYS(DETNNI_TEXT_KEY) };
#undef DETNNI_ENUM_KEY
#undef DETNNI_TEXT_KEY
#undef DETNNI_KEYS

/* What is about to be saved. */
typedef struct detnni_saving {
    const detnn_net *net;
    detnn_save_desc d;
    unsigned groups;  /* of tensors: bit 1 << group */
    const float *y;   /* outputs of the test vector, or null: none */
    size_t header;    /* bytes, with the spaces that fill it up */
    uint64_t size;    /* of the file */
    char digest[DETNN_DIGEST_TEXT], state_digest[DETNN_DIGEST_TEXT];
} detnni_saving;

/* Element i of the input of the test vector. */
static float detnni_test_input(const detnni_saving *v, size_t i)
{
    const detnn_net *net = v->net;
    float z, x;
    if (v->d.test_input) return v->d.test_input[i];
    detnn_random_normal(net->desc.seed, 0, 0, i, 1, 0.0f, 1.0f, &z);
    if (net->desc.layers[0].kind != DETNN_LAYER_STANDARDIZE) return z;
    x = z * net->weights[net->layers[0].bias + i];
    x = net->weights[net->layers[0].kernel + i] + x;
    return detnni_finite(x) ? x : z;
}

static const char *detnni_slot_name(const detnni_slot *s, char name[48])
{
    static const char *const tensors[] = { "weight", "bias", "mean", "deviation" };
    detnni_text t;
    t.p = name;
    t.size = 48;
    t.length = 0;
    detnni_format(&t, "%z.%s%s", s->module, tensors[s->tensor], detnni_group_names[s->group]);
    return name;
}

/* The bytes of a header, without the spaces after it. */
static void detnni_put_header(detnni_sink *s, const detnni_saving *v)
{
    const detnn_net *net = v->net;
    const detnni_state *state = net->state;
    detnni_sha check;
    detnni_slot slot;
    unsigned char digest[32];
    char text[DETNN_DIGEST_TEXT];
    uint64_t at = 0;
    size_t i;
    int key;
    detnni_sha_start(&check);
    detnni_sink_text(s, "{\"__metadata__\":{");
    for (key = 0; key < DETNNI_KEY_COUNT; key++) {
        if ((key == DETNNI_KEY_TEST && !v->y) || (key == DETNNI_KEY_STATE && !v->d.state)) continue;
        detnni_sink_format(s, "%s\"%s\":\"", key ? "," : "", detnni_keys[key]);
        s->sha = &check;
        switch (key) {
        case DETNNI_KEY_FORMAT: detnni_sink_text(s, "1"); break;
        case DETNNI_KEY_CONTRACT: detnni_sink_format(s, "%z", (size_t)DETNN_CONTRACT); break;
        case DETNNI_KEY_NET: detnni_put_net(s, &net->desc); break;
        case DETNNI_KEY_LAYERS: detnni_put_layers(s, net); break;
        case DETNNI_KEY_OPTIMIZER: detnni_put_optimizer(s, &net->desc.optimizer); break;
        case DETNNI_KEY_SCHEDULE: detnni_put_schedule(s, &net->desc.schedule); break;
        case DETNNI_KEY_TRAINED:
            detnni_sink_format(s, "step %l epoch %l adapted %z", state->step, state->epoch, (size_t)state->adapted);
            break;
        case DETNNI_KEY_DIGEST: detnni_sink_text(s, v->digest); break;
        case DETNNI_KEY_TEST:
            for (i = 0; i < net->inputs; i++) {
                float x = detnni_test_input(v, i);
                detnni_sink_hex(s, &x, 1);
            }
            detnni_sink_text(s, " ");
            detnni_sink_hex(s, v->y, net->outputs);
            break;
        case DETNNI_KEY_STATE:
            detnni_sink_format(s,
                               "position %l samples %l learning_rate %x loss_sum %X correct %l best %x %l %l "
                               "keep_best %z has_best %z digest %s",
                               state->position, state->samples, detnni_float_bits(state->learning_rate),
                               detnni_double_bits(state->loss_sum), state->correct,
                               detnni_float_bits(state->best_loss), state->best_epoch, state->stale,
                               (size_t)(net->best != 0), (size_t)state->has_best, v->state_digest);
            break;
        default:
            s->sha = 0;
            detnni_sha_end(&check, digest);
            detnni_sink_text(s, detnni_hex(digest, text));
        }
        if (s->sha) detnni_sha_add(s->sha, "\n", 1);
        s->sha = 0;
        detnni_sink_text(s, "\"");
    }
    detnni_sink_text(s, "}");
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, v->groups, &slot)) {
        char name[48];
        uint64_t end = at + (uint64_t)slot.rows * slot.cols * 4;
        detnni_sink_format(s, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%z", detnni_slot_name(&slot, name), slot.cols);
        if (slot.tensor == DETNN_KERNEL) detnni_sink_format(s, ",%z", slot.rows);
        detnni_sink_format(s, "],\"data_offsets\":[%l,%l]}", at, end);
        at = end;
    }
    detnni_sink_text(s, "}");
}

/* Measures. */
static detnn_result detnni_save_start(detnni_saving *v, detnn_net *net, const detnn_save_desc *desc, detnn_error *err)
{
    detnni_sink s;
    detnni_slot slot;
    uint64_t header;
    detnn_result r = detnni_check_files(err);
    if (!r) r = detnni_check_net(net, err);
    if (r) return r;
    DETNNI_ZERO(v, sizeof *v);
    v->net = net;
    v->d = desc ? *desc : detnn_save_desc_default();
    v->groups = 1u << DETNNI_WEIGHTS;
    if (v->d.state) {
        r = detnni_check_training(net, err);
        if (r) return r;
        if (net->parts || net->forward_rows)
            return detnni_fail(err, DETNN_ERROR_STATE,
                               "a step of forward and backward is under way: a state is saved after it or before it");
        if (net->moment1) v->groups |= 1u << DETNNI_MOMENT1;
        if (net->moment2) v->groups |= 1u << DETNNI_MOMENT2;
        if (net->best && net->state->has_best) v->groups |= 1u << DETNNI_BEST;
        (void)detnn_state_digest(net, v->state_digest);
    }
    (void)detnn_digest(net, v->digest);
    if (v->d.test && net->state->adapted) {
        const detnni_crew crew = detnni_own_crew(net);
        const float *x = v->d.test_input;
        size_t i;
        if (x && DETNNI_KERNELS(net)->magnitude(x, net->inputs) >= 0x7f800000)
            return detnni_fail(err, DETNN_ERROR_DATA, "test_input[%z] is %g, which is not finite",
                               detnni_bad(x, net->inputs), (double)x[detnni_bad(x, net->inputs)]);
        for (i = 0; !x && i < net->inputs; i++) net->a[i] = detnni_test_input(v, i);
        v->y = detnni_infer(net, &crew, x ? x : net->a, 1, 0, net->a, net->b, 0);
    }
    detnni_sink_start(&s, 0, 0);
    detnni_put_header(&s, v);
    header = (s.length + 7) & ~(uint64_t)7;
    v->size = 8 + header;
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, v->groups, &slot)) v->size += (uint64_t)slot.rows * slot.cols * 4;
    v->header = (size_t)header;
    if (header > DETNNI_HEADER_MAX)
        return detnni_fail(err, DETNN_ERROR_SIZE, "the file's header would have %l bytes, more than %z", header,
                           (size_t)DETNNI_HEADER_MAX);
    return DETNN_OK;
}

static void detnni_save_bytes(const detnni_saving *v, detnni_sink *s)
{
    detnni_slot slot;
    unsigned char number[8];
    size_t i;
    for (i = 0; i < 8; i++) number[i] = (unsigned char)((uint64_t)v->header >> 8 * i);
    detnni_sink_add(s, number, 8);
    detnni_put_header(s, v);
    while (s->length < 8 + (uint64_t)v->header) detnni_sink_text(s, " ");
    detnni_slot_start(&slot);
    while (!s->failed && detnni_slot_next(v->net, v->groups, &slot)) {
        size_t k, n;
        for (n = 0; n < slot.cols; n++)
            for (k = 0; k < slot.rows; k++) {
                unsigned char b[4];
                float x;
                uint32_t u;
                detnni_fetch(v->net, &slot, k * slot.cols + n, 1, &x);
                u = detnni_float_bits(x);
                b[0] = (unsigned char)u;
                b[1] = (unsigned char)(u >> 8);
                b[2] = (unsigned char)(u >> 16);
                b[3] = (unsigned char)(u >> 24);
                detnni_sink_add(s, b, 4);
            }
    }
    detnni_sink_flush(s);
}

static detnn_result detnni_written(const detnni_sink *s, detnn_error *err)
{
    if (s->failed) return detnni_fail(err, DETNN_ERROR_CALLBACK, "write failed in the first %l bytes", s->length);
    return detnni_ok(err);
}

DETNNI_NOINLINE static detnn_result detnni_save_write(detnn_net *net,
                                                      int (*write)(void *user, const void *bytes, size_t size),
                                                      void *user, const detnn_save_desc *desc, detnn_error *err)
{
    detnni_saving v;
    detnni_sink s;
    detnn_result r;
    if (!write) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_save_write: write is null");
    r = detnni_save_start(&v, net, desc, err);
    if (r) return r;
    detnni_sink_start(&s, write, user);
    detnni_save_bytes(&v, &s);
    return detnni_written(&s, err);
}

DETNN_API detnn_result detnn_save_write(detnn_net *net, int (*write)(void *user, const void *bytes, size_t size),
                                        void *user, const detnn_save_desc *desc, detnn_error *err)
{
    DETNNI_GUARDED(detnni_save_write(net, write, user, desc, err));
}

static detnn_result detnni_save_fits(const detnni_saving *v, detnn_error *err)
{
    if (v->size <= (size_t)-1 / 2) return DETNN_OK;
    return detnni_fail(err, DETNN_ERROR_SIZE, "the file has %l bytes, which do not fit memory", v->size);
}

DETNNI_NOINLINE static detnn_result detnni_save_size(detnn_net *net, const detnn_save_desc *desc, size_t *size,
                                                     detnn_error *err)
{
    detnni_saving v;
    detnn_result r = detnni_save_start(&v, net, desc, err);
    if (!r) r = detnni_save_fits(&v, err);
    if (r) return r;
    *size = (size_t)v.size;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_save_size(detnn_net *net, const detnn_save_desc *desc, size_t *size, detnn_error *err)
{
    if (!size) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_save_size: size is null");
    *size = 0;
    DETNNI_GUARDED(detnni_save_size(net, desc, size, err));
}

static int detnni_write_memory(void *user, const void *bytes, size_t size)
{
    unsigned char **to = (unsigned char **)user;
    DETNNI_COPY(*to, bytes, size);
    *to += size;
    return 0;
}

DETNNI_NOINLINE static detnn_result detnni_save_memory(detnn_net *net, void *memory, size_t size,
                                                       const detnn_save_desc *desc, detnn_error *err)
{
    detnni_saving v;
    detnni_sink s;
    unsigned char *to = (unsigned char *)memory;
    detnn_result r = detnni_save_start(&v, net, desc, err);
    if (!r) r = detnni_save_fits(&v, err);
    if (r) return r;
    if (!memory) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_save_memory: memory is null");
    if (size < v.size)
        return detnni_fail(err, DETNN_ERROR_MEMORY, "detnn_save_memory: %z bytes given, %l needed", size, v.size);
    detnni_sink_start(&s, detnni_write_memory, &to);
    detnni_save_bytes(&v, &s);
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_save_memory(detnn_net *net, void *memory, size_t size, const detnn_save_desc *desc,
                                         detnn_error *err)
{
    DETNNI_GUARDED(detnni_save_memory(net, memory, size, desc, err));
}

/* ---- Reading: the header ---- */

typedef struct detnni_span {
    const unsigned char *p;
    size_t n;
} detnni_span;

typedef struct detnni_file {
    const unsigned char *bytes;
    size_t size, data;   /* data: where the header ends and the tensors' bytes begin */
    size_t tensors, entries; /* entries: tensors and perhaps the metadata */
    size_t next;         /* the entry from which the next one is looked for */
    size_t unknown;      /* where a key detnn.* that this version has not begins, or 0 */
    uint64_t looked;     /* bytes read so far in looking for entries */
    detnni_span value[DETNNI_KEY_COUNT]; /* of the metadata; null where there is none */
    const char *wrong;   /* what is wrong at the byte `place` */
    size_t place;
} detnni_file;

typedef struct detnni_entry {
    detnni_span name, dtype;
    size_t at;              /* where its name begins */
    uint64_t shape[4], begin, end;
    int dims, metadata;
} detnni_entry;

static int detnni_wrong(detnni_file *f, size_t at, const char *what)
{
    if (!f->wrong) {
        f->wrong = what;
        f->place = at;
    }
    return 0;
}

static void detnni_space(const detnni_file *f, size_t *at)
{
    while (*at < f->data && (f->bytes[*at] == ' ' || f->bytes[*at] == '\t' || f->bytes[*at] == '\n' ||
                             f->bytes[*at] == '\r'))
        ++*at;
}

/* Passes white space and c. */
static int detnni_take_char(detnni_file *f, size_t *at, char c, const char *what)
{
    detnni_space(f, at);
    if (*at >= f->data || f->bytes[*at] != (unsigned char)c) return detnni_wrong(f, *at, what);
    ++*at;
    return 1;
}

/* The value of 4 hexadecimal digits, or -1. */
static long detnni_hex4(const unsigned char *p)
{
    long v = 0;
    int i;
    for (i = 0; i < 4; i++) {
        int c = p[i], l = c | 32, d = c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

/* A string: *raw is what is between the quotes, escapes checked and not yet replaced. */
static int detnni_take_string(detnni_file *f, size_t *at, detnni_span *raw)
{
    size_t i;
    if (!detnni_take_char(f, at, '"', "a string is missing")) return 0;
    for (i = *at; i < f->data && f->bytes[i] != '"'; i++) {
        static const char plain[] = "\"\\/bfnrt";
        int c = f->bytes[i], j;
        if (c < 0x20) return detnni_wrong(f, i, "a control character in a string");
        if (c != '\\') continue;
        if (++i >= f->data) break;
        for (j = 0; plain[j] && plain[j] != (char)f->bytes[i]; j++) continue;
        if (f->bytes[i] == 'u') {
            long u = f->data - i > 4 ? detnni_hex4(f->bytes + i + 1) : -1;
            if (u >= 0xd800 && u < 0xdc00) { /* the first half of a pair */
                long low = f->data - i > 10 && f->bytes[i + 5] == '\\' && f->bytes[i + 6] == 'u'
                         ? detnni_hex4(f->bytes + i + 7) : -1;
                u = low >= 0xdc00 && low < 0xe000 ? 0 : -1;
                i += 6;
            } else if (u >= 0xdc00 && u < 0xe000) {
                u = -1;
            }
            if (u < 0) return detnni_wrong(f, i, "a bad \\u escape");
            i += 4;
        } else if (!plain[j]) {
            return detnni_wrong(f, i, "an unknown escape");
        }
    }
    if (i >= f->data) return detnni_wrong(f, *at - 1, "a string without its end");
    raw->p = f->bytes + *at;
    raw->n = i - *at;
    *at = i + 1;
    return 1;
}

/* A whole number below 2^64. */
static int detnni_take_number(detnni_file *f, size_t *at, uint64_t *v)
{
    size_t begin;
    detnni_space(f, at);
    begin = *at;
    for (*v = 0; *at < f->data && f->bytes[*at] >= '0' && f->bytes[*at] <= '9'; ++*at) {
        unsigned d = f->bytes[*at] - (unsigned)'0';
        if ((*at > begin && !*v) || *v > UINT64_MAX / 10 || *v * 10 > UINT64_MAX - d)
            return detnni_wrong(f, begin, "a number with a leading 0 or above 2^64 - 1");
        *v = *v * 10 + d;
    }
    return *at > begin ? 1 : detnni_wrong(f, begin, "a whole number is missing");
}

/* Is the string text, with its escapes replaced? */
static int detnni_is(detnni_span raw, const char *text)
{
    size_t i;
    for (i = 0; i < raw.n; i++, text++) {
        long c = raw.p[i];
        if (c == '\\') {
            c = raw.p[++i];
            if (c == 'u') { c = detnni_hex4(raw.p + i + 1); i += 4; }
            else if (c == 'b') c = 8;
            else if (c == 'f') c = 12;
            else if (c == 'n') c = 10;
            else if (c == 'r') c = 13;
            else if (c == 't') c = 9;
        } else if (c >= 0x80) {
            return 0; /* none of our names */
        }
        if (!*text || c != (long)(unsigned char)*text) return 0;
    }
    return !*text;
}

/* The length of text where raw starts with it, else raw.n + 1. (Written so that no compiler makes a strlen of it, which
 * a freestanding program has not.) */
static size_t detnni_prefix(detnni_span raw, const char *text)
{
    size_t i;
    for (i = 0; text[i]; i++)
        if (i >= raw.n || raw.p[i] != (unsigned char)text[i]) return raw.n + 1;
    return i;
}

static int detnni_starts(detnni_span raw, const char *text) { return detnni_prefix(raw, text) <= raw.n; }

static int detnni_take_metadata(detnni_file *f, size_t *at)
{
    detnni_span key, value;
    int k, more;
    if (!detnni_take_char(f, at, '{', "__metadata__ is not an object")) return 0;
    detnni_space(f, at);
    if (*at < f->data && f->bytes[*at] == '}') return ++*at, 1;
    do {
        size_t where = *at;
        if (!detnni_take_string(f, at, &key) || !detnni_take_char(f, at, ':', "a colon is missing")) return 0;
        if (!detnni_take_string(f, at, &value)) return detnni_wrong(f, *at, "a value in __metadata__ is not a string");
        for (k = 0; k < DETNNI_KEY_COUNT && !detnni_is(key, detnni_keys[k]); k++) continue;
        if (k < DETNNI_KEY_COUNT) {
            if (f->value[k].p && f->value[k].p != value.p) return detnni_wrong(f, where, "a key of the metadata twice");
            f->value[k] = value;
        } else if (detnni_starts(key, "detnn.")) {
            f->unknown = where;
        }
        detnni_space(f, at);
        more = *at < f->data && f->bytes[*at] == ',';
        if (more) ++*at;
    } while (more);
    return detnni_take_char(f, at, '}', "a comma or } is missing in __metadata__");
}

/* "name": { "dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24] }, in any order; or the metadata. */
static int detnni_take_entry(detnni_file *f, size_t *at, detnni_entry *e)
{
    int seen = 0, more;
    detnni_space(f, at);
    e->at = *at;
    e->dims = e->metadata = 0;
    e->begin = e->end = 0;
    if (!detnni_take_string(f, at, &e->name) || !detnni_take_char(f, at, ':', "a colon is missing")) return 0;
    if (detnni_is(e->name, "__metadata__")) {
        e->metadata = 1;
        return detnni_take_metadata(f, at);
    }
    if (!detnni_take_char(f, at, '{', "a tensor's description is not an object")) return 0;
    do {
        detnni_span key;
        int field;
        size_t where = *at;
        if (!detnni_take_string(f, at, &key) || !detnni_take_char(f, at, ':', "a colon is missing")) return 0;
        field = detnni_is(key, "dtype") ? 1 : detnni_is(key, "shape") ? 2 : detnni_is(key, "data_offsets") ? 4 : 0;
        if (!field) return detnni_wrong(f, where, "a tensor has a field beside dtype, shape and data_offsets");
        if (seen & field) return detnni_wrong(f, where, "a field of a tensor twice");
        seen |= field;
        if (field == 1) {
            if (!detnni_take_string(f, at, &e->dtype)) return 0;
        } else if (field == 2) {
            if (!detnni_take_char(f, at, '[', "shape is not an array")) return 0;
            detnni_space(f, at);
            if (*at < f->data && f->bytes[*at] == ']') ++*at;
            else {
                do {
                    if (e->dims == 4) return detnni_wrong(f, *at, "a shape of more than 4 dimensions");
                    if (!detnni_take_number(f, at, &e->shape[e->dims++])) return 0;
                    detnni_space(f, at);
                    more = *at < f->data && f->bytes[*at] == ',';
                    if (more) ++*at;
                } while (more);
                if (!detnni_take_char(f, at, ']', "a comma or ] is missing in shape")) return 0;
            }
        } else {
            if (!detnni_take_char(f, at, '[', "data_offsets is not an array") ||
                !detnni_take_number(f, at, &e->begin) ||
                !detnni_take_char(f, at, ',', "a comma is missing in data_offsets") ||
                !detnni_take_number(f, at, &e->end) ||
                !detnni_take_char(f, at, ']', "data_offsets has not two numbers"))
                return 0;
            if (e->begin > e->end) return detnni_wrong(f, where, "data_offsets run backwards");
            if (e->end > f->size - f->data) return detnni_wrong(f, where, "data_offsets beyond the end of the file");
        }
        detnni_space(f, at);
        more = *at < f->data && f->bytes[*at] == ',';
        if (more) ++*at;
    } while (more);
    if (!detnni_take_char(f, at, '}', "a comma or } is missing after a tensor's field")) return 0;
    return seen == 7 ? 1 : detnni_wrong(f, e->at, "a tensor without dtype, shape or data_offsets");
}

/* Well-formed UTF-8 (Unicode, table 3-7) from the header's begin to its end? */
static int detnni_check_utf8(detnni_file *f)
{
    size_t i;
    for (i = 8; i < f->data;) {
        const unsigned char *p = f->bytes + i;
        unsigned c = p[0], low = 0x80, high = 0xbf;
        size_t n = c < 0x80 ? 0 : c < 0xc2 ? 4 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 4, j; /* 4: none */
        if (c == 0xe0) low = 0xa0;
        if (c == 0xed) high = 0x9f;
        if (c == 0xf0) low = 0x90;
        if (c == 0xf4) high = 0x8f;
        if (n > 3 || n >= f->data - i) return detnni_wrong(f, i, "the header is not UTF-8");
        for (j = 1; j <= n; j++, low = 0x80, high = 0xbf)
            if (p[j] < low || p[j] > high) return detnni_wrong(f, i, "the header is not UTF-8");
        i += n + 1;
    }
    return 1;
}

static detnn_result detnni_damaged(const detnni_file *f, detnn_error *err)
{
    return detnni_fail(err, DETNN_ERROR_DATA, "the file is damaged or no safetensors: byte %z: %s", f->place, f->wrong);
}

/* Checks the header as such: JSON of the kind that safetensors has, offsets inside of the file. */
static detnn_result detnni_open(detnni_file *f, const void *bytes, size_t size, detnn_error *err)
{
    uint64_t header = 0;
    size_t at = 9, i;
    detnni_entry e;
    int more, metadata = 0;
    DETNNI_ZERO(f, sizeof *f);
    f->bytes = (const unsigned char *)bytes;
    f->size = size;
    if (size < 8)
        return detnni_fail(err, DETNN_ERROR_DATA, "the file has %z bytes, too few for a safetensors file", size);
    for (i = 0; i < 8; i++) header |= (uint64_t)f->bytes[i] << 8 * i;
    if (header > DETNNI_HEADER_MAX)
        return detnni_fail(err, DETNN_ERROR_DATA,
                           "the file is no safetensors: its header should have %l bytes, at most %z are allowed",
                           header, (size_t)DETNNI_HEADER_MAX);
    if (header > size - 8)
        return detnni_fail(err, DETNN_ERROR_DATA, "the file is cut off: its header should have %l bytes, there are %z",
                           header, size - 8);
    f->data = 8 + (size_t)header;
    f->next = 9;
    if (header < 2 || f->bytes[8] != '{') (void)detnni_wrong(f, 8, "the header does not begin with {");
    if (f->wrong || !detnni_check_utf8(f)) return detnni_damaged(f, err);
    detnni_space(f, &at);
    if (f->bytes[at == f->data ? 8 : at] == '}') {
        at++;
    } else {
        do {
            if (!detnni_take_entry(f, &at, &e)) return detnni_damaged(f, err);
            if (e.metadata && metadata++) (void)detnni_wrong(f, e.at, "__metadata__ twice");
            if (f->wrong) return detnni_damaged(f, err);
            if (!e.metadata) f->tensors++;
            f->entries++;
            detnni_space(f, &at);
            more = at < f->data && f->bytes[at] == ',';
            if (more) at++;
        } while (more);
        if (!detnni_take_char(f, &at, '}', "a comma or } is missing after a tensor")) return detnni_damaged(f, err);
    }
    detnni_space(f, &at);
    if (at == f->data) return DETNN_OK;
    (void)detnni_wrong(f, at, "something follows the header's end");
    return detnni_damaged(f, err);
}

/* The entry after the one read last, from the last on the first: the header was checked. */
static void detnni_next_entry(detnni_file *f, detnni_entry *e)
{
    const size_t from = f->next;
    (void)detnni_take_entry(f, &f->next, e);
    detnni_space(f, &f->next);
    f->looked += f->next - from;
    if (f->bytes[f->next] == ',') f->next++;
    else f->next = 9;
}

/* Files that lie in order need a few headers; a hostile one shall not take hours. */
static int detnni_looks(const detnni_file *f) { return f->looked <= (uint64_t)64 * f->data + ((uint64_t)1 << 28); }

/* Finds the tensor of a slot: 0 where there is none. Looking begins where the last look ended. */
static int detnni_find_entry(detnni_file *f, const char *name, detnni_entry *e)
{
    size_t i;
    for (i = 0; i < f->entries && detnni_looks(f); i++) {
        detnni_next_entry(f, e);
        if (!e->metadata && detnni_is(e->name, name)) return 1;
    }
    return 0;
}

static int detnni_locate(void *user, detnni_slot *s)
{
    detnni_file *f = (detnni_file *)user;
    detnni_entry e;
    char name[48];
    f->looked = 0; /* detnni_check_tensors has gone this way before */
    if (!detnni_find_entry(f, detnni_slot_name(s, name), &e)) return 0;
    s->bytes = f->bytes + f->data + (size_t)e.begin;
    return 1;
}

/* ---- Reading: the description ---- */

/* Words of a text, one after another; bad where they are not what they should be. */
typedef struct detnni_scan {
    const unsigned char *p;
    size_t n, at;
    int bad;
} detnni_scan;

static detnni_scan detnni_scan_of(detnni_span s)
{
    detnni_scan w;
    w.p = s.p;
    w.n = s.n;
    w.at = 0;
    w.bad = !s.p;
    return w;
}

static detnni_span detnni_rest(const detnni_scan *w)
{
    detnni_span s;
    s.p = w->p + w->at;
    s.n = w->n - w->at;
    return s;
}

static int detnni_word_is(const detnni_scan *w, const char *text)
{
    return !w->bad && detnni_starts(detnni_rest(w), text);
}

static void detnni_skip(detnni_scan *w, const char *text)
{
    if (!detnni_word_is(w, text)) w->bad = 1;
    else w->at += detnni_prefix(detnni_rest(w), text);
}

static uint64_t detnni_number(detnni_scan *w)
{
    uint64_t v = 0;
    size_t begin = w->at;
    for (; !w->bad && w->at < w->n && w->p[w->at] >= '0' && w->p[w->at] <= '9'; w->at++) {
        unsigned d = w->p[w->at] - (unsigned)'0';
        if ((w->at > begin && !v) || v > UINT64_MAX / 10 || v * 10 > UINT64_MAX - d) w->bad = 1;
        v = v * 10 + d;
    }
    if (w->at == begin) w->bad = 1;
    return w->bad ? 0 : v;
}

static size_t detnni_number_size(detnni_scan *w)
{
    uint64_t v = detnni_number(w);
    if (v > (size_t)-1) w->bad = 1;
    return w->bad ? 0 : (size_t)v;
}

static int detnni_flag(detnni_scan *w)
{
    uint64_t v = detnni_number(w);
    if (v > 1) w->bad = 1;
    return v == 1;
}

static uint64_t detnni_hex_word(detnni_scan *w, size_t digits)
{
    uint64_t v = 0;
    for (; digits && !w->bad; digits--, w->at++) {
        int c = w->at < w->n ? w->p[w->at] : 0;
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0) w->bad = 1;
        else v = v << 4 | (unsigned)d;
        if (w->bad) break;
    }
    return w->bad ? 0 : v;
}

static float detnni_float_word(detnni_scan *w) { return detnni_float((uint32_t)detnni_hex_word(w, 8)); }

/* One of count names: its number. */
static int detnni_name(detnni_scan *w, const char *const *names, int count)
{
    int i;
    for (i = 0; i < count; i++)
        if (detnni_word_is(w, names[i])) {
            size_t n = detnni_prefix(detnni_rest(w), names[i]);
            int c = w->at + n < w->n ? w->p[w->at + n] : ' ';
            if (c != ' ' && c != ',' && c != '\n') continue; /* the beginning of a longer one */
            w->at += n;
            return i;
        }
    w->bad = 1;
    return 0;
}

/* 64 digits and their digest, not compared. */
static void detnni_digest_word(detnni_scan *w, char out[DETNN_DIGEST_TEXT])
{
    size_t i;
    for (i = 0; i < 64; i += 8) {
        size_t j, at = w->at;
        (void)detnni_hex_word(w, 8);
        for (j = 0; j < 8; j++) out[i + j] = w->bad ? 0 : (char)w->p[at + j];
    }
    out[64] = 0;
}

static detnn_result detnni_scan_end(const detnni_scan *w, const char *name, detnn_error *err)
{
    if (!w->bad && w->at == w->n) return DETNN_OK;
    return detnni_fail(err, DETNN_ERROR_DATA, "%s is not as it should be from character %z on", name, w->at);
}

static void detnni_get_net(detnni_scan *w, detnn_net_desc *d)
{
    detnni_skip(w, "seed ");
    d->seed = detnni_number(w);
    detnni_skip(w, " inputs ");
    d->inputs = detnni_number_size(w);
    detnni_skip(w, " loss ");
    d->loss = (detnn_loss)detnni_name(w, detnni_loss_names, DETNN_LOSS_COUNT);
    detnni_skip(w, " label_smoothing ");
    d->label_smoothing = detnni_float_word(w);
    detnni_skip(w, " huber_delta ");
    d->huber_delta = detnni_float_word(w);
}

static void detnni_get_initializer(detnni_scan *w, detnn_initializer *init)
{
    detnni_skip(w, " ");
    init->kind = (detnn_initializer_kind)detnni_name(w, detnni_initializer_names, DETNN_INITIALIZER_COUNT);
    detnni_skip(w, " ");
    init->a = detnni_float_word(w);
    detnni_skip(w, " ");
    init->b = detnni_float_word(w);
}

/* The next layer, with the comma after it; 0 after the last one. */
static int detnni_get_layer(detnni_scan *w, detnn_layer *l)
{
    static const detnn_layer blank = DETNN_DROPOUT(0.0f);
    *l = blank;
    if (w->bad || w->at == w->n) return 0;
    if (w->at) detnni_skip(w, ", ");
    l->kind = (detnn_layer_kind)detnni_name(w, detnni_layer_names, DETNN_LAYER_KIND_COUNT);
    if (l->kind == DETNN_LAYER_DROPOUT) {
        detnni_skip(w, " ");
        l->rate = detnni_float_word(w);
    }
    if (l->kind == DETNN_LAYER_DENSE) {
        detnni_skip(w, " ");
        l->units = detnni_number_size(w);
    }
    if (l->kind == DETNN_LAYER_DENSE || l->kind == DETNN_LAYER_ACTIVATION) {
        detnni_skip(w, " ");
        l->activation = (detnn_activation)detnni_name(w, detnni_activation_names, DETNN_ACTIVATION_COUNT);
        detnni_skip(w, " ");
        l->alpha = detnni_float_word(w);
    }
    if (l->kind == DETNN_LAYER_DENSE) {
        detnni_get_initializer(w, &l->kernel);
        detnni_get_initializer(w, &l->bias);
        detnni_skip(w, " bias ");
        l->use_bias = detnni_flag(w);
        detnni_skip(w, " frozen ");
        l->frozen = detnni_flag(w);
    }
    return !w->bad;
}

static void detnni_get_optimizer(detnni_scan *w, detnn_optimizer *o)
{
    o->kind = (detnn_optimizer_kind)detnni_name(w, detnni_optimizer_names, DETNN_OPTIMIZER_COUNT);
    detnni_skip(w, " learning_rate ");
    o->learning_rate = detnni_float_word(w);
    detnni_skip(w, " momentum ");
    o->momentum = detnni_float_word(w);
    detnni_skip(w, " nesterov ");
    o->nesterov = detnni_flag(w);
    detnni_skip(w, " beta1 ");
    o->beta1 = detnni_float_word(w);
    detnni_skip(w, " beta2 ");
    o->beta2 = detnni_float_word(w);
    detnni_skip(w, " rho ");
    o->rho = detnni_float_word(w);
    detnni_skip(w, " epsilon ");
    o->epsilon = detnni_float_word(w);
    detnni_skip(w, " weight_decay ");
    o->weight_decay = detnni_float_word(w);
    detnni_skip(w, " clip_value ");
    o->clip_value = detnni_float_word(w);
    detnni_skip(w, " clip_norm ");
    o->clip_norm = detnni_float_word(w);
}

static void detnni_get_schedule(detnni_scan *w, detnn_schedule *d)
{
    d->kind = (detnn_schedule_kind)detnni_name(w, detnni_schedule_names, DETNN_SCHEDULE_COUNT);
    detnni_skip(w, " warmup_steps ");
    d->warmup_steps = detnni_number(w);
    detnni_skip(w, " period ");
    d->period = detnni_number(w);
    detnni_skip(w, " gamma ");
    d->gamma = detnni_float_word(w);
    detnni_skip(w, " final ");
    d->final = detnni_float_word(w);
}

/* Versions, first of all: they say how to read the rest. */
static detnn_result detnni_check_version(uint64_t format, uint64_t contract, detnn_error *err)
{
    if (format != 1)
        return detnni_fail(err, DETNN_ERROR_FEATURE, "the file has detnn.format %l; this version of detnn.h reads 1",
                           format);
    if (contract != DETNN_CONTRACT)
        return detnni_fail(err, DETNN_ERROR_FEATURE,
                           "the file was made under contract %l; this version of detnn.h keeps contract %z", contract,
                           (size_t)DETNN_CONTRACT);
    return DETNN_OK;
}

static int detnni_same_text(detnni_span s, const char *text)
{
    return detnni_prefix(s, text) == s.n;
}

/* Is all there that a description needs, and is it what was written? */
static detnn_result detnni_check_described(const detnni_file *f, detnn_error *err)
{
    detnni_sha sha;
    unsigned char digest[32];
    char text[DETNN_DIGEST_TEXT];
    detnni_scan format = detnni_scan_of(f->value[DETNNI_KEY_FORMAT]), contract;
    uint64_t number[2];
    int k;
    detnn_result r;
    contract = detnni_scan_of(f->value[DETNNI_KEY_CONTRACT]);
    number[0] = detnni_number(&format);
    number[1] = detnni_number(&contract);
    r = detnni_scan_end(&format, "detnn.format", err);
    if (!r) r = detnni_scan_end(&contract, "detnn.contract", err);
    if (!r) r = detnni_check_version(number[0], number[1], err);
    if (r) return r;
    if (f->unknown)
        return detnni_fail(err, DETNN_ERROR_DATA, "byte %z: an unknown key detnn.* in the metadata", f->unknown);
    detnni_sha_start(&sha);
    for (k = 0; k < DETNNI_KEY_COUNT; k++) {
        if (!f->value[k].p) {
            if (k == DETNNI_KEY_TEST || k == DETNNI_KEY_STATE) continue;
            return detnni_fail(err, DETNN_ERROR_DATA, "the metadata have no %s", detnni_keys[k]);
        }
        if (k == DETNNI_KEY_CHECK) break;
        detnni_sha_add(&sha, f->value[k].p, f->value[k].n);
        detnni_sha_add(&sha, "\n", 1);
    }
    detnni_sha_end(&sha, digest);
    if (!detnni_same_text(f->value[DETNNI_KEY_CHECK], detnni_hex(digest, text)))
        return detnni_fail(err, DETNN_ERROR_DATA, "the metadata are damaged: their digest is not that of detnn.check");
    return DETNN_OK;
}

/* The description, but for the layers, of which there are *count. */
static detnn_result detnni_describe(const detnni_file *f, detnn_net_desc *d, size_t *count, detnn_error *err)
{
    detnni_scan w;
    detnn_layer l;
    detnn_result r = detnni_check_described(f, err);
    if (r) return r;
    *d = detnn_net_desc_default();
    w = detnni_scan_of(f->value[DETNNI_KEY_NET]);
    detnni_get_net(&w, d);
    r = detnni_scan_end(&w, "detnn.net", err);
    if (r) return r;
    w = detnni_scan_of(f->value[DETNNI_KEY_LAYERS]);
    for (*count = 0; detnni_get_layer(&w, &l); ++*count) continue;
    r = detnni_scan_end(&w, "detnn.layers", err);
    if (r) return r;
    w = detnni_scan_of(f->value[DETNNI_KEY_OPTIMIZER]);
    detnni_get_optimizer(&w, &d->optimizer);
    r = detnni_scan_end(&w, "detnn.optimizer", err);
    if (r) return r;
    w = detnni_scan_of(f->value[DETNNI_KEY_SCHEDULE]);
    detnni_get_schedule(&w, &d->schedule);
    return detnni_scan_end(&w, "detnn.schedule", err);
}

static int detnni_is_described(const detnni_file *f)
{
    int k, any = f->unknown != 0;
    for (k = 0; k < DETNNI_KEY_COUNT; k++) any |= f->value[k].p != 0;
    return any;
}

/* The training state in the metadata. */
static detnn_result detnni_get_state(const detnni_file *f, detnni_state *s, int *keep_best,
                                     char digest[DETNN_DIGEST_TEXT], detnn_error *err)
{
    detnni_scan w = detnni_scan_of(f->value[DETNNI_KEY_TRAINED]);
    detnn_result r;
    DETNNI_ZERO(s, sizeof *s);
    *keep_best = 0;
    detnni_skip(&w, "step ");
    s->step = detnni_number(&w);
    detnni_skip(&w, " epoch ");
    s->epoch = detnni_number(&w);
    detnni_skip(&w, " adapted ");
    s->adapted = (uint32_t)detnni_flag(&w);
    r = detnni_scan_end(&w, "detnn.trained", err);
    if (r || !f->value[DETNNI_KEY_STATE].p) return r;
    w = detnni_scan_of(f->value[DETNNI_KEY_STATE]);
    detnni_skip(&w, "position ");
    s->position = detnni_number(&w);
    detnni_skip(&w, " samples ");
    s->samples = detnni_number(&w);
    detnni_skip(&w, " learning_rate ");
    s->learning_rate = detnni_float_word(&w);
    detnni_skip(&w, " loss_sum ");
    s->loss_sum = detnni_double(detnni_hex_word(&w, 16));
    detnni_skip(&w, " correct ");
    s->correct = detnni_number(&w);
    detnni_skip(&w, " best ");
    s->best_loss = detnni_float_word(&w);
    detnni_skip(&w, " ");
    s->best_epoch = detnni_number(&w);
    detnni_skip(&w, " ");
    s->stale = detnni_number(&w);
    detnni_skip(&w, " keep_best ");
    *keep_best = detnni_flag(&w);
    detnni_skip(&w, " has_best ");
    s->has_best = (uint32_t)detnni_flag(&w);
    detnni_skip(&w, " digest ");
    detnni_digest_word(&w, digest);
    r = detnni_scan_end(&w, "detnn.state", err);
    if (r) return r;
    if (!detnni_positive(s->learning_rate) || !detnni_finite(s->learning_rate) || s->position > s->samples ||
        s->step >> 62 || s->epoch >> 62 ||
        (detnni_double_bits(s->loss_sum) >> 52 & 0x7ff) == 0x7ff || detnni_nan(s->best_loss) ||
        (s->has_best && !*keep_best))
        return detnni_fail(err, DETNN_ERROR_DATA, "detnn.state has numbers that no training reaches");
    return DETNN_OK;
}

DETNNI_NOINLINE static detnn_result detnni_file_desc(const void *bytes, size_t size, detnn_net_desc *desc,
                                                     detnn_layer *layers, size_t layers_max, detnn_error *err)
{
    detnni_file f;
    detnn_net_desc d;
    detnni_scan w;
    detnni_state state;
    char digest[DETNN_DIGEST_TEXT];
    int keep_best = 0;
    size_t i, count = 0;
    detnn_result r = detnni_check_files(err);
    if (r) return r;
    if (!bytes || !desc)
        return detnni_fail(err, DETNN_ERROR_NULL, "detnn_file_desc: %s is null", bytes ? "desc" : "bytes");
    r = detnni_open(&f, bytes, size, err);
    if (r) return r;
    if (!detnni_is_described(&f))
        return detnni_fail(err, DETNN_ERROR_DATA,
                           "the file has no description (it is not of detnn): make the net and use detnn_load_into");
    r = detnni_describe(&f, &d, &count, err);
    if (!r) r = detnni_get_state(&f, &state, &keep_best, digest, err);
    if (r) return r;
    d.keep_best = keep_best;
    desc->layer_count = count;
    if (count > layers_max || !layers)
        return detnni_fail(err, DETNN_ERROR_MEMORY, "the net has %z layers, there is room for %z", count,
                           layers ? layers_max : 0);
    d.layer_count = count;
    d.layers = layers;
    w = detnni_scan_of(f.value[DETNNI_KEY_LAYERS]);
    for (i = 0; i < count; i++) (void)detnni_get_layer(&w, &layers[i]);
    *desc = d;
    return detnni_ok(err);
}

DETNN_API detnn_result detnn_file_desc(const void *bytes, size_t size, detnn_net_desc *desc, detnn_layer *layers,
                                       size_t layers_max, detnn_error *err)
{
    DETNNI_GUARDED(detnni_file_desc(bytes, size, desc, layers, layers_max, err));
}

/* ---- Reading: tensors and state ---- */

static int detnni_same_digest(const char *a, const char *b)
{
    size_t i;
    for (i = 0; i < 64 && a[i] == b[i]; i++) continue;
    return i == 64;
}

/* Compares what is written with a text. */
typedef struct detnni_compare {
    detnni_span text;
    size_t at;
    int differs;
} detnni_compare;

static int detnni_write_compare(void *user, const void *bytes, size_t size)
{
    detnni_compare *c = (detnni_compare *)user;
    const unsigned char *p = (const unsigned char *)bytes;
    for (; size && !c->differs; size--, p++) {
        if (c->at >= c->text.n || c->text.p[c->at] != *p) c->differs = 1;
        else c->at++;
    }
    return 0;
}

/* Is the description in the file, as far as it is one line, the net's? */
static detnn_result detnni_check_same(const detnni_file *f, int key, const detnn_net *net, detnn_error *err)
{
    detnni_compare c;
    detnni_sink s;
    c.text = f->value[key];
    c.at = 0;
    c.differs = 0;
    detnni_sink_start(&s, detnni_write_compare, &c);
    if (key == DETNNI_KEY_NET) detnni_put_net(&s, &net->desc);
    else if (key == DETNNI_KEY_OPTIMIZER) detnni_put_optimizer(&s, &net->desc.optimizer);
    else detnni_put_schedule(&s, &net->desc.schedule);
    detnni_sink_flush(&s);
    if (c.differs || c.at != c.text.n)
        return detnni_fail(err, DETNN_ERROR_SHAPE,
                           "%s in the file is not that of the net, from character %z on: the state needs an equal net",
                           detnni_keys[key], c.at);
    return DETNN_OK;
}

/* Do the layers agree in what predicts, and with training in what trains? */
static detnn_result detnni_check_same_layers(const detnni_file *f, const detnn_net *net, int training, detnn_error *err)
{
    detnni_scan w = detnni_scan_of(f->value[DETNNI_KEY_LAYERS]);
    detnn_layer l;
    size_t i;
    for (i = 0; detnni_get_layer(&w, &l); i++) {
        const detnn_layer *mine = i < net->desc.layer_count ? &net->layers[i].d : 0;
        const char *what = 0;
        if (!mine) break;
        if (mine->kind != l.kind) what = "kind";
        else if (l.kind == DETNN_LAYER_DENSE && mine->units != l.units) what = "units";
        else if (l.kind == DETNN_LAYER_DENSE && (mine->use_bias != 0) != l.use_bias) what = "use_bias";
        else if (l.kind == DETNN_LAYER_DENSE || l.kind == DETNN_LAYER_ACTIVATION) {
            if (mine->activation != l.activation) what = "activation";
            else if (detnni_float_bits(mine->alpha) != detnni_float_bits(l.alpha)) what = "alpha";
        } else if (training && l.kind == DETNN_LAYER_DROPOUT &&
                   detnni_float_bits(mine->rate) != detnni_float_bits(l.rate)) {
            what = "rate";
        }
        if (what)
            return detnni_fail(err, DETNN_ERROR_SHAPE,
                               "layer %z: the file has another %s than the net (%s there, %s here)", i, what,
                               detnni_layer_names[l.kind], detnni_layer_names[mine->kind]);
    }
    if (i != net->desc.layer_count || w.at != w.n)
        return detnni_fail(err, DETNN_ERROR_SHAPE, "the file has %s layers than the net's %z",
                           i < net->desc.layer_count ? "fewer" : "more", net->desc.layer_count);
    return DETNN_OK;
}

/* Checks every tensor that there should be, that there are no others, and that they fill the file. */
static detnn_result detnni_check_tensors(detnni_file *f, const detnn_net *net, unsigned groups, detnn_error *err)
{
    detnni_slot slot;
    detnni_entry e;
    char name[48];
    size_t count = 0, i, n;
    uint64_t at = 0;
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, groups, &slot)) {
        uint64_t need = (uint64_t)slot.rows * slot.cols * 4;
        int kernel = slot.tensor == DETNN_KERNEL;
        count++;
        if (!detnni_find_entry(f, detnni_slot_name(&slot, name), &e)) {
            if (!detnni_looks(f)) break;
            return detnni_fail(err, DETNN_ERROR_SHAPE, "the file has no tensor %s", name);
        }
        if (!detnni_is(e.dtype, "F32"))
            return detnni_fail(err, DETNN_ERROR_DATA, "tensor %s: its dtype is not F32", name);
        if (kernel ? e.dims != 2 || e.shape[0] != slot.cols || e.shape[1] != slot.rows
                   : e.dims != 1 || e.shape[0] != slot.cols) {
            static const char *const sentence[] = {
                "tensor %s: the file has %z dimensions, the net [%z]", "tensor %s: the file has [%l], the net [%z]",
                "tensor %s: the file has %z dimensions, the net [%z, %z]",
                "tensor %s: the file has [%l, %l], the net [%z, %z]" };
            const char *text = sentence[2 * kernel + (e.dims == 1 + kernel)];
            if (e.dims != 1 + kernel)
                return detnni_fail(err, DETNN_ERROR_SHAPE, text, name, (size_t)e.dims, slot.cols, slot.rows);
            if (kernel)
                return detnni_fail(err, DETNN_ERROR_SHAPE, text, name, e.shape[0], e.shape[1], slot.cols, slot.rows);
            return detnni_fail(err, DETNN_ERROR_SHAPE, text, name, e.shape[0], slot.cols);
        }
        if (e.end - e.begin != need)
            return detnni_fail(err, DETNN_ERROR_DATA, "tensor %s: %l bytes in the file, its shape needs %l", name,
                               e.end - e.begin, need);
    }
    for (i = 0; i < f->entries && count != f->tensors && detnni_looks(f); i++) { /* which one is too many? */
        int known = 0;
        detnni_next_entry(f, &e);
        if (e.metadata) continue;
        detnni_slot_start(&slot);
        while (!known && detnni_slot_next(net, groups, &slot)) {
            known = detnni_is(e.name, detnni_slot_name(&slot, name));
            f->looked += sizeof name;
        }
        if (!known)
            return detnni_fail(err, DETNN_ERROR_SHAPE, "byte %z: the net has no tensor of this name", e.at);
    }
    if (count != f->tensors && detnni_looks(f))
        return detnni_fail(err, DETNN_ERROR_DATA, "the file has %z tensors, the net %z: a name comes twice", f->tensors,
                           count);
    for (n = 0; n < f->tensors && detnni_looks(f); n++) { /* which one begins where the last one ended? */
        for (i = 0; i < f->entries; i++) {
            detnni_next_entry(f, &e);
            if (!e.metadata && e.begin == at && e.end > at) break;
        }
        if (i == f->entries)
            return detnni_fail(err, DETNN_ERROR_DATA, "no tensor begins at byte %l of the data: a hole or an overlap",
                               at);
        at = e.end;
    }
    if (!detnni_looks(f))
        return detnni_fail(err, DETNN_ERROR_DATA,
                           "the %z tensors of the file lie in an order that takes too long to check", f->tensors);
    if (at != f->size - f->data)
        return detnni_fail(err, DETNN_ERROR_DATA, "the tensors have %l bytes, the file %z", at, f->size - f->data);
    return DETNN_OK;
}

static detnn_result detnni_check_values(detnni_file *f, const detnn_net *net, unsigned groups, detnn_error *err)
{
    detnni_slot slot;
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, groups, &slot)) {
        size_t n = slot.rows * slot.cols, i, j, m;
        (void)detnni_locate(f, &slot);
        for (i = 0; i < n; i += m) {
            float x[64];
            m = detnni_min(64, n - i);
            detnni_fetch(net, &slot, i, m, x);
            for (j = 0; j < m; j++)
                if (!detnni_finite(x[j]) || (slot.tensor == DETNN_DEVIATION && !detnni_positive(x[j]))) {
                    char name[48];
                    return detnni_fail(err, DETNN_ERROR_DATA, "tensor %s: a value is %g", detnni_slot_name(&slot, name),
                                       (double)x[j]);
                }
        }
    }
    return DETNN_OK;
}

/* Predicts the test vector with the weights in the file, the net unchanged, in chain order as the contract has it. */
static detnn_result detnni_replay(detnni_file *f, detnn_net *net, int made, detnn_error *err)
{
    detnni_scan w = detnni_scan_of(f->value[DETNNI_KEY_TEST]);
    float *x = net->a, *y = net->b, *t;
    detnni_slot slot[2];
    size_t i, j;
    detnn_result r;
    for (i = 0; i < net->inputs; i++) x[i] = detnni_float_word(&w);
    detnni_slot_start(&slot[0]);
    (void)detnni_slot_next(net, 1u << DETNNI_WEIGHTS, &slot[0]);
    if (made) { /* it holds the weights already: as detnn_predict would */
        const detnni_crew crew = detnni_own_crew(net);
        const float *out = detnni_infer(net, &crew, x, 1, 0, net->a, net->b, 0);
        if (out == y) x = y;
    }
    for (i = 0; !made && i < net->desc.layer_count; i++) {
        const detnni_layer *l = &net->layers[i];
        int second = l->bias_size != 0;
        if (l->kernel_size) {
            (void)detnni_locate(f, &slot[0]);
            slot[1] = slot[0];
            if (second) {
                (void)detnni_slot_next(net, 1u << DETNNI_WEIGHTS, &slot[1]);
                (void)detnni_locate(f, &slot[1]);
            }
        }
        if (l->d.kind == DETNN_LAYER_DENSE) {
            detnni_dense_fetched(net, &slot[0], second ? &slot[1] : 0, x, 1, 0, l->outputs, y);
            t = x; x = y; y = t;
        }
        for (j = 0; l->d.kind == DETNN_LAYER_STANDARDIZE && j < l->inputs; j++) {
            float mean, deviation;
            detnni_fetch(net, &slot[0], j, 1, &mean);
            detnni_fetch(net, &slot[1], j, 1, &deviation);
            x[j] = (x[j] - mean) / deviation;
        }
        if (l->d.kind == DETNN_LAYER_DENSE || l->d.kind == DETNN_LAYER_ACTIVATION)
            detnni_activate_rows(net, l, x, 1, x);
        if (l->kernel_size) {
            slot[0] = slot[1];
            (void)detnni_slot_next(net, 1u << DETNNI_WEIGHTS, &slot[0]);
        }
    }
    detnni_skip(&w, " ");
    for (i = 0; i < net->outputs; i++) {
        uint32_t wanted = (uint32_t)detnni_hex_word(&w, 8);
        uint32_t got = detnni_nan(x[i]) ? 0x7fc00000 : detnni_float_bits(x[i]);
        if (!w.bad && wanted != got)
            return detnni_fail(err, DETNN_ERROR_SELFTEST,
                               "the file's test vector: output %z is %x, here it becomes %x: this build or machine "
                               "predicts otherwise (detnn_selftest says more)", i, wanted, got);
    }
    r = detnni_scan_end(&w, "detnn.test", err);
    return r;
}

static float *detnni_group(const detnn_net *net, int group)
{
    return group == DETNNI_WEIGHTS ? net->own_weights : group == DETNNI_MOMENT1 ? net->moment1
         : group == DETNNI_MOMENT2 ? net->moment2 : net->best;
}

/* Everything is checked first; then nothing can fail. */
static detnn_result detnni_load_into(detnn_net *net, detnni_file *f, const detnn_load_desc *d, int made,
                                     detnn_error *err)
{
    const int described = detnni_is_described(f), stored = f->value[DETNNI_KEY_STATE].p != 0;
    const int take = stored && !d->weights_only && DETNNI_HAS(TRAINING) && !net->desc.predict_only;
    const int test = described && f->value[DETNNI_KEY_TEST].p && !d->skip_test;
    unsigned groups = 1u << DETNNI_WEIGHTS;
    char digest[DETNN_DIGEST_TEXT], state_digest[DETNN_DIGEST_TEXT];
    detnni_sha sha;
    detnni_slot slot;
    detnni_state state;
    detnn_net_desc desc;
    detnn_result r;
    size_t count, i;
    int keep_best = 0;
    unsigned char bytes[32];
    r = detnni_check_idle(net, "detnn_load_into", err);
    if (r) return r;
    if (!net->own_weights)
        return detnni_fail(err, DETNN_ERROR_STATE, "the net's weights lie in desc.weights and cannot be loaded");
    if (described) {
        r = detnni_describe(f, &desc, &count, err);
        if (!r && desc.inputs != net->inputs)
            r = detnni_fail(err, DETNN_ERROR_SHAPE, "the file is of a net with %z inputs, this one has %z", desc.inputs,
                            net->inputs);
        if (!r) r = detnni_check_same_layers(f, net, take, err);
        if (!r) r = detnni_get_state(f, &state, &keep_best, state_digest, err);
        if (!r && take) r = detnni_check_same(f, DETNNI_KEY_NET, net, err);
        if (!r && take) r = detnni_check_same(f, DETNNI_KEY_OPTIMIZER, net, err);
        if (!r && take) r = detnni_check_same(f, DETNNI_KEY_SCHEDULE, net, err);
        if (r) return r;
        if (!state.adapted && net->desc.layers[0].kind != DETNN_LAYER_STANDARDIZE)
            return detnni_fail(err, DETNN_ERROR_DATA, "detnn.trained: adapted is 0, there is no standardize layer");
        if (take && keep_best != (net->best != 0))
            return detnni_fail(err, DETNN_ERROR_STATE,
                               "the training state is of a net with desc.keep_best %z, this one has %z",
                               (size_t)keep_best, (size_t)(net->best != 0));
        if (stored) {
            int moments = detnni_moments(&desc.optimizer);
            if (moments > 0) groups |= 1u << DETNNI_MOMENT1;
            if (moments > 1) groups |= 1u << DETNNI_MOMENT2;
            if (state.has_best) groups |= 1u << DETNNI_BEST;
        }
    }
    r = detnni_check_tensors(f, net, groups, err);
    if (!r) r = detnni_check_values(f, net, groups, err);
    if (r) return r;
    if (described) {
        detnni_sha_start(&sha);
        detnni_sha_group(&sha, net, DETNNI_WEIGHTS, detnni_locate, f);
        detnni_sha_end(&sha, bytes);
        if (!detnni_same_text(f->value[DETNNI_KEY_DIGEST], detnni_hex(bytes, digest)))
            return detnni_fail(err, DETNN_ERROR_DATA,
                               "the weights are damaged: their digest is %s, not that of detnn.digest", digest);
        if (stored) {
            int g;
            detnni_sha_start(&sha);
            for (g = 0; g < DETNNI_GROUPS; g++)
                if (groups >> g & 1) detnni_sha_group(&sha, net, g, detnni_locate, f);
            detnni_sha_state(&sha, desc.seed, &state);
            detnni_sha_end(&sha, bytes);
            (void)detnni_hex(bytes, digest);
            if (!detnni_same_digest(digest, state_digest))
                return detnni_fail(err, DETNN_ERROR_DATA,
                                   "the training state is damaged: its digest is %s, not that of detnn.state", digest);
        }
        if (!made && test) {
            r = detnni_replay(f, net, 0, err);
            if (r) return r;
        }
    }
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, take ? groups : 1u << DETNNI_WEIGHTS, &slot)) {
        (void)detnni_locate(f, &slot);
        detnni_fetch(net, &slot, 0, slot.rows * slot.cols, detnni_group(net, slot.group) + slot.at);
    detnni_gpu_changed(net);
    }
    if (take) {
        detnni_scan w = detnni_scan_of(f->value[DETNNI_KEY_LAYERS]);
        *net->state = state;
        for (i = 0; i < net->desc.layer_count; i++) {
            detnn_layer l;
            (void)detnni_get_layer(&w, &l);
            net->layers[i].d.frozen = l.frozen;
        }
        for (i = 0; net->gradients && i <= detnni_log2(net->desc.parts_max); i++)
            DETNNI_ZERO(net->gradients + i * net->parameters, net->parameters * sizeof(float));
    } else {
        net->state->adapted = described ? state.adapted : 1;
    }
    net->magnitude = 0x7f800000;
    return made && test ? detnni_replay(f, net, 1, err) : DETNN_OK;
}

/* What of a description no file has. */
static void detnni_machine(detnn_net_desc *to, const detnn_load_desc *d)
{
    to->batch_max = d->batch_max;
    to->parts_max = d->parts_max;
    to->isa = d->isa;
    to->allocator = d->allocator;
    to->parallel_for = d->parallel_for;
    to->parallel_user = d->parallel_user;
    to->workers = d->workers;
    to->task_work = d->task_work;
}

/* The net that the file describes. */
static detnn_result detnni_load_new(detnn_net **net, detnni_file *f, const detnn_load_desc *d, detnn_error *err)
{
    detnn_net_desc desc;
    detnni_scan w;
    detnni_state state;
    detnn_layer *layers;
    char digest[DETNN_DIGEST_TEXT];
    size_t count = 0, i, room, inputs, size = 0;
    uint64_t need = 0;
    int overflow = 0, keep_best = 0;
    detnn_result r;
    if (!detnni_is_described(f))
        return detnni_fail(err, DETNN_ERROR_DATA,
                           "the file has no description (it is not of detnn): make the net and use detnn_load_into");
    r = detnni_describe(f, &desc, &count, err);
    if (!r) r = detnni_get_state(f, &state, &keep_best, digest, err);
    if (r) return r;
    w = detnni_scan_of(f->value[DETNNI_KEY_LAYERS]); /* are there the weights that the layers need? */
    for (inputs = desc.inputs, i = 0; i < count; i++) {
        detnn_layer l;
        uint64_t more = 0;
        (void)detnni_get_layer(&w, &l);
        if (l.kind == DETNN_LAYER_STANDARDIZE) more = 2 * (uint64_t)inputs;
        if (l.kind == DETNN_LAYER_DENSE) {
            if (l.units && (uint64_t)inputs > UINT64_MAX / 8 / l.units) more = f->size;
            else more = (uint64_t)inputs * l.units;
            inputs = l.units;
        }
        need += more;
        if (more >= f->size || need >= f->size || need * 4 > f->size - f->data)
            return detnni_fail(err, DETNN_ERROR_DATA,
                               "detnn.layers: up to layer %z the net needs more weights than the %z bytes of data hold",
                               i, f->size - f->data);
    }
    if (!need && desc.inputs > f->size)
        return detnni_fail(err, DETNN_ERROR_DATA, "detnn.net: %z inputs, and no weights in a file of %z bytes",
                           desc.inputs, f->size);
    room = detnni_product(count, sizeof *layers, &overflow);
    layers = overflow || !count ? 0 : (detnn_layer *)detnni_alloc(&d->allocator, room);
    if (!count) return detnni_fail(err, DETNN_ERROR_DATA, "detnn.layers: there are none");
    if (!layers) return detnni_fail(err, DETNN_ERROR_MEMORY, "no memory: the description of %z layers needs %z bytes",
                                    count, room);
    w = detnni_scan_of(f->value[DETNNI_KEY_LAYERS]);
    for (i = 0; i < count; i++) (void)detnni_get_layer(&w, &layers[i]);
    desc.layers = layers;
    desc.layer_count = count;
    detnni_machine(&desc, d);
    desc.keep_best = f->value[DETNNI_KEY_STATE].p && !d->weights_only ? keep_best : d->keep_best;
    desc.trace = d->trace;
    desc.predict_only = d->predict_only;
    r = detnni_net_size(&desc, &size, err);
    if (!r && size > d->memory_max)
        r = detnni_fail(err, DETNN_ERROR_MEMORY, "the net needs %z bytes, memory_max is %z", size, d->memory_max);
    for (i = 0; i < count; i++) layers[i].kernel.kind = layers[i].bias.kind = DETNN_ZEROS; /* not drawn, but loaded */
    if (!r) r = detnni_net_create(net, &desc, err);
    w = detnni_scan_of(f->value[DETNNI_KEY_LAYERS]);
    for (i = 0; !r && i < count; i++) {
        (void)detnni_get_layer(&w, &layers[i]);
        (*net)->layers[i].d = layers[i];
        ((detnn_layer *)(*net)->desc.layers)[i] = layers[i];
    }
    detnni_release(&d->allocator, layers, room);
    if (r) return r;
    r = detnni_load_into(*net, f, d, 1, err);
    if (!r) return DETNN_OK;
    detnn_net_destroy(*net);
    *net = 0;
    return r;
}

DETNNI_NOINLINE static detnn_result detnni_load_memory(detnn_net **made, detnn_net *net, const void *bytes, size_t size,
                                                       const detnn_load_desc *desc, detnn_error *err)
{
    const detnn_load_desc d = desc ? *desc : detnn_load_desc_default();
    detnni_file f;
    detnn_result r = detnni_check_files(err);
    if (!r && !made) r = detnni_check_net(net, err);
    if (!r && !bytes) r = detnni_fail(err, DETNN_ERROR_NULL, "bytes is null");
    if (!r && !d.allocator.alloc != !d.allocator.release)
        r = detnni_fail(err, DETNN_ERROR_NULL, "allocator: alloc and release go together");
    if (!r) r = detnni_open(&f, bytes, size, err);
    if (!r) r = made ? detnni_load_new(made, &f, &d, err) : detnni_load_into(net, &f, &d, 0, err);
    return r ? r : detnni_ok(err);
}

DETNN_API detnn_result detnn_load_memory(detnn_net **net, const void *bytes, size_t size, const detnn_load_desc *desc,
                                         detnn_error *err)
{
    if (!net) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_load_memory: net is null");
    *net = 0;
    DETNNI_GUARDED(detnni_load_memory(net, 0, bytes, size, desc, err));
}

DETNN_API detnn_result detnn_load_into_memory(detnn_net *net, const void *bytes, size_t size,
                                              const detnn_load_desc *desc, detnn_error *err)
{
    DETNNI_GUARDED(detnni_load_memory(0, net, bytes, size, desc, err));
}

DETNNI_NOINLINE static detnn_result detnni_load_read(detnn_net **made, detnn_net *net,
                                                     int (*read)(void *user, void *to, size_t size), void *user,
                                                     size_t size, const detnn_load_desc *desc, detnn_error *err)
{
    const detnn_allocator none = { 0, 0, 0 }, *a = desc ? &desc->allocator : &none;
    unsigned char *bytes;
    size_t done, n;
    detnn_result r = detnni_check_files(err);
    if (!r && !made) r = detnni_check_net(net, err);
    if (r) return r;
    if (!read) return detnni_fail(err, DETNN_ERROR_NULL, "read is null");
    if (!a->alloc != !a->release) return detnni_fail(err, DETNN_ERROR_NULL, "allocator: alloc and release go together");
    if (size > (size_t)-1 / 2) return detnni_fail(err, DETNN_ERROR_SIZE, "%z bytes are too many for memory", size);
    bytes = (unsigned char *)detnni_alloc(a, size);
    if (!bytes) return detnni_fail(err, DETNN_ERROR_MEMORY, "no memory: reading needs %z bytes", size);
    for (done = 0; !r && done < size; done += n) {
        int failed;
        n = detnni_min(size - done, 65536u / 2);
        failed = read(user, bytes + done, n);
        (void)detnni_fp_enter(); /* the caller's code may have left another mode */
        if (failed) r = detnni_fail(err, DETNN_ERROR_CALLBACK, "read failed at byte %z of %z", done, size);
    }
    if (!r) r = detnni_load_memory(made, net, bytes, size, desc, err);
    detnni_release(a, bytes, size);
    return r;
}

DETNN_API detnn_result detnn_load_read(detnn_net **net, int (*read)(void *user, void *to, size_t size), void *user,
                                       size_t size, const detnn_load_desc *desc, detnn_error *err)
{
    if (!net) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_load_read: net is null");
    *net = 0;
    DETNNI_GUARDED(detnni_load_read(net, 0, read, user, size, desc, err));
}

DETNN_API detnn_result detnn_load_into_read(detnn_net *net, int (*read)(void *user, void *to, size_t size), void *user,
                                            size_t size, const detnn_load_desc *desc, detnn_error *err)
{
    DETNNI_GUARDED(detnni_load_read(0, net, read, user, size, desc, err));
}

/* ---- C source ---- */

/* Nine significant digits, cut off: within 1e-8 of x, where its neighbours' middles are 3e-8 away at least. */
static void detnni_put_decimal(detnni_sink *s, float x)
{
    uint32_t bits = detnni_float_bits(x), m = bits & 0x7fffff, word[9];
    int e = (int)(bits >> 23 & 0xff), shift, i, n = 0, exponent = 0;
    char digits[40], out[24];
    detnni_text t;
    if (!(bits << 1)) { detnni_sink_text(s, bits ? "-0.0f" : "0.0f"); return; }
    if (e) m |= 0x800000; else e = 1;
    shift = e - 150 + 160; /* |x| = m * 2^(e - 150); word holds |x| * 2^160 */
    for (i = 0; i < 9; i++) {
        int low = shift - 32 * i; /* where m's bit 0 is in this word */
        word[i] = low >= 32 || low <= -32 ? 0 : low >= 0 ? m << low : m >> -low;
    }
    for (;;) { /* the whole part, from its last digit on */
        uint32_t rest = 0, any = 0;
        for (i = 8; i >= 5; i--) {
            uint64_t v = (uint64_t)rest << 32 | word[i];
            any |= word[i];
            word[i] = (uint32_t)(v / 10);
            rest = (uint32_t)(v % 10);
        }
        if (!any) break;
        digits[n++] = (char)('0' + rest);
    }
    exponent = n - 1;
    for (i = 0; i < n / 2; i++) { char c = digits[i]; digits[i] = digits[n - 1 - i]; digits[n - 1 - i] = c; }
    while (n < 9) { /* digits after the point */
        uint32_t carry = 0;
        for (i = 0; i < 5; i++) {
            uint64_t v = (uint64_t)word[i] * 10 + carry;
            word[i] = (uint32_t)v;
            carry = (uint32_t)(v >> 32);
        }
        if (!n && !carry) exponent--;
        else digits[n++] = (char)('0' + carry);
    }
    for (n = 9; n > 1 && digits[n - 1] == '0'; n--) continue;
    t.p = out;
    t.size = sizeof out;
    t.length = 0;
    if (bits >> 31) detnni_put(&t, '-');
    detnni_put(&t, digits[0]);
    detnni_put(&t, '.');
    if (n == 1) detnni_put(&t, '0');
    for (i = 1; i < n; i++) detnni_put(&t, digits[i]);
    if (exponent) {
        detnni_put(&t, 'e');
        if (exponent < 0) detnni_put(&t, '-');
        detnni_put_number(&t, (uint64_t)(exponent < 0 ? -exponent : exponent), 10, 1);
    }
    detnni_put(&t, 'f');
    detnni_sink_add(s, out, t.length);
}

/* Rounds to bfloat16, to nearest, ties to even, never to infinity: the upper half of the bits. */
static uint32_t detnni_bfloat16(float x)
{
    uint32_t b = detnni_float_bits(x), sign = b & 0x80000000u;
    b = (b & 0x7fffffff) + 0x7fff + (b >> 16 & 1);
    if (b >= 0x7f800000) b = 0x7f7f0000;
    return (sign | b) >> 16;
}

static int detnni_int8(float x, float scale)
{
    float q = scale > 0.0f ? x / scale : 0.0f;
    if (!(q < 127.0f)) return 127;
    if (!(q > -127.0f)) return -127;
    return (int)(q < 0.0f ? q - 0.5f : q + 0.5f);
}

static float detnni_packed_value(detnn_packing packing, float x, float scale)
{
    if (packing == DETNN_BFLOAT16) return detnni_float(detnni_bfloat16(x) << 16);
    return packing == DETNN_INT8 ? (float)detnni_int8(x, scale) * scale : x;
}

/* The scale of every unit of a kernel: its largest weight is 127 scales. To net->a; rows of weights go through b. */
static const float *detnni_scales(const detnn_net *net, const detnni_slot *kernel, detnn_packing packing)
{
    size_t k, n;
    if (packing != DETNN_INT8) return net->a;
    for (n = 0; n < kernel->cols; n++) net->a[n] = 0.0f;
    for (k = 0; k < kernel->rows; k++) {
        detnni_fetch(net, kernel, k * kernel->cols, kernel->cols, net->b);
        for (n = 0; n < kernel->cols; n++) {
            float size = detnni_float(detnni_float_bits(net->b[n]) & 0x7fffffff);
            if (size > net->a[n]) net->a[n] = size;
        }
    }
    for (n = 0; n < kernel->cols; n++) {
        net->a[n] = net->a[n] / 127.0f;
        if (!detnni_finite(127.0f * net->a[n])) net->a[n] = detnni_float(detnni_float_bits(net->a[n]) - 1);
    }
    return net->a;
}

/* Starts a line with the first of so many values. */
static void detnni_put_comma(detnni_sink *s, size_t i, size_t line)
{
    detnni_sink_text(s, i == 0 ? "\n    " : i % line ? ", " : ",\n    ");
}

/* An array of floats: those of all slots but kernels (rest), of all, or of one row. */
typedef struct detnni_exporting {
    detnn_net *net;
    detnn_export_desc d;
    detnn_export_cost cost;
    const char *name;
    size_t kernels, rest, scales; /* elements */
    const float *y;               /* outputs of the test vector, or null */
} detnni_exporting;

static void detnni_put_weights(detnni_sink *s, const detnni_exporting *v, int rest)
{
    detnni_slot slot;
    size_t i, count = 0, all = rest ? v->rest : v->net->parameters;
    detnni_sink_text(s, "static const float ");
    detnni_sink_text(s, v->name);
    detnni_sink_format(s, "_weights[%z] = {", all ? all : 1);
    detnni_slot_start(&slot);
    while (detnni_slot_next(v->net, 1u << DETNNI_WEIGHTS, &slot)) {
        if (rest && slot.tensor == DETNN_KERNEL) continue;
        for (i = 0; i < slot.rows * slot.cols; i++) {
            float x;
            detnni_fetch(v->net, &slot, i, 1, &x);
            detnni_put_comma(s, count++, 8);
            detnni_put_decimal(s, x);
        }
    }
    if (!count) detnni_sink_text(s, " 0.0f");
    detnni_sink_text(s, "\n};\n");
}

/* The packed kernels, or (scales) their scales. */
static void detnni_put_packed(detnni_sink *s, const detnni_exporting *v, int scales)
{
    const detnn_net *net = v->net;
    detnni_slot slot;
    size_t i, n, count = 0;
    detnni_sink_format(s, "static const %s ", scales ? "float" : v->d.packing == DETNN_INT8 ? "int8_t" : "uint16_t");
    detnni_sink_text(s, v->name);
    detnni_sink_format(s, scales ? "_scales[%z] = {" : "_kernels[%z] = {", scales ? v->scales : v->kernels);
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, 1u << DETNNI_WEIGHTS, &slot)) {
        const float *scale;
        if (slot.tensor != DETNN_KERNEL) continue;
        scale = detnni_scales(net, &slot, v->d.packing);
        for (n = 0; scales && n < slot.cols; n++) {
            detnni_put_comma(s, count++, 8);
            detnni_put_decimal(s, scale[n]);
        }
        for (i = 0; !scales && i < slot.rows; i++) {
            detnni_fetch(net, &slot, i * slot.cols, slot.cols, net->b);
            for (n = 0; n < slot.cols; n++) {
                detnni_put_comma(s, count++, v->d.packing == DETNN_INT8 ? 20 : 12);
                if (v->d.packing == DETNN_BFLOAT16) {
                    detnni_sink_format(s, "%l", (uint64_t)detnni_bfloat16(net->b[n]));
                } else {
                    int q = detnni_int8(net->b[n], scale[n]);
                    detnni_sink_format(s, "%s%l", q < 0 ? "-" : "", (uint64_t)(q < 0 ? -q : q));
                }
            }
        }
    }
    detnni_sink_text(s, "\n};\n");
}

static const char *const detnni_activation_constants[] = {
#define DETNNI_CONSTANT(name, text) #name,
    DETNN_ACTIVATIONS(DETNNI_CONSTANT)
};
static const char *const detnni_loss_constants[] = { DETNN_LOSSES(DETNNI_CONSTANT) };
#undef DETNNI_CONSTANT

static void detnni_put_layer_constant(detnni_sink *s, const detnn_layer *l)
{
    detnni_sink_text(s, "    ");
    switch (l->kind) {
    case DETNN_LAYER_DENSE:
        detnni_sink_format(s, "DETNN_DENSE_EX(%z, %s, ", l->units, detnni_activation_constants[l->activation]);
        detnni_put_decimal(s, l->alpha);
        detnni_sink_format(s, ", DETNN_INIT(DETNN_ZEROS, 0, 0), DETNN_INIT(DETNN_ZEROS, 0, 0), %z, 0)",
                           (size_t)(l->use_bias != 0));
        break;
    case DETNN_LAYER_ACTIVATION:
        detnni_sink_format(s, "DETNN_ACTIVATE_EX(%s, ", detnni_activation_constants[l->activation]);
        detnni_put_decimal(s, l->alpha);
        detnni_sink_text(s, ")");
        break;
    case DETNN_LAYER_DROPOUT:
        detnni_sink_text(s, "DETNN_DROPOUT(");
        detnni_put_decimal(s, l->rate);
        detnni_sink_text(s, ")");
        break;
    default: detnni_sink_text(s, "DETNN_STANDARDIZE()");
    }
}

static void detnni_export_text(detnni_sink *s, const detnni_exporting *v)
{
    const detnn_net *net = v->net;
    const detnn_export_cost *c = &v->cost;
    const int packed = v->d.packing != DETNN_FLOAT32;
    const char *name = v->name;
    char digest[DETNN_DIGEST_TEXT];
    detnni_saving test;
    size_t i;
    DETNNI_ZERO(&test, sizeof test);
    test.net = net;
    detnni_sink_format(s, "/* Written by detnn_export_c, detnn.h %s: a net of %z parameters, %z bytes of constants.\n",
                       DETNN_VERSION, net->parameters, c->bytes);
    detnni_sink_format(s, " * Digest of the net it was made from: %s\n", detnn_digest(net, digest));
    if (packed) {
        detnni_sink_format(s, " * Kernels rounded to %s: a weight changed by %g at most, %g of its layer's largest.\n",
                           detnni_packing_names[v->d.packing], (double)c->largest, (double)c->relative);
        if (c->before.count)
            detnni_sink_format(s, " * On %z samples: loss %g becomes %g, accuracy %g becomes %g.\n", c->before.count,
                               (double)c->before.loss, (double)c->after.loss, (double)c->before.accuracy,
                               (double)c->after.accuracy);
        else detnni_sink_text(s, " * What that costs in accuracy was not measured (desc.data).\n");
    }
    detnni_sink_text(s, " *\n *     detnn_net_desc desc = ");
    detnni_sink_text(s, name);
    detnni_sink_text(s, "_desc();   then detnn_net_init or detnn_net_create\n */\n#include \"detnn.h\"\n");
    detnni_sink_format(s, "#if DETNN_CONTRACT != %z\n#error \"this net was made under contract %z\"\n#endif\n\n",
                       (size_t)DETNN_CONTRACT, (size_t)DETNN_CONTRACT);
    detnni_put_weights(s, v, packed);
    if (packed) {
        detnni_put_packed(s, v, 0);
        if (v->d.packing == DETNN_INT8) detnni_put_packed(s, v, 1);
        detnni_sink_text(s, "static const detnn_packed ");
        detnni_sink_text(s, name);
        detnni_sink_text(s, "_packed = { ");
        if (v->d.packing == DETNN_BFLOAT16) {
            detnni_sink_text(s, name);
            detnni_sink_text(s, "_kernels, 0, 0 };\n");
        } else {
            detnni_sink_text(s, "0, ");
            detnni_sink_text(s, name);
            detnni_sink_text(s, "_kernels, ");
            detnni_sink_text(s, name);
            detnni_sink_text(s, "_scales };\n");
        }
    }
    detnni_sink_text(s, "static const detnn_layer ");
    detnni_sink_text(s, name);
    detnni_sink_format(s, "_layers[%z] = {\n", net->desc.layer_count);
    for (i = 0; i < net->desc.layer_count; i++) {
        detnni_put_layer_constant(s, &net->layers[i].d);
        detnni_sink_text(s, i + 1 < net->desc.layer_count ? ",\n" : "\n};\n\n");
    }
    detnni_sink_text(s, "static inline detnn_net_desc ");
    detnni_sink_text(s, name);
    detnni_sink_format(s,
                       "_desc(void)\n{\n    detnn_net_desc desc = detnn_net_desc_default();\n"
                       "    desc.inputs = %z;\n    desc.layers = ", net->inputs);
    detnni_sink_text(s, name);
    detnni_sink_format(s, "_layers;\n    desc.layer_count = %z;\n    desc.loss = %s;\n    desc.label_smoothing = ",
                       net->desc.layer_count, detnni_loss_constants[net->desc.loss]);
    detnni_put_decimal(s, net->desc.label_smoothing);
    detnni_sink_text(s, ";\n    desc.huber_delta = ");
    detnni_put_decimal(s, net->desc.huber_delta);
    detnni_sink_text(s, ";\n    desc.batch_max = 1;\n    desc.predict_only = 1;\n    desc.weights = ");
    detnni_sink_text(s, name);
    detnni_sink_text(s, "_weights;\n");
    if (packed) {
        detnni_sink_text(s, "    desc.packed = &");
        detnni_sink_text(s, name);
        detnni_sink_text(s, "_packed;\n");
    }
    detnni_sink_text(s, "    return desc;\n}\n");
    if (!v->y) return;
    detnni_sink_text(s, "\n/* A test vector: 0 where the net predicts what it should, bit for bit, -1 on an error,\n"
                        " * else which output, from 1, is another. */\nstatic inline int ");
    detnni_sink_text(s, name);
    detnni_sink_format(s, "_test(detnn_net *net)\n{\n    static const float x[%z] = {", net->inputs);
    for (i = 0; i < net->inputs; i++) {
        detnni_put_comma(s, i, 8);
        detnni_put_decimal(s, detnni_test_input(&test, i));
    }
    detnni_sink_format(s, "\n    };\n    static const float y[%z] = {", net->outputs);
    for (i = 0; i < net->outputs; i++) {
        detnni_put_comma(s, i, 8);
        detnni_put_decimal(s, v->y[i]);
    }
    detnni_sink_format(s,
                       "\n    };\n    float out[%z];\n    int i;\n"
                       "    if (detnn_predict(net, x, 1, out, 0)) return -1;\n"
                       "    for (i = 0; i < %z; i++)\n        if (!(out[i] == y[i])) return i + 1;\n    return 0;\n}\n",
                       net->outputs, net->outputs);
}

/* Measures what the rounding does to the weights, and with a second net what it does to predictions. */
static detnn_result detnni_export_start(detnni_exporting *v, detnn_net **rounded, detnn_error *err)
{
    detnn_net *net = v->net;
    detnn_net_desc desc = net->desc;
    detnni_slot slot;
    detnn_result r;
    size_t i, n;
    *rounded = 0;
    if (v->d.packing != DETNN_FLOAT32 && (v->d.data || v->d.test)) {
        desc.predict_only = 0;
        desc.weights = 0;
        desc.packed = 0;
        desc.keep_best = desc.trace = 0;
        r = detnni_net_create(rounded, &desc, err);
        if (r) return r;
        (*rounded)->state->adapted = net->state->adapted;
    }
    detnni_slot_start(&slot);
    while (detnni_slot_next(net, 1u << DETNNI_WEIGHTS, &slot)) {
        const detnn_packing packing = slot.tensor == DETNN_KERNEL ? v->d.packing : DETNN_FLOAT32;
        const float *scale = detnni_scales(net, &slot, packing);
        float largest = 0.0f, change = 0.0f;
        if (slot.tensor == DETNN_KERNEL) v->kernels += slot.rows * slot.cols;
        else v->rest += slot.cols;
        if (slot.tensor == DETNN_KERNEL) v->scales += slot.cols;
        for (i = 0; i < slot.rows; i++) {
            detnni_fetch(net, &slot, i * slot.cols, slot.cols, net->b);
            for (n = 0; n < slot.cols; n++) {
                float x = net->b[n], y = detnni_packed_value(packing, x, scale[n]), d = y - x;
                if (*rounded) (*rounded)->own_weights[slot.at + i * slot.cols + n] = y;
                if (d < 0.0f) d = -d;
                if (x < 0.0f) x = -x;
                if (d > change) change = d;
                if (x > largest) largest = x;
            }
        }
        if (change > v->cost.largest) v->cost.largest = change;
        if (largest > 0.0f && change / largest > v->cost.relative) v->cost.relative = change / largest;
    }
    v->cost.bytes = v->d.packing == DETNN_FLOAT32 ? net->parameters * 4
                  : v->rest * 4 + (v->d.packing == DETNN_INT8 ? v->kernels + v->scales * 4 : v->kernels * 2);
    if (v->d.data) {
        r = detnni_evaluate(net, v->d.data, &v->cost.before, err);
        if (!r && *rounded) r = detnni_evaluate(*rounded, v->d.data, &v->cost.after, err);
        if (r) return r;
        if (!*rounded) v->cost.after = v->cost.before;
    }
    return DETNN_OK;
}

static detnn_result detnni_check_name(const char *name, detnn_error *err)
{
    size_t i;
    for (i = 0; name[i]; i++) {
        int letter = (name[i] | 32) >= 'a' && (name[i] | 32) <= 'z';
        if (!(letter || name[i] == '_' || (i && name[i] >= '0' && name[i] <= '9')) || i > 200) break;
    }
    if (i && !name[i]) return DETNN_OK;
    return detnni_fail(err, DETNN_ERROR_VALUE, "desc.name is no identifier of at most 200 letters, digits and _");
}

/* The whole source; the net whose weights are rounded is made for the time. */
static detnn_result detnni_export_to(detnn_net *net, detnni_sink *s, const detnn_export_desc *desc,
                                     detnn_export_cost *cost, detnn_error *err)
{
    detnni_exporting v;
    detnni_saving test;
    detnn_net *rounded;
    detnn_result r = detnni_check_files(err);
    size_t i;
    if (!r) r = detnni_check_net(net, err);
    if (!r) r = detnni_check_idle(net, "detnn_export_c", err);
    if (r) return r;
    DETNNI_ZERO(&v, sizeof v);
    v.net = net;
    v.d = desc ? *desc : detnn_export_desc_default();
    v.name = v.d.name;
    if (!v.name) return detnni_fail(err, DETNN_ERROR_NULL, "desc.name is null");
    if ((unsigned)v.d.packing >= DETNN_PACKING_COUNT)
        return detnni_fail(err, DETNN_ERROR_VALUE, "desc.packing: unknown kind %z", (size_t)v.d.packing);
    r = detnni_check_name(v.name, err);
    if (r) return r;
    if (!net->state->adapted)
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "layer 0 (standardize) has seen no data: the net cannot predict yet");
    r = detnni_export_start(&v, &rounded, err);
    if (!v.kernels) v.d.packing = DETNN_FLOAT32; /* nothing to round */
    if (!r && v.d.test) {
        detnn_net *of = rounded ? rounded : net;
        const detnni_crew crew = detnni_own_crew(of);
        const float *y;
        DETNNI_ZERO(&test, sizeof test);
        test.net = net;
        for (i = 0; i < net->inputs; i++) of->a[i] = detnni_test_input(&test, i);
        y = detnni_infer(of, &crew, of->a, 1, 0, of->a, of->b, 0);
        for (i = 0; i < net->outputs && detnni_finite(y[i]); i++) net->row[i] = y[i];
        if (i == net->outputs) v.y = net->row; /* C has no constant for the others */
    }
    if (!r) {
        detnni_export_text(s, &v);
        detnni_sink_flush(s);
        if (cost) *cost = v.cost;
    }
    detnn_net_destroy(rounded);
    return r;
}

DETNNI_NOINLINE static detnn_result detnni_export_c_write(detnn_net *net,
                                                          int (*write)(void *user, const void *bytes, size_t size),
                                                          void *user, const detnn_export_desc *desc,
                                                          detnn_export_cost *cost, detnn_error *err)
{
    detnni_sink s;
    detnn_result r;
    if (!write) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_export_c_write: write is null");
    detnni_sink_start(&s, write, user);
    r = detnni_export_to(net, &s, desc, cost, err);
    return r ? r : detnni_written(&s, err);
}

DETNN_API detnn_result detnn_export_c_write(detnn_net *net, int (*write)(void *user, const void *bytes, size_t size),
                                            void *user, const detnn_export_desc *desc, detnn_export_cost *cost,
                                            detnn_error *err)
{
    DETNNI_GUARDED(detnni_export_c_write(net, write, user, desc, cost, err));
}

/* ---- Receipts ---- */

static void detnni_sha_floats(detnni_sha *s, const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t u = detnni_float_bits(x[i]);
        unsigned char b[4];
        b[0] = (unsigned char)u;
        b[1] = (unsigned char)(u >> 8);
        b[2] = (unsigned char)(u >> 16);
        b[3] = (unsigned char)(u >> 24);
        detnni_sha_add(s, b, 4);
    }
}

/* Samples in order: x, label or target, weight (F4). data was checked, or is null: no samples. */
static detnn_result detnni_data_digest(detnn_net *net, const detnn_data *data, char out[DETNN_DIGEST_TEXT],
                                       detnn_error *err)
{
    detnni_sha sha;
    unsigned char digest[32];
    size_t i, count = data ? data->count : 0;
    detnni_sha_start(&sha);
    for (i = 0; i < count; i++) {
        detnni_rows rows;
        const float one = 1.0f;
        detnn_result r = detnni_gather(net, data, 0, i, 1, 0, &rows, err);
        if (r) return r;
        detnni_sha_floats(&sha, rows.x, net->inputs);
        if (rows.labels) {
            float label = detnni_float(*rows.labels);
            detnni_sha_floats(&sha, &label, 1);
        } else {
            detnni_sha_floats(&sha, rows.targets, net->outputs);
        }
        detnni_sha_floats(&sha, rows.weights ? rows.weights : &one, 1);
    }
    detnni_sha_end(&sha, digest);
    (void)detnni_hex(digest, out);
    return DETNN_OK;
}

DETNNI_NOINLINE static detnn_result detnni_data_digest_public(detnn_net *net, const detnn_data *data,
                                                              char out[DETNN_DIGEST_TEXT], detnn_error *err)
{
    detnn_result r = detnni_check_files(err);
    if (!r) r = detnni_check_net(net, err);
    if (r) return r;
    if (!out) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_data_digest: out is null");
    out[0] = 0;
    r = detnni_check_data(net, data, 1, err);
    if (!r) r = detnni_check_idle(net, "detnn_data_digest", err);
    if (!r) r = detnni_data_digest(net, data, out, err);
    return r ? r : detnni_ok(err);
}

DETNN_API detnn_result detnn_data_digest(detnn_net *net, const detnn_data *data, char out[DETNN_DIGEST_TEXT],
                                         detnn_error *err)
{
    DETNNI_GUARDED(detnni_data_digest_public(net, data, out, err));
}

/* Is the net as it was created? Its gradients serve as room for the starting weights. */
static int detnni_is_new(detnn_net *net)
{
    const detnni_state *s = net->state;
    size_t i, e;
    int same = !s->step && !s->epoch && !s->samples && s->best_loss > 3e38f
            && s->learning_rate == net->desc.optimizer.learning_rate
            && s->adapted == (net->desc.layers[0].kind != DETNN_LAYER_STANDARDIZE);
    for (i = 0; i < net->desc.layer_count; i++) {
        const detnni_layer *l = &net->layers[i];
        float *g = net->gradients + l->kernel;
        for (e = 0; l->d.kind == DETNN_LAYER_STANDARDIZE && e < l->inputs; e++)
            if (net->weights[l->kernel + e] != 0.0f || net->weights[l->bias + e] != 1.0f) same = 0;
        if (l->d.kind != DETNN_LAYER_DENSE) continue;
        detnni_fill(DETNNI_KERNELS(net), &l->d.kernel, net->desc.seed, (uint32_t)i, DETNNI_KERNEL, l->inputs, l->inputs,
                    l->outputs, g);
        if (l->bias_size)
            detnni_fill(DETNNI_KERNELS(net), &l->d.bias, net->desc.seed, (uint32_t)i, DETNNI_BIAS, 1, l->inputs,
                        l->outputs, net->gradients + l->bias);
        for (e = 0; e < l->kernel_size + l->bias_size; e++)
            if (detnni_float_bits(g[e]) != detnni_float_bits(net->weights[l->kernel + e])) same = 0;
        DETNNI_ZERO(g, (l->kernel_size + l->bias_size) * sizeof(float));
    }
    return same;
}

static const char *const detnni_answers[] = { "go_on", "pause", "finish" };

/* Writes a receipt while fit runs, or (expected) compares with one. */
typedef struct detnni_receipt {
    detnni_sink sink;
    const detnn_fit_desc *fit; /* the caller's */
    detnni_scan *expected;    /* null: writes; else at the next line "epoch ..." */
    int answer;                /* the callback's last one that was not 0 */
    uint64_t epochs;           /* written, or agreed */
    int parted;
    char mine[DETNN_DIGEST_TEXT], theirs[DETNN_DIGEST_TEXT];
} detnni_receipt;

static void detnni_receipt_line(detnni_receipt *p, const char *what, uint64_t epoch, const char *digest)
{
    detnni_sink_text(&p->sink, what);
    if (epoch != UINT64_MAX) detnni_sink_format(&p->sink, " %l", epoch);
    detnni_sink_format(&p->sink, " %s\n", digest);
}

static int detnni_receipt_epoch(void *user, detnn_net *net, const detnn_progress *progress)
{
    detnni_receipt *p = (detnni_receipt *)user;
    int answer = DETNN_GO_ON;
    (void)detnn_state_digest(net, p->mine);
    if (!p->expected) {
        detnni_receipt_line(p, "epoch", progress->epoch, p->mine);
        if (p->fit->on_epoch) answer = p->fit->on_epoch(p->fit->user, net, progress);
        (void)detnni_fp_enter(); /* the caller's code may have left another mode */
        if (answer) p->answer = answer == DETNN_FINISH ? DETNN_FINISH : DETNN_PAUSE;
    } else {
        detnni_scan *w = p->expected;
        if (!detnni_word_is(w, "epoch ")) { /* it had ended before */
            p->parted = 1;
            p->theirs[0] = 0;
            return DETNN_PAUSE;
        }
        detnni_skip(w, "epoch ");
        if (detnni_number(w) != progress->epoch) w->bad = 1;
        detnni_skip(w, " ");
        detnni_digest_word(w, p->theirs);
        detnni_skip(w, "\n");
        if (w->bad || !detnni_same_digest(p->mine, p->theirs)) {
            p->parted = 1;
            return DETNN_PAUSE;
        }
        if (detnni_word_is(w, "end pause")) answer = DETNN_PAUSE;
        if (detnni_word_is(w, "end finish")) answer = DETNN_FINISH;
    }
    p->epochs++;
    return answer;
}

static void detnni_put_fit(detnni_sink *s, const detnn_fit_desc *f, int keep_best)
{
    detnni_sink_format(s, "epochs %l batch_size %z shuffle %z validation_split %x patience %l min_delta %x "
                       "restore_best %z keep_best %z",
                       f->epochs, f->batch_size, (size_t)(f->shuffle != 0), detnni_float_bits(f->validation_split),
                       f->patience, detnni_float_bits(f->min_delta), (size_t)(f->restore_best != 0), (size_t)keep_best);
}

static detnn_result detnni_receipt_to(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                      detnni_receipt *p, detnn_error *err)
{
    detnni_sink *s = &p->sink;
    detnni_sha sha;
    detnn_fit_desc f;
    size_t validation = 0;
    char digest[DETNN_DIGEST_TEXT];
    unsigned char bytes[32];
    detnn_result r = detnni_check_files(err);
    if (!r) r = detnni_check_fit(net, data, fit, &validation, err);
    if (r) return r;
    if (fit->on_step) return detnni_fail(err, DETNN_ERROR_VALUE, "a receipt is of a fit without on_step");
    if (!detnni_is_new(net))
        return detnni_fail(err, DETNN_ERROR_STATE,
                           "a receipt is of a net as it was created: this one has trained, or was changed");
    p->fit = fit;
    detnni_sha_start(&sha);
    s->sha = &sha;
    detnni_sink_format(s, "detnn receipt 1\ncontract %z\nnet ", (size_t)DETNN_CONTRACT);
    detnni_put_net(s, &net->desc);
    detnni_sink_text(s, "\nlayers ");
    detnni_put_layers(s, net);
    detnni_sink_text(s, "\noptimizer ");
    detnni_put_optimizer(s, &net->desc.optimizer);
    detnni_sink_text(s, "\nschedule ");
    detnni_put_schedule(s, &net->desc.schedule);
    detnni_sink_text(s, "\nfit ");
    detnni_put_fit(s, fit, net->best != 0);
    r = detnni_data_digest(net, data, digest, err);
    if (r) return r;
    detnni_sink_text(s, "\n");
    detnni_receipt_line(p, "data", data->count, digest);
    r = detnni_data_digest(net, fit->validation, digest, err);
    if (r) return r;
    detnni_receipt_line(p, "validation", fit->validation ? fit->validation->count : 0, digest);
    detnni_receipt_line(p, "start", UINT64_MAX, detnn_state_digest(net, digest));
    detnni_sink_flush(s);
    if (s->failed) return DETNN_OK; /* said by the caller, before anything is trained */
    f = *fit;
    f.on_epoch = detnni_receipt_epoch;
    f.user = p;
    r = detnni_fit(net, data, &f, err);
    if (r) return r;
    detnni_sink_format(s, "end %s", detnni_answers[p->answer]);
    detnni_receipt_line(p, "", UINT64_MAX, detnn_state_digest(net, digest));
    s->sha = 0;
    detnni_sha_end(&sha, bytes);
    detnni_receipt_line(p, "check", UINT64_MAX, detnni_hex(bytes, digest));
    detnni_sink_flush(s);
    return DETNN_OK;
}

DETNNI_NOINLINE static detnn_result detnni_fit_receipt_write(detnn_net *net, const detnn_data *data,
                                                             const detnn_fit_desc *fit,
                                                             int (*write)(void *user, const void *bytes, size_t size),
                                                             void *user, detnn_error *err)
{
    detnni_receipt p;
    detnn_result r;
    if (!write) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_fit_receipt_write: write is null");
    DETNNI_ZERO(&p, sizeof p);
    detnni_sink_start(&p.sink, write, user);
    r = detnni_receipt_to(net, data, fit, &p, err);
    return r ? r : detnni_written(&p.sink, err);
}

DETNN_API detnn_result detnn_fit_receipt_write(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                               int (*write)(void *user, const void *bytes, size_t size), void *user,
                                               detnn_error *err)
{
    DETNNI_GUARDED(detnni_fit_receipt_write(net, data, fit, write, user, err));
}

/* The rest of a line that begins with what, without its end; w goes to the next line. */
static detnni_span detnni_line(detnni_scan *w, const char *what)
{
    detnni_span s;
    detnni_skip(w, what);
    s.p = w->p + w->at;
    s.n = 0;
    while (!w->bad && w->at < w->n && w->p[w->at] != '\n') w->at++, s.n++;
    detnni_skip(w, "\n");
    return s;
}

static detnn_result detnni_verify_data(detnn_net *net, detnni_scan *w, const char *what, const detnn_data *data,
                                       detnn_error *err)
{
    char mine[DETNN_DIGEST_TEXT], theirs[DETNN_DIGEST_TEXT];
    uint64_t count;
    detnn_result r;
    detnni_skip(w, what);
    detnni_skip(w, " ");
    count = detnni_number(w);
    detnni_skip(w, " ");
    detnni_digest_word(w, theirs);
    detnni_skip(w, "\n");
    if (w->bad) return DETNN_OK; /* said later */
    if (count != (data ? data->count : 0))
        return detnni_fail(err, DETNN_ERROR_DATA, "the receipt is of other data: %s of %l samples, here are %z", what,
                           count, data ? data->count : 0);
    r = detnni_data_digest(net, data, mine, err);
    if (!r && !detnni_same_digest(mine, theirs))
        return detnni_fail(err, DETNN_ERROR_DATA, "the receipt is of other data: the digest of %s is %s, here %s", what,
                           theirs, mine);
    return r;
}

static detnn_result detnni_verify_run(detnn_net *net, detnni_scan *w, const detnn_data *data,
                                      const detnn_fit_desc *fit, uint64_t *epochs, detnn_error *err)
{
    detnni_receipt p;
    detnn_fit_desc f = *fit;
    size_t validation = 0;
    detnn_result r = detnni_check_fit(net, data, fit, &validation, err);
    if (!r) r = detnni_verify_data(net, w, "data", data, err);
    if (!r) r = detnni_verify_data(net, w, "validation", fit->validation, err);
    if (r) return r;
    DETNNI_ZERO(&p, sizeof p);
    p.fit = fit;
    p.expected = w;
    detnni_skip(w, "start ");
    detnni_digest_word(w, p.theirs);
    detnni_skip(w, "\n");
    if (!w->bad && !detnni_same_digest(detnn_state_digest(net, p.mine), p.theirs))
        return detnni_fail(err, DETNN_ERROR_PARTED,
                           "the runs part before the first epoch: the state is %s here, %s in the receipt", p.mine,
                           p.theirs);
    f.on_epoch = detnni_receipt_epoch;
    f.user = &p;
    if (!w->bad) r = detnni_fit(net, data, &f, err);
    *epochs = p.epochs;
    if (r) return r;
    if (w->bad) return detnni_fail(err, DETNN_ERROR_DATA, "the receipt is damaged from byte %z on", w->at);
    if (p.parted && p.theirs[0] && !detnni_same_digest(p.mine, p.theirs))
        return detnni_fail(err, DETNN_ERROR_PARTED,
                           "the runs part in epoch %l: the state is %s here, %s in the receipt", p.epochs, p.mine,
                           p.theirs);
    if (p.parted || detnni_word_is(w, "epoch "))
        return detnni_fail(err, DETNN_ERROR_PARTED, "the runs part after epoch %l: one of them stops there", p.epochs);
    detnni_skip(w, "end ");
    (void)detnni_name(w, detnni_answers, 3);
    detnni_skip(w, " ");
    detnni_digest_word(w, p.theirs);
    detnni_skip(w, "\n");
    if (w->bad || w->at != w->n)
        return detnni_fail(err, DETNN_ERROR_DATA, "the receipt is damaged from byte %z on", w->at);
    if (!detnni_same_digest(detnn_state_digest(net, p.mine), p.theirs))
        return detnni_fail(err, DETNN_ERROR_PARTED, "the runs part at the end: the state is %s here, %s in the receipt",
                           p.mine, p.theirs);
    return detnni_ok(err);
}

DETNNI_NOINLINE static detnn_result detnni_verify(const char *receipt, size_t length, const detnn_data *data,
                                                  const detnn_data *validation, const detnn_load_desc *desc,
                                                  uint64_t *epochs, detnn_error *err)
{
    const detnn_load_desc d = desc ? *desc : detnn_load_desc_default();
    detnn_net_desc n = detnn_net_desc_default();
    detnn_fit_desc fit = detnn_fit_desc_default();
    detnni_sha sha;
    unsigned char bytes[32];
    char digest[DETNN_DIGEST_TEXT], theirs[DETNN_DIGEST_TEXT];
    detnni_span text;
    detnni_scan w, part, layers;
    detnn_layer l, *copy;
    detnn_net *net;
    uint64_t contract;
    size_t room, size = 0;
    int overflow = 0;
    detnn_result r = detnni_check_files(err);
    if (r) return r;
    if (!receipt) return detnni_fail(err, DETNN_ERROR_NULL, "receipt is null");
    text.p = (const unsigned char *)receipt;
    if ((data && !(data->inputs && data->outputs)) || (validation && !(validation->inputs && validation->outputs)))
        return detnni_fail(err, DETNN_ERROR_VALUE,
                           "detnn_verify_receipt: data.inputs and data.outputs must be given, as the receipt says what "
                           "the net is");
    text.n = length;
    w = detnni_scan_of(text);
    if (length >= 71) w.at = length - 71; else w.bad = 1; /* "check ", 64 digits, line end */
    detnni_skip(&w, "check ");
    detnni_digest_word(&w, theirs);
    detnni_skip(&w, "\n");
    if (w.bad || w.at != length)
        return detnni_fail(err, DETNN_ERROR_DATA, "the receipt has no last line \"check ...\": it is cut off or none");
    text.n = length - 71;
    w = detnni_scan_of(text);
    detnni_sha_start(&sha);
    detnni_sha_add(&sha, text.p, text.n);
    detnni_sha_end(&sha, bytes);
    if (!detnni_same_digest(detnni_hex(bytes, digest), theirs))
        return detnni_fail(err, DETNN_ERROR_DATA,
                           "the receipt is damaged: its digest is %s, not that of its last line", digest);
    part = detnni_scan_of(detnni_line(&w, "detnn receipt "));
    contract = detnni_number(&part);
    if (part.bad || w.bad) return detnni_fail(err, DETNN_ERROR_DATA, "this is no receipt of detnn");
    part = detnni_scan_of(detnni_line(&w, "contract "));
    r = detnni_check_version(contract, detnni_number(&part), err);
    if (r) return r;
    part = detnni_scan_of(detnni_line(&w, "net "));
    detnni_get_net(&part, &n);
    r = detnni_scan_end(&part, "net", err);
    if (r) return r;
    layers = detnni_scan_of(detnni_line(&w, "layers "));
    for (part = layers; detnni_get_layer(&part, &l);) n.layer_count++;
    r = detnni_scan_end(&part, "layers", err);
    if (r) return r;
    part = detnni_scan_of(detnni_line(&w, "optimizer "));
    detnni_get_optimizer(&part, &n.optimizer);
    r = detnni_scan_end(&part, "optimizer", err);
    if (r) return r;
    part = detnni_scan_of(detnni_line(&w, "schedule "));
    detnni_get_schedule(&part, &n.schedule);
    r = detnni_scan_end(&part, "schedule", err);
    if (r) return r;
    part = detnni_scan_of(detnni_line(&w, "fit "));
    detnni_skip(&part, "epochs ");
    fit.epochs = detnni_number(&part);
    detnni_skip(&part, " batch_size ");
    fit.batch_size = detnni_number_size(&part);
    detnni_skip(&part, " shuffle ");
    fit.shuffle = detnni_flag(&part);
    detnni_skip(&part, " validation_split ");
    fit.validation_split = detnni_float_word(&part);
    detnni_skip(&part, " patience ");
    fit.patience = detnni_number(&part);
    detnni_skip(&part, " min_delta ");
    fit.min_delta = detnni_float_word(&part);
    detnni_skip(&part, " restore_best ");
    fit.restore_best = detnni_flag(&part);
    detnni_skip(&part, " keep_best ");
    n.keep_best = detnni_flag(&part);
    r = detnni_scan_end(&part, "fit", err);
    if (r) return r;
    fit.validation = validation;
    detnni_machine(&n, &d);
    room = detnni_product(n.layer_count, sizeof *copy, &overflow);
    copy = overflow || !room ? 0 : (detnn_layer *)detnni_alloc(&d.allocator, room);
    if (!copy) return detnni_fail(err, DETNN_ERROR_MEMORY, "no memory: the description of %z layers needs %z bytes",
                                  n.layer_count, room);
    for (n.layers = copy, n.layer_count = 0; detnni_get_layer(&layers, &l);) copy[n.layer_count++] = l;
    r = detnni_net_size(&n, &size, err);
    if (!r && size > d.memory_max)
        r = detnni_fail(err, DETNN_ERROR_MEMORY, "the net needs %z bytes, memory_max is %z", size, d.memory_max);
    if (!r) r = detnni_net_create(&net, &n, err);
    detnni_release(&d.allocator, copy, room);
    if (r) return r;
    r = detnni_verify_run(net, &w, data, &fit, epochs, err);
    detnn_net_destroy(net);
    return r;
}

DETNN_API detnn_result detnn_verify_receipt_text(const char *receipt, size_t length, const detnn_data *data,
                                                 const detnn_data *validation, const detnn_load_desc *desc,
                                                 uint64_t *epochs, detnn_error *err)
{
    uint64_t agreed = 0;
    if (!epochs) epochs = &agreed;
    *epochs = 0;
    DETNNI_GUARDED(detnni_verify(receipt, length, data, validation, desc, epochs, err));
}

/* ---- Files by path ---- */

#if !DETNN_NO_STDIO

#if defined(_WIN32)
#define DETNNI_SEEK _fseeki64
#define DETNNI_TELL _ftelli64
#define DETNNI_SYNC(file) _commit(_fileno(file))
#define DETNNI_PROCESS() ((uint64_t)_getpid())
#define DETNNI_EXCLUSIVE "wb"
#ifdef __cplusplus
extern "C"
#endif
__declspec(dllimport) int __stdcall MoveFileExA(const char *from, const char *to, unsigned long flags);
static int detnni_rename(const char *from, const char *to)
{
    return !MoveFileExA(from, to, 1 | 8); /* MOVEFILE_REPLACE_EXISTING, MOVEFILE_WRITE_THROUGH */
}
#else
#define DETNNI_SEEK fseek
#define DETNNI_TELL ftell
#define detnni_rename rename
#if defined(__unix__) || defined(__APPLE__)
#ifndef __cplusplus /* hidden in <stdio.h> and <unistd.h> by -std=c99; C++ compilers show them */
#ifndef fileno
extern int fileno(FILE *file);
#endif
#ifndef fsync
extern int fsync(int descriptor);
#endif
#endif
#ifdef F_FULLFSYNC
#define DETNNI_SYNC(file) (fcntl(fileno(file), F_FULLFSYNC) && fsync(fileno(file)))
#else
#define DETNNI_SYNC(file) fsync(fileno(file))
#endif
#define DETNNI_PROCESS() ((uint64_t)getpid())
#define DETNNI_EXCLUSIVE "wbx"
#else
#define DETNNI_SYNC(file) 0
#define DETNNI_PROCESS() 0
#define DETNNI_EXCLUSIVE "wb"
#endif
#endif

#define DETNNI_PATH_MAX 4000

/* A file that becomes path when it is whole. */
typedef struct detnni_out {
    FILE *file;
    const char *path;
    int error; /* errno of the first write that failed */
    char other[DETNNI_PATH_MAX + 40]; /* its name until then */
} detnni_out;

static int detnni_write_out(void *user, const void *bytes, size_t size)
{
    detnni_out *o = (detnni_out *)user;
    errno = 0;
    if (fwrite(bytes, 1, size, o->file) == size) return 0;
    o->error = errno;
    return 1;
}

static detnn_result detnni_out_begin(detnni_out *o, const char *path, detnn_error *err)
{
    size_t length = 0;
    int i, error = 0;
#if defined(__unix__) || defined(__APPLE__)
    struct stat old;
    int there;
#endif
    if (!path || !*path) return detnni_fail(err, DETNN_ERROR_NULL, "path is null or empty");
    while (path[length] && length <= DETNNI_PATH_MAX) length++;
    if (length > DETNNI_PATH_MAX)
        return detnni_fail(err, DETNN_ERROR_SIZE, "path has more than %z characters", (size_t)DETNNI_PATH_MAX);
    o->path = path;
    o->file = 0;
    o->error = 0;
#if defined(__unix__) || defined(__APPLE__)
    there = !stat(path, &old);
    if (there && !S_ISREG(old.st_mode))
        return detnni_fail(err, DETNN_ERROR_FILE, "%s is a folder, pipe or device, not a file to replace", path);
#endif
    for (i = 0; i < 100 && !o->file; i++) { /* a name that no other process, thread or earlier crash has */
        detnni_text t;
        t.p = o->other;
        t.size = sizeof o->other;
        t.length = 0;
        detnni_format(&t, "%s.%X.tmp", path,
                      (DETNNI_PROCESS() * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)o) + (uint64_t)i);
        errno = 0;
        o->file = fopen(o->other, DETNNI_EXCLUSIVE);
        error = errno;
        if (!o->file && error != EEXIST) break;
    }
#if defined(__unix__) || defined(__APPLE__)
    if (o->file && there) (void)chmod(o->other, old.st_mode & 0777); /* as private as the old one */
#endif
    if (o->file) return DETNN_OK;
    return detnni_fail(err, DETNN_ERROR_FILE, "cannot create a file beside %s (errno %z)", path, (size_t)error);
}

/* Flushes the folder's entry to disk: 0, or an errno. Where folders cannot be opened or flushed, nothing is done. */
static int detnni_sync_folder(detnni_out *o)
{
#if defined(__unix__) || defined(__APPLE__)
    size_t n = 0, i;
    FILE *folder;
    int failed;
    for (i = 0; o->path[i]; i++) if (o->path[i] == '/') n = i + 1;
    DETNNI_COPY(o->other, n ? o->path : ".", n ? n : 1);
    o->other[n ? n : 1] = 0;
    folder = fopen(o->other, "rb");
    if (!folder) return 0;
    errno = 0;
    failed = fsync(fileno(folder)) ? errno : 0;
    (void)fclose(folder);
    return failed == EINVAL ? 0 : failed;
#else
    (void)o;
    return 0;
#endif
}

/* r: whether what was written is whole. On any failure path is as it was, and the other file is gone. */
static detnn_result detnni_out_end(detnni_out *o, detnn_result r, int failed, detnn_error *err)
{
    const char *what = failed ? "cannot write" : 0;
    int error = o->error;
    errno = 0;
    if (!r && !what && fflush(o->file)) what = "cannot write", error = errno;
    if (!r && !what && DETNNI_SYNC(o->file)) what = "cannot flush to disk", error = errno;
    errno = 0;
    if (fclose(o->file) && !r && !what) what = "cannot close", error = errno;
    if (!r && !what && detnni_rename(o->other, o->path)) what = "cannot replace", error = errno;
    if (r || what) (void)remove(o->other);
    if (r) return r;
    if (what)
        return detnni_fail(err, DETNN_ERROR_FILE, "%s %s (errno %z): it is as it was", what, o->path, (size_t)error);
    error = detnni_sync_folder(o);
    if (error)
        return detnni_fail(err, DETNN_ERROR_FILE,
                           "%s is the new file, but its folder cannot be flushed to disk (errno %z)", o->path,
                           (size_t)error);
    return detnni_ok(err);
}

DETNNI_NOINLINE static detnn_result detnni_save(detnn_net *net, const char *path, const detnn_save_desc *desc,
                                                detnn_error *err)
{
    detnni_saving v;
    detnni_sink s;
    detnni_out o;
    detnn_result r = detnni_save_start(&v, net, desc, err);
    if (!r) r = detnni_out_begin(&o, path, err);
    if (r) return r;
    detnni_sink_start(&s, detnni_write_out, &o);
    detnni_save_bytes(&v, &s);
    return detnni_out_end(&o, DETNN_OK, s.failed, err);
}

DETNN_API detnn_result detnn_save(detnn_net *net, const char *path, const detnn_save_desc *desc, detnn_error *err)
{
    DETNNI_GUARDED(detnni_save(net, path, desc, err));
}

DETNNI_NOINLINE static detnn_result detnni_export_c(detnn_net *net, const char *path, const detnn_export_desc *desc,
                                                    detnn_export_cost *cost, detnn_error *err)
{
    detnni_sink s;
    detnni_out o;
    detnn_result r = detnni_out_begin(&o, path, err);
    if (r) return r;
    detnni_sink_start(&s, detnni_write_out, &o);
    r = detnni_export_to(net, &s, desc, cost, err);
    return detnni_out_end(&o, r, s.failed, err);
}

DETNN_API detnn_result detnn_export_c(detnn_net *net, const char *path, const detnn_export_desc *desc,
                                      detnn_export_cost *cost, detnn_error *err)
{
    DETNNI_GUARDED(detnni_export_c(net, path, desc, cost, err));
}

DETNNI_NOINLINE static detnn_result detnni_fit_receipt(detnn_net *net, const detnn_data *data,
                                                       const detnn_fit_desc *fit, const char *path, detnn_error *err)
{
    detnni_receipt p;
    detnni_out o;
    detnn_result r = detnni_out_begin(&o, path, err);
    if (r) return r;
    DETNNI_ZERO(&p, sizeof p);
    detnni_sink_start(&p.sink, detnni_write_out, &o);
    r = detnni_receipt_to(net, data, fit, &p, err);
    return detnni_out_end(&o, r, p.sink.failed, err);
}

DETNN_API detnn_result detnn_fit_receipt(detnn_net *net, const detnn_data *data, const detnn_fit_desc *fit,
                                         const char *path, detnn_error *err)
{
    DETNNI_GUARDED(detnni_fit_receipt(net, data, fit, path, err));
}

/* The whole file, to be released with its size. */
static detnn_result detnni_read_all(const char *path, const detnn_allocator *a, unsigned char **bytes, size_t *size,
                                    detnn_error *err)
{
    FILE *file;
    uint64_t length = 0;
    size_t got;
    detnn_result r = DETNN_OK;
    *bytes = 0;
    *size = 0;
    if (!path || !*path) return detnni_fail(err, DETNN_ERROR_NULL, "path is null or empty");
    if (!a->alloc != !a->release) return detnni_fail(err, DETNN_ERROR_NULL, "allocator: alloc and release go together");
    errno = 0;
    file = fopen(path, "rb");
    if (!file) return detnni_fail(err, DETNN_ERROR_FILE, "cannot open %s (errno %z)", path, (size_t)errno);
    if (DETNNI_SEEK(file, 0, SEEK_END)) {
        r = detnni_fail(err, DETNN_ERROR_FILE, "%s has no size (a pipe or device?): use detnn_load_read", path);
    } else {
        length = (uint64_t)DETNNI_TELL(file);
        if (length > (uint64_t)((size_t)-1 / 2) || length >> 62 || DETNNI_SEEK(file, 0, SEEK_SET))
            r = detnni_fail(err, DETNN_ERROR_FILE, "%s is no file that fits memory", path);
    }
    if (!r) {
        *size = (size_t)length;
        *bytes = (unsigned char *)detnni_alloc(a, *size);
        if (!*bytes) r = detnni_fail(err, DETNN_ERROR_MEMORY, "no memory: reading %s needs %z bytes", path, *size);
    }
    if (!r) {
        got = fread(*bytes, 1, *size, file);
        if (got != *size) {
            r = detnni_fail(err, DETNN_ERROR_FILE, "cannot read %s: %z bytes of %z", path, got, *size);
            detnni_release(a, *bytes, *size);
        }
    }
    (void)fclose(file);
    return r;
}

DETNNI_NOINLINE static detnn_result detnni_load(detnn_net **made, detnn_net *net, const char *path,
                                                const detnn_load_desc *desc, detnn_error *err)
{
    const detnn_load_desc d = desc ? *desc : detnn_load_desc_default();
    unsigned char *bytes;
    size_t size;
    detnn_result r = detnni_check_files(err);
    if (!r && !made) r = detnni_check_net(net, err);
    if (!r) r = detnni_read_all(path, &d.allocator, &bytes, &size, err);
    if (r) return r;
    r = detnni_load_memory(made, net, bytes, size, desc, err);
    detnni_release(&d.allocator, bytes, size);
    return r;
}

DETNN_API detnn_result detnn_load(detnn_net **net, const char *path, const detnn_load_desc *desc, detnn_error *err)
{
    if (!net) return detnni_fail(err, DETNN_ERROR_NULL, "detnn_load: net is null");
    *net = 0;
    DETNNI_GUARDED(detnni_load(net, 0, path, desc, err));
}

DETNN_API detnn_result detnn_load_into(detnn_net *net, const char *path, const detnn_load_desc *desc,
                                       detnn_error *err)
{
    DETNNI_GUARDED(detnni_load(0, net, path, desc, err));
}

DETNN_API detnn_result detnn_verify_receipt(const char *path, const detnn_data *data, const detnn_data *validation,
                                            const detnn_load_desc *desc, uint64_t *epochs, detnn_error *err)
{
    const detnn_load_desc d = desc ? *desc : detnn_load_desc_default();
    unsigned char *bytes = 0;
    size_t size = 0;
    detnn_result r = detnni_check_files(err);
    if (epochs) *epochs = 0;
    if (!r) r = detnni_read_all(path, &d.allocator, &bytes, &size, err);
    if (r) return r;
    r = detnn_verify_receipt_text((const char *)bytes, size, data, validation, desc, epochs, err);
    detnni_release(&d.allocator, bytes, size);
    return r;
}

#endif /* !DETNN_NO_STDIO */

/* ==== End: nothing private stays defined ================================================================ */

#undef DETNNI_ALWAYS
#undef DETNNI_ATOMIC_ADD
#undef DETNNI_ATOMIC_GET
#undef DETNNI_ATOMIC_SET
#undef DETNNI_ATOMIC_SWAP
#undef DETNNI_BINARY64_LIST
#undef DETNNI_BLOCK_TILES
#undef DETNNI_BOTH
#undef DETNNI_BOTH_DATA
#undef DETNNI_COLUMNS
#undef DETNNI_COLUMN_LEVELS
#undef DETNNI_CONTRACTS
#undef DETNNI_COPY
#undef DETNNI_DATA
#undef DETNNI_DEEPEST
#undef DETNNI_ELEMENT
#undef DETNNI_EXACT_NUMBER
#undef DETNNI_EXACT_PUBLIC
#undef DETNNI_EXACT_TABLES
#undef DETNNI_EXCLUSIVE
#undef DETNNI_FAR
#undef DETNNI_FMA64
#undef DETNNI_FMA_ASM
#undef DETNNI_FMA_PLAIN
#undef DETNNI_FPSCR_MODE
#undef DETNNI_GNU
#undef DETNNI_GUARDED
#undef DETNNI_HARDWARE_FMA
#undef DETNNI_HAS
#undef DETNNI_HEADER_MAX
#undef DETNNI_HUGE_PAGE
#undef DETNNI_INLINE
#undef DETNNI_INTEGER_LIST
#undef DETNNI_ISA_AVX2
#undef DETNNI_ISA_AVX512
#undef DETNNI_ISA_CUDA
#undef DETNNI_ISA_NEON
#undef DETNNI_ISA_SCALAR
#undef DETNNI_ISA_SSE2
#undef DETNNI_ISA_WASM
#undef DETNNI_KERNELS
#undef DETNNI_LANES
#undef DETNNI_MAGIC_NET
#undef DETNNI_NEON
#undef DETNNI_NOINLINE
#undef DETNNI_ONE
#undef DETNNI_ONE_SET
#undef DETNNI_ON_GPU
#undef DETNNI_PANELS
#undef DETNNI_PANELS_ROWS
#undef DETNNI_PATH_MAX
#undef DETNNI_PROCESS
#undef DETNNI_RARE
#undef DETNNI_RESTRICT
#undef DETNNI_SEEK
#undef DETNNI_SHEET
#undef DETNNI_SYNC
#undef DETNNI_TELL
#undef DETNNI_TERMINAL
#undef DETNNI_TEXT
#undef DETNNI_THREAD
#undef DETNNI_TO32
#undef DETNNI_TO64
#undef DETNNI_TREE_PANELS
#undef DETNNI_TURNED
#undef DETNNI_UNUSED
#undef DETNNI_WASM
#undef DETNNI_X86
#undef DETNNI_X87
#undef DETNNI_ZERO
#undef detnni_fail
#undef detnni_gpu_begin
#undef detnni_gpu_best
#undef detnni_gpu_changed
#undef detnni_gpu_close
#undef detnni_gpu_end
#undef detnni_gpu_evaluate
#undef detnni_gpu_fetch
#undef detnni_gpu_predict
#undef detnni_gpu_train
#undef detnni_join
#undef detnni_lock
#undef detnni_pause
#undef detnni_rename
#undef detnni_start
#undef detnni_unlock
#undef detnni_wait
#undef detnni_wake
#undef vu_half
#undef vu_turn
#ifdef __NVCC__
#pragma nv_diagnostic pop
#endif
#if defined(__clang__)
#if defined(__ARM_FEATURE_MVE) || (defined(__arm__) && defined(__ARM_NEON))
#pragma clang attribute pop
#endif
#pragma float_control(pop)
#pragma clang diagnostic pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#pragma GCC diagnostic pop
#endif
#define DETNNI_DONE

#endif /* !DETNNI_ISA */
#endif /* DETNN_IMPLEMENTATION */
