"""The tables: words are found whole, in any case, and the quick look never misses one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careweir.access import PolicySet
from careweir.access.vocabulary import SUBSTANCE_USE, widened

SHIPPED = PolicySet.load(Path(__file__).resolve().parents[2] / "policies").vocabulary
PIECES = st.sampled_from(
    ["HIV", "hiv-1", "aids", "alcohol", "ALCOHOLISM", "iv", "drug", "IV_drug", "gay", "day",
     "PTSD", "mental", "health", "mental  health", "viral", "load", "CD4", "cd", "4", "hcg", "GAD",
     "7", "-", "_", ".", "prep", "prepared", "rape", "grape", "sickle", "cell", "\u212a", "x"]
)  # fmt: skip


def slow(text: str) -> frozenset[str]:
    return frozenset(code for code, words in SHIPPED.sensitive_words.items() if words.search(text))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(pieces=st.lists(PIECES, max_size=8), glue=st.sampled_from([" ", "", "-", "_", ", ", "\n"]))
def test_the_quick_look_finds_what_the_patterns_find(pieces: list[str], glue: str) -> None:
    text = glue.join(pieces)

    assert SHIPPED.sensitivities_of_text(text) == slow(text)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("HIV viral load", {"HIV"}),
        ("anti-HIV", {"HIV"}),
        ("hearing aids and grapes", {"HIV"}),
        ("grape juice", set()),
        ("prepared for discharge", set()),
        ("PreP", {"HIV"}),
        ("shiver", set()),
        ("Mental_health note", {"PSY"}),
        ("mental\nhealth", {"PSY"}),
        ("Alcoholism counseling", {"ETHUD"}),
        ("non-alcoholic drink", {"ETHUD"}),
        ("Posttraumatic stress disorder", {"PSY"}),
        ("Opioid abuse", {"OPIOIDUD"}),
        ("Normal pregnancy", {"PREGNANT"}),
        ("H\u200bIV positive", {"HIV"}),
        ("meth\u00adadone", {"OPIOIDUD"}),
        ("\uff28\uff29\uff36", {"HIV"}),  # full-width letters
        ("caf\u00e9", set()),
        ("", set()),
    ],
)
def test_words_are_found_whole_and_in_any_case(text: str, codes: set[str]) -> None:
    assert SHIPPED.sensitivities_of_text(text) == codes


def test_substance_use_is_one_family_and_nothing_else_is() -> None:
    assert widened(["SUD"]) == SUBSTANCE_USE
    assert widened(["PSY"]) == {"PSY"}
    assert widened([]) == frozenset()


def test_every_table_stands_on_a_source_and_every_code_has_our_own_words() -> None:
    assert all(known.display for known in SHIPPED.codes.values())
    assert set(SHIPPED.systems.values()) >= {system for system, _ in SHIPPED.codes}


ICD10CM, ICD9CM = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm"


@pytest.mark.parametrize(
    ("system", "code", "about"),
    [
        (ICD10CM, "F20", {"PSY"}),
        (ICD10CM, "F20.9", {"PSY"}),
        (ICD10CM, "F33.41", {"PSY"}),
        (ICD10CM, "F10.20", {"ETHUD"}),
        (ICD10CM, "F11.9", {"OPIOIDUD"}),
        (ICD10CM, "F19.10", {"SUD"}),
        (ICD10CM, "O09.90", {"PREGNANT"}),
        (ICD10CM, "O9A.211", {"PREGNANT"}),
        (ICD10CM, "A51.0", {"STD"}),
        (ICD10CM, "T74.21XA", {"SDV"}),
        (ICD10CM, "D57.819", {"SCA"}),
        (ICD10CM, "O98.711", {"HIV", "PREGNANT"}),
        (ICD9CM, "042", {"HIV"}),
        (ICD9CM, "296.33", {"PSY"}),
        (ICD9CM, "305.51", {"OPIOIDUD"}),
        (ICD10CM, "F", set()),
        (ICD10CM, "A41.9", set()),
        (ICD10CM, "Z20.8", set()),
        (ICD10CM, "", set()),
        (ICD9CM, "038.9", set()),
    ],
)
def test_what_is_listed_of_icd_stands_for_all_below_it(
    system: str, code: str, about: set[str]
) -> None:
    assert SHIPPED.sensitivities_of_code(system, code) == about


@pytest.mark.parametrize("code", ["F20.9", "F209", "f20.9", " F20.9 "])
@pytest.mark.parametrize(
    "system",
    [
        ICD10CM, "http://hl7.org/fhir/sid/icd-10", "urn:oid:2.16.840.1.113883.6.90",
        "https://hl7.org/fhir/sid/icd-10-cm/", "http://HL7.org/fhir/sid/ICD-10-CM|2025", "",
    ],
)  # fmt: skip
def test_a_code_is_found_however_it_and_its_system_are_written(system: str, code: str) -> None:
    assert SHIPPED.sensitivities_of_code(system, code) == {"PSY"}


def test_only_where_codes_go_by_category_does_a_beginning_count() -> None:
    assert SHIPPED.sensitivities_of_code("http://loinc.org", "55277-8") == {"HIV"}
    assert SHIPPED.sensitivities_of_code("http://loinc.org", "55277-80") == frozenset()
    assert SHIPPED.sensitivities_of_code("urn:oid:2.16.840.1.113883.6.1", "55277-8") == {"HIV"}
    assert SHIPPED.sensitivities_of_code("urn:local:codes", "F20.9") == frozenset()


def test_no_code_of_a_harmless_group_is_listed_as_sensitive() -> None:
    said = {
        code: SHIPPED.sensitivities_of_code(*code)
        for code, known in SHIPPED.codes.items()
        if known.sensitivity is None
    }

    assert {code: about for code, about in said.items() if about} == {}
