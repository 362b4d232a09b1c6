"""Manifests and descriptions of engines, drawn as JSON: good ones, and texts made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from dyncompile.errors import KnobError
from dyncompile.knobs import Threshold

Entry = dict[str, Any]

NAMES = st.text(max_size=5)
COUNTS = st.one_of(st.integers(0, 9), st.integers(0, 2**63 - 1))
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
MARK = "@mark@"  # what stands here is replaced in the text

# What a place is given that no Python value spells.
SPELLINGS = [
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1e-400",
        "-0",
        "-0.0",
        "1.0",
        "1e0",
        "1.5",
    ),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *(
        "18446744073709551615",
        "1" * 400,
        "1" * 5000,
        "01",
        "+1",
        ".5",
        "5.",
        "1e",
        "0x1",
        "-",
        "--1",
    ),
    *(
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\u0000"',
        '"\\uD83D"',
        '"\\u12"',
        '"\\x41"',
    ),
    *(
        '"\t"',
        '"\x7f"',
        "'a'",
        '"a',
        "nul",
        "True",
        "/**/1",
        "1,",
        ",",
        "[1,]",
        '{"a":1,}',
        "{1:2}",
    ),
    *(
        "null",
        "true",
        "false",
        "0",
        "-1",
        "2",
        "[]",
        "{}",
        "[[]]",
        '""',
        '"inf"',
        '"-inf"',
        '"nan"',
    ),
    *('"Infinity"', '"a"', '["a",0]', '[["a",0]]', '[["a",[0,1]]]', '"."', '"a/b"', '"a\\u0000b"'),
    *('{"a":1,"a":2}', '{"b":{"a":1,"a":2},"b":1}', "[" * 60 + "]" * 60, "[" * 99 + "]" * 99),
    *('[{"macs":1,"weight_bytes":1}]', '{"kind":"levels","values":[1,"a"],"default":1}', '"]["'),
    *('{"kind":"levels","values":[],"default":0}', '{"kind":"levels","values":[0],"default":1.0}'),
    *('{"kind":"threshold","default":2,"low":0,"high":1}', '{"x":0}', '{"x":["inf",1e39]}'),
    *(
        '{"kind":"threshold","default":[],"low":"-inf","high":"inf"}',
        '"switch"',
        '"gate"',
        '"é\u2028"',
    ),
]


def _spelt(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


@st.composite
def levels(draw: st.DrawFn) -> Entry:
    one = st.one_of(st.integers(-(2**63), 2**63 - 1), FINITE, NAMES)
    values = draw(st.lists(one, min_size=1, max_size=3))
    return {"kind": "levels", "values": values, "default": draw(st.integers(0, len(values) - 1))}


@st.composite
def thresholds(draw: st.DrawFn) -> Entry:
    ends = st.one_of(st.integers(-2, 2).map(float), st.floats(allow_nan=False))
    low, high = sorted((draw(ends), draw(ends)))
    legal = [
        value for value in (low, high, 0.5, math.inf, -math.inf) if _is_legal(value, low, high)
    ]
    one = st.sampled_from([_spelt(value) for value in legal])
    default = draw(st.one_of(one, st.lists(one, min_size=1, max_size=3)))
    return {"kind": "threshold", "default": default, "low": _spelt(low), "high": _spelt(high)}


def _is_legal(value: float, low: float, high: float) -> bool:
    try:
        Threshold(value, low, high)
    except KnobError:
        return False
    return True


@st.composite
def points(draw: st.DrawFn, knobs: dict[str, Entry]) -> Entry:
    point = {}
    for name, knob in knobs.items():
        if knob["kind"] == "levels":
            point[name] = draw(st.integers(0, len(knob["values"]) - 1))
        else:
            point[name] = draw(st.sampled_from(["inf", "-inf", knob["default"], ["inf"]]))
    for name in draw(st.lists(st.sampled_from(sorted(point)), max_size=1)) if point else []:
        del point[name]
    return point


@st.composite
def decisions(draw: st.DrawFn) -> list[Entry]:
    names = draw(st.lists(NAMES, max_size=5, unique=True))
    count = draw(st.integers(0, len(names)))
    found: list[Entry] = []
    for name in names[:count]:
        kind = draw(st.sampled_from(["gate", "switch"]))
        sides = 2 if kind == "gate" else draw(st.integers(1, 3))
        side = st.fixed_dictionaries({"macs": COUNTS, "weight_bytes": COUNTS})
        outer = st.tuples(st.sampled_from(names[:count]), COUNTS).map(list)
        entry = {
            "name": name,
            "kind": kind,
            "values": draw(st.lists(NAMES, max_size=2)),
            "under": draw(st.lists(outer, max_size=2)),
            "sides": [draw(side) for _ in range(sides)],
        }
        found.append(entry)
    for other in names[count:] if found else []:
        decision = draw(st.sampled_from(found))
        options = [draw(COUNTS) for _ in decision["sides"]]
        decision.setdefault("aliases", []).append([other, options])
    return found


BARRIERS = st.fixed_dictionaries({"at": NAMES, "why": NAMES})
BUDGETS = st.one_of(
    st.fixed_dictionaries({"decision": NAMES, "levels": st.integers(1, 2**63 - 1)}),
    st.fixed_dictionaries(
        {
            "decision": NAMES,
            "levels": st.integers(1, 9),
            "lowering": st.sampled_from(["switch", "slice", "chain"]),
            "why": NAMES,
            "barriers": st.lists(BARRIERS, max_size=2),
        }
    ),
)
FILES = st.sampled_from(["net.onnx.data", "größe", "..a", "a b", "\n", "a\n", "."]).filter(
    lambda name: name != "."
)
EXTERNAL = st.fixed_dictionaries({"file": FILES, "bytes": COUNTS, "sha256": DIGESTS})


@st.composite
def manifests(draw: st.DrawFn) -> Entry:
    """A manifest that has everything a manifest can have, or less."""
    knobs = draw(st.dictionaries(NAMES, st.one_of(levels(), thresholds()), max_size=3))
    found = draw(decisions())
    entry: Entry = {
        "format": 1,
        "target": draw(st.sampled_from(["onnx", "marked", "tensorrt"])),
        "precision": draw(NAMES),
        "knobs": knobs,
        "decisions": found,
        "operating_points": draw(st.lists(points(knobs), max_size=2)),
    }
    optional = draw(st.sets(st.sampled_from(["external_data", "budgets", "telemetry", "colour"])))
    if "external_data" in optional:
        entry["external_data"] = draw(EXTERNAL)
    if "budgets" in optional:
        entry["budgets"] = draw(st.lists(BUDGETS, max_size=2))
    if "telemetry" in optional:
        entry["telemetry"] = {d["name"]: f"{place}{d['name']}" for place, d in enumerate(found)}
    if "colour" in optional:
        entry["colour"] = draw(st.sampled_from([None, 1.5, ["of", {"a": "later"}, "version"]]))
    return entry


BINDINGS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["float32", "bfloat16"]),
        "shape": st.lists(st.integers(-1, 2**63 - 1), max_size=3),
        "location": st.sampled_from(["device", "host"]),
    }
)


@st.composite
def engines(draw: st.DrawFn) -> Entry:
    """A description of an engine."""
    manifest = draw(manifests())
    others = NAMES.filter(lambda name: name not in manifest["knobs"])
    names = [*manifest["knobs"], *draw(st.lists(others, max_size=3, unique=True))]
    bindings: list[Entry] = [{"name": name, **draw(BINDINGS)} for name in names]
    count = draw(st.integers(len(manifest["knobs"]), len(names)))
    return {
        "format": 1,
        "flavor": draw(st.sampled_from(["tensorrt", "tensorrt-rtx"])),
        "version": draw(NAMES),
        "chips": draw(st.lists(NAMES, max_size=2)),
        "precision": draw(NAMES),
        "inputs": bindings[:count],
        "outputs": bindings[count:],
        "bytes": draw(st.integers(1, 2**63 - 1)),
        "sha256": draw(DIGESTS),
        "manifest": manifest,
    }


def text_of(entry: object, *, plain: bool = False) -> bytes:
    """JSON, of ASCII if it is not plain."""
    return json.dumps(entry, ensure_ascii=not plain, allow_nan=False).encode()


def places(entry: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    yield at
    children = enumerate(entry) if isinstance(entry, list) else ()
    for key, child in entry.items() if isinstance(entry, dict) else children:
        yield from places(child, (*at, key))


def _holder(entry: Any, at: tuple[Any, ...]) -> Any:  # noqa: ANN401
    for key in at[:-1]:
        entry = entry[key]
    return entry


@st.composite
def changed(draw: st.DrawFn, whole: st.SearchStrategy[Entry]) -> bytes:
    """The text of a document in which one to three places are something else, or are gone."""
    entry: Any = draw(whole)
    for turn in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from([at for at in places(entry) if at]))
        holder = _holder(entry, at)
        what = draw(st.sampled_from(["remove", "add", "swap", "replace", "replace", "replace"]))
        if what == "remove":
            del holder[at[-1]]
        elif what == "add" and isinstance(holder, dict):
            holder[f"{MARK}twice"] = holder[at[-1]]
            holder[at[-1]] = draw(st.sampled_from([0, [], holder[at[-1]]]))
            return text_of(entry).replace(
                json.dumps(f"{MARK}twice").encode(), json.dumps(at[-1]).encode()
            )
        elif what == "swap":
            other = draw(st.sampled_from([at for at in places(entry) if at]))
            value = _holder(entry, other)[other[-1]]
            holder[at[-1]] = json.loads(json.dumps(value))
        else:
            holder[at[-1]] = f"{MARK}{turn}"
    text = text_of(entry, plain=draw(st.booleans()))
    for turn in range(3):
        spelling = draw(st.sampled_from(SPELLINGS))
        text = text.replace(json.dumps(f"{MARK}{turn}").encode(), spelling.encode())
    return text


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[Entry]) -> bytes:
    """The text of a document with a few bytes changed, cut short, or with something around it."""
    text = bytearray(text_of(draw(whole), plain=draw(st.booleans())))
    around = [b"", b" ", b"\n", b"\x00", b"\xef\xbb\xbf", b"x", b"\xff", b"{}", b"//", b"\xc2\xa0"]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text) - 1)) if text else 0
        match draw(st.sampled_from(["cut", "put", "set", "drop"])):
            case "cut":
                del text[at:]
            case "put":
                text[at:at] = draw(st.binary(max_size=2))
            case "set" if text:
                text[at] = draw(st.sampled_from(b'{}[]",:\\0123456789.eE-+unif \x00\x80\xc0\xff'))
            case _:
                del text[at : at + 1]
    return draw(st.sampled_from(around)) + bytes(text) + draw(st.sampled_from(around))
