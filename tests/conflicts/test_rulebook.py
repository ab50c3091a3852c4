"""Rule data: closed, with sources, and open to a site's own rows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from careweir.conflicts import detect, load_rules
from careweir.errors import PolicyInvalid
from careweir_fhir.model import Coding, Finding

SHIPPED = Path(__file__).resolve().parents[2] / "policies" / "conflicts"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped rule data that a test may spoil."""
    target = tmp_path / "conflicts"
    shutil.copytree(SHIPPED, target)
    return target


def _ef(*values: float) -> list[Finding]:
    coding = Coding(display="LVEF")
    return [
        Finding(tool=f"tool-{i}", kind="measurement", code=coding, value=value, unit="%")
        for i, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("general.yaml", "confidence_low: 0.6", "confidence_lov: 0.6", "general.yaml: confidence_"),
        ("risk.yaml", "probability_gap:", "probability_gap: 0.1\nprobability_gap:", "twice"),
        ("sites.yaml", "parent: left-lung", "parent: left-lnug", "is not a row"),
        ("quantities.yaml", "unit: mmol/L, molar_mass: 39.0983", "unit: furlong", "furlong"),
        ("drugs.yaml", "classes:\n", "classes: [\n", "drugs.yaml:"),
    ],
)
def test_spoiled_data_is_refused_by_file_and_place(
    copied: Path, name: str, old: str, new: str, message: str
) -> None:
    path = copied / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    with pytest.raises(PolicyInvalid, match=re.escape(message)):
        load_rules(copied)


def test_a_missing_file_is_refused(copied: Path) -> None:
    (copied / "units.yaml").unlink()

    with pytest.raises(PolicyInvalid, match=re.escape("units.yaml")):
        load_rules(copied)


def test_a_site_replaces_a_row_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "quantities.yaml").write_text(
        "quantities:\n"
        "  lvef: {names: [lvef], unit: '%', noise_abs: 3, window_min: 60, source: our echo lab}\n"
    )
    shipped = load_rules(SHIPPED)
    ours = load_rules(SHIPPED, site=tmp_path)

    assert detect(_ef(55, 50), shipped) == ()
    [conflict] = detect(_ef(55, 50), ours)
    assert "our echo lab" in conflict.reason
    assert "potassium" in ours.quantities


def test_every_file_says_its_source_and_whether_it_was_checked() -> None:
    for path in SHIPPED.glob("*.yaml"):
        text = path.read_text()

        assert re.search(r"^source: ", text, re.MULTILINE), path.name
        assert re.search(r"^verified: (true|false)$", text, re.MULTILINE), path.name


def test_every_interaction_and_contraindication_names_its_source() -> None:
    data = load_rules(SHIPPED).drugs.data

    assert len(data.interactions) >= 25
    assert all(row.source for row in (*data.interactions, *data.contraindications))


def test_every_row_points_to_drugs_concepts_and_quantities_that_exist() -> None:
    book = load_rules(SHIPPED)
    data = book.drugs.data
    used = {name for row in data.ingredients.values() for name in row.classes}
    drugs = used | set(data.classes) | set(data.ingredients)

    for row in data.interactions:
        assert {row.a, row.b} <= drugs
    for rule in data.contraindications:
        assert rule.drug in drugs
        assert rule.concept is None or rule.concept in book.concepts.rows
        assert rule.quantity is None or rule.quantity in book.quantities
    for row in book.cross_kind.rows.values():
        assert row.concept in book.concepts.rows
        assert row.quantity in book.quantities


def test_every_icd_code_of_the_table_is_in_the_classification() -> None:
    from careweir.conflicts.icd10 import describe

    for name, row in load_rules(SHIPPED).concepts.rows.items():
        for code in (*row.icd10cm, *row.covers):
            assert len(code) == 1 or describe(code), (name, code)
