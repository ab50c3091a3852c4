"""From policy files to tables: every name is checked where it stands, before anything is used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from careweir.access.elements import CODED_BY, ELEMENTS, TEXT_KINDS
from careweir.access.plan import FITTING, LEAD, LEAD_OF, SHIFT
from careweir.access.purposes import Purposes
from careweir.access.rights import DataClass
from careweir.access.schema import (
    CodesFile,
    DataClassEntry,
    DataClassesFile,
    PurposesFile,
    SensitivityFile,
)
from careweir.access.source import Place, Source, parse
from careweir.access.vocabulary import (
    START_LENGTH,
    CodeKey,
    Known,
    Sensitive,
    Vocabulary,
    bare_code,
    plain_system,
    widened,
)

WILDCARD = "*"
_CATEGORY = re.compile(r"([A-Z]?)(\d{2,3})")  # of ICD-10 a letter and two digits, of ICD-9 three
# What an administrative class may name: nothing else is neither identifying nor clinical.
ADMINISTRATIVE: Mapping[str, frozenset[str]] = {
    "Patient": frozenset({"birthDate"}),
    "Appointment": frozenset({"status", "start", "minutesDuration"}),
}


def known(source: Source, place: Place, names: Iterable[str], among: Iterable[str]) -> None:
    """Refuse the first name that nobody declared."""
    allowed = frozenset(among)
    for name in names:
        if name not in allowed:
            raise source.refuse(place, f"{name!r} is not declared anywhere")


def compile_purposes(source: Source) -> Purposes:
    """``purposes.yaml`` as a hierarchy without loops."""
    file = parse(source, PurposesFile)
    for code, parents in file.purposes.items():
        known(source, ("purposes", code), parents, file.purposes)
    purposes = Purposes(parents=dict(file.purposes))
    for code, parents in file.purposes.items():
        if any(code in purposes.lineage(parent) for parent in parents):
            raise source.refuse(("purposes", code), "the hierarchy has a loop")
    return purposes


def compile_vocabulary(
    codes: Source, sensitivities: Iterable[Source], labels: Iterable[str]
) -> Vocabulary:
    """``codes.yaml`` and ``sensitivity/*.yaml`` as tables."""
    file = parse(codes, CodesFile)
    labels = frozenset(labels)
    table: dict[CodeKey, Known] = {}
    for index, group in enumerate(file.groups):
        place = ("groups", index)
        known(codes, (*place, "system"), [group.system], file.systems)
        if group.sensitivity is not None:
            known(codes, (*place, "sensitivity"), [group.sensitivity], labels)
        for code, display in group.codes.items():
            key = (file.systems[group.system], code)
            if key in table:
                raise codes.refuse((*place, "codes", code), "the code stands in two groups")
            table[key] = Known(display, group.code_class, group.sensitivity)
    known(codes, ("unit_synonyms",), file.unit_synonyms.values(), file.units)
    known(codes, ("other_names",), file.other_names, file.systems)
    known(codes, ("by_category",), file.by_category, file.systems)

    sensitive, words = _sensitive(sensitivities, labels, file)
    return Vocabulary(
        systems=file.systems,
        codes=table,
        units=frozenset(file.units),
        unit_synonyms=file.unit_synonyms,
        sensitive_codes=sensitive,
        sensitive_words={code: _pattern(found) for code, found in words.items()},
        sensitive_starts=_starts(words),
        labels=labels,
    )


def _sensitive(
    sources: Iterable[Source], labels: frozenset[str], file: CodesFile
) -> tuple[Sensitive, dict[str, list[str]]]:
    plain = {alias: plain_system(url) for alias, url in file.systems.items()}
    codes: dict[str, dict[str, set[str]]] = {}
    words: dict[str, list[str]] = {}
    for source in sources:
        entry = parse(source, SensitivityFile)
        known(source, ("sensitivity",), [entry.sensitivity], labels)
        known(source, ("codes",), entry.codes, plain)
        for alias, listed in entry.codes.items():
            table = codes.setdefault(plain[alias], {})
            for code in _written_out(source, alias, listed, file):
                if entry.sensitivity in table.setdefault(code, set()):
                    raise source.refuse(("codes", alias), f"{code!r} stands in two places")
                table[code].add(entry.sensitivity)
        for index, word in enumerate(entry.words):
            if len(_start(word)) < 2:
                why = "a word must begin with two letters or digits"
                raise source.refuse(("words", index), why)
            words.setdefault(entry.sensitivity, []).append(word)
    sensitive = Sensitive(
        codes={
            system: {code: frozenset(about) for code, about in table.items()}
            for system, table in codes.items()
        },
        names={
            plain_system(url): plain[alias]
            for alias, urls in file.other_names.items()
            for url in urls
        },
        by_category=frozenset(plain[alias] for alias in file.by_category),
    )
    return sensitive, words


def _written_out(
    source: Source, alias: str, listed: Iterable[str], file: CodesFile
) -> Iterator[str]:
    """The codes of one system, each range of categories written out: ``F20-F29``."""
    for code in listed:
        if alias not in file.by_category:
            yield code
            continue
        first, dash, last = code.partition("-")
        if not dash:
            yield bare_code(code)
            continue
        ends = [_CATEGORY.fullmatch(one) for one in (first, last)]
        if not (ends[0] and ends[1] and ends[0][1] == ends[1][1] and first < last):
            why = f"{code!r} is no range of categories"
            raise source.refuse(("codes", alias), why)
        for number in range(int(ends[0][2]), int(ends[1][2]) + 1):
            yield f"{ends[0][1]}{number:0{len(ends[0][2])}d}"


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    parts = sorted({_word(word) for word in words}, key=lambda part: (-len(part), part))
    return re.compile(r"(?<![^\W_])(?:" + "|".join(parts) + r")(?![^\W_])", re.IGNORECASE)


def _starts(words: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    starts: dict[str, set[str]] = {}
    for code, found in words.items():
        for word in found:
            starts.setdefault(_start(word), set()).add(code)
    return {start: frozenset(codes) for start, codes in starts.items()}


def _start(word: str) -> str:
    """The first letters of a word, by which a text without any sensitive word is passed over."""
    return re.split(r"[\W_]+", word.casefold().strip())[0][:START_LENGTH]


def _word(word: str) -> str:
    stem = word.rstrip(WILDCARD)
    body = r"[\s_-]*".join(re.escape(part) for part in re.split(r"[\s_-]+", stem.strip()))
    return body + (r"\w*" if word.endswith(WILDCARD) else "")


def compile_classes(source: Source, vocabulary: Vocabulary) -> dict[str, DataClass]:
    """``data_classes.yaml``: every path is one that the projection knows how to read."""
    file = parse(source, DataClassesFile)
    code_classes = {entry.code_class for entry in vocabulary.codes.values()}
    found: dict[str, DataClass] = {}
    for name, entry in file.classes.items():
        place = ("classes", name)
        known(source, (*place, "resource"), [entry.resource], ELEMENTS)
        known(source, (*place, "paths"), entry.paths, ELEMENTS[entry.resource])
        known(source, (*place, "codes"), entry.codes, code_classes)
        known(source, (*place, "sensitivity"), entry.sensitivity, vocabulary.labels)
        _check_class(source, place, entry)
        found[name] = DataClass(
            name=name,
            resource=entry.resource,
            paths=frozenset(entry.paths),
            code_classes=frozenset(entry.codes),
            transforms=frozenset(entry.transforms),
            sensitivity=widened(entry.sensitivity),
            text=entry.text == "true",
            administrative=entry.administrative == "true",
            spare=entry.spare,
        )
    return found


def _check_class(source: Source, place: Place, entry: DataClassEntry) -> None:
    kinds = {ELEMENTS[entry.resource][path].kind for path in entry.paths}
    if entry.text == "false" and kinds & TEXT_KINDS:
        raise source.refuse((*place, "paths"), "free text is granted only with `text: true`")
    if "postal" in kinds and not entry.transforms:
        raise source.refuse((*place, "paths"), "an address leaves only generalised")
    if SHIFT in entry.transforms and not kinds & {"date", "period"}:
        raise source.refuse((*place, "transforms"), "none of its paths is a date to shift")
    if LEAD in entry.transforms and not {(entry.resource, one) for one in entry.paths} & {LEAD_OF}:
        raise source.refuse((*place, "transforms"), "only Appointment.start has a lead")
    if entry.codes and entry.resource not in CODED_BY:
        raise source.refuse((*place, "codes"), f"{entry.resource} has no selecting code")
    if entry.administrative == "true":
        _check_administrative(source, place, entry)


def _check_administrative(source: Source, place: Place, entry: DataClassEntry) -> None:
    """INVARIANT: an administrative class neither identifies anybody nor tells of their health.

    A birth date leaves only as a band of years, a start only as days since the booking.
    """
    known(source, (*place, "paths"), entry.paths, ADMINISTRATIVE.get(entry.resource, ()))
    if entry.sensitivity or entry.codes:
        raise source.refuse(place, "an administrative class is about nothing sensitive or coded")
    allowed = {"age_band", LEAD}
    if not set(entry.transforms) <= allowed:
        raise source.refuse((*place, "transforms"), "only age_band and lead_days hide who it is")
    for path in entry.paths:
        fitting = FITTING.get(ELEMENTS[entry.resource][path].kind, frozenset())
        if fitting and not fitting & set(entry.transforms):
            raise source.refuse((*place, "paths"), f"{path} would leave as it is")
