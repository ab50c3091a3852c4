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
    return frozenset(code for code, words in SHIPPED.sensitive_words if words.search(text))


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
