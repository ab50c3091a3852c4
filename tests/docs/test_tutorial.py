"""The vendor tutorial, followed literally: its files are written, its commands are run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import ROOT

PAGE = ROOT / "docs" / "tutorial-vendor.md"
_FENCE = re.compile(r"(?:^File (\S+):\n\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)
SOURCES = [str(ROOT / folder) for folder in ("gateway", "adapters", "fhir")]


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program, _, rest = command.partition(" ")
    modules = {"careweir": "careweir", "pip": "pip"}
    words = [sys.executable, "-m", modules[program], *rest.split()]
    paths = os.pathsep.join([str(folder / "plugins"), *SOURCES])
    return subprocess.run(
        words,
        cwd=folder,
        env={"PYTHONPATH": paths, "PATH": os.environ["PATH"], "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _shows(shown: str, printed: str) -> bool:
    """Whether the printed text is what the page shows; a line with ``…`` stands for any lines."""
    pattern = "".join(
        "(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern + "\n*", printed) is not None


def _steps() -> Iterator[tuple[str | None, str, str]]:
    for file, _, content in _FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if file:
            yield file, content, ""
            continue
        for part in re.split(r"^\$ ", content, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            yield None, command, shown


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the whole page was followed."""
    folder = tmp_path_factory.mktemp("tutorial")
    ran = 0
    for file, text, shown in _steps():
        if file is not None:
            (folder / file).write_text(text, encoding="utf-8")
            continue
        done = _run(text, folder)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert _shows(shown, done.stdout), f"{text}\n{done.stdout}"
        ran += 1
    assert ran == 7
    return folder


def test_the_tutorial_ends_with_the_right_findings(followed: Path) -> None:
    golden = followed / "pulsar-decline" / "golden"

    outcomes = {file.stem: json.loads(file.read_bytes()) for file in golden.glob("*.json")}

    (finding,) = outcomes["ok"]["findings"]
    assert (finding["value"], finding["horizon"], finding["kind"]) == (0.37, "PT24H", "risk")
    assert outcomes["queued"]["outcome"] == "pending"
    assert outcomes["not_suitable"]["outcome"] == "refused"
    sent = outcomes["question"]["request"]["body"]
    assert sent == {"case": "psn-4k2m", "age": 64, "observations": {"hr": 118.0}}


def test_the_mistakes_that_the_page_names_are_refused(followed: Path) -> None:
    tool = followed / "pulsar-decline" / "pulsar-decline.yaml"
    good = tool.read_text(encoding="utf-8")
    answer = followed / "answer.json"
    answer.write_text(
        json.loads((followed / "pulsar-decline/cassettes/ok.json").read_text())["body"]
    )
    for old, new in ((", divide_by: 100", ""), ("prediction.score", "predictions.score")):
        wrong = followed / "wrong.yaml"
        wrong.write_text(good.replace(old, new), encoding="utf-8")

        done = _run(f"careweir adapter replay rest {answer} --tool-file {wrong}", followed)

        refused = done.returncode != 0 and "within 0 to 1" in done.stderr
        assert refused or json.loads(done.stdout)["outcome"] == "protocol_broken"


def test_a_separate_package_is_listed_among_the_adapters(followed: Path) -> None:
    listed = json.loads(_run("careweir adapter list", followed).stdout)["adapters"]

    assert "pulsar_code" in {one["adapter"] for one in listed}
    assert not (ROOT / "adapters" / "careweir_adapters" / "pulsar_code").exists()


def test_a_folder_that_is_there_already_is_left_alone(followed: Path) -> None:
    before = (followed / "pulsar-decline" / "pulsar-decline.yaml").read_bytes()

    again = _run("careweir adapter new pulsar-decline", followed)
    odd = _run("careweir adapter new ../elsewhere", followed)

    assert (again.returncode != 0, odd.returncode != 0) == (True, True)
    assert (followed / "pulsar-decline" / "pulsar-decline.yaml").read_bytes() == before
