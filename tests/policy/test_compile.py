"""Each kind of policy file on its own: what is read, and the exact words of each refusal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from careweir.access import DataClass, PolicySet, Vocabulary
from careweir.access.compile import compile_classes, compile_purposes, compile_vocabulary
from careweir.access.residency import compile_residency
from careweir.access.source import BYTES_MAX, read_source
from careweir.errors import PolicyInvalid

SHIPPED = PolicySet.load(Path(__file__).resolve().parents[2] / "policies")


def refusal(text: str | bytes) -> str:
    body = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(PolicyInvalid) as refused:
        read_source("file.yaml", body)
    return str(refused.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "file.yaml:1: the file is empty"),
        (b"a: \xff", "file.yaml:1: not UTF-8"),
        (b"a: 1\nb: [", "file.yaml:3: not valid YAML"),
        (b"a: 1\nb: \x00", "file.yaml:1: not valid YAML"),
        (b"a: 1\na: 2", "file.yaml:2: the key 'a' occurs twice"),
        (b"a: {b: 1,\n    b: 2}", "file.yaml:2: the key 'b' occurs twice"),
        (b"a: &x [1]\nb: *x", "file.yaml:1: anchors and aliases are not used in policies"),
        (b"? [a]\n: 1", "file.yaml:1: a key must be plain text"),
        (b"a: " + b"x" * BYTES_MAX, "file.yaml:1: larger than 1048576 bytes"),
    ],
)
def test_what_people_overlook_in_yaml_is_refused_where_it_stands(body: bytes, words: str) -> None:
    assert refusal(body).startswith(words)


def test_every_scalar_is_the_text_as_written_and_knows_its_line() -> None:
    source = read_source("f.yaml", b"a: no\nb:\n  - 2951-2\n  - 1.0\nc: {d: ~}\n")

    assert source.value == {"a": "no", "b": ["2951-2", "1.0"], "c": {"d": "~"}}
    places = {(): 1, ("a",): 1, ("b",): 2, ("b", 1): 4, ("c", "d"): 5, ("b", 1, "x"): 4, ("z",): 1}
    for place, line in places.items():
        assert source.at(place) == f"f.yaml:{line}"
    assert str(source.refuse(("b", 1), "why")) == "f.yaml:4: b.1: why"
    assert str(source.refuse((), "why")) == "f.yaml:1: file: why"
    whole = read_source("f.yaml", b"a: " + b"x" * (BYTES_MAX - 3))
    assert len(whole.value["a"]) == BYTES_MAX - 3


def classes(entry: str) -> DataClass:
    text = f"version: 1\nclasses:\n  it:\n    title: It\n{entry}"
    source = read_source("data_classes.yaml", text.encode())
    return compile_classes(source, SHIPPED.vocabulary)["it"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("    resource: Nothing\n    paths: [code]\n",
         "5: classes.it.resource: 'Nothing' is not declared anywhere"),
        ("    resource: Patient\n    paths: [gender, hair]\n",
         "6: classes.it.paths: 'hair' is not declared anywhere"),
        ("    resource: Observation\n    paths: [code]\n    codes: [laboratory, hair]\n",
         "7: classes.it.codes: 'hair' is not declared anywhere"),
        ("    resource: Patient\n    paths: [gender]\n    sensitivity: [PSY, hair]\n",
         "7: classes.it.sensitivity: 'hair' is not declared anywhere"),
        ("    resource: DiagnosticReport\n    paths: [code, conclusion]\n",
         "6: classes.it.paths: free text is granted only with `text: true`"),
        ("    resource: DiagnosticReport\n    paths: [presentedForm]\n    text: false\n",
         "6: classes.it.paths: free text is granted only with `text: true`"),
        ("    resource: Patient\n    paths: [address.postalCode]\n",
         "6: classes.it.paths: an address leaves only generalised"),
        ("    resource: Patient\n    paths: [birthDate]\n    transforms: [shift_dates]\n",
         "7: classes.it.transforms: none of its paths is a date to shift"),
        ("    resource: Appointment\n    paths: [end]\n    transforms: [lead_days]\n",
         "7: classes.it.transforms: only Appointment.start has a lead"),
        ("    resource: Patient\n    paths: [gender]\n    codes: [laboratory]\n",
         "7: classes.it.codes: Patient has no selecting code"),
        ("    resource: Patient\n    paths: [gender]\n    administrative: true\n",
         "6: classes.it.paths: 'gender' is not declared anywhere"),
        ("    resource: Observation\n    paths: [code]\n    administrative: true\n",
         "6: classes.it.paths: 'code' is not declared anywhere"),
        ("    resource: Patient\n    paths: [birthDate]\n    administrative: true\n",
         "6: classes.it.paths: birthDate would leave as it is"),
        ("    resource: Patient\n    paths: [birthDate]\n    transforms: [age_years]\n"
         "    administrative: true\n",
         "7: classes.it.transforms: only age_band and lead_days hide who it is"),
        ("    resource: Appointment\n    paths: [start]\n    transforms: [age_band]\n"
         "    administrative: true\n",
         "6: classes.it.paths: start would leave as it is"),
        ("    resource: Appointment\n    paths: [status]\n    sensitivity: [PSY]\n"
         "    administrative: true\n",
         "3: classes.it: an administrative class is about nothing sensitive or coded"),
        ("    resource: Patient\n    paths: []\n", "6: classes.it.paths: "),
    ],
)  # fmt: skip
def test_a_class_that_would_let_too_much_out_is_refused(entry: str, words: str) -> None:
    with pytest.raises(PolicyInvalid, match=re.escape(f"data_classes.yaml:{words}")):
        classes(entry)


@pytest.mark.parametrize(
    "entry",
    [
        "    resource: DiagnosticReport\n    paths: [conclusion]\n    text: true\n",
        "    resource: Patient\n    paths: [address.postalCode]\n    transforms: [postal_3]\n",
        "    resource: Observation\n    paths: [issued]\n    transforms: [shift_dates]\n",
        "    resource: Observation\n    paths: [effectivePeriod]\n    transforms: [shift_dates]\n",
        "    resource: Appointment\n    paths: [start]\n    transforms: [lead_days]\n"
        "    administrative: true\n",
        "    resource: Appointment\n    paths: [status, minutesDuration]\n"
        "    administrative: true\n",
        "    resource: Patient\n    paths: [birthDate]\n    transforms: [age_band]\n"
        "    administrative: true\n",
    ],
)
def test_a_class_that_says_how_it_leaves_is_read(entry: str) -> None:
    assert classes(entry)


def test_a_class_is_read_whole() -> None:
    found = classes(
        "    resource: Observation\n    paths: [code, issued]\n    codes: [laboratory]\n"
        "    transforms: [year]\n    sensitivity: [SUD]\n    spare: why\n"
    )

    assert (found.name, found.resource, found.spare) == ("it", "Observation", "why")
    assert found.paths == {"code", "issued"}
    assert found.code_classes == {"laboratory"}
    assert found.sensitivity == {"ETH", "SUD", "ETHUD", "OPIOIDUD"}
    assert (found.text, found.administrative) == (False, False)


@pytest.mark.parametrize(
    ("purposes", "words"),
    [
        ("{A: [B], B: []}", None),
        ("{A: [B, C], B: [D], C: [D], D: []}", None),
        ("{A: [A]}", "purposes.yaml:3: purposes.A: the hierarchy has a loop"),
        ("{A: [B], B: [A]}", "purposes.yaml:3: purposes.A: the hierarchy has a loop"),
        ("{A: [B]}", "purposes.yaml:3: purposes.A: 'B' is not declared anywhere"),
    ],
)
def test_purposes_are_a_hierarchy_without_loops(purposes: str, words: str | None) -> None:
    source = read_source("purposes.yaml", f"version: 1\nsource: x\npurposes: {purposes}".encode())
    if words is None:
        assert compile_purposes(source).parents
    else:
        with pytest.raises(PolicyInvalid, match=re.escape(words)):
            compile_purposes(source)


CODES = """version: 1
systems: {here: "urn:here", icd: "http://Icd.example/v10/"}
other_names: {icd: ["urn:oid:1.2"]}
by_category: [icd]
groups:
  - {system: here, class: one, source: x, codes: {a: A, b: B}}
  - {system: icd, class: two, source: x, sensitivity: HIV, codes: {Q01.2: Q}}
units: ["%"]
unit_synonyms: {percent: "%"}
"""
MENTAL = """version: 1
sensitivity: PSY
title: x
source: x
codes: {here: [b, c], icd: [F20-F22, Z3A, G10.1]}
words: [mood*, "IV drug", ill-at-ease]
"""


def vocabulary(codes: str = CODES, *sensitive: str) -> Vocabulary:
    sources = [read_source(f"s{n}.yaml", one.encode()) for n, one in enumerate(sensitive)]
    labels = {"PSY", "HIV"}
    return compile_vocabulary(read_source("codes.yaml", codes.encode()), sources, labels)


@pytest.mark.parametrize(
    ("system", "code", "found"),
    [
        ("urn:here", "a", set()), ("urn:here", "b", {"PSY"}), ("urn:here", "c", {"PSY"}),
        ("urn:here", " c ", {"PSY"}), ("urn:here", "C", set()), ("urn:here", "cc", set()),
        ("https://icd.example/v10", "F20", {"PSY"}), ("urn:oid:1.2|2024", "F21.9", {"PSY"}),
        ("icd.example/v10", "f229", {"PSY"}), ("urn:oid:1.2", "F23", set()),
        ("urn:oid:1.2", "F19.9", set()), ("urn:oid:1.2", "Z3A.01", {"PSY"}),
        ("urn:oid:1.2", "G10.1X", {"PSY"}), ("urn:oid:1.2", "G10.2", set()),
        ("http://Icd.example/v10/", "Q01.2", {"HIV"}), ("urn:oid:1.2", "Q01.2", set()),
        ("", "c", {"PSY"}), ("", "F20.1", {"PSY"}), ("", "a", set()),
    ],
)  # fmt: skip
def test_codes_are_sensitive_as_their_lists_and_groups_say(
    system: str, code: str, found: set[str]
) -> None:
    assert vocabulary(CODES, MENTAL).sensitivities_of_code(system, code) == found


def test_a_code_that_two_lists_name_is_sensitive_for_both() -> None:
    other = MENTAL.replace("PSY", "HIV").replace("[b, c]", "[c, d]")
    words = vocabulary(CODES, MENTAL, other)

    assert words.sensitivities_of_code("urn:here", "c") == {"PSY", "HIV"}
    assert words.sensitivities_of_code("urn:here", "d") == {"HIV"}
    assert words.sensitivities_of_text("moody") == {"PSY", "HIV"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("moody", {"PSY"}), ("Mood", {"PSY"}), ("bemoody", set()), ("mood_swing", {"PSY"}),
        ("IV  drug", {"PSY"}), ("iv-drug", {"PSY"}), ("IVDRUG", {"PSY"}), ("IV drugs", set()),
        ("ill at ease", {"PSY"}), ("ill-at\nease", {"PSY"}), ("stillat ease", set()), ("", set()),
    ],
)  # fmt: skip
def test_words_are_read_with_their_endings_and_gaps(text: str, found: set[str]) -> None:
    assert vocabulary(CODES, MENTAL).sensitivities_of_text(text) == found


@pytest.mark.parametrize(
    ("codes", "sensitive", "words"),
    [
        (CODES.replace("system: here", "system: there"), "",
         "codes.yaml:6: groups.0.system: 'there' is not declared anywhere"),
        (CODES.replace("sensitivity: HIV", "sensitivity: X"), "",
         "codes.yaml:7: groups.1.sensitivity: 'X' is not declared anywhere"),
        (CODES.replace("system: icd, class", "system: here, class").replace("Q01.2", "b"), "",
         "codes.yaml:7: groups.1.codes.b: the code stands in two groups"),
        (CODES.replace('percent: "%"', "percent: pc"), "",
         "codes.yaml:9: unit_synonyms: 'pc' is not declared anywhere"),
        (CODES.replace("{icd: [", "{ice: ["), "",
         "codes.yaml:3: other_names: 'ice' is not declared anywhere"),
        (CODES.replace("[icd]", "[ice]"), "",
         "codes.yaml:4: by_category: 'ice' is not declared anywhere"),
        (CODES, MENTAL.replace("PSY", "X"), "s0.yaml:2: sensitivity: 'X' is not declared"),
        (CODES, MENTAL.replace("here:", "there:"), "s0.yaml:5: codes: 'there' is not declared"),
        (CODES, MENTAL.replace("[b, c]", "[b, b]"),
         "s0.yaml:5: codes.here: 'b' stands in two places"),
        (CODES, MENTAL.replace("Z3A", "F21"), "s0.yaml:5: codes.icd: 'F21' stands in two places"),
        (CODES, MENTAL.replace("F20-F22", "F22-F20"),
         "s0.yaml:5: codes.icd: 'F22-F20' is no range of categories"),
        (CODES, MENTAL.replace("F20-F22", "F20-F20"), "is no range of categories"),
        (CODES, MENTAL.replace("F20-F22", "F20-220"), "is no range of categories"),
        (CODES, MENTAL.replace("F20-F22", "F20-F22-F24"), "is no range of categories"),
        (CODES, MENTAL.replace("mood*", "m-ood"),
         "s0.yaml:6: words.0: a word must begin with two letters or digits"),
    ],
)  # fmt: skip
def test_a_table_of_codes_with_a_fault_is_refused(codes: str, sensitive: str, words: str) -> None:
    with pytest.raises(PolicyInvalid, match=re.escape(words)):
        vocabulary(codes, *([sensitive] if sensitive else []))


SITES = "version: 1\nregions: {a: A, b: B}\ndefault: a\nsites:\n  north: [a, b]\n"


def test_a_site_has_its_own_regions_and_any_other_the_default() -> None:
    found = compile_residency(read_source("sites.yaml", SITES.encode()))

    assert (found.of("north").names, found.of("north").rule) == (
        {"a", "b"}, "site north (sites.yaml:5)",
    )  # fmt: skip
    for other in ("south", None, ""):
        assert (found.of(other).names, found.of(other).rule) == ({"a"}, "default (sites.yaml:3)")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("default: a", "default: c", "sites.yaml:3: default: 'c' is not declared anywhere"),
        ("[a, b]", "[a, c]", "sites.yaml:5: sites.north: 'c' is not declared anywhere"),
    ],
)
def test_a_region_that_nobody_declared_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(PolicyInvalid, match=re.escape(words)):
        compile_residency(read_source("sites.yaml", SITES.replace(old, new).encode()))
