"""The published profiles are what the table says, and hold for the published examples."""

from __future__ import annotations

import json
from typing import Any

import pytest

from careweir_fhir import systems
from docs.profiled import EXTENSIONS, PROFILES
from docs.profiles import FOLDER, everything, kebab, text
from support.held import broken, profile_of, published
from support.paths import ROOT

DOCS = ROOT / "docs" / "fhir"
EXAMPLES = {
    file.stem: json.loads(file.read_text("utf-8")) for file in (DOCS / "examples").glob("*.json")
}


def test_the_folder_is_what_the_table_makes() -> None:
    made = {name: text(resource) for name, resource in everything().items()}
    found = {file.name: file.read_text("utf-8") for file in FOLDER.glob("*.json")}

    assert found == made, "run: python -m docs.profiles"


def test_every_extension_of_our_own_is_published() -> None:
    ours = {v for v in vars(systems).values() if str(v).startswith("urn:careweir:extension:")}

    assert {one.url for one in EXTENSIONS} == ours - {"urn:careweir:extension:"}


@pytest.mark.parametrize("name", [one for one in EXAMPLES if one != "missing"])
def test_an_example_holds_its_profile(name: str) -> None:
    url = profile_of(EXAMPLES[name])

    assert url is not None
    assert broken(EXAMPLES[name], url) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("risk", {"status": "final"}),
        ("risk", {"performer": {"reference": "Practitioner/1"}}),
        ("risk", {"prediction": []}),
        ("measurement", {"performer": [{"reference": "Practitioner/1"}]}),
        ("present", {"device": None}),
        ("report", {"resultsInterpreter": [{"reference": "Practitioner/1"}]}),
        ("document", {"docStatus": "final"}),
        ("document", {"content": [{"attachment": {"contentType": "text/html", "data": "PGI+"}}]}),
        ("proposal", {"intent": "order"}),
        ("guidance", {"moduleUri": None}),
        ("coding", {"owner": {"reference": "Practitioner/1"}}),
        ("conflict", {"implicated": [{"reference": "Observation/1"}]}),
        ("provenance", {"policy": []}),
        ("device", {"patient": {"reference": "Patient/1"}}),
    ],
)
def test_what_a_profile_forbids_is_seen(name: str, change: dict[str, Any]) -> None:
    changed = {k: v for k, v in (EXAMPLES[name] | change).items() if v is not None}
    url = profile_of(EXAMPLES[name])

    assert url is not None
    assert len(broken(changed, url)) == 1


def test_the_page_names_every_profile() -> None:
    page = (DOCS / "README.md").read_text("utf-8")

    for one in PROFILES:
        assert f"(profiles/structure-definition-{one.name or kebab(one.kind)}.json)" in page
    assert f"{len(published())} resources" in page
