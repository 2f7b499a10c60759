"""The two exceptions that every layer lets through."""

from __future__ import annotations


class UserError(Exception):
    """Something that the person can put right; ends a command with exit code 2.

    Parameters
    ----------
    message : str
        One sentence that says what is wrong and names the thing that it is about.
    remedy : str
        One sentence that says what to do.
    title : str
        A few words for a dialog's heading.
    """

    def __init__(self, message: str, remedy: str, *, title: str = "Cannot continue") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.title = title

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """The error as the protocol and ``--json`` show it."""
        return {"title": self.title, "message": self.message, "remedy": self.remedy}


class Cancelled(Exception):  # noqa: N818 - not an error: the person's wish
    """The person asked the running job to stop."""
