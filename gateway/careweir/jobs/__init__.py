"""Questions that outlive a request: kept answers, repeats, jobs that another replica finishes."""

from careweir.jobs.announce import Announcer, load_hooks
from careweir.jobs.inferences import Inferences, Limits
from careweir.jobs.kept import Kept
from careweir.jobs.late import LateResults
from careweir.jobs.lingering import Lingering, Polls
from careweir.jobs.pushes import Expected, Pushes
from careweir.jobs.record import LateLedger
from careweir.jobs.runner import Job, Runner

__all__ = [
    "Announcer",
    "Expected",
    "Inferences",
    "Job",
    "Kept",
    "LateLedger",
    "LateResults",
    "Limits",
    "Lingering",
    "Polls",
    "Pushes",
    "Runner",
    "load_hooks",
]
