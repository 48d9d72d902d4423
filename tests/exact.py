"""Exact arithmetic for oracle.py: the formats of IEEE 754 and the correctly rounded elementary functions of the
contract of detnn.h (C1, C5), in integers. A number is the integer of its bits; an operation is exact and then
rounded once.
"""

from functools import lru_cache
from math import isqrt

# ---- C1. Binary formats ------------------------------------------------------------------------------


class Format:
    """A binary format of IEEE 754. Numbers are their bits; all results are rounded to nearest even."""

    def __init__(self, exponent_bits, fraction_bits):
        self.fraction_bits = fraction_bits
        self.precision = fraction_bits + 1
        self.fraction = (1 << fraction_bits) - 1
        self.hidden = 1 << fraction_bits
        self.exponents = (1 << exponent_bits) - 1
        self.sign = 1 << (exponent_bits + fraction_bits)
        self.inf = self.exponents << fraction_bits
        self.nan = self.inf | 1 << (fraction_bits - 1)
        self.least = 2 - (1 << (exponent_bits - 1)) - fraction_bits  # exponent of the least subnormal

    def unpack(self, x):
        """Finite x = m * 2^e as (m, e), m signed."""
        biased = x >> self.fraction_bits & self.exponents
        m = x & self.fraction
        if biased:
            m |= self.hidden
            biased -= 1
        return (-m if x & self.sign else m), biased + self.least

    def pack(self, m, e):
        """m * 2^e rounded; m = 0 gives +0."""
        sign = 0
        if m < 0:
            sign, m = self.sign, -m
        shift = max(m.bit_length() - self.precision, self.least - e)
        if shift > 0:
            half = 1 << (shift - 1)
            rest = m & (2 * half - 1)
            m >>= shift
            if rest > half or rest == half and m & 1:
                m += 1
        else:
            m <<= -shift
        # The hidden bit, and a carry out of the rounding, add themselves to the exponent.
        bits = (e + shift - self.least << self.fraction_bits) + m if m else 0
        return sign | min(bits, self.inf)

    def is_nan(self, x):
        return x & ~self.sign > self.inf

    def is_special(self, x):
        return x & self.inf == self.inf

    def fma(self, a, b, c):
        inf = self.inf
        if a & inf == inf or b & inf == inf or c & inf == inf:
            return self.special_fma(a, b, c)
        m, e = self.unpack(a)
        n, f = self.unpack(b)
        k, g = self.unpack(c)
        m *= n
        e += f
        if e > g:
            m <<= e - g
            e = g
        else:
            k <<= g - e
        m += k
        if m == 0:
            return (a ^ b) & c & self.sign
        return self.pack(m, e)

    def special_fma(self, a, b, c):
        if self.is_nan(a) or self.is_nan(b) or self.is_nan(c):
            return self.nan
        if self.is_special(a) or self.is_special(b):
            if a & ~self.sign == 0 or b & ~self.sign == 0:
                return self.nan
            product = self.inf | (a ^ b) & self.sign
            return self.nan if self.is_special(c) and c != product else product
        return c

    def add(self, a, b):
        if b == 0 and not self.is_special(a):
            return a if a != self.sign else 0
        return self.fma(a, self.one, b)

    def sub(self, a, b):
        return self.add(a, b ^ self.sign)

    def mul(self, a, b):
        return self.fma(a, b, (a ^ b) & self.sign)

    def div(self, a, b):
        sign = (a ^ b) & self.sign
        if self.is_nan(a) or self.is_nan(b) or self.is_special(a) and self.is_special(b):
            return self.nan
        if self.is_special(a):
            return sign | self.inf
        if self.is_special(b):
            return sign
        m, e = self.unpack(a)
        n, f = self.unpack(b)
        if n == 0:
            return sign | self.inf if m else self.nan
        if m == 0:
            return sign
        k = 2 * self.precision + 4
        q, rest = divmod(abs(m) << k, abs(n))
        q = 2 * q + (rest != 0)  # the last bit stands for all that was cut off
        return sign | self.pack(q, e - f - k - 1)

    def sqrt(self, x):
        if x & ~self.sign == 0 or x == self.inf:
            return x
        if x & self.sign or self.is_nan(x):
            return self.nan
        m, e = self.unpack(x)
        k = 2 * self.precision + 4 + (e & 1)
        m <<= k
        root = isqrt(m)
        return self.pack(2 * root + (root * root != m), (e - k) // 2 - 1)

    def whole(self, n):
        return self.pack(n, 0)

    def convert(self, x, source):
        """The number x of another format."""
        sign = self.sign if x & source.sign else 0
        if source.is_special(x):
            return self.nan if source.is_nan(x) else sign | self.inf
        m, e = source.unpack(x)
        return sign | self.pack(abs(m), e)


F32, F64 = Format(8, 23), Format(11, 52)
F32.one, F64.one = 0x3F800000, 0x3FF0000000000000
add, sub, mul, div, sqrt, fma = F32.add, F32.sub, F32.mul, F32.div, F32.sqrt, F32.fma
ONE, HALF, INF, NAN, SIGN = F32.one, 0x3F000000, F32.inf, F32.nan, F32.sign


def neg(x):
    return x ^ SIGN


def magnitude(x):
    return x & ~SIGN


def wide(x):
    return F64.convert(x, F32)


def narrow(v):
    return F32.convert(v, F64)


def real(x):
    """An integer that is in the order of the numbers; -0 and +0 are equal."""
    return -(x & ~SIGN) if x & SIGN else x


def less(a, b):
    return real(a) < real(b) and not F32.is_nan(a) and not F32.is_nan(b)


def maximum(xs):
    """IEEE 754-2019 maximum, -0 below +0."""
    if any(F32.is_nan(x) for x in xs):
        return NAN
    return max(xs, key=lambda x: real(x) - (x >> 31)) if xs else SIGN | INF


# ---- C5. Elementary functions, by intervals ----------------------------------------------------------


class Interval:
    """A real number known to lie in [lo, hi] * 2^-p."""

    __slots__ = "lo", "hi", "p"

    def __init__(self, lo, hi, p):
        self.lo, self.hi, self.p = lo, hi, p

    def __add__(self, other):
        return Interval(self.lo + other.lo, self.hi + other.hi, self.p)

    def __sub__(self, other):
        return Interval(self.lo - other.hi, self.hi - other.lo, self.p)

    def __neg__(self):
        return Interval(-self.hi, -self.lo, self.p)

    def __mul__(self, other):
        ends = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Interval(min(ends) >> self.p, -(-max(ends) >> self.p), self.p)

    def __truediv__(self, other):
        """other must be positive."""
        lo = (self.lo << self.p) // (other.hi if self.lo >= 0 else other.lo)
        hi = -((-self.hi << self.p) // (other.lo if self.hi >= 0 else other.hi))
        return Interval(lo, hi, self.p)

    def scaled(self, k):
        """Times 2^k."""
        if k >= 0:
            return Interval(self.lo << k, self.hi << k, self.p)
        return Interval(self.lo >> -k, -(-self.hi >> -k), self.p)

    def at(self, p):
        """The same number with p fraction bits, p < self.p."""
        narrowed = self.scaled(p - self.p)
        return Interval(narrowed.lo, narrowed.hi, p)


GUARD = 64  # additional fraction bits inside the series


def exact(n, p):
    return Interval(n << p, n << p, p)


@lru_cache(maxsize=None)
def ln2(q):
    """floor of log(2) * 2^q or one below: 2 atanh(1/3)."""
    power = (2 << q + GUARD) // 3
    total, n = 0, 1
    while power:
        total += power // n
        power //= 9
        n += 2
    return total >> GUARD


@lru_cache(maxsize=None)
def pi(q):
    """pi within 2^-q (Machin): 16 atan(1/5) - 4 atan(1/239)."""

    def atan_inverse(k):
        power = (1 << q + GUARD) // k
        total, n, sign = 0, 1, 1
        while power:
            total += sign * (power // n)
            power //= k * k
            n, sign = n + 2, -sign
        return total

    value = 16 * atan_inverse(5) - 4 * atan_inverse(239) >> GUARD
    return Interval(value - 1, value + 1, q)


def exp_of(x, p):
    """e^(x * 2^-p), for the integer x: x = k log 2 + 2^10 r, Taylor's series of e^r, squared ten times.
    Fewer than 100 units are lost in the series, and 1024 of k log 2 and ten squarings multiply an error
    by less than 2^11: 2^24 units of 2^-q are more than all errors."""
    if x < -p << p:
        return Interval(0, 1, p)  # e^-p < 2^-p
    q = p + GUARD
    k = (x << GUARD) // ln2(q)
    r = (x << GUARD) - k * ln2(q) >> 10
    term = total = 1 << q
    n = 1
    while term:
        term = (term * r >> q) // n
        total += term
        n += 1
    for _ in range(10):
        total = total * total >> q
    return Interval(total - (1 << 24), total + (1 << 24), q).scaled(k).at(p)


def log_of(y, p):
    """log(y * 2^-p), for the integer y > 0: y = m 2^k, log m = 2 atanh((m - 1) / (m + 1)). Fewer than 2^10
    units are lost."""
    q = p + GUARD
    k = y.bit_length() - p
    one = 1 << p + k  # m = y / one is in [1/2, 1)
    if 3 * one > 4 * y:
        k, one = k - 1, one >> 1
    z = (y - one << q) // (y + one)
    zz = z * z >> q
    total, power, n = 0, z, 1
    while abs(power) > 1:
        total += power // n
        power = power * zz >> q
        n += 2
    value = 2 * total + k * ln2(q)
    return Interval(value - (1 << 16), value + (1 << 16), q).at(p)


def normal_series(t, p):
    """The sum of (t 2^-2p)^n / (1 * 3 * 5 ... (2n + 1)), t >= 0. A unit lost in a term grows at most as the sum
    itself."""
    q = p + GUARD
    t = t << q - 2 * p if q >= 2 * p else t >> 2 * p - q
    term = total = 1 << q
    n = 1
    while term:
        term = (term * t >> q) // (2 * n + 1)
        total += term
        n += 1
    error = 8 * n * ((total >> q) + 2)
    return Interval(total - error, total + error, q).at(p)


@lru_cache(maxsize=None)
def inverse_root_of_2pi(p):
    double = pi(p).scaled(1)
    return Interval(isqrt((1 << 3 * p) // double.hi), isqrt((1 << 3 * p) // double.lo) + 1, p)


def density(x, p):
    """The normal density phi: e^(-x x / 2) / sqrt(2 pi). x x / 2 is cut to p bits."""
    square = x * x >> p + 1
    e = exp_of(-square, p)  # at least the true value, by less than 2^-p
    return Interval(e.lo - 1, e.hi, p) * inverse_root_of_2pi(p)


def distribution(x, p):
    """The normal distribution function Phi = 1/2 + phi(x) (x + x^3 / 3 + x^5 / 15 ...)."""
    if x * x > 2 * p << 2 * p:  # 1 - Phi(|x|) < e^(-x x / 2) < 2^-p
        return Interval(0, 1, p) if x < 0 else Interval((1 << p) - 1, 1 << p, p)
    half = Interval(1 << p - 1, 1 << p - 1, p)
    return half + density(x, p) * Interval(x, x, p) * normal_series(x * x, p)


def sigmoid_of(x, p):
    e = exp_of(-abs(x), p)
    one = exact(1, p)
    return one / (one + e) if x >= 0 else e / (one + e)


def tanh_of(x, p):
    e = exp_of(-2 * abs(x), p)
    one = exact(1, p)
    y = (one - e) / (one + e)
    return y if x > 0 else -y


def softplus_of(x, p):
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)"""
    e = exp_of(-abs(x), p)
    log1p = Interval(log_of((1 << p) + max(e.lo, 0), p).lo, log_of((1 << p) + e.hi, p).hi, p)
    return Interval(max(x, 0), max(x, 0), p) + log1p


def erf_of(x, p):
    if x * x > p << 2 * p:
        y = Interval((1 << p) - 1, 1 << p, p)
        return y if x > 0 else -y
    e = exp_of(-(x * x >> p), p)
    e = Interval(e.lo - 1, e.hi, p)
    factor = (exact(2, p) * inverse_root_of_2pi(p)) * Interval(isqrt(2 << 2 * p), isqrt(2 << 2 * p) + 1, p)
    return factor * e * Interval(x, x, p) * normal_series(2 * x * x, p)


def silu_grad_of(x, p):
    s, one = sigmoid_of(x, p), exact(1, p)
    return s * (one + Interval(x, x, p) * (one - s))


def sin_cos_of(u, p):
    """sin and cos of 2 pi u: u = j / 4 + v, |v| <= 1/8, Taylor's series at 2 pi v. Every term loses at most a few
    units."""
    q = p + GUARD
    j = (4 * u + (1 << p - 1)) >> p
    v = u - (j << p - 2)
    a = (pi(q).scaled(1).lo * v) >> p
    sums, term, n = [0, 0], 1 << q, 0
    while term:
        sums[n & 1] += -term if n & 2 else term
        n += 1
        term = (abs(term) * abs(a) >> q) // n
    c, s = sums
    if a < 0:
        s = -s
    s, c = [(s, c), (c, -s), (-s, -c), (-c, s)][j & 3]
    return [Interval(y - (1 << 16), y + (1 << 16), q).at(p) for y in (s, c)]


# name: function of the exact x 2^p; bits at +0, -0, +infinity, -infinity
ELEMENTARY = {
    "exp": (exp_of, (ONE, ONE, INF, 0)),
    "log": (log_of, (SIGN | INF, SIGN | INF, INF, NAN)),
    "expm1": (lambda x, p: exp_of(x, p) - exact(1, p), (0, SIGN, INF, SIGN | ONE)),
    "log1p": (lambda x, p: log_of((1 << p) + x, p), (0, SIGN, INF, NAN)),
    "tanh": (tanh_of, (0, SIGN, ONE, SIGN | ONE)),
    "sigmoid": (sigmoid_of, (HALF, HALF, ONE, 0)),
    "softplus": (softplus_of, (0x3F317218, 0x3F317218, INF, 0)),
    "erf": (erf_of, (0, SIGN, ONE, SIGN | ONE)),
    "gelu": (lambda x, p: Interval(x, x, p) * distribution(x, p), (0, SIGN, INF, SIGN)),
    "silu": (lambda x, p: Interval(x, x, p) * sigmoid_of(x, p), (0, SIGN, INF, SIGN)),
    "gelu_grad": (lambda x, p: distribution(x, p) + Interval(x, x, p) * density(x, p), (HALF, HALF, ONE, SIGN)),
    "silu_grad": (silu_grad_of, (HALF, HALF, ONE, SIGN)),
    "sin2pi": (lambda x, p: sin_cos_of(x, p)[0], (0, SIGN, NAN, NAN)),
    "cos2pi": (lambda x, p: sin_cos_of(x, p)[1], (ONE, ONE, NAN, NAN)),
}

# Below this the exact value is nearer to zero than 2^-150, on the side of the zero given.
VANISHES = {"exp": (-104, 0), "sigmoid": (-104, 0), "softplus": (-104, 0), "silu": (-110, SIGN),
            "silu_grad": (-110, SIGN), "gelu": (-15, SIGN), "gelu_grad": (-15, SIGN)}


@lru_cache(maxsize=None)
def elementary(name, x):
    """The correctly rounded value of a function at x. The precision grows until both ends of the interval round
    to the same number; values that no interval can decide (exact ones) are taken out before."""
    function, (zero, minus_zero, infinity, minus_infinity) = ELEMENTARY[name]
    if F32.is_nan(x):
        return NAN
    if F32.is_special(x):
        return minus_infinity if x & SIGN else infinity
    if magnitude(x) == 0:
        return minus_zero if x else zero
    m, e = F32.unpack(x)
    if name == "log" and x == ONE:
        return 0
    if name == "log1p" and x == SIGN | ONE:
        return SIGN | INF
    if name == "log" and m < 0 or name == "log1p" and less(x, SIGN | ONE):
        return NAN
    if name in ("exp", "expm1") and less(F32.whole(89), x):
        return INF
    if name in VANISHES and less(x, F32.whole(VANISHES[name][0])):
        return VANISHES[name][1]
    p = 256
    if name in ("sin2pi", "cos2pi"):
        quarters, rest = divmod(m << e + p, 1 << p - 2)
        if rest == 0:  # the only exact values (Niven); sin is a zero of the sign of u
            if name == "cos2pi":
                return (ONE, 0, SIGN | ONE, 0)[quarters & 3]
            return (x & SIGN, ONE, x & SIGN, SIGN | ONE)[quarters & 3]
    while True:
        y = function(m << e + p, p)  # e >= -149, so that nothing is cut off
        lo, hi = F32.pack(y.lo, -p), F32.pack(y.hi, -p)
        if lo == hi and (y.lo > 0 or y.hi < 0):
            return lo
        p *= 2


def exp(x):
    return elementary("exp", x)


def log(x):
    return elementary("log", x)


def sigmoid(x):
    return elementary("sigmoid", x)


def softplus(x):
    return elementary("softplus", x)
