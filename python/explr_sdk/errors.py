"""What goes wrong, in the words of explr."""

from __future__ import annotations


class ExplrError(Exception):
    """The root of all errors of this package."""


class LogError(ExplrError):
    """Something could not be logged: a wrong name or value, or a file that can't be read."""


class JournalError(LogError):
    """The run's journal could not be written."""


class SuggestError(ExplrError):
    """A parameter has no value, or one that it may not have."""


class ReportError(ExplrError):
    """The study could not say whether to go on."""


class TrialPruned(Exception):
    """Raise it to end a trial that has no hope, after ``ctx.should_prune()`` was true.

    The run's state is then ``pruned``, with the value that was reported last.
    """
