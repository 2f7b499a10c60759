"""How jobs fail: an explanation, and the operator that puts it right."""

from __future__ import annotations

from dataclasses import dataclass

from ..vmg_backend.errors import Cancelled, UserError
from ..vmg_backend.protocol import Explanation


@dataclass(frozen=True)
class Failure:
    """Why a job failed.

    Attributes
    ----------
    explanation : Explanation
    action : str
        The operator that puts it right ("vmg.environment_set_up"), "" where there is none.
    """

    explanation: Explanation
    action: str = ""

    @classmethod
    def of(cls, error: UserError) -> Failure:
        """The failure that an error tells of."""
        if isinstance(error, JobFailed):
            return error.failure
        return cls(Explanation(error.title, error.message, error.remedy))


class JobFailed(UserError):  # noqa: N818 - reads as what happened
    """A job that was waited for, or could not begin.

    Parameters
    ----------
    failure : Failure
    """

    def __init__(self, failure: Failure) -> None:
        said = failure.explanation
        super().__init__(said.message, said.remedy, title=said.title)
        self.failure = failure


class JobCancelled(Cancelled):
    """A job that was waited for was cancelled."""
