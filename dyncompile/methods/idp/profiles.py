"""Profiles: what each input channel of a layer counts for, from the first to the last; no torch.

| profile | coefficient | |
|---|---|---|
| ``all-one`` | 1 | |
| ``harmonic`` | 1 / i | i = 1 .. n |
| ``linear`` | 1 - i / n | i = 0 .. n - 1 |
| ``exponential`` | exp(-i) | i = 0 .. n - 1 |
| ``half-exponential`` | 1, in the second half exp(-j) | j = 0 .. n - n // 2 - 1 |
| numbers, as (1, 0.5, 0.25) | plateaus of equal length | |

As McDanel, Teerapittayanon and Kung have them, "Incomplete Dot Products for Dynamic Computation
Scaling in Neural Network Inference" (arXiv 1710.07830, 2017), by their released code.
"""

from __future__ import annotations

__all__ = ["PROFILES", "Profile", "coefficients"]

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import InputError, one_line

Profile = str | Sequence[float] | Callable[[int], Any]

SMALLEST = 1e-30  # below it float32 products with weights lose their digits, and slow down


def all_one(channels: int) -> NDArray[np.float64]:
    """Return 1 for each channel: an ordinary layer."""
    return np.ones(channels)


def harmonic(channels: int) -> NDArray[np.float64]:
    """Return 1, 1/2, 1/3 and so on."""
    return 1 / np.arange(1.0, channels + 1)


def linear(channels: int) -> NDArray[np.float64]:
    """Return what falls evenly from 1 to 1 / n."""
    return 1 - np.arange(float(channels)) / channels


def exponential(channels: int) -> NDArray[np.float64]:
    """Return 1, 1/e, 1/e**2 and so on."""
    falling: NDArray[np.float64] = np.exp(-np.arange(float(channels)))
    return falling


def half_exponential(channels: int) -> NDArray[np.float64]:
    """Return 1 in the first half, and ``exponential`` in the second, which begins at 1 as well."""
    half = channels // 2
    return np.concatenate([all_one(half), exponential(channels - half)])


PROFILES: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "all-one": all_one,
    "harmonic": harmonic,
    "linear": linear,
    "exponential": exponential,
    "half-exponential": half_exponential,
}


def coefficients(profile: Profile, channels: int) -> NDArray[np.float32]:
    """Return the coefficient of each of ``channels`` input channels, ``float32[channels]``.

    Args:
        profile: A name; numbers, for plateaus; or a function from the number of channels to their
            coefficients.
        channels: At least 1.

    Raises:
        InputError: there is no such profile, or its coefficients rise, are negative, not finite,
            all zero, or not as many as there are channels.
    """
    found = _found(profile, channels)
    falls = found.shape == (channels,) and bool(np.isfinite(found).all())
    falls = falls and found[0] > 0 and found[-1] >= 0 and bool((np.diff(found) <= 0).all())
    if not falls:
        raise InputError(
            f"for {channels} channels it is not as many numbers from above 0 that never rise.",
            where=f"profile {_spell(profile)}",
            remedy="Give coefficients that fall or stay, none below 0, such as (1, 0.5, 0.25).",
        )
    return np.where(found < SMALLEST, 0, found).astype(np.float32)


def _found(profile: Profile, channels: int) -> NDArray[np.float64]:
    if isinstance(profile, str):
        if profile not in PROFILES:
            raise InputError(
                f"there is no profile of this name; there are {', '.join(PROFILES)}.",
                where=f"profile {profile!r}",
                remedy="Name one of these, or give plateaus such as (1, 0.5, 0.25).",
            )
        return PROFILES[profile](channels)
    if callable(profile):
        return _called(profile, channels)
    try:
        plateaus = np.asarray(profile, np.float64)
        place = np.arange(channels) * len(plateaus) // channels
        return plateaus[place]
    except (IndexError, TypeError, ValueError) as error:
        raise InputError(
            "this is no profile.",
            where=f"profile {_spell(profile)}",
            remedy=f"Name one of {', '.join(PROFILES)}, or give plateaus such as (1, 0.5, 0.25).",
        ) from error


def _called(profile: Callable[[int], Any], channels: int) -> NDArray[np.float64]:
    try:
        return np.asarray(profile(channels), np.float64)
    except Exception as error:  # whatever the user's function raises
        raise InputError(
            f"it fails for {channels} channels: {one_line(error)}.",
            where=f"profile {_spell(profile)}",
            remedy="Give a function from the number of channels to as many coefficients.",
        ) from error


def _spell(profile: object) -> str:
    return str(getattr(profile, "__name__", None) or repr(profile))[:60]
