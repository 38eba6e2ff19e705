"""exp, log and the normal tail without a branch or a call, so that LLVM turns loops over them into vector code.

The C library's functions are calls, and one call keeps a whole loop scalar. Here each function is a polynomial (or a
quotient of two) after a reduction of its argument that works on the bits of the float. Errors, against 40 digits:
`exp` and `log` 1 ulp, `mills` a relative 1e-15. The same operations are fused on every machine that fuses at all, so
x86 and ARM agree to the bit; a CPU without fused multiply-add agrees to the errors above.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from tradebot.pricing.jit import inlined, operation

ONE_OVER_SQRT_2PI: Final = 0.3989422804014327
TAIL_MAX: Final = 37.5  # standard deviations; beyond, the density is below 1e-305 and counts as this

_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.6931471803691238  # 33 bits: multiplied by any exponent, exact
_LN2_LOW: Final = 1.9082149292705877e-10
_ROUNDER: Final = 6755399441055744.0  # 1.5 * 2**52: what is added to it is rounded to an integer
_EXP_MAX: Final = 709.782712893384
_EXP_MIN: Final = -708.0
_ONE_BITS: Final = 0x3FF0000000000000
_HALF_BITS: Final = 0x3FE0000000000000
_ROOT_HALF_BITS: Final = 0x3FE6A09E667F3BCD
_MANTISSA_BITS: Final = 0x000FFFFFFFFFFFFF
_TINY: Final = 2.2250738585072014e-308
_TWO_54: Final = 18014398509481984.0


@operation
def fma(a: float, b: float, c: float) -> float:
    """a * b + c with one rounding where the CPU can, and two where it would have to call a library."""
    return a * b + c


@operation
def accumulated(total: float, term: float) -> float:
    """The sum, in whatever order: the one addition that LLVM may regroup, to sum in the lanes of a vector."""
    return total + term


@operation
def product(a: float, b: float) -> float:
    """A product that may fuse with the `accumulated` it goes into."""
    return a * b


@operation
def bits(value: float) -> int:
    """The 64 bits of a float as an integer."""
    return int(struct.unpack("=q", struct.pack("=d", value))[0])


@operation
def from_bits(value: int) -> float:
    """The float that 64 bits are."""
    return float(struct.unpack("=d", struct.pack("=Q", value & 0xFFFFFFFFFFFFFFFF))[0])


@operation
def aligned_stack() -> None:
    """Aligns the calling function's stack to 64 bytes.

    A pricing loop has more constants than there are registers; those that wait on the stack would otherwise straddle
    two cache lines each, which costs 5 to 10 % of the loop.
    """


@inlined
def exp(x: float) -> float:
    """e to the x for every x: infinity above 709.78, 0 below -708 (no subnormal results).

    x = n * ln(2) + r with |r| <= ln(2) / 2; then 2**n * e**r, in two steps because 2**1024 is no float.
    """
    clamped = min(_EXP_MAX, x)
    clamped = max(_EXP_MIN, clamped)
    shifted = fma(clamped, _LOG2_E, _ROUNDER)
    n = shifted - _ROUNDER
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, clamped))
    p = fma(r, 2.5105217004720745e-08, 2.7626371065696354e-07)
    p = fma(p, r, 2.7557255400206422e-06)
    p = fma(p, r, 2.480150431378554e-05)
    p = fma(p, r, 0.00019841269874820627)
    p = fma(p, r, 0.001388888893251478)
    p = fma(p, r, 0.008333333333326136)
    p = fma(p, r, 0.041666666666573066)
    p = fma(p, r, 0.1666666666666667)
    p = fma(p, r, 0.5000000000000006)
    p = fma(p, r, 1.0)
    p = fma(p, r, 1.0)
    value = 2.0 * (p * from_bits((bits(shifted) << 52) + _HALF_BITS))
    value = math.inf if x > _EXP_MAX else value
    return 0.0 if x < _EXP_MIN else value


@inlined
def log(x: float) -> float:
    """The natural logarithm of a positive finite x."""
    tiny = x < _TINY
    scaled = x * _TWO_54 if tiny else x
    raised = bits(scaled) + (_ONE_BITS - _ROOT_HALF_BITS)
    exponent = float((raised >> 52) - 1023) - (54.0 if tiny else 0.0)
    f = from_bits((raised & _MANTISSA_BITS) + _ROOT_HALF_BITS) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = fma(z, 1.479819860511658591e-01, 1.531383769920937332e-01)
    p = fma(p, z, 1.818357216161805012e-01)
    p = fma(p, z, 2.222219843214978396e-01)
    p = fma(p, z, 2.857142874366239149e-01)
    p = fma(p, z, 3.999999999940941908e-01)
    p = fma(p, z, 6.666666666666735130e-01)
    half_square = 0.5 * f * f
    low = fma(s, fma(p, z, half_square), exponent * _LN2_LOW)
    return fma(exponent, _LN2_HIGH, f - (half_square - low))


@inlined
def bell(square: float) -> float:
    """exp(-square / 2) for 0 <= square <= TAIL_MAX**2, unchecked: `exp` with the factor inside its constants.

    The polynomial's terms are paired (Estrin), for the chain of eleven dependent operations would be the longest in
    a pricing loop; 2**n enters by an addition to the exponent's bits.
    """
    shifted = fma(square, -0.5 * _LOG2_E, _ROUNDER)
    n = shifted - _ROUNDER
    r = fma(n, 2.0 * _LN2_LOW, fma(n, 2.0 * _LN2_HIGH, square))
    z = r * r
    low = fma(fma(-0.02083333333333334, r, 0.12500000000000014), z, fma(-0.5, r, 1.0))
    middle = fma(
        fma(-1.5500992089703614e-06, r, 2.1701388957054344e-05),
        z,
        fma(-0.00026041666666644175, r, 0.0026041666666608166),
    )
    high = fma(
        fma(-1.2258406740586301e-11, r, 2.6978877993844096e-10),
        z,
        fma(-5.382276445352817e-09, r, 9.688087622572477e-08),
    )
    p = fma(fma(high, z * z, middle), z * z, low)
    return from_bits(bits(p) + (bits(shifted) << 52))


@inlined
def mills_over(x: float, square: float) -> float:
    """The numerator of Mills' ratio (1 - normal CDF) / density on 0 <= x <= TAIL_MAX; see `mills_under`."""
    even = fma(27.08400706733815, square, 3004.2493085766127)
    odd = fma(0.9999999999965121, square, 358.5838860690908)
    even = fma(even, square, 72329.72205171407)
    odd = fma(odd, square, 17425.37975034836)
    even = fma(even, square, 442585.95255184907)
    odd = fma(odd, square, 214904.1503155221)
    even = fma(even, square, 374844.5405009625)
    odd = fma(odd, square, 579039.6906013675)
    return fma(odd, x, even)


@inlined
def mills_under(x: float, square: float) -> float:
    """Its denominator. Both are polynomials of positive terms, hence exact to a few roundings, and apart so that
    two ratios can share one division. Even and odd terms go separate ways for the sake of shorter chains."""
    even = square + 359.5838861354605
    odd = fma(27.08400706662175, square, 3031.333311945573)
    even = fma(even, square, 17781.963776012264)
    odd = fma(odd, square, 75279.79953100959)
    even = fma(even, square, 231622.44113841176)
    odd = fma(odd, square, 509176.74586642813)
    even = fma(even, square, 762621.2209003933)
    odd = fma(odd, square, 700640.2752698514)
    even = fma(even, square, 299082.6715669624)
    return fma(odd, x, even)


@inlined
def normal_cdf(x: float) -> float:
    """Of one value; the pricing loops take it apart to share its exponential and its division."""
    distance = math.fabs(x)
    distance = min(TAIL_MAX, distance)
    square = distance * distance
    tail = ONE_OVER_SQRT_2PI * bell(square) * mills_over(distance, square) / mills_under(distance, square)
    return tail if x < 0.0 else 1.0 - tail
