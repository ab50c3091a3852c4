"""The HL7 validator, run over many resources at once; see ``hl7/Validate.java``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT

UNCHECKED = "Validation_VAL_Profile_Unknown"  # it says that a profile was not there to check by
FOLDER = os.environ.get("CAREWEIR_HL7_VALIDATOR")
HERE = Path(__file__).parent / "hl7"
PROFILES = ROOT / "docs" / "fhir" / "profiles"
NEEDED = [
    pytest.mark.skipif(not FOLDER, reason="set CAREWEIR_HL7_VALIDATOR (test_hl7_validator.py)"),
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17"),
]


@dataclass(frozen=True)
class Said:
    """One problem: which resource of the list, how grave, where, in words."""

    index: int
    severity: str
    message: str
    place: str
    text: str

    @property
    def grave(self) -> bool:
        return self.severity in ("error", "fatal") and self.message != UNCHECKED


def validated(asked: Iterable[tuple[Sequence[str], Any]]) -> list[Said]:
    """What the validator says of resources, each held to these profiles as well."""
    lines = "".join(f"{' '.join(names)}\t{json.dumps(body)}\n" for names, body in asked)
    folders = [str(one) for one in (HERE / "terminology", PROFILES) if one.is_dir()]
    assert FOLDER is not None
    run = subprocess.run(
        ["java", "-cp", f"{FOLDER}/*", str(HERE / "Validate.java"), *folders], input=lines,
        capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip
    rows = (line.split("\t") for line in run.stdout.splitlines())
    return [Said(int(row[0]), *row[1:]) for row in rows]
