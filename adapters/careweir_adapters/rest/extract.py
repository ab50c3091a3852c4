"""From a decoded answer to findings, exactly as the tool file says and nothing beyond it."""

from __future__ import annotations

import math
from typing import Any, Final

from careweir_adapters.rest.expression import find
from careweir_adapters.rest.mapping import Code, Confidence, Extract, Number, Prose, SpanAt, Words
from careweir_fhir.model import Coding, Finding, Span
from careweir_kit.codes import verified
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import band_of
from careweir_kit.spans import checked
from careweir_kit.tool import Tool

ITEMS_MAX: Final = 500
WORDS_MAX: Final = 200  # characters of a label that is kept as the vendor's words


class Reader:
    """Reads one answer; ``text`` is what was sent, where spans can be held against it."""

    def __init__(
        self, tool: Tool, root: Any, *, version: str | None, effective: str | None, text: str | None
    ) -> None:
        self._tool = tool
        self._root = root
        self._version = version or tool.version
        self._effective = effective
        self._text = text
        self.notes: list[str] = []

    def findings(self, wanted: Extract) -> list[Finding]:
        """Every finding of one part of the tool file. Raises VendorProtocolBroken."""
        if wanted.each is None:
            return [self._finding(wanted, self._root)]
        items = find(wanted.each, self._root)
        if items is None and wanted.optional:
            return []
        if not isinstance(items, list):
            raise VendorProtocolBroken("a list of findings is not there")
        if len(items) > ITEMS_MAX:
            raise VendorProtocolBroken("a list of findings is longer than is read")
        return [self._finding(wanted, item) for item in items]

    def _finding(self, wanted: Extract, item: Any) -> Finding:
        code, known = self._code(wanted.code, item)
        value = self._value(wanted, item)
        polarity = wanted.polarity
        said = word(polarity, item) if isinstance(polarity, Words) else polarity
        confidence = self._confidence(wanted.confidence, item, said)
        number = value if isinstance(value, float) else None
        explanation = word(wanted.explanation, item) if wanted.explanation else None
        return Finding(
            tool=self._tool.tool,
            tool_version=self._version,
            kind=wanted.kind,
            code=code,
            value=value,
            unit=wanted.unit or ("1" if wanted.kind == "risk" and number is not None else None),
            polarity=said,  # type: ignore[arg-type]  # check() holds the words to their meanings
            laterality=word(wanted.laterality, item) if wanted.laterality else None,  # type: ignore[arg-type]
            confidence=confidence,
            confidence_kind=wanted.confidence.kind if confidence is not None else "none",  # type: ignore[union-attr]
            horizon=wanted.horizon,
            scale=wanted.scale,
            threshold_band=band_of(number, wanted.bands) if number is not None else None,
            effective=self._effective,
            span=self._span(wanted.span, item) if wanted.span else None,
            subject_context=word(wanted.context, item) if wanted.context else None,
            action=word(wanted.action, item) if wanted.action else None,
            explanation=(explanation,) if explanation else (),
            verified=known,
        )

    def _code(self, wanted: Code, item: Any) -> tuple[Coding, bool | None]:
        """The code and whether we know it. What has no code keeps its words, and is unverified."""
        if wanted.fixed is not None:
            return wanted.fixed, True
        holder = item
        if wanted.lookup is not None:
            holder = self._looked_up(wanted, item)
        display = _label(find(wanted.display, holder)) if wanted.display and holder else None
        if wanted.codes is not None and holder is not None:
            found = _first_code(wanted, find(wanted.codes, holder))
            if found is not None:
                coding = found.model_copy(update={"display": display})
                return coding, verified(coding)
        label = _label(find(wanted.path, item)) if wanted.path else None
        if label is not None and label.casefold() in _folded(wanted.map):
            return _folded(wanted.map)[label.casefold()], True
        if label is None and display is None:
            raise VendorProtocolBroken("a finding does not say what it is about")
        self.notes.append("a label that the tool file does not know keeps its words")
        return Coding(display=label or display), False

    def _looked_up(self, wanted: Code, item: Any) -> Any:
        assert wanted.lookup is not None
        by = find(wanted.lookup.by, item)
        items = find(wanted.lookup.list, self._root)
        if by is None or not isinstance(items, list):
            return None
        return next((one for one in items if find(wanted.lookup.key, one) == by), None)

    def _value(self, wanted: Extract, item: Any) -> float | str | None:
        if wanted.number is not None:
            return number_of(wanted.number, item)
        if wanted.word is not None:
            return word(wanted.word, item)
        return prose(wanted.prose, item) if wanted.prose is not None else None

    def _confidence(self, wanted: Confidence | None, item: Any, said: str | None) -> float | None:
        value = number_of(wanted, item) if wanted is not None else None
        if wanted is None or value is None:
            return None
        if not 0 <= value <= 1:
            raise VendorProtocolBroken("a confidence lies outside 0 to 1")
        if wanted.of == "present" and said == "indeterminate":
            return None
        return round(1 - value, 9) if wanted.of == "present" and said == "absent" else value

    def _span(self, wanted: SpanAt, item: Any) -> Span | None:
        quote, start = find(wanted.quote, item), find(wanted.start, item)
        if start is None:
            start = wanted.start_missing
        if not isinstance(quote, str) or isinstance(start, bool) or not isinstance(start, int):
            raise VendorProtocolBroken("a place in the text is not one")
        if self._text is None:
            return None
        span = checked(self._text, start, start + len(quote), quote)
        if span is None:
            self.notes.append("a place in the text holds other words, and was dropped")
        return span


def word(wanted: Words, item: Any) -> str | None:
    """What a word of the vendor's means. Raises VendorProtocolBroken for one without a meaning."""
    found = find(wanted.path, item)
    if found is None:
        if wanted.missing is None and not wanted.optional:
            raise VendorProtocolBroken("a word that must be there is not")
        return wanted.missing
    key = str(found).lower() if isinstance(found, bool) else str(found)
    if not isinstance(found, str | int | bool) or key not in wanted.map:
        if wanted.other is None or not isinstance(found, str | int | bool):
            raise VendorProtocolBroken("a word has no meaning in the tool file")
        return wanted.other
    return wanted.map[key]


def prose(wanted: Prose, item: Any) -> str:
    """Text as the vendor wrote it. Raises VendorProtocolBroken where there is none, or too much."""
    found = find(wanted.path, item)
    text = found.strip() if isinstance(found, str) else ""
    if not text:
        raise VendorProtocolBroken("a document has no text")
    if len(text) > wanted.chars_max:
        raise VendorProtocolBroken("a document is longer than is read")
    return text


def number_of(wanted: Number, item: Any) -> float | None:
    """A number in its range. Raises VendorProtocolBroken."""
    found = find(wanted.path, item)
    if found is None and wanted.optional:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise VendorProtocolBroken("a number is not one")
    value = float(found)
    if not math.isfinite(value) or not wanted.low <= value <= wanted.high:
        raise VendorProtocolBroken("a number lies outside its range")
    return round(value / wanted.divide_by, 9) if wanted.divide_by != 1 else value


def _label(found: Any) -> str | None:
    text = found.strip() if isinstance(found, str) else ""
    return text if text and len(text) <= WORDS_MAX else None


def _folded(mapping: dict[str, Coding]) -> dict[str, Coding]:
    return {label.casefold(): coding for label, coding in mapping.items()}


def _first_code(wanted: Code, codes: Any) -> Coding | None:
    """The code of the first prefix, in the order of the tool file."""
    listed = [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []
    for prefix, system in wanted.prefixes.items():
        for code in listed:
            if code.startswith(prefix) and len(code) > len(prefix):
                return Coding(system=system, code=code.removeprefix(prefix))
    return None
