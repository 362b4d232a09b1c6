"""The manifest: what an artifact says about itself.

Free of onnx, so that the runtime can read it with ONNX Runtime alone.
"""

from __future__ import annotations

__all__ = [
    "FORMAT",
    "METADATA_KEY",
    "Barrier",
    "Budgets",
    "Decision",
    "ExternalData",
    "Manifest",
    "OperatingPoint",
    "Side",
    "TargetName",
    "no_manifest",
]

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal

from dyncompile.errors import ArtifactError
from dyncompile.json_fields import Text, count, digest, one_of, parse, quoted, reason, want
from dyncompile.knob_entries import knob_from_entry, value_from_entry
from dyncompile.knobs import Knob

FORMAT = 1
METADATA_KEY = "dyncompile"

OperatingPoint = Mapping[str, "int | float | Sequence[float]"]
TargetName = Literal["onnx", "marked", "tensorrt"]


_TARGETS = ("onnx", "marked", "tensorrt")
_LOWERINGS = ("switch", "slice", "chain")


@dataclass(frozen=True)
class Side:
    """What one option of a decision costs when it is taken.

    Attributes:
        macs: Multiply-accumulates of its convolutions, matrix products and recurrent layers.
        weight_bytes: Size of the weights it reads.
    """

    macs: int
    weight_bytes: int


@dataclass(frozen=True)
class Decision:
    """One decision that the artifact takes at run time.

    Attributes:
        name: Stable from the model to the artifact.
        kind: A gate has the options 0 (off) and 1 (on), a switch one per side.
        values: The tensors that hold the decision, bool or int64, shape [] or [1]. Usually
            one; several where the graph computes it in more than one branch.
        under: Enclosing decisions and the option under which this one is reached at all.
        sides: Cost of each option.
        aliases: Other names of the same decision, and their option for each option here.
    """

    name: str
    kind: Literal["gate", "switch"]
    values: tuple[str, ...]
    under: tuple[tuple[str, int], ...]
    sides: tuple[Side, ...]
    aliases: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Barrier:
    """A node that a channel budget does not pass: it reads every channel, the dead ones as zeros.

    Attributes:
        at: The node, by its operator and name, or the output of the network.
        why: What keeps the budget there.
    """

    at: str
    why: str


@dataclass(frozen=True)
class Budgets:
    """The channel budgets on one level, and what became of them.

    Attributes:
        decision: Name of the decision on the level.
        levels: How many there are.
        lowering: ``switch`` is one network per level, all of the same weights; ``slice`` one
            network whose weights are cut at run time; ``chain`` what each level adds to the one
            before. None in a marked file.
        why: What speaks for this lowering.
        barriers: Where the budgets end.
    """

    decision: str
    levels: int
    lowering: Literal["switch", "slice", "chain"] | None = None
    why: str = ""
    barriers: tuple[Barrier, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return what a manifest says of them."""
        entry: dict[str, object] = {"decision": self.decision, "levels": self.levels}
        if self.lowering is not None:
            barriers = [vars(barrier) for barrier in self.barriers]
            entry |= {"lowering": self.lowering, "why": self.why, "barriers": barriers}
        return entry

    @classmethod
    def from_json(cls, entry: object) -> Budgets:
        """Read what ``to_json`` returned.

        Raises:
            KeyError: something is missing.
            ValueError: something is not what it has to be.
        """
        found = want(dict, entry, "an entry of budgets")
        name = want(str, found["decision"], "the decision of budgets")
        what = f"the budgets on {quoted(name)}"
        levels = count(found["levels"], f"the number of levels of {what}")
        if not levels:
            raise ValueError(f"{what} have no level")
        if "lowering" not in found:
            return cls(name, levels)
        barriers = want(list, found["barriers"], f"the barriers of {what}")
        return cls(
            decision=name,
            levels=levels,
            lowering=one_of(_LOWERINGS, found["lowering"], f"the lowering of {what}"),
            why=want(str, found["why"], f"why of {what}"),
            barriers=tuple(_barrier(barrier, what) for barrier in barriers),
        )


@dataclass(frozen=True)
class ExternalData:
    """The file beside the artifact that holds its weights.

    Attributes:
        file: Its name, in the folder of the artifact.
        bytes: Its size.
        sha256: Its digest, in hexadecimal.
    """

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an artifact says about itself.

    Attributes:
        target: What the graph was compiled for; ``marked`` is dense, to be compiled further;
            ``tensorrt`` runs in ONNX Runtime too.
        knobs: Run-time inputs that scale the network.
        decisions: Decisions taken at run time.
        operating_points: Values of the knobs at which the artifact was verified.
        precision: Element type of the arithmetic.
        external_data: Where the weights are, if not in the file itself.
        budgets: Channel budgets, by the level that they are on and the graph that they are in.
        telemetry: For each decision, the output that reports the option taken; empty in a file
            that was exported without reports.
    """

    target: TargetName
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    precision: str = "float32"
    external_data: ExternalData | None = None
    budgets: tuple[Budgets, ...] = ()
    telemetry: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return compact JSON with sorted keys; infinities are written as strings."""
        entry: dict[str, object] = {
            "format": FORMAT,
            "target": self.target,
            "precision": self.precision,
            "knobs": {name: knob.to_json() for name, knob in self.knobs.items()},
            "decisions": [_json_from_decision(decision) for decision in self.decisions],
            "operating_points": [
                {name: _finite(value) for name, value in point.items()}
                for point in self.operating_points
            ],
        }
        if self.external_data:
            entry["external_data"] = vars(self.external_data)
        if self.budgets:
            entry["budgets"] = [budgets.to_json() for budgets in self.budgets]
        if self.telemetry:
            entry["telemetry"] = dict(self.telemetry)
        return json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: Text, where: str) -> Manifest:
        """Read what ``to_json`` wrote; fields this version does not know are ignored.

        Args:
            text: The manifest.
            where: The file it comes from, for messages.

        Raises:
            ArtifactError: not a manifest, damaged, or written by a newer version.
        """
        try:
            entry = parse(text)
        except ValueError as error:
            raise _damaged(where, reason(error)) from error
        return cls.from_entry(entry, where)

    @classmethod
    def from_entry(cls, entry: object, where: str) -> Manifest:
        """Read what JSON says, as ``from_json``.

        Raises:
            ArtifactError: not a manifest, damaged, or written by a newer version.
        """
        try:
            found = want(dict, entry, "the manifest")
            version = count(found["format"], "format")
            if not version:
                raise ValueError("format is 0")  # noqa: TRY301
        except (KeyError, ValueError) as error:
            raise _damaged(where, reason(error)) from error
        if version > FORMAT:
            raise ArtifactError(
                f"written by a newer dyncompile (format {version}); this one reads up to {FORMAT}.",
                where=where,
                remedy="Upgrade dyncompile.",
            )
        try:
            manifest = _manifest_from_entry(cls, found)
            _check_names(manifest)
        except (KeyError, ValueError) as error:
            raise _damaged(where, reason(error)) from error
        return manifest


def no_manifest(where: str) -> ArtifactError:
    """Return the error for an ONNX file that another tool wrote."""
    return ArtifactError(
        "not a dyncompile artifact: it has no manifest.",
        where=where,
        remedy="Export the network with dyncompile, or give the file to dyncompile optimize.",
    )


def _json_from_decision(decision: Decision) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": decision.name,
        "kind": decision.kind,
        "values": decision.values,
        "under": decision.under,
        "sides": [vars(side) for side in decision.sides],
    }
    if decision.aliases:
        entry["aliases"] = decision.aliases
    return entry


def _finite(value: float | Sequence[float]) -> object:
    if isinstance(value, Sequence):
        return [_finite(one) for one in value]
    return value if isinstance(value, int) or math.isfinite(value) else str(value)


def _manifest_from_entry(cls: type[Manifest], entry: dict[str, Any]) -> Manifest:
    points = want(list, entry["operating_points"], "operating_points")
    budgets = want(list, entry.get("budgets", []), "budgets")
    found = want(dict, entry["knobs"], "knobs")
    knobs = {name: knob_from_entry(name, found[name]) for name in sorted(found)}
    return cls(
        target=one_of(_TARGETS, entry["target"], "target"),
        knobs=knobs,
        decisions=tuple(map(_decision, want(list, entry["decisions"], "decisions"))),
        operating_points=tuple(_operating_point(point, knobs) for point in points),
        precision=want(str, entry["precision"], "precision"),
        external_data=(
            _external_data(entry["external_data"]) if "external_data" in entry else None
        ),
        budgets=tuple(map(Budgets.from_json, budgets)),
        telemetry={
            name: want(str, output, f"the output that reports {quoted(name)}")
            for name, output in sorted(
                want(dict, entry.get("telemetry", {}), "telemetry").items(), key=itemgetter(0)
            )
        },
    )


def _decision(entry: object) -> Decision:
    found = want(dict, entry, "a decision")
    name = want(str, found["name"], "the name of a decision")
    what = quoted(name)
    kind: Literal["gate", "switch"] = one_of(("gate", "switch"), found["kind"], what)
    sides = tuple(map(_side, want(list, found["sides"], f"the sides of {what}")))
    if not sides or (kind == "gate" and len(sides) != len(("off", "on"))):
        raise ValueError(f"{kind} {what} has {len(sides)} sides")
    under = _pairs(found["under"], f"under of {what}")
    aliases = [
        (other, _options(options, quoted(other)))
        for other, options in _pairs(found.get("aliases", []), f"the aliases of {what}")
    ]
    if any(len(options) != len(sides) for _, options in aliases):
        raise ValueError(f"the aliases of {what} do not match its sides")
    return Decision(
        name=name,
        kind=kind,
        values=tuple(
            want(str, value, f"a value of {what}")
            for value in want(list, found["values"], f"the values of {what}")
        ),
        under=tuple((outer, count(option, f"under of {what}")) for outer, option in under),
        sides=sides,
        aliases=tuple(aliases),
    )


def _pairs(entry: object, what: str) -> list[tuple[str, Any]]:
    pairs = []
    for pair in want(list, entry, what):
        if len(want(list, pair, what)) != len(("name", "option")):
            raise ValueError(f"{what} is not a list of pairs")
        pairs.append((want(str, pair[0], what), pair[1]))
    return pairs


def _options(entry: object, what: str) -> tuple[int, ...]:
    return tuple(count(option, f"an option of {what}") for option in want(list, entry, what))


def _side(entry: object) -> Side:
    found = want(dict, entry, "a side")
    return Side(count(found["macs"], "macs"), count(found["weight_bytes"], "weight_bytes"))


def _operating_point(entry: object, knobs: Mapping[str, Knob]) -> OperatingPoint:
    point: dict[str, int | float | Sequence[float]] = {}
    found = want(dict, entry, "an operating point")
    for name in sorted(found):
        if name not in knobs:
            raise ValueError(f"an operating point names {quoted(name)}, which is not a knob")
        point[name] = value_from_entry(name, knobs[name], found[name])
    return point


def _external_data(entry: object) -> ExternalData:
    found = want(dict, entry, "external_data")
    file = want(str, found["file"], "external_data")
    if not file or file in {".", ".."} or set(file) & set("/\\\0:"):
        raise ValueError(f"external_data names {quoted(file)}, which is no file of the same folder")
    return ExternalData(file, count(found["bytes"], "bytes"), digest(found["sha256"]))


def _barrier(entry: object, what: str) -> Barrier:
    found = want(dict, entry, f"a barrier of {what}")
    return Barrier(
        at=want(str, found["at"], f"where a barrier of {what} is"),
        why=want(str, found["why"], f"why a barrier of {what} is one"),
    )


def _check_names(manifest: Manifest) -> None:
    """Names are unique, and whatever is referred to is there."""
    names = [decision.name for decision in manifest.decisions]
    names += [other for decision in manifest.decisions for other, _ in decision.aliases]
    known = set(names)
    if len(known) != len(names):
        raise ValueError("two decisions have one name")
    for decision in manifest.decisions:
        for outer, _ in decision.under:
            if outer not in known:
                where = f"{quoted(decision.name)} is under {quoted(outer)}"
                raise ValueError(f"{where}, which is unknown")
    _check_telemetry(manifest)


def _check_telemetry(manifest: Manifest) -> None:
    """Reports are of all decisions or of none, by their own names, each by its own output."""
    reported = manifest.telemetry
    if not reported:
        return
    names = {decision.name for decision in manifest.decisions}
    for name in reported:
        if name not in names:
            raise ValueError(f"telemetry reports {quoted(name)}, which is not a decision")
    for decision in manifest.decisions:
        if decision.name not in reported:
            raise ValueError(f"telemetry does not report the decision {quoted(decision.name)}")
    if len(set(reported.values())) != len(reported):
        raise ValueError("telemetry reports two decisions by one output")


def _damaged(where: str, reason: str) -> ArtifactError:
    return ArtifactError(
        f"the manifest is damaged: {reason}.", where=where, remedy="Export the network again."
    )
