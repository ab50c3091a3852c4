"""HL7's own validator, over everything that a gateway emits.

Opt-in (``make foreign``): needs Java 17 and a folder with the jars of ``hl7/pom.xml``, named by
CAREWEIR_HL7_VALIDATOR; they come from Maven Central, and nothing else is fetched. It has no
terminology server: codes of SNOMED CT, LOINC and ICD are not looked up. Nor has it the profiles of
IHE BALP, which an AuditEvent claims: it is held to R4 alone here.
"""

from __future__ import annotations

import json

from clients.hl7_validator import NEEDED, validated
from support.emitted import Emitting, single
from support.held import profile_of, published
from support.paths import ROOT

pytestmark = NEEDED


def test_the_hl7_validator_finds_no_error_in_anything_that_is_emitted(emitted: Emitting) -> None:
    names = list(emitted.resources)

    said = validated(([], emitted.resources[name]) for name in names)

    assert [(names[one.index], one.place, one.text) for one in said if one.grave] == []


def test_the_hl7_validator_finds_our_profiles_right_and_everything_true_to_them(
    emitted: Emitting,
) -> None:
    found = [(name, one) for name, one in single(emitted.resources) if profile_of(one)]
    examples = ROOT.glob("docs/fhir/examples/*.json")
    found += [(file.name, json.loads(file.read_text("utf-8"))) for file in examples]
    found += list(published().items())

    said = validated(([profile_of(one) or ""], one) for _, one in found)

    assert len(found) > 1500
    assert [(found[one.index][0], one.place, one.text) for one in said if one.grave] == []


def test_the_hl7_validator_does_find_a_fault() -> None:
    broken = {"resourceType": "RiskAssessment", "status": "done", "subject": {"reference": "x y"},
              "prediction": [{"probabilityDecimal": 187.0}]}  # fmt: skip

    said = validated([([], broken)])

    assert len([one for one in said if one.grave]) >= 2
    final = json.loads((ROOT / "docs/fhir/examples/risk.json").read_text("utf-8"))
    held = validated([(["urn:careweir:profile:risk-assessment"], final | {"status": "final"})])
    assert [one.place for one in held if one.grave] == ["RiskAssessment.status"]
