"""What happens to an error that is our fault: it goes into the log, and the person is told where that is."""

from __future__ import annotations

import time
import traceback

from .files import cache_root


def logged(error: BaseException, doing: str) -> dict[str, str]:
    """Append an error with its traceback to ``logs/vmg.log`` in the cache, and explain it.

    Parameters
    ----------
    error : BaseException
    doing : str
        What was asked for.

    Returns
    -------
    dict
        ``title``, ``message``, ``remedy``, and ``log``: the log's path, empty where it cannot be written.
    """
    path = cache_root() / "logs" / "vmg.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {doing}\n{''.join(traceback.format_exception(error))}\n")
    except OSError as unwritten:
        log_path, remedy = "", f"Report it; there is no log, because {path} cannot be written ({unwritten.strerror})."
    else:
        log_path, remedy = str(path), f"Report it with the log {path}."
    return {
        "title": "Internal error",
        "message": f"{type(error).__name__}: {error}",
        "remedy": remedy,
        "log": log_path,
    }
