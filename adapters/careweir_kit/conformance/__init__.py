"""What every adapter must keep: ``careweir adapter check`` and the tests run the same checks.

``check_adapter`` grades an adapter bronze, silver or gold, each check with what was seen.
"""

from careweir_kit.conformance.check import check_adapter, check_tool_folder
from careweir_kit.conformance.model import CANARY, Call, Called, Check, Report
from careweir_kit.conformance.recordings import accept, outcome_of, recordings_of
from careweir_kit.conformance.spoil import any_answers, broken_bodies, spoiled_answers

__all__ = [
    "CANARY",
    "Call",
    "Called",
    "Check",
    "Report",
    "accept",
    "any_answers",
    "broken_bodies",
    "check_adapter",
    "check_tool_folder",
    "outcome_of",
    "recordings_of",
    "spoiled_answers",
]
