"""The classification as we read it, beside the tree that its own package builds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from careweir_kit import icd10cm

# In a process of its own: the tree takes seconds and 180 MB.
_THEIRS = """
import json, sys, warnings
warnings.simplefilter("ignore")
from simple_icd_10_cm import simple_icd_10_cm as theirs
json.dump({code: [node.description, node.excludes1]
           for code, node in theirs._code_to_node.items()
           if len(code) == 3 or code[3:4] == "."}, sys.stdout)
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("I10", "Essential (primary) hypertension"),
        ("E11.9", "Type 2 diabetes mellitus without complications"),
        (
            "S72.001A",
            "Fracture of unspecified part of neck of right femur, "
            "initial encounter for closed fracture",
        ),
        ("T74.01XA", "Adult neglect or abandonment, confirmed, initial encounter"),
    ],
)
def test_a_code_has_its_official_words(code: str, words: str) -> None:
    found = icd10cm.entry(code)

    assert found is not None
    assert found.description == words


@pytest.mark.parametrize("code", ["", "I", "I10.9", "S72.001Z", "ZZZ", "A00-A09", "s72.001A", "é"])
def test_what_is_no_code_has_no_entry(code: str) -> None:
    assert icd10cm.entry(code) is None


def test_every_code_reads_as_the_whole_tree_has_it() -> None:
    printed = subprocess.run([sys.executable, "-c", _THEIRS], capture_output=True, check=True)
    theirs = json.loads(printed.stdout)

    assert len(theirs) > 90_000
    for code, (description, excludes1) in theirs.items():
        found = icd10cm.entry(code)
        assert found is not None, code
        assert (found.description, list(found.excludes1)) == (description, excludes1), code
