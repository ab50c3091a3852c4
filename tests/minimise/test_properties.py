"""What must hold for every chart, tool and policy, searched for counterexamples."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from careweir.access import Decision
from careweir.access.elements import ELEMENTS
from careweir.errors import QuestionInvalid
from careweir.ids import Pseudonyms
from careweir.minimise import payload_paths
from careweir.minimise.moment import is_moment, shift_days, shifted
from minimise.charts import (
    CHEST,
    LABS,
    MARK,
    SEPSIS,
    VITALS,
    WHY,
    Json,
    blood_pressure,
    bundle,
    decision,
    observation,
    patient,
    report,
    run,
    tool,
    with_classes,
)

CANARY = "canary9c41e7"
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, database=None)

CODES = st.sampled_from([*VITALS, *LABS, "85354-9", "55277-8", "44260-8", "99999-9", "29463-7"])
MOMENTS = st.sampled_from(
    ["2026-03-02T08:00:00Z", "2026-03-01T20:00:00Z", "2026-02-27", "2026-03-09", "1999", "late"]
)
UNITS = st.sampled_from(["/min", "mm[Hg]", "Cel", "%", "furlong", "mmHg"])
WORDS = st.sampled_from(["", "calm", "HIV clinic", "psychiatric ward", "Quillfeather", "alcohol"])
STATUSES = st.sampled_from(["final", "amended", "entered-in-error", "nonsense"])

OBSERVATIONS = st.builds(
    lambda code, value, unit, at, status, words: observation(
        code, value, unit, at=at, status=status, note=[{"text": words}]
    ),
    CODES, st.integers(0, 300), UNITS, MOMENTS, STATUSES, WORDS,
)  # fmt: skip
REPORTS = st.builds(
    lambda words, at: report(words or "Clear.", effectiveDateTime=at), WORDS, MOMENTS
)
CHARTS = st.lists(st.one_of(OBSERVATIONS, REPORTS, st.builds(blood_pressure)), max_size=8)

PATHS = {
    kind: st.lists(st.sampled_from(sorted(ELEMENTS[kind])), min_size=1, max_size=8, unique=True)
    for kind in ("Patient", "Observation", "DiagnosticReport")
}
NEEDS = st.one_of(
    [
        st.fixed_dictionaries(
            {"resource": st.just(kind), "paths": paths.map(tuple), "text": st.booleans()},
            optional={
                "window": st.sampled_from(["PT24H", "P7D", "P1Y"]),
                "last": st.integers(1, 3),
            },
        )
        for kind, paths in PATHS.items()
    ]
)
TOOLS = st.one_of(
    st.sampled_from([SEPSIS, CHEST]),
    st.builds(
        lambda needs, capability: tool(*needs, capability=capability),
        st.lists(NEEDS, min_size=1, max_size=4),
        st.sampled_from(["sepsis-risk", "chest-xray-findings"]),
    ),
)


def leaf_values(value: Any) -> Iterator[Any]:
    """Every scalar below a value; attachments decoded beside their data."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaf_values(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaf_values(item)
    else:
        yield value


def without_ours(payload: Json) -> Iterator[Any]:
    """The values of a payload that came from the chart: not our marks, references and words."""
    ours = {"id", "meta", "subject", "resourceType", "extension", "encounter", "presentedForm"}
    for entry in payload["entry"]:
        for name, value in entry["resource"].items():
            if name not in ours:
                yield from leaf_values(strip(value))


def strip(value: Any) -> Any:
    """Without what is written in our own words: displays, and units said in UCUM."""
    if isinstance(value, dict):
        return {
            k: strip(v) for k, v in value.items() if k not in ("display", "unit", "code", "system")
        }
    return [strip(item) for item in value] if isinstance(value, list) else value


@SETTINGS
@given(chart=CHARTS, of=TOOLS)
def test_every_path_in_the_payload_is_in_sent_and_nothing_else_is(
    chart: list[Json], of: Any
) -> None:
    found = run(bundle(patient(), *chart), of)

    expected = () if found.payload is None else payload_paths(found.payload)
    assert found.manifest.sent == expected


@SETTINGS
@given(chart=CHARTS, of=TOOLS)
def test_what_leaves_was_in_the_chart_and_was_asked_for(chart: list[Json], of: Any) -> None:
    body = bundle(patient(), *chart)
    found = run(body, of)

    inside = {repr(value) for value in leaf_values(json.loads(body))}
    marks = {"id", "meta", "subject", "extension"}
    for value in without_ours(found.payload or {"entry": []}):
        assert repr(value) in inside or value == "[NAME]"
    for path in found.manifest.sent:
        kind, _, element = path.partition(".")
        asked = {name for name in found.manifest.asked if name.startswith(kind + ".")}
        assert element in marks or any(
            name == path or path.startswith(name + ".") for name in asked
        )


@SETTINGS
@given(chart=CHARTS, of=TOOLS)
def test_same_input_same_output(chart: list[Json], of: Any) -> None:
    body = bundle(patient(), *chart)

    assert run(body, of) == run(body, of)


def narrowed(by: Decision, keep: frozenset[str]) -> Decision:
    classes = tuple(pair for pair in by.rights.classes if pair[0].name in keep)
    return replace(by, rights=replace(by.rights, classes=classes))


def content(payload: Json | None) -> dict[str, list[str]]:
    """Type -> every leaf of its resources, ordinals and marks left out."""
    found: dict[str, list[str]] = {}
    for entry in (payload or {"entry": []})["entry"]:
        resource = entry["resource"]
        for name, value in resource.items():
            if name not in ("id", "meta", "resourceType"):
                found.setdefault(f"{resource['resourceType']}.{name}", []).extend(
                    repr(leaf) for leaf in leaf_values(value)
                )
    return found


@SETTINGS
@given(chart=CHARTS, of=TOOLS, data=st.data())
def test_fewer_rights_never_bring_more(chart: list[Json], of: Any, data: st.DataObject) -> None:
    body = bundle(patient(), *chart)
    full = decision(of=of)
    names = sorted({data_class.name for data_class, _ in full.rights.classes})
    keep = data.draw(st.frozensets(st.sampled_from(names)))

    wide, narrow = run(body, of, by=full), run(body, of, by=narrowed(full, keep))

    assert set(narrow.manifest.sent) <= set(wide.manifest.sent)
    for path, leaves in content(narrow.payload).items():
        rest = list(content(wide.payload).get(path, ()))
        for leaf in leaves:
            assert leaf in rest
            rest.remove(leaf)


@SETTINGS
@given(chart=CHARTS, of=TOOLS, seed=st.integers(0, 10_000))
def test_the_order_of_the_chart_does_not_matter(chart: list[Json], of: Any, seed: int) -> None:
    unlasting = of.model_copy(
        update={"needs": tuple(need.model_copy(update={"last": None}) for need in of.needs)}
    )
    shuffled = random.Random(seed).sample(chart, len(chart))

    first = run(bundle(patient(), *chart), unlasting)
    second = run(bundle(*shuffled, patient()), unlasting, subject="Patient/p1")

    one = {path: sorted(leaves) for path, leaves in content(first.payload).items()}
    other = {path: sorted(leaves) for path, leaves in content(second.payload).items()}
    assert one == other
    assert first.manifest == second.manifest


def changed(of: Any, **update: Any) -> Any:
    """The tool with every need changed."""
    needs = tuple(need.model_copy(update=update) for need in of.needs)
    return of.model_copy(update={"needs": needs})


def unmarked(resource: Json) -> Json:
    """A resource without the marks of masking."""
    found = {}
    for name, value in resource.items():
        if name == "meta":
            found[name] = {"tag": value["tag"]}
        elif name == "component":
            found[name] = [unmarked(part) for part in value]
        elif value != MARK and value != WHY:
            found[name] = value
    return found


@SETTINGS
@given(chart=CHARTS, of=TOOLS, data=st.data())
def test_masking_adds_marks_and_nothing_else(
    chart: list[Json], of: Any, data: st.DataObject
) -> None:
    body = bundle(patient(), *chart)
    full = decision(of=of)
    by = with_classes(*(
        replace(one, paths=data.draw(st.frozensets(st.sampled_from(sorted(one.paths)))))
        for one, _ in full.rights.classes
    ))  # fmt: skip

    plain, masked = (
        run(body, changed(of, mask=False), by=by),
        run(body, changed(of, mask=True), by=by),
    )

    assert masked.manifest.withheld == plain.manifest.withheld
    assert masked.manifest.transformed == plain.manifest.transformed
    if plain.payload is None or masked.payload is None:
        assert plain.payload is masked.payload
        return
    for before, after in zip(plain.payload["entry"], masked.payload["entry"], strict=True):
        one, other = before["resource"], after["resource"]
        assert unmarked(other) == one
        assert ("security" in other["meta"]) == (unmarked(other) != {**other, "meta": one["meta"]})
        for part in (other, *other.get("component", ())):
            values = [name for name in part if name.startswith("value")]
            assert not (values and part.get("dataAbsentReason") == WHY)


def dates_in(value: Any) -> Iterator[str]:
    """Every full FHIR date below a value."""
    return (leaf for leaf in leaf_values(value) if isinstance(leaf, str) and is_moment(leaf))


DATES = frozenset(
    name for kind in PATHS for name, one in ELEMENTS[kind].items() if one.kind in ("date", "period")
)


def dateless(payload: Json | None) -> dict[str, list[str]]:
    """The content of a payload without its dates; a resource of dates alone may have gone."""
    gone = DATES | {"subject"}
    found = content(payload).items()
    return {path: leaves for path, leaves in found if path.partition(".")[2] not in gone}


@SETTINGS
@given(chart=CHARTS, of=TOOLS, key=st.binary(min_size=32, max_size=32))
def test_shifted_dates_move_by_one_shift_and_all_else_stays(
    chart: list[Json], of: Any, key: bytes
) -> None:
    body = bundle(patient(), *chart)
    needs = tuple(
        need.model_copy(
            update={
                "transforms": dict.fromkeys(DATES.intersection(need.paths), "shift_dates")
                | ({"birthDate": "age_years"} if "birthDate" in need.paths else {})
            }
        )
        for need in of.needs
    )
    pseudonyms = Pseudonyms(key, inference="inf", tool=of.tool)

    plain = run(body, changed(of, transforms={"birthDate": "age_years"}), pseudonyms=pseudonyms)
    moved = run(body, of.model_copy(update={"needs": needs}), pseudonyms=pseudonyms)

    days = shift_days(pseudonyms("Shift", "Patient/p1"))
    assert -365 <= days <= -1
    before = [text for text in dates_in(plain.payload) if len(text) > 7]
    assert [shifted(text, days) for text in before] == list(dates_in(moved.payload))
    assert dateless(plain.payload) == dateless(moved.payload)


def plant(value: Any, place: list[int], secret: Any) -> Any:
    """The value with a secret at one place: a leaf replaced, or a key added to an object."""
    if isinstance(value, dict) and value:
        if not place or place[0] % (len(value) + 1) == len(value):
            return {
                **value,
                f"x{CANARY}": secret,
                "extension": [{"url": CANARY, "valueString": secret}],
            }
        name = list(value)[place[0] % (len(value) + 1)]
        if name == "resourceType":
            return value
        return {**value, name: plant(value[name], place[1:], secret)}
    if isinstance(value, list) and value:
        at = (place[0] if place else 0) % len(value)
        return [*value[:at], plant(value[at], place[1:], secret), *value[at + 1 :]]
    return secret


SECRETS = st.sampled_from(
    [CANARY, [CANARY], {"value": CANARY}, {"reference": CANARY, "display": CANARY},
     {"coding": [{"system": CANARY, "code": CANARY, "display": CANARY}], "text": CANARY},
     {"div": CANARY}, [{"text": CANARY}], {"contentType": "image/png", "data": CANARY}]
)  # fmt: skip


@settings(SETTINGS, max_examples=300)
@given(
    which=st.integers(0, 4),
    place=st.lists(st.integers(0, 30), max_size=7),
    secret=SECRETS,
    of=st.sampled_from([SEPSIS, tool(
        {"resource": "Patient", "paths": tuple(ELEMENTS["Patient"])},
        {"resource": "Observation", "paths": tuple(ELEMENTS["Observation"])},
    ), CHEST.model_copy(update={"needs": tuple(
        n.model_copy(update={"text": False}) for n in CHEST.needs)})]),
)  # fmt: skip
def test_a_secret_at_any_place_is_not_on_the_wire(
    which: int, place: list[int], secret: Any, of: Any
) -> None:
    chart = [
        patient(), observation("8867-4", 80, encounter={"reference": "Encounter/e1"}),
        blood_pressure(), report(),
        observation("67775-7", valueCodeableConcept={"coding": [
            {"system": "http://loinc.org", "code": "LA9340-6"}]}),
    ]  # fmt: skip
    chart[which] = plant(chart[which], place, secret)

    try:
        found = run(bundle(*chart), of)
    except QuestionInvalid as refused:
        said = f"{refused} {refused.path}"
    else:
        said = json.dumps(found.payload) + found.manifest.model_dump_json()

    assert CANARY not in said.lower()


@SETTINGS
@given(secret=st.text(min_size=1, max_size=20), of=TOOLS)
def test_any_name_of_the_patient_is_scrubbed_from_text(secret: str, of: Any) -> None:
    named = patient(name=[{"family": "Zyxomma" + "a" * (len(secret) % 5)}])
    family = named["name"][0]["family"]
    text = f"{secret} {family.upper()} ({family}) lungs clear."

    found = run(bundle(named, report(text)), CHEST)

    for entry in (found.payload or {"entry": []})["entry"]:
        for form in entry["resource"].get("presentedForm", ()):
            assert family.lower() not in base64.b64decode(form["data"]).decode().lower()


@settings(SETTINGS, max_examples=200)
@given(body=st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("Patient/p1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resource", "resourceType", "id", "subject", "reference", "code",
                         "coding", "system", "status", "component", "meta", "security",
                         "identifier", "valueQuantity", "value", "effectiveDateTime"]),
        inner, max_size=5),
    max_leaves=25,
))  # fmt: skip
def test_no_shape_of_an_entry_breaks_it(body: Any) -> None:
    entries = [{"resource": patient()}, body]
    if isinstance(body, dict):
        entries.append({"resource": {**body, "resourceType": "Observation"}})
        entries.append(
            {"resource": {**observation("8867-4", 80), **body, "resourceType": "Observation"}}
        )
    raw = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()

    try:
        run(raw, SEPSIS)
        run(raw, CHEST)
    except QuestionInvalid:
        pass
