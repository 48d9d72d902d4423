#!/usr/bin/env python3
"""A second implementation of the contract of detnn.h (C1 .. C11), in exact integer arithmetic.

    python3 tests/oracle.py              name, net digest, state digest, last loss of every case in cases.txt
    python3 tests/oracle.py NAME ...     the same for some cases
    python3 tests/oracle.py --list       the cases and what they are about
    python3 tests/oracle.py --functions  values of functions and generators, hard and special ones among them
    python3 tests/oracle.py --trace NAME a case, with a digest of every tensor of every step

It was written from the manual alone. There is no floating-point operation in it: exact.py has the arithmetic (C1)
and the elementary functions (C5).
"""

import hashlib
import os
import sys
from functools import lru_cache

sys.dont_write_bytecode = True
from exact import (ELEMENTARY, F32, F64, HALF, INF, NAN, ONE, SIGN, add, div, elementary, exp, fma, less, log,
                   magnitude, maximum, mul, narrow, neg, real, sigmoid, softplus, sqrt, sub, wide)

# ---- C3, C4. Sums ------------------------------------------------------------------------------------


def tree(leaves):
    """Sum of one or more leaves."""
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return add(tree(leaves[:left]), tree(leaves[left:]))


def batch_chain(n, accumulate):
    """C3: a sum over n samples, acc = accumulate(acc, i)."""
    leaves = []
    for start in range(0, n, 64):
        acc = 0
        for i in range(start, min(start + 64, n)):
            acc = accumulate(acc, i)
        leaves.append(acc)
    return tree(leaves) if leaves else 0


def batch_sum(xs):
    return batch_chain(len(xs), lambda acc, i: add(acc, xs[i]))


def vector_chain(n, accumulate):
    """C4: a sum along a vector of n elements."""
    chunks = []
    for start in range(0, n, 4096):
        lanes = [0] * 64
        for i in range(start, min(start + 4096, n)):
            lane = (i - start) % 64
            lanes[lane] = accumulate(lanes[lane], i)
        h = 32
        while h:
            for lane in range(h):
                lanes[lane] = add(lanes[lane], lanes[lane + h])
            h //= 2
        chunks.append(lanes[0])
    return tree(chunks) if chunks else 0


def vector_sum(xs):
    return vector_chain(len(xs), lambda acc, i: add(acc, xs[i]))


def dot(xs, ys):
    return vector_chain(len(xs), lambda acc, i: fma(xs[i], ys[i], acc))


# ---- C6. Random numbers ------------------------------------------------------------------------------

KERNEL, BIAS, DROPOUT, ORDER, USER = 1, 2, 3, 4, 5  # purposes
M32 = 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def philox(key, counter):
    k0, k1 = key & M32, key >> 32
    c0, c1, c2, c3 = counter
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & M32, p0 >> 32 ^ c3 ^ k1, p0 & M32
        k0, k1 = k0 + 0x9E3779B9 & M32, k1 + 0xBB67AE85 & M32
    return c0, c1, c2, c3


class Stream:
    def __init__(self, seed, purpose, step, layer):
        self.seed, self.rest = seed, (step & M32, step >> 32, purpose << 24 | layer)

    def word(self, e):
        return philox(self.seed, (e >> 2,) + self.rest)[e & 3]

    def uniform(self, e):
        return F32.pack(self.word(e) >> 8, -24)

    def normal(self, e):
        u1 = F32.pack((self.word(e & ~1) >> 8) + 1, -24)
        u2 = self.uniform(e | 1)
        r = sqrt(mul(SIGN | 0x40000000, log(u1)))
        return mul(r, elementary("sin2pi" if e & 1 else "cos2pi", u2))


def order(seed, epoch, n):
    """perm(0) ... perm(n - 1)"""
    stream = Stream(seed, ORDER, epoch, 0)
    if n <= 64:
        a, taken = list(range(n)), 0
        for i in range(n - 1, 0, -1):
            bound = i + 1
            while True:
                p = stream.word(taken) * bound
                taken += 1
                if p & M32 >= ((1 << 32) - bound) % bound:
                    break
            j = p >> 32
            a[i], a[j] = a[j], a[i]
        return a
    bits = (n - 1).bit_length()
    low = bits // 2
    high = bits - low
    keys = [stream.word(r) for r in range(12)]

    def once(v):
        left, right = v >> low, v % (1 << low)
        for r in range(12):
            if r % 2 == 0:
                left ^= mix(right, keys[r]) % (1 << high)
            else:
                right ^= mix(left, keys[r]) % (1 << low)
        return left << low | right

    def place(v):
        v = once(v)
        while v >= n:
            v = once(v)
        return v

    return [place(i) for i in range(n)]


def mix(x, k):
    h = (x & M32) ^ k ^ (x >> 32) * 0x9E3779B1 & M32
    h ^= h >> 16
    h = h * 0x7FEB352D & M32
    h ^= h >> 15
    h = h * 0x846CA68B & M32
    return h ^ h >> 16


# ---- C7. Initializers --------------------------------------------------------------------------------


def initialize(kind, a, b, seed, layer, purpose, fan_in, fan_out):
    """The elements of a kernel [fan_in][fan_out], or of a bias [fan_out]."""
    count = fan_in * fan_out if purpose == KERNEL else fan_out
    stream = Stream(seed, purpose, 0, layer)
    if kind == "zeros":
        return [0] * count
    if kind == "constant":
        return [a] * count
    if kind == "truncated_normal":
        return [fma(b, truncated(seed, purpose, layer, e), a) for e in range(count)]
    if kind == "orthogonal":
        return orthogonal(a, stream, fan_in, fan_out)
    if kind not in ("uniform", "normal"):
        scheme, kind = kind.split("_")
        fans = fan_in + fan_out if scheme == "glorot" else fan_in
        top = 3 if scheme == "lecun" else 6
        if kind == "normal":
            top //= 3
        b = narrow(F64.sqrt(F64.div(F64.whole(top), F64.whole(fans))))
        a = neg(b) if kind == "uniform" else 0
    if kind == "uniform":
        width = sub(b, a)
        return [fma(width, stream.uniform(e), a) for e in range(count)]
    return [fma(b, stream.normal(e), a) for e in range(count)]


def truncated(seed, purpose, layer, e):
    attempt = 0
    while True:
        z = Stream(seed, purpose, attempt, layer).normal(e)
        if magnitude(z) <= 0x40000000:
            return z
        attempt += 1


def orthogonal(gain, stream, fan_in, fan_out):
    m, n = min(fan_in, fan_out), max(fan_in, fan_out)
    q = []
    for j in range(m):
        v = [stream.normal(j * n + i) for i in range(n)]
        for _ in range(2):
            for base in q:
                c = neg(dot(base, v))
                v = [fma(c, base[i], v[i]) for i in range(n)]
        s = sqrt(dot(v, v))
        if less(0, s):
            q.append([div(x, s) for x in v])
        else:
            q.append([ONE if i == j else 0 for i in range(n)])
    q = [[mul(gain, x) for x in row] for row in q]
    if fan_in >= fan_out:
        return [q[j][i] for i in range(fan_in) for j in range(fan_out)]
    return [x for row in q for x in row]


# ---- C8. Activations ---------------------------------------------------------------------------------

SELU_SCALE, SELU_SA = 0x3F867D5F, 0x3FE10966


def softmax_parts(z):
    """max, sum of exponentials, probabilities"""
    m = maximum(z)
    e = [exp(sub(x, m)) for x in z]
    s = vector_sum(e)
    return m, s, [div(x, s) for x in e]


def activate(kind, alpha, row):
    if kind == "softmax":
        return softmax_parts(row)[2]
    return [activate_one(kind, alpha, z) for z in row]


def activate_one(kind, alpha, z):
    if kind == "linear":
        return z
    if kind == "relu":
        return 0 if less(z, 0) else z
    if kind == "leaky_relu":
        return z if less(0, z) else mul(alpha, z)
    if kind == "elu":
        return z if less(0, z) else mul(alpha, elementary("expm1", z))
    if kind == "selu":
        return mul(SELU_SCALE, z) if less(0, z) else mul(SELU_SA, elementary("expm1", z))
    return elementary(kind, z)  # sigmoid, tanh, softplus, silu, gelu


def activation_gradient(kind, alpha, z, y, dy):
    """Rows z, y, dy of the activation's input, output and output gradient."""
    if kind == "softmax":
        s = dot(y, dy)
        return [mul(p, sub(d, s)) for p, d in zip(y, dy)]
    return [activation_gradient_one(kind, alpha, *each) for each in zip(z, y, dy)]


def activation_gradient_one(kind, alpha, z, y, dy):
    if kind == "linear":
        return dy
    if kind == "relu":
        return dy if less(0, y) else 0
    if kind == "leaky_relu":
        return dy if less(0, y) else mul(alpha, dy)
    if kind == "elu":
        return dy if less(0, y) else mul(dy, add(y, alpha))
    if kind == "selu":
        return mul(SELU_SCALE, dy) if less(0, y) else mul(dy, add(y, SELU_SA))
    if kind == "sigmoid":
        return mul(dy, mul(y, sub(ONE, y)))
    if kind == "tanh":
        return mul(dy, mul(sub(ONE, y), add(ONE, y)))
    if kind == "softplus":
        return mul(dy, sigmoid(z))
    return mul(dy, elementary(kind + "_grad", z))  # silu, gelu


# ---- C2, C8. Layers ----------------------------------------------------------------------------------


class Tensor:
    def __init__(self, layer, name, shape, values):
        self.layer, self.name, self.shape, self.values = layer, name, shape, values
        self.moment1 = [0] * len(values)
        self.moment2 = [0] * len(values)
        self.gradient = None

    def line(self, suffix, values):
        return "%d %s %s %s\n" % (self.layer, self.name + suffix, "x".join(map(str, self.shape)), tensor_digest(values))


class Dense:
    def __init__(self, index, inputs, seed, units, activation, alpha, kernel, bias, use_bias, frozen):
        self.inputs, self.outputs = inputs, units
        self.activation, self.alpha, self.frozen = activation, alpha, frozen
        self.kernel = Tensor(index, "kernel", (inputs, units), initialize(*kernel, seed, index, KERNEL, inputs, units))
        self.bias = None
        if use_bias:
            self.bias = Tensor(index, "bias", (units,), initialize(*bias, seed, index, BIAS, inputs, units))
        self.tensors = [t for t in (self.kernel, self.bias) if t]

    def forward(self, x, step):
        w, out = self.kernel.values, self.outputs
        self.x, self.z = x, []
        for row in x:
            z = list(self.bias.values) if self.bias else [0] * out
            for k, xk in enumerate(row):
                for n in range(out):
                    z[n] = fma(xk, w[k * out + n], z[n])
            self.z.append(z)
        self.y = [activate(self.activation, self.alpha, z) for z in self.z]
        return self.y

    def backward(self, dy, dz=None):
        x, w, out, rows = self.x, self.kernel.values, self.outputs, len(self.x)
        if dz is None:
            dz = [activation_gradient(self.activation, self.alpha, *each) for each in zip(self.z, self.y, dy)]
        self.kernel.gradient = [batch_chain(rows, lambda acc, m: fma(x[m][k], dz[m][n], acc))
                                for k in range(self.inputs) for n in range(out)]
        if self.bias:
            self.bias.gradient = [batch_sum([row[n] for row in dz]) for n in range(out)]
        dx = []
        for row in dz:
            dx.append([])
            for k in range(self.inputs):
                acc = 0
                for n in range(out):
                    acc = fma(row[n], w[k * out + n], acc)
                dx[-1].append(acc)
        return dx


class Activation:
    frozen, tensors = True, []

    def __init__(self, width, activation, alpha):
        self.outputs, self.activation, self.alpha = width, activation, alpha

    def forward(self, x, step):
        self.z = x
        self.y = [activate(self.activation, self.alpha, z) for z in x]
        return self.y

    def backward(self, dy, dz=None):
        if dz is not None:
            return dz
        return [activation_gradient(self.activation, self.alpha, *each) for each in zip(self.z, self.y, dy)]


class Dropout:
    frozen, tensors, activation = True, [], None

    def __init__(self, index, width, seed, rate):
        self.index, self.outputs, self.seed = index, width, seed
        m, e = F32.unpack(rate)
        self.threshold = -(-(m << 32) >> -e)
        self.scale = div(ONE, sub(ONE, rate))

    def forward(self, x, step):
        if step is None:  # evaluation
            return x
        stream = Stream(self.seed, DROPOUT, step, self.index)
        self.keep = [[stream.word(r * self.outputs + c) >= self.threshold for c in range(self.outputs)]
                     for r in range(len(x))]
        return self.drop(x)

    def drop(self, rows):
        return [[mul(v, self.scale) if k else 0 for v, k in zip(*each)] for each in zip(rows, self.keep)]

    def backward(self, dy, dz=None):
        return self.drop(dy)


class Standardize:
    frozen, activation = True, None

    def __init__(self, index, width):
        self.outputs = width
        self.mean = Tensor(index, "mean", (width,), [0] * width)
        self.deviation = Tensor(index, "deviation", (width,), [ONE] * width)
        self.tensors = [self.mean, self.deviation]

    def adapt(self, x):
        count = F32.whole(len(x))
        for f in range(self.outputs):
            column = [row[f] for row in x]
            mean = div(batch_sum(column), count)
            d = [sub(v, mean) for v in column]
            v = batch_chain(len(d), lambda acc, i: fma(d[i], d[i], acc))
            deviation = sqrt(div(v, count))
            self.mean.values[f] = mean
            self.deviation.values[f] = deviation if deviation else ONE

    def forward(self, x, step):
        return [[div(sub(v, m), d) for v, m, d in zip(row, self.mean.values, self.deviation.values)] for row in x]

    def backward(self, dy, dz=None):
        return [[div(v, d) for v, d in zip(row, self.deviation.values)] for row in dy]


# ---- C9. Losses --------------------------------------------------------------------------------------


def sample_loss(case, z, y, t):
    """The loss of a sample, and its gradient as a function of c: for z with cross-entropies, else for y."""
    kind, n = case.loss, F32.whole(len(t))
    if kind == "cross_entropy":
        m, s, p = softmax_parts(z)
        d = [sub(log(s), sub(x, m)) for x in z]
        loss = vector_chain(len(t), lambda acc, j: fma(t[j], d[j], acc) if magnitude(t[j]) else acc)
        return loss, lambda c: [mul(sub(p[j], t[j]), c) for j in range(len(t))]
    if kind == "binary_cross_entropy":
        v = [fma(tj, softplus(neg(x)), mul(sub(ONE, tj), softplus(x))) for x, tj in zip(z, t)]
        return div(vector_sum(v), n), lambda c: [mul(sub(sigmoid(x), tj), div(c, n)) for x, tj in zip(z, t)]
    d = [sub(a, b) for a, b in zip(y, t)]
    if kind == "mean_squared_error":
        return div(dot(d, d), n), lambda c: [mul(add(x, x), div(c, n)) for x in d]
    if kind == "mean_absolute_error":
        return div(vector_sum([magnitude(x) for x in d]), n), lambda c: [signed(div(c, n), x) for x in d]
    delta = case.delta
    inside = [real(magnitude(x)) <= real(delta) for x in d]
    outside = mul(HALF, delta)
    v = [mul(mul(HALF, x), x) if near else mul(delta, sub(magnitude(x), outside)) for x, near in zip(d, inside)]
    return div(vector_sum(v), n), lambda c: [mul(x, div(c, n)) if near else signed(mul(delta, div(c, n)), x)
                                             for x, near in zip(d, inside)]


def signed(q, d):
    return q if less(0, d) else neg(q) if less(d, 0) else 0


# ---- C10. Optimizers and schedules -------------------------------------------------------------------


def power(base, t):
    r = F64.one
    while t > 0:
        if t % 2:
            r = F64.mul(r, base)
        base = F64.mul(base, base)
        t //= 2
    return r


def learning_rate(case, t):
    """binary64; t steps are done"""
    rate, warmup = wide(case.rate), case.warmup
    if t < warmup:
        return F64.div(F64.mul(rate, F64.whole(t + 1)), F64.whole(warmup))
    t -= warmup
    if case.schedule == "step":
        return F64.mul(rate, power(wide(case.gamma), t // case.period))
    if case.schedule == "exponential":
        return F64.mul(rate, power(wide(case.gamma), t))
    if case.schedule == "cosine":
        k = (t << 23) // case.period if t < case.period else 1 << 23
        c = wide(elementary("cos2pi", F32.pack(k, -24)))
        final = wide(case.final)
        return F64.add(final, F64.mul(F64.sub(rate, final), F64.mul(wide(HALF), F64.add(F64.one, c))))
    return rate


def clip(case, tensors):
    c = case.clip_value
    if c:
        for t in tensors:
            t.gradient = [neg(c) if less(g, neg(c)) else c if less(c, g) else g for g in t.gradient]
    c = case.clip_norm
    if c and tensors:
        norm = sqrt(tree([dot(t.gradient, t.gradient) for t in tensors]))
        if less(c, norm):
            factor = div(c, norm)
            for t in tensors:
                t.gradient = [mul(g, factor) for g in t.gradient]


def update(case, tensor, steps):
    """One update of a tensor by its gradient."""
    kind, lr = case.optimizer, learning_rate(case, steps)
    w, g, m1, m2 = tensor.values, tensor.gradient, tensor.moment1, tensor.moment2
    decays = tensor.name == "kernel" and case.weight_decay != 0
    if decays and kind == "adamw":
        factor = narrow(F64.sub(F64.one, F64.mul(lr, wide(case.weight_decay))))
        w[:] = [mul(factor, x) for x in w]
    elif decays:
        g = [fma(case.weight_decay, x, y) for x, y in zip(w, g)]
    rate = neg(narrow(lr))
    if kind == "sgd":
        h, u = g, case.momentum
        if u:
            m1[:] = [fma(u, v, x) for v, x in zip(m1, g)]
            h = [fma(u, v, x) for v, x in zip(m1, g)] if case.nesterov else m1
    elif kind == "rmsprop":
        c = sub(ONE, case.rho)
        m1[:] = [fma(case.rho, v, mul(mul(c, x), x)) for v, x in zip(m1, g)]
        h = [div(x, add(sqrt(v), case.epsilon)) for v, x in zip(m1, g)]
        if case.momentum:
            m2[:] = [fma(case.momentum, m, x) for m, x in zip(m2, h)]
            h = m2
    else:
        c1, c2 = sub(ONE, case.beta1), sub(ONE, case.beta2)
        m1[:] = [fma(case.beta1, m, mul(c1, x)) for m, x in zip(m1, g)]
        m2[:] = [fma(case.beta2, v, mul(mul(c2, x), x)) for v, x in zip(m2, g)]
        rate = neg(narrow(F64.div(lr, F64.sub(F64.one, power(wide(case.beta1), steps + 1)))))
        r = narrow(F64.div(F64.one, F64.sqrt(F64.sub(F64.one, power(wide(case.beta2), steps + 1)))))
        h = [div(m, fma(sqrt(v), r, case.epsilon)) for m, v in zip(m1, m2)]
    w[:] = [fma(rate, x, y) for x, y in zip(h, w)]


# ---- C11. Digests ------------------------------------------------------------------------------------


def tensor_digest(values):
    data = b"".join((NAN if F32.is_nan(v) else v).to_bytes(4, "little") for v in values)
    pieces = [hashlib.sha256(data[i:i + 65536]).digest() for i in range(0, len(data), 65536)]
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def text_digest(lines):
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# ---- Cases and training ------------------------------------------------------------------------------


class Case:
    """A block of cases.txt; every key is described at the head of that file."""

    WHOLE = {"seed", "inputs", "samples", "batch", "epochs", "shuffle", "nesterov"}
    FLOAT = {"smoothing", "delta", "momentum", "beta1", "beta2", "rho", "epsilon", "weight_decay", "clip_value",
             "clip_norm", "split"}

    def __init__(self, name):
        self.name, self.layers = name, []
        self.smoothing, self.delta = 0, ONE
        self.momentum = self.nesterov = self.weight_decay = self.clip_value = self.clip_norm = 0
        self.beta1, self.beta2, self.rho, self.epsilon = 0x3F666666, 0x3F7FBE77, 0x3F666666, 0x322BCC77
        self.schedule, self.warmup, self.period, self.gamma, self.final = "constant", 0, 1, ONE, 0
        self.weights, self.shuffle, self.split = None, 1, 0

    def set(self, key, words):
        def bits(i):
            return int(words[i], 16)

        if key in ("dense", "dropout", "activation", "standardize"):
            self.layers.append((key, words))
        elif key in self.WHOLE:
            setattr(self, key, int(words[0]))
        elif key in self.FLOAT:
            setattr(self, key, bits(0))
        elif key == "loss":
            self.loss = words[0]
        elif key == "optimizer":
            self.optimizer, self.rate = words[0], bits(1)
            if self.optimizer == "rmsprop":
                self.epsilon = 0x33D6BF95
        elif key == "schedule":
            self.schedule, self.warmup, self.period = words[0], int(words[1]), int(words[2])
            self.gamma, self.final = bits(3), bits(4)
        elif key == "weights":
            self.weights = bits(0), bits(1)
        elif key == "truth":
            self.truth, self.truth_a, self.truth_b = words[0], bits(1), bits(2)
        else:
            raise ValueError("unknown key " + key)


def read_cases(path):
    cases = []
    for line in open(path, encoding="ascii"):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == "case":
            cases.append(Case(words[1]))
        elif words[0] == "about":
            cases[-1].about = " ".join(words[1:])
        elif words[0] != "end":
            cases[-1].set(words[0], words[1:])
    return cases


class Net:
    def __init__(self, case):
        self.case, self.layers = case, []
        width = case.inputs
        for index, (kind, words) in enumerate(case.layers):
            if kind == "dense":
                units, activation, alpha, k, ka, kb, b, ba, bb, use_bias, frozen = words
                kernel, bias = (k, int(ka, 16), int(kb, 16)), (b, int(ba, 16), int(bb, 16))
                layer = Dense(index, width, case.seed, int(units), activation, int(alpha, 16), kernel, bias,
                              int(use_bias), int(frozen))
            elif kind == "dropout":
                layer = Dropout(index, width, case.seed, int(words[0], 16))
            elif kind == "activation":
                layer = Activation(width, words[0], int(words[1], 16))
            else:
                layer = Standardize(index, width)
            width = layer.outputs
            self.layers.append(layer)
        self.outputs = width
        self.tensors = [t for layer in self.layers for t in layer.tensors]
        self.step = self.epoch = 0
        self.best, self.best_epoch, self.stale = INF, 0, 0
        self.trace = None

    def record(self, layer, name, rows):
        """A line of a trace."""
        if self.trace is not None:
            shape = "%dx%d" % (len(rows), len(rows[0]))
            self.trace.append("%d %d %s %s %s" % (self.step, layer, name, shape, tensor_digest(sum(rows, []))))

    def loss(self, rows, step):
        """The loss of the samples rows, and the gradient of the last layer's z or y for each; step None is
        evaluation, else the number of the step, which drops."""
        y = self.data.x(rows)
        for index, layer in enumerate(self.layers):
            y = layer.forward(y, step)
            if step is not None:
                self.record(index, "output", y)
        last = self.layers[-1]
        z = last.z if last.activation in ("softmax", "sigmoid") else y
        inv = div(ONE, F32.whole(len(rows)))
        losses, gradients = [], []
        for i, row in enumerate(rows):
            weight = self.data.weight(row)
            value, gradient = sample_loss(self.case, z[i], y[i], self.data.target(row))
            losses.append(value if weight is None else mul(weight, value))
            gradients.append(gradient(inv if weight is None else mul(weight, inv)) if step is not None else None)
        return mul(batch_sum(losses), inv), gradients

    def train(self, rows):
        loss, gradient = self.loss(rows, self.step)
        if self.trace is not None:
            self.trace.append("%d - loss %08x" % (self.step, loss))
        for_z = self.case.loss in ("cross_entropy", "binary_cross_entropy")
        for index in range(len(self.layers) - 1, -1, -1):
            if for_z and index == len(self.layers) - 1:
                gradient = self.layers[index].backward(None, gradient)
            else:
                gradient = self.layers[index].backward(gradient)
            for t in self.layers[index].tensors:
                if t.gradient is not None:
                    self.record(index, t.name + ".gradient", [t.gradient])
            self.record(index, "input.gradient", gradient)
        tensors = [t for layer in self.layers if not layer.frozen for t in layer.tensors]
        clip(self.case, tensors)
        for t in tensors:
            update(self.case, t, self.step)
            self.record(t.layer, t.name, [t.values])
        self.step += 1
        return loss

    def fit(self, data):
        case, self.data = self.case, data
        held = F64.unpack(F64.mul(wide(case.split), F64.whole(case.samples)))
        held = held[0] << held[1] if held[1] >= 0 else held[0] >> -held[1]
        n = case.samples - held
        if case.layers[0][0] == "standardize":
            self.layers[0].adapt(data.x(range(n)))
        for _ in range(case.epochs):
            places = order(case.seed, self.epoch, n) if case.shuffle else list(range(n))
            loss_sum = rows_sum = 0
            for start in range(0, n, case.batch):
                rows = places[start:start + case.batch]
                loss = self.train(rows)
                count = F64.whole(len(rows))
                loss_sum = F64.add(loss_sum, F64.mul(wide(loss), count))
                rows_sum = F64.add(rows_sum, count)
            watched = narrow(F64.div(loss_sum, rows_sum))
            if held:
                watched = self.loss(range(n, case.samples), None)[0]
            if less(watched, self.best):
                self.best, self.best_epoch, self.stale = watched, self.epoch, 0
            else:
                self.stale += 1
            self.epoch += 1
        return loss

    def digest(self):
        return text_digest(t.line("", t.values) for t in self.tensors)

    def state_digest(self):
        case = self.case
        lines = [t.line("", t.values) for t in self.tensors]
        weights = [t for t in self.tensors if t.name in ("kernel", "bias")]
        if case.optimizer != "sgd" or case.momentum:
            lines += [t.line(".moment1", t.moment1) for t in weights]
        if case.optimizer in ("adam", "adamw") or case.optimizer == "rmsprop" and case.momentum:
            lines += [t.line(".moment2", t.moment2) for t in weights]
        lines += ["contract 1\n", "seed %d\n" % case.seed, "step %d\n" % self.step, "epoch %d\n" % self.epoch,
                  "position 0\n", "samples 0\n", "learning_rate %08x\n" % case.rate, "adapted 1\n",
                  "loss_sum %016x\n" % 0,
                  "best %08x %d %d\n" % (self.best, self.best_epoch, self.stale)]
        return text_digest(lines)


class Data:
    """The samples of a case, drawn from the user's stream as the head of cases.txt says."""

    def __init__(self, case, outputs):
        n, self.case = case.samples, case
        streams = [Stream(case.seed, USER, 0, layer) for layer in range(3)]
        # detnn_random_normal(seed, 0, 0, ...) with mean 0 and deviation 1
        self.rows = [[fma(ONE, streams[0].normal(i * case.inputs + k), 0) for k in range(case.inputs)]
                     for i in range(n)]
        a, b, stream = case.truth_a, case.truth_b, streams[1]
        index = [[i * outputs + j for j in range(outputs)] for i in range(n)]
        if case.truth == "labels":
            classes = max(outputs, 2)
            labels = [stream.word(i) % classes for i in range(n)]
            if outputs == 1:
                self.targets = [[F32.whole(k)] for k in labels]
            else:
                self.targets = [[ONE if j == k else 0 for j in range(outputs)] for k in labels]
        elif case.truth == "uniform":
            self.targets = [[fma(sub(b, a), stream.uniform(e), a) for e in row] for row in index]
        else:
            self.targets = [[fma(b, stream.normal(e), a) for e in row] for row in index]
            if case.truth == "softmax":
                self.targets = [softmax_parts(row)[2] for row in self.targets]
        self.weights = None
        if case.weights:
            low, high = case.weights
            self.weights = [fma(sub(high, low), streams[2].uniform(i), low) for i in range(n)]
        if case.smoothing:
            keep = sub(ONE, case.smoothing)
            share = div(case.smoothing, F32.whole(outputs))
            self.targets = [[fma(keep, t, share) for t in row] for row in self.targets]

    def x(self, rows):
        return [self.rows[i] for i in rows]

    def target(self, i):
        return self.targets[i]

    def weight(self, i):
        return self.weights[i] if self.weights else None


def run(case, trace=None):
    net = Net(case)
    net.trace = trace
    loss = net.fit(Data(case, net.outputs))
    return net, "%s %s %s %08x" % (case.name, net.digest(), net.state_digest(), loss)


# ---- Functions to compare ----------------------------------------------------------------------------

SPECIAL = [0, SIGN, 1, SIGN | 1, 0x007FFFFF, 0x00800000, ONE, SIGN | ONE, 0x7F7FFFFF, 0xFF7FFFFF, INF, SIGN | INF, NAN,
           0x33800000, 0xB3800000, 0x3F000000, 0x3E800000, 0x3FC00000, 0x40A00000, 0xC0A00000, 0x42B17217,
           0xC2CFF1B5, 0xC1600000, 0xC2D40000, 0x4B800001, 0x41B80000]
HARD = {  # close to the middle of two numbers
    "exp": [0x337FFFE0, 0x337FFFE2], "log": [0x0002F4DE, 0x00099041], "expm1": [0x337FFFF0, 0x337FFFF2],
    "tanh": [0x39B89B9B, 0x39B89B9D], "sigmoid": [0x33FFFFE1, 0x33FFFFE3], "softplus": [0x33882E21, 0x33882E23],
    "erf": [0x19214E80, 0x2B823216], "gelu": [0x00001F41, 0x00001F43], "silu": [0x00001F41, 0x00001F45],
    "gelu_grad": [0x33206C85, 0x33206C87], "silu_grad": [0x337FFFE1, 0x337FFFE3],
    "sin2pi": [F32.pack(k, -32) for k in (0x0002F694, 0x00070D8A)],
    "cos2pi": [F32.pack(k, -32) for k in (0x00028BE6, 0x0006BCC3)],
}


def print_functions():
    for name in ELEMENTARY:
        for x in SPECIAL + HARD.get(name, []):
            y = elementary(name, x)
            print("%s %08x %08x" % (name, x, NAN if F32.is_nan(y) else y))
    print("philox 0 0 0 0 0:", *("%08x" % w for w in philox(0, (0, 0, 0, 0))))
    print("philox of ones:", *("%08x" % w for w in philox((1 << 64) - 1, (M32,) * 4)))
    for seed, step, layer in (0, 0, 0), (42, 7, 3), (0xDEADBEEF01234567, 0x100000002, 0xFFFFFF):
        s = Stream(seed, USER, step, layer)
        print("words %d %d %d:" % (seed, step, layer), *("%08x" % s.word(e) for e in range(6)))
        print("normals %d %d %d:" % (seed, step, layer), *("%08x" % s.normal(e) for e in range(6)))
    for n in 1, 2, 10, 64, 65, 100, 1000:
        for epoch in 0, 1:
            perm = order(42, epoch, n)
            print("order seed 42 epoch %d of %d:" % (epoch, n), *perm[:10], text_digest("%d\n" % i for i in perm)[:16])
    for kind in ("uniform normal truncated_normal glorot_uniform glorot_normal he_uniform he_normal lecun_uniform "
                 "lecun_normal orthogonal").split():
        for shape in (7, 5), (4, 9):
            w = initialize(kind, HALF, 0x3F400000, 42, 2, KERNEL, *shape)
            print("initialize %s(0.5, 0.75) seed 42 layer 2 %dx%d:" % ((kind,) + shape), tensor_digest(w))


def main(arguments):
    cases = read_cases(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.txt"))
    if arguments[:1] == ["--list"]:
        for case in cases:
            print("%-16s %s" % (case.name, case.about))
    elif arguments[:1] == ["--functions"]:
        print_functions()
    elif arguments[:1] == ["--trace"]:
        for case in cases:
            if case.name in arguments[1:]:
                trace = []
                net, result = run(case, trace)
                print(*trace, result, sep="\n")
    else:
        for case in cases:
            if not arguments or case.name in arguments:
                print(run(case)[1], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
