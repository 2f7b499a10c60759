"""What came of each step of a story, as JSON that is whole at any time."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Report:
    """The report.

    Each step has a name, the name of its picture, its seconds, the longest time (s) for which the window did not react,
    and its error if it failed.

    Parameters
    ----------
    path : Path
        The JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: dict[str, Any] = {"finished": False, "steps": [], "notes": {}}
        self._longest = 0.0

    @contextlib.contextmanager
    def step(self, name: str, picture: str) -> Iterator[None]:
        """Everything inside is one step."""
        start = time.monotonic()
        self._longest = 0.0
        entry: dict[str, Any] = {"name": name, "picture": picture, "error": None}
        try:
            yield
        except Exception as error:
            entry["error"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            entry |= {"seconds": round(time.monotonic() - start, 2), "longest_pause": round(self._longest, 3)}
            self._content["steps"].append(entry)
            self._write()

    def pause(self, seconds: float) -> None:
        """The window did not react for so long."""
        self._longest = max(self._longest, seconds)

    def note(self, name: str, value: Any) -> None:
        """File a measured figure."""
        self._content["notes"][name] = value
        self._write()

    def finish(self) -> None:
        """The story came to its end."""
        self._content["finished"] = True
        self._write()

    def _write(self) -> None:
        aside = self._path.with_suffix(".part")
        aside.write_text(json.dumps(self._content, indent=1), encoding="utf-8")
        aside.replace(self._path)
