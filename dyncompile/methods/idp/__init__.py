"""Incomplete dot products (McDanel, Teerapittayanon and Kung, 2017): one network, many widths."""

from __future__ import annotations

__all__ = ["IncompleteNet", "Profile", "convert", "fit", "fit_sandwich", "recalibrate"]

from dyncompile.methods.idp.converting import convert
from dyncompile.methods.idp.fitting import fit
from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.methods.idp.profiles import Profile
from dyncompile.methods.idp.recalibrating import recalibrate
from dyncompile.methods.idp.sandwich import fit_sandwich
