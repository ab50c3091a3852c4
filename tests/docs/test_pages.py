"""What the pages say is so: names, paths, tables and commands are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import grimp
import pytest
import yaml
from typer.testing import CliRunner

from careweir.app import build_app
from careweir.cli.root import app as command_line
from careweir.errors import GatewayError
from careweir.question import Status
from careweir.settings import Settings
from careweir_kit.adapter import AdapterManifest
from careweir_kit.simulation.faults import FAULTS
from careweir_kit.tool import Need, Tool
from docs.pages import commands, first_column, inline_code, links, name, pages, prose, text
from support.paths import ROOT

PAGES = pages()
TOP_FOLDERS = ("gateway/", "adapters/", "fhir/", "policies/", "tests/", "docs/", "docker/", ".ci/")
BUILT = {"careweir-data"}
TOOLS = {file.stem for file in (ROOT / "policies" / "tools").glob("*.yaml")}
EXAMPLE_TOOLS = {
    yaml.safe_load(file.read_text())["tool"]
    for file in (ROOT / "adapters" / "careweir_adapters").glob("*/example_tool.yaml")
}
ROLES = set(yaml.safe_load((ROOT / "policies" / "roles.yaml").read_text())["roles"])
CLASSES = set(yaml.safe_load((ROOT / "policies" / "data_classes.yaml").read_text())["classes"])
every_page = pytest.mark.parametrize("page", PAGES, ids=name)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Settings of their defaults."""
    with pytest.MonkeyPatch.context() as environment:
        for field in Settings.model_fields:
            environment.delenv(f"CAREWEIR_{field.upper()}", raising=False)
        return Settings()


@pytest.fixture(scope="session")
def contract(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of the running gateway."""
    return build_app(settings).openapi()


# --- links and paths --------------------------------------------------------------------------


@every_page
def test_every_relative_link_resolves(page: Path) -> None:
    relative = [link for link in links(page) if "://" not in link]
    lost = [link for link in relative if not (page.parent / link.partition("#")[0]).exists()]

    assert not lost


@every_page
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = [code for code in inline_code(page)
             if code.startswith(TOP_FOLDERS) and " " not in code and "::" not in code]  # fmt: skip
    lost = [path for path in named if "<" not in path and not any(ROOT.glob(path.rstrip("/")))]

    assert not lost


def test_the_python_files_of_the_story_are_found() -> None:
    named = [code for code in inline_code(ROOT / "ARCHITECTURE.md") if code.endswith(".py")]
    lost = [file for file in named if not any(ROOT.glob(f"*/**/{file.rpartition('/')[2]}"))]

    assert len(named) > 20
    assert not lost


# --- invariants -------------------------------------------------------------------------------


def _running() -> set[str]:
    """The modules of the gateway that a command can reach; unfinished ones are not on the map."""
    graph = grimp.build_graph("careweir")
    return graph.find_upstream_modules("careweir.cli", as_package=True)


def _module(file: Path, root: str) -> str:
    return ".".join(file.relative_to(ROOT / root).with_suffix("").parts).removesuffix(".__init__")


def _invariants() -> Iterator[tuple[str, str]]:
    running = _running()
    for root in ("gateway", "adapters", "fhir"):
        for file in sorted((ROOT / root).rglob("*.py")):
            if root == "gateway" and _module(file, root) not in running:
                continue
            for said in re.findall(r"INVARIANT: (.*)", file.read_text(encoding="utf-8")):
                clause = re.split(r"\. |\.?\"\"\"$", said)[0]
                yield name(file), clause.replace("`", "").rstrip(".")


INVARIANTS = sorted(_invariants())


@pytest.mark.parametrize(("file", "said"), INVARIANTS)
def test_every_invariant_of_the_code_is_on_the_map(file: str, said: str) -> None:
    rows = [row for row in text("ARCHITECTURE.md").split("\n") if row.startswith(f"| `{file}` |")]

    missing = f"ARCHITECTURE.md lacks: | `{file}` | {said} |"
    assert any(said in row.replace("`", "") for row in rows), missing


def test_every_invariant_on_the_map_is_in_the_code() -> None:
    files = {file for file, _ in INVARIANTS}

    assert set(first_column("ARCHITECTURE.md", "## Invariants")) == files


# --- settings, routes, codes, statuses --------------------------------------------------------


def test_the_operators_page_lists_every_setting_and_no_other() -> None:
    listed = first_column("docs/operators.md", "## Settings")

    assert sorted(listed) == sorted(f"CAREWEIR_{field.upper()}" for field in Settings.model_fields)


@every_page
def test_a_page_names_no_setting_that_is_not_there(page: Path) -> None:
    named = set(re.findall(r"CAREWEIR_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))

    assert named - {"CAREWEIR_TEST"} <= {f"CAREWEIR_{f.upper()}" for f in Settings.model_fields}


def test_the_default_values_on_the_operators_page_are_those_of_the_code(settings: Settings) -> None:
    rows = re.findall(r"^\| `CAREWEIR_(\w+)` \| `?([^|`]+)`? \|", text("docs/operators.md"), re.M)
    plain = {field: value for field, value in rows if re.fullmatch(r"[\w.-]+", value)}
    real = {field.upper(): str(value) for field, value in settings.model_dump().items()}

    assert len(plain) > 5
    assert {field: real[field].lower() for field in plain} == {
        f: v.lower() for f, v in plain.items()
    }


def test_every_route_is_on_the_integrators_page_and_every_route_there_is_real(
    contract: dict[str, Any],
) -> None:
    paths = contract["paths"]
    real = {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}
    real |= {"GET /openapi.json", "GET /docs"}

    listed = {code.partition("?")[0] for code in first_column("docs/integrators.md", "## Routes")}

    assert listed == real


@every_page
def test_every_route_that_a_page_names_is_real(page: Path, contract: dict[str, Any]) -> None:
    paths = [re.sub(r"\{\w+\}", "[^/]+", path).replace("$", r"\$") for path in contract["paths"]]
    paths += ["/openapi.json", "/docs"]
    named = [code.split()[1].partition("?")[0] for code in inline_code(page)
             if re.match(r"(GET|POST|PUT|DELETE) /", code)]  # fmt: skip

    assert not [one for one in named if not any(re.fullmatch(path, one) for path in paths)]


# What the README says is missing, and a sign of it that would stand in the contract.
MISSING = {
    "`$export` is for the whole system only": "Patient/$export",
    "no metrics": "/metrics",
}


@pytest.mark.parametrize("phrase", MISSING)
def test_what_the_readme_says_is_missing_is_missing(phrase: str, contract: dict[str, Any]) -> None:
    section = text("README.md").partition("## What it does not do yet")[2]
    said = phrase in " ".join(section.split())
    there = any(MISSING[phrase] in path for path in contract["paths"])

    assert said != there, f"README.md, What it does not do yet: {phrase}"


def _codes(error: type[GatewayError]) -> set[str]:
    return {error.code}.union(*(_codes(sub) for sub in error.__subclasses__()))


def test_every_error_code_is_documented_and_no_other() -> None:
    routers = set(re.findall(r'"(\w+)"', _source_of("careweir/api/problems.py", "titles")))
    listed = first_column("docs/integrators.md", "### Error codes")

    assert _codes(GatewayError) <= set(listed)
    assert set(listed) - _codes(GatewayError) <= routers | {"http_error"}
    assert len(listed) == len(set(listed))


def _source_of(file: str, word: str) -> str:
    lines = (ROOT / "gateway" / file).read_text(encoding="utf-8").split("\n")
    return "\n".join(line for line in lines if word in line)


def test_the_table_of_tool_statuses_is_that_of_the_code() -> None:
    listed = first_column("docs/integrators.md", "## Tool statuses")

    assert sorted(listed) == sorted(get_args(Status))


def test_the_fields_of_a_question_are_those_of_the_contract(contract: dict[str, Any]) -> None:
    question = contract["components"]["schemas"]["Question"]["properties"]
    context = question["context"]["properties"]
    real = {field for field in question if field != "context"} | {f"context.{f}" for f in context}

    assert set(first_column("docs/integrators.md", "## Ask")) == real


# --- tools, roles, faults ---------------------------------------------------------------------


@every_page
def test_every_tool_and_role_that_a_page_names_exists(page: Path) -> None:
    whole = page.read_text(encoding="utf-8")
    tools = set(re.findall(r'"tool": "([^"…]+)"|--tool ([a-z0-9-]+)(?!\S)', whole))
    roles = set(re.findall(r'\["tokens"\]\["([^"]+)"\]|--role ([a-z-]+)|token ([a-z-]+)\)', whole))
    code = {word for word in inline_code(page) if re.fullmatch(r"[a-z]+-(sepsis|cxr)", word)}

    assert {one for found in tools for one in found if one} | code <= TOOLS | EXAMPLE_TOOLS
    assert {one for found in roles for one in found if one} <= ROLES


def test_the_policy_page_lists_every_role_and_no_other() -> None:
    assert sorted(first_column("docs/policy.md", "## Roles")) == sorted(ROLES)


def test_the_policy_page_lists_every_data_class_and_no_other() -> None:
    assert sorted(first_column("docs/policy.md", "## Data classes")) == sorted(CLASSES)


def test_a_tool_file_is_described_field_by_field() -> None:
    listed = first_column("docs/vendors.md", "## A tool file, field by field")
    needs = text("docs/vendors.md").partition("Each entry of `needs`:\n")[2].partition("\n\nA ")[0]
    of_needs = [c for row in re.findall(r"^\| (`[^|]*) \|", needs, re.M)
                for c in re.findall(r"`([^`]+)`", row)]  # fmt: skip

    assert sorted(of_needs) == sorted(Need.model_fields)
    assert sorted(listed) == sorted([*Tool.model_fields, *Need.model_fields])


def test_every_fault_of_the_simulators_is_described() -> None:
    listed = first_column("docs/vendors.md", "## Simulators and faults")

    assert sorted(listed) == sorted(FAULTS)


def test_every_adapter_is_in_the_vendors_table() -> None:
    manifests = (ROOT / "adapters" / "careweir_adapters").glob("*/manifest.yaml")
    names = [AdapterManifest.model_validate(yaml.safe_load(m.read_text())).adapter
             for m in manifests if m.parent.name != "_template"]  # fmt: skip
    section = text("docs/vendors.md").partition("## What you will receive")[0]

    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.M)) == sorted(names)


# --- commands and targets ---------------------------------------------------------------------


def _given() -> list[Any]:
    found = {(name(page), *words) for page in PAGES for words in commands(page)}
    return [pytest.param(list(one[1:]), id=" ".join(one)) for one in sorted(found)]


@pytest.mark.parametrize("words", _given())
def test_every_command_on_a_page_is_one_that_the_command_line_knows(words: list[str]) -> None:
    """The sub-command answers to --help, and its help names every option that the page gives."""
    runner = CliRunner()
    depth = 2 if len(words) > 1 and words[0] in ("adapter", "audit", "conflicts", "policy") else 1

    done = runner.invoke(command_line, [*words[:depth], "--help"], env={"COLUMNS": "160"})

    assert done.exit_code == 0, words
    shown = re.sub(r"\x1b\[[0-9;]*m", "", done.output)
    assert not [w for w in words[depth:] if w.startswith("--") and f"{w} " not in shown]


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M))


@every_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    named = {code.split()[1] for code in inline_code(page) if re.fullmatch(r"make [a-z]+", code)}

    assert named <= _targets()


def test_every_make_target_is_documented() -> None:
    listed = first_column("CONTRIBUTING.md", "## Targets")

    assert sorted(listed) == sorted(f"make {target}" for target in _targets())


@every_page
def test_a_page_is_plain(page: Path) -> None:
    """No tabs, no trailing white space, lines that a terminal can show."""
    lines = prose(page).split("\n")
    long = [n for n, line in enumerate(lines, 1)
            if len(line) > 105 and not line.startswith(("|", "![", "`careweir"))]  # fmt: skip

    assert not [n for n, line in enumerate(lines, 1) if "\t" in line or line != line.rstrip()]
    assert not long


@pytest.mark.parametrize("record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=name)
def test_an_architecture_decision_is_short_and_has_its_parts(record: Path) -> None:
    lines = record.read_text(encoding="utf-8").split("\n")

    assert len(lines) <= 41
    assert re.match(r"# \d+\. ", lines[0])
    assert lines[0].split(".")[0].removeprefix("# ") == str(int(record.name[:4]))
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context", "## Decision", "## Consequences",
    ]  # fmt: skip
