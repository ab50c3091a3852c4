"""HL7's own validator, over everything that a gateway emits.

Opt-in: needs Java 17 and a folder with the jars of ``hl7/pom.xml``, named by
CAREWEIR_HL7_VALIDATOR. ``mvn -f tests/clients/hl7/pom.xml dependency:copy-dependencies
-DoutputDirectory=FOLDER`` fills it from Maven Central; nothing else is fetched. It has no
terminology server: codes of SNOMED CT, LOINC and ICD are not looked up. Nor has it the profiles of
IHE BALP, which an AuditEvent claims: it is held to R4 alone here.
"""

from __future__ import annotations

from clients.hl7_validator import NEEDED, validated
from support.emitted import Emitting

pytestmark = NEEDED


def test_the_hl7_validator_finds_no_error_in_anything_that_is_emitted(emitted: Emitting) -> None:
    names = list(emitted.resources)

    said = validated(([], emitted.resources[name]) for name in names)

    assert [(names[one.index], one.place, one.text) for one in said if one.grave] == []


def test_the_hl7_validator_does_find_a_fault() -> None:
    broken = {"resourceType": "RiskAssessment", "status": "done", "subject": {"reference": "x y"},
              "prediction": [{"probabilityDecimal": 187.0}]}  # fmt: skip

    said = validated([([], broken)])

    assert len([one for one in said if one.grave]) >= 2
