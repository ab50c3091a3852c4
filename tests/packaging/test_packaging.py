"""What is installed is whole, works from anywhere, and leaves ``fhir.resources`` alone.

The trap: ``fhir.resources`` owns the top-level package ``fhir``, and this repository has a folder
of that name. It is a source root, like ``gateway`` and ``adapters``, and never a package.

Nothing is fetched: the build back end and every dependency are those of the environment that runs
the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from careweir import __version__
from support.paths import ROOT

DEPENDENCIES = Path(sysconfig.get_path("purelib"))
OFFLINE = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
INSTALLED = {  # folder in the repository -> folder in the wheel
    "gateway/careweir": "careweir",
    "adapters/careweir_kit": "careweir_kit",
    "adapters/careweir_adapters": "careweir_adapters",
    "fhir/careweir_fhir": "careweir_fhir",
    "policies": "careweir/policies",
}
CHART = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"resource": {"resourceType": "Patient", "id": "p", "birthDate": "1957-03-03"}},
        {
            "resource": {
                "resourceType": "Observation",
                "id": "o",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
                "subject": {"reference": "Patient/p"},
                "effectiveDateTime": "2026-03-02T08:00:00Z",
                "valueQuantity": {
                    "value": 96,
                    "unit": "/min",
                    "system": "http://unitsofmeasure.org",
                    "code": "/min",
                },
            }
        },
    ],
}
MINIMISE = ["minimise", "--role", "ed-physician", "--purpose", "TREAT", "--tool", "acme-sepsis",
            "--as-of", "2026-03-02T08:30:00Z", "-"]  # fmt: skip


def run(command: list[str], cwd: Path, *, stdin: str = "") -> str:
    """Run to the end without PYTHONPATH or any setting of ours; stdout."""
    ours = ("CAREWEIR_", "PYTHON", "PIP_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    ran = subprocess.run(
        command, cwd=cwd, env=kept, input=stdin, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@dataclass(frozen=True)
class Built:
    """The sdist, and the wheel that was built from it."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """``python -m build`` unpacks the sdist and makes the wheel from what is in it."""
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], out)
    [sdist], [wheel] = out.glob("*.tar.gz"), out.glob("*.whl")
    return Built(sdist, wheel)


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment whose dependencies are those of the tests' own.

    ``fhir.resources`` alone is copied into it, so that installing or removing careweir could do to
    it what it would do to a real one. ``outside`` is a folder far from the checkout.
    """

    folder: Path
    outside: Path

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        [found] = self.folder.glob("lib/python*/site-packages")
        return found

    def pip(self, *arguments: str) -> str:
        """The tests' pip, working on this environment."""
        python = str(self.folder / "bin" / "python")
        return run([sys.executable, "-m", "pip", "--python", python, *arguments], self.outside)

    def python(self, *arguments: str, cwd: Path | None = None, stdin: str = "") -> str:
        """Its interpreter; stdout."""
        command = [str(self.folder / "bin" / "python"), *arguments]
        return run(command, cwd or self.outside, stdin=stdin)

    def file_of(self, module: str, *, cwd: Path | None = None) -> Path:
        """Where a module is imported from."""
        return Path(self.python("-c", f"import {module} as m; print(m.__file__)", cwd=cwd).strip())


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A fresh environment without careweir."""
    folder, outside = tmp_path / "venv", tmp_path / "outside"
    outside.mkdir()
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], outside)
    fresh = Environment(folder, outside)
    left_out = shutil.ignore_patterns("__pycache__", "STU3")
    shutil.copytree(DEPENDENCIES / "fhir", fresh.packages / "fhir", ignore=left_out)
    (fresh.packages / "dependencies.pth").write_text(f"{DEPENDENCIES}\n", encoding="utf-8")
    return fresh


def sources() -> dict[str, Path]:
    """Every file that belongs in the wheel, by its name there."""
    return {
        f"{target}/{file.relative_to(ROOT / folder).as_posix()}": file
        for folder, target in INSTALLED.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def does_the_job(environment: Environment, *, cwd: Path | None = None) -> None:
    """Version, discovery of the adapters, and a minimisation under the shipped policies."""
    version = environment.python("-m", "careweir", "--version", cwd=cwd)
    adapters = json.loads(environment.python("-m", "careweir", "adapter", "list", cwd=cwd))
    sent = json.loads(
        environment.python("-m", "careweir", *MINIMISE, cwd=cwd, stdin=json.dumps(CHART))
    )

    assert version.split() == ["careweir", __version__]
    assert "oip_v2" in json.dumps(adapters)
    kinds = [entry["resource"]["resourceType"] for entry in sent["payload"]["entry"]]
    assert kinds == ["Patient", "Observation"]


@pytest.mark.parametrize("folder", ["gateway", "adapters", "fhir", "policies"])
def test_a_source_root_is_no_package(folder: str) -> None:
    """An ``__init__.py`` in ``fhir`` would shadow the distribution ``fhir.resources``."""
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.slow
def test_the_wheel_from_the_sdist_holds_every_source_file_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        packed = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    expected = sources()

    assert sorted(set(expected) - set(packed)) == []
    assert sorted(set(packed) - set(expected)) == []
    assert [name for name, file in expected.items() if file.read_bytes() != packed[name]] == []


@pytest.mark.slow
def test_the_wheel_brings_policies_and_each_adapter_with_its_data_and_no_package_fhir(
    built: Built,
) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    adapters = [folder.name for folder in (ROOT / "adapters" / "careweir_adapters").iterdir()
                if (folder / "manifest.yaml").is_file()]  # fmt: skip

    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"careweir", "careweir_kit", "careweir_adapters", "careweir_fhir"}
    assert {"careweir/policies/roles.yaml", "careweir/py.typed", "careweir_fhir/r4.yaml"} <= names
    assert adapters
    for name in adapters:
        folder = f"careweir_adapters/{name}"
        assert {f"{folder}/manifest.yaml", f"{folder}/adapter.py"} <= names
        assert any(one.startswith(f"{folder}/cassettes/") for one in names) or name == "_template"


@pytest.mark.slow
def test_the_sdist_brings_the_policies_the_readme_and_the_tests(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}

    assert {"pyproject.toml", "README.md", "policies/roles.yaml"} <= inside
    assert {"tests/packaging/test_packaging.py", "tests/support/paths.py"} <= inside


@pytest.mark.slow
def test_the_installed_wheel_works_from_elsewhere_and_goes_without_a_trace(
    built: Built, environment: Environment
) -> None:
    theirs = environment.packages / "fhir" / "__init__.py"
    before = theirs.read_bytes()
    environment.pip("install", *OFFLINE, str(built.wheel))

    does_the_job(environment)
    assert environment.file_of("careweir").is_relative_to(environment.packages)
    assert environment.file_of("fhir.resources").is_relative_to(environment.packages)
    assert theirs.read_bytes() == before
    script = [str(environment.folder / "bin" / "careweir"), "--version"]
    assert run(script, environment.outside).split()[-1] == __version__

    environment.pip("uninstall", "--yes", "careweir")

    assert theirs.read_bytes() == before
    environment.python("-c", "from fhir.resources.R4B.patient import Patient; Patient(id='p')")
    assert not list(environment.packages.glob("careweir*"))


@pytest.mark.slow
def test_an_editable_install_works_from_elsewhere_and_from_the_root(
    environment: Environment,
) -> None:
    environment.pip("install", *OFFLINE, "--editable", str(ROOT))

    for cwd in (environment.outside, ROOT):
        does_the_job(environment, cwd=cwd)
        assert environment.file_of("careweir", cwd=cwd).is_relative_to(ROOT / "gateway")
        theirs = environment.file_of("fhir.resources", cwd=cwd)
        assert theirs.is_relative_to(environment.packages)

    environment.pip("uninstall", "--yes", "careweir")

    environment.python("-c", "import fhir.resources.R4B.patient")
    assert (ROOT / "gateway" / "careweir" / "__init__.py").is_file()
