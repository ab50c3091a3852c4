"""From the content tree of a report to findings.

Source: DICOM PS3.16 TID 1500 (measurement report), TID 1411 and 1501 (measurement groups),
TID 4019 (algorithm); HL7/dicom-sr, example measurement report. The SNOMED CT answer codes for
present and absent are from general knowledge: their check digits hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from careweir_adapters.dicom_sr.mapping import Answer
from careweir_adapters.dicom_sr.model import DCM, Item
from careweir_fhir.model import SNOMED, Coding, Finding, Laterality, Polarity
from careweir_kit.codes import verified

GROUP: Final = "125007"
EVALUATIONS: Final = "C0034375"
_FINDING, _SITE, _SIDE, _TRACKING = "121071", "363698007", "272741003", "112040"
_CATEGORY: Final = "276214006"
_ALGORITHM, _VERSION = "111001", "111003"
_CERTAINTY, _PROBABILITY = "111012", "111047"
_DESCRIBES: Final = frozenset({_FINDING, _CATEGORY, _SITE, _SIDE, _ALGORITHM, _VERSION})
_SIDES: Final[Mapping[str, Laterality]] = {
    "7771000": "left",
    "24028007": "right",
    "51440002": "bilateral",
}
_ANSWERS: Final[Mapping[str, Polarity]] = {
    "52101004": "present",
    "10828004": "present",  # positive
    "373066001": "present",  # yes
    "2667000": "absent",
    "260385009": "absent",  # negative
    "373067005": "absent",  # no
    "82334004": "indeterminate",
    "42425007": "indeterminate",  # equivocal
}
HELD_NUMBER: Final = "a measurement without a number in a UCUM unit"
HELD_EVALUATION: Final = "an evaluation that is not about presence"
HELD_GROUP: Final = "a measurement group that names neither a finding nor a number"
HELD_CERTAINTY: Final = "a certainty that is not between 0 and 1"


def findings_of(base: Finding, mapping: Answer, root: Item, held: list[str]) -> Iterator[Finding]:
    """The findings of each measurement group and of each qualitative evaluation.

    What cannot be carried on is added to ``held``, in our words.
    """
    for item in root.walk():
        if item.value_type != "CONTAINER" or item.name is None:
            continue
        if item.name.code == GROUP:
            yield from _group(base, mapping, item, held)
        elif item.name.code == EVALUATIONS:
            for child in item.children:
                yield from _evaluation(base, mapping, child, held)


def algorithm_of(root: Item) -> tuple[str | None, str | None]:
    """Name and version of the algorithm, where the whole report names one."""
    names = {item.text for item in root.walk() if _is(item, _ALGORITHM) and item.text}
    versions = {item.text for item in root.walk() if _is(item, _VERSION) and item.text}
    return (
        names.pop() if len(names) == 1 else None,
        versions.pop() if len(versions) == 1 else None,
    )


def _is(item: Item, code: str) -> bool:
    return item.name is not None and item.name.code == code


def _group(base: Finding, mapping: Answer, group: Item, held: list[str]) -> Iterator[Finding]:
    """One lesion: what it is, and each of its numbers; they share side, site and identity."""
    version = algorithm_of(group)[1]
    site = next(group.called(_SITE), None)
    tracking = next((item.text for item in group.called(_TRACKING) if item.text), None)
    shared: dict[str, Any] = {
        "body_site": site.code if site else None,
        "laterality": _side(group, site),
        "tool_version": version or base.tool_version,
    }
    finding = next((item.code for item in group.called(_FINDING) if item.code), None)
    said = list(_numbers(base, mapping, group, held))
    sure = _certainty(mapping, group, held)
    if finding is not None:
        update = {"code": finding, "polarity": "present", "id": tracking, **shared, **sure}
        update["verified"] = verified(finding, mapping.known)
        yield base.model_copy(update=update)
    elif not said:
        held.append(HELD_GROUP)
    for at, number in enumerate(said, start=1):
        own = f"{tracking}#{at}" if tracking else None
        yield number.model_copy(update={"id": own, **shared})
    for item in group.children:
        if item.value_type == "CODE" and not (item.name and item.name.code in _DESCRIBES):
            yield from (
                one.model_copy(update=shared) for one in _evaluation(base, mapping, item, held)
            )


def _side(group: Item, site: Item | None) -> Laterality | None:
    for holder in (site, group):
        for item in holder.called(_SIDE) if holder else ():
            if item.code and item.code.system == SNOMED:
                return _SIDES.get(item.code.code or "")
    return None


def _numbers(base: Finding, mapping: Answer, group: Item, held: list[str]) -> Iterator[Finding]:
    for item in group.children:
        if item.value_type != "NUM" or _is(item, _CERTAINTY):
            continue
        if item.name is None or item.number is None or item.unit is None:
            held.append(HELD_NUMBER)
            continue
        update = {"kind": "measurement", "value": item.number, "unit": item.unit}
        if _is(item, _PROBABILITY):
            fraction = _fraction(item)
            if fraction is None:
                held.append(HELD_CERTAINTY)
                continue
            update = {"kind": "risk", "value": fraction, "unit": "1"}
        known = verified(item.name, mapping.known)
        yield base.model_copy(update=update | {"code": item.name, "verified": known})


def _fraction(item: Item) -> float | None:
    """A probability as a fraction; per cent is divided only where the unit says per cent."""
    if item.number is None or item.unit not in ("%", "1"):
        return None
    value = round(item.number / 100, 9) if item.unit == "%" else item.number
    return value if 0 <= value <= 1 else None


def _certainty(mapping: Answer, group: Item, held: list[str]) -> dict[str, Any]:
    item = next(group.called(_CERTAINTY), None)
    if item is None or mapping.certainty_kind == "none":
        return {}
    value = _fraction(item)
    if value is None:
        held.append(HELD_CERTAINTY)
        return {}
    return {"confidence": value, "confidence_kind": mapping.certainty_kind}


def _evaluation(base: Finding, mapping: Answer, item: Item, held: list[str]) -> Iterator[Finding]:
    """A question with an answer of presence; any other pair of codes is held."""
    answer = item.code
    known = answer is not None and answer.system in (SNOMED, DCM)
    polarity = _ANSWERS.get(answer.code or "") if answer and known else None
    if item.value_type != "CODE" or item.name is None or polarity is None:
        held.append(HELD_EVALUATION)
        return
    site = next(item.called(_SITE), None)
    yield base.model_copy(
        update={
            "code": Coding.model_validate(item.name),
            "polarity": polarity,
            "body_site": site.code if site else None,
            "laterality": _side(item, site),
            "verified": verified(item.name, mapping.known),
        }
    )
