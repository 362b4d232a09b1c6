"""Decision gates (d-gate; Shafiee, Shafiee and Wong, 2019): early exits for a trained network."""

from __future__ import annotations

__all__ = ["Calibration", "DecisionGates", "calibrate", "convert", "fit"]

from dyncompile.methods.dgate.calibrating import calibrate
from dyncompile.methods.dgate.calibration import Calibration
from dyncompile.methods.dgate.converting import convert
from dyncompile.methods.dgate.fitting import fit
from dyncompile.methods.dgate.gates import DecisionGates
