from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dyncompile.measuring.findings import Findings
from dyncompile.reporting import write_report
from tests.reporting import examples

EXAMPLES: Mapping[str, Callable[[], Findings]] = {
    "small": examples.small,
    "huge": examples.huge,
    "without-data": examples.without_data,
    "without-decisions": examples.without_decisions,
}


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return the file of each example's report, written once."""
    folder = tmp_path_factory.mktemp("reports")
    files = {name: folder / f"{name}.html" for name in EXAMPLES}
    for name, file in files.items():
        write_report(EXAMPLES[name](), file)
    return files
