"""What somebody answered to a questionnaire: known questions, coded and counted answers.

What people wrote in their own words, and the words of the questions, are never sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from careweir.minimise.reading import is_number, items

Part = dict[str, Any]


class Questions(NamedTuple):
    """How the answers of one questionnaire are read."""

    known: Callable[[str], bool]  # whether a link id is one of its questions
    coding: Callable[[Any], Part | None]
    quantity: Callable[[Any], Part | None]


def answered(item: Any, questions: Questions) -> Part | None:
    """An item of a QuestionnaireResponse as it may leave, or None when nothing of it may."""
    link = item.get("linkId") if isinstance(item, dict) else None
    if not isinstance(link, str) or not questions.known(link):
        return None
    found: Part = {}
    answers = [_answer(one, questions) for one in items(item.get("answer"))]
    if any(answers):
        found["answer"] = [one for one in answers if one is not None]
    found |= _inner(item, questions)
    return {"linkId": link} | found if found else None


def _answer(answer: Any, questions: Questions) -> Part | None:
    if not isinstance(answer, dict):
        return None
    said, number = (
        answer.get("valueBoolean"),
        answer.get("valueInteger", answer.get("valueDecimal")),
    )
    values = {
        "valueCoding": questions.coding(answer.get("valueCoding")),
        "valueQuantity": questions.quantity(answer.get("valueQuantity")),
        "valueBoolean": said if isinstance(said, bool) else None,
        ("valueInteger" if "valueInteger" in answer else "valueDecimal"): (
            number if is_number(number) else None
        ),
    }
    found = {name: value for name, value in values.items() if value is not None}
    return found | _inner(answer, questions) or None


def _inner(holder: Part, questions: Questions) -> Part:
    kept = [answered(one, questions) for one in items(holder.get("item"))]
    found = [one for one in kept if one is not None]
    return {"item": found} if found else {}
