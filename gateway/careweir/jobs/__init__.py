"""Questions that outlive a request: kept answers, repeats, jobs that another replica finishes."""

from careweir.jobs.inferences import Inferences, Limits
from careweir.jobs.kept import Kept
from careweir.jobs.runner import Job, Runner

__all__ = ["Inferences", "Job", "Kept", "Limits", "Runner"]
