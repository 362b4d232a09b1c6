"""Talk to the probe, a program of the tests of the C++ library."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


class Probe:
    """The program ``probe``: one JSON request a line, one JSON answer a line."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, command: str, **request: object) -> dict[str, Any]:
        """Return the answer: ``ok`` with a value, or ``error`` with its parts."""
        process = self._running()
        assert process.stdin
        assert process.stdout
        line = json.dumps({"command": command, **request})
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            code = process.wait()
            self._process = None
            raise AssertionError(f"probe ended with {code} at {line}")
        found = json.loads(answer)
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        """End it; leaks that a sanitizer finds then are errors too."""
        process, self._process = self._process, None
        if process:
            process.communicate()
            assert process.returncode == 0

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [self._program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self._process
