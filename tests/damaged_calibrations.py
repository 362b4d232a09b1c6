"""Texts that are almost a calibration, which every reader refuses."""

from __future__ import annotations

import json
import math

_CHANGES: tuple[tuple[str, str, object], ...] = (
    ("newer", "format", 3),
    ("no-conditions", "conditions", []),
    ("no-number-of-cores", "conditions.cores", "many"),
    ("no-providers", "conditions.providers", 1),
    ("no-list", "latencies", {"a": 1}),
    ("nan", "latencies.0.median_ms", math.nan),
    ("infinite", "latencies.0.median_ms", "inf"),
    ("negative", "latencies.0.p95_ms", -1),
    ("no-calls", "latencies.0.calls", 0),
    ("no-point", "latencies.0.point", "x"),
    ("no-default", "defaults", {"t": "high"}),
)


def damaged(text: str) -> dict[str, str]:
    """Return what becomes of the JSON of a calibration, which has a latency, by what was done."""
    return {
        "empty": "",
        "list": "[]",
        "no-format": "{}",
        "deep": "[" * 100_000,
        "truncated": text[:-2],
        **{name: _changed(text, path, value) for name, path, value in _CHANGES},
    }


def _changed(text: str, path: str, value: object) -> str:
    entry = json.loads(text)
    place, *keys = path.split(".")
    found = entry
    for key in keys:
        found = found[int(place) if isinstance(found, list) else place]
        place = key
    found[place] = value
    return json.dumps(entry)
