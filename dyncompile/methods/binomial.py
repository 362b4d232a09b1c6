"""Exact confidence limits of a share."""

from __future__ import annotations

__all__ = ["upper_limit"]

import math

MOST_STEPS = 200
MOST_TERMS = 10_000
PRECISION = 1e-12


def upper_limit(count: float, total: float, confidence: float) -> float:
    """Return the largest share that ``count`` of ``total`` leaves possible, one-sided.

    Clopper and Pearson (1934): the share at which ``count`` or fewer would be seen with the
    probability ``1 - confidence``. Neither count has to be whole, so that samples that depend on
    each other can be counted for less.

    Args:
        count: From 0 to ``total``.
        total: More than 0.
        confidence: Between 0 and 1.
    """
    if count >= total:
        return 1.0
    a, b = count + 1.0, total - count
    low, high = 0.0, 1.0
    share = min(max(a / (a + b), 0.0), 1.0)
    for _ in range(MOST_STEPS):  # Newton's steps, kept between what is known to enclose it
        below, density = _incomplete_beta(a, b, share)
        low, high = (share, high) if below < confidence else (low, share)
        step = share - (below - confidence) / density if density else math.inf
        closer = step if low < step < high else (low + high) / 2
        if abs(closer - share) < PRECISION * (1 + share):
            return closer
        share = closer
    return high


def _incomplete_beta(a: float, b: float, x: float) -> tuple[float, float]:
    """Return the regularised incomplete beta function and its derivative at 0 < x < 1.

    The continued fraction 8.17.22 of the Digital Library of Mathematical Functions, by the
    method of Lentz.
    """
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_power = scale + a * math.log(x) + b * math.log1p(-x)
    density = math.exp(log_power - math.log(x) - math.log1p(-x))
    if x <= (a + 1) / (a + b + 2):
        return math.exp(log_power) / a / _fraction(a, b, x), density
    return 1 - math.exp(log_power) / b / _fraction(b, a, 1 - x), density


def _fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    value = c = 1.0
    d = 0.0
    for term in range(1, MOST_TERMS):
        m = term // 2
        if term % 2:
            factor = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            factor = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + factor * d) or tiny)
        c = (1 + factor / c) or tiny
        value *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return value
