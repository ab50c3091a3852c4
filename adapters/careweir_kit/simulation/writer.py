"""What a simulated language model writes for a task: JSON in the form of ``careweir_kit.language``.

The brain of a tool file is ``careful`` or ``quick``, or one of the readers of chest reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from careweir_kit.simulation import readers
from careweir_kit.simulation.brains import TEXT_BRAINS
from careweir_kit.simulation.model import SOMEBODY_ELSE, Twist


def write(
    task: Mapping[str, Any], brain: str, question: Mapping[str, Any], *, echo: bool, twist: Twist
) -> dict[str, Any]:
    """Do the task on the question. Raises KeyError for a task or brain that nobody knows."""
    text, facts = str(question.get("text", "")), question.get("facts") or ()
    careful = brain != "quick"
    written: dict[str, Any]
    match task["kind"]:
        case "findings":
            written = {"findings": _chest(brain, text)}
        case "entities":
            written = {"entities": readers.entities(text, careful=careful)}
        case "codings":
            written = {"codes": readers.codings(text, careful=careful)}
        case "summary":
            keys = list(task["sections"])
            written = {"sections": readers.sections(text, keys, careful=careful)}
        case "triage":
            said = "; ".join([text, *(str(fact.get("display", "")) for fact in facts)])
            found, why = readers.level(said, list(task["levels"]))
            written = {"triage": found, "why": why}
        case "authorisation":
            written = readers.decision(facts, careful=careful)
        case _:
            raise KeyError("no such task")
    if echo:
        written["subject"] = SOMEBODY_ELSE if twist == "wrong_patient" else question["subject"]
    return written


def _chest(brain: str, text: str) -> list[dict[str, Any]]:
    return [
        {"label": s.label, "present": s.probability >= 0.5, "side": s.side, "quote": s.quote}
        for s in TEXT_BRAINS[brain](text)
        if s.quote
    ]
