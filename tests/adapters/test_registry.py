"""Adapters and tools are discovered, checked, and refused with file and field."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from careweir_kit import registry
from careweir_kit.adapter import VendorAnswer
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.registry import discover_adapters, load_tool, load_tools, replay
from careweir_kit.strict_yaml import YamlRefused, load_mapping

ROOT = Path(__file__).resolve().parents[2]
TOOLS_DIR = ROOT / "policies" / "tools"
SHIPPED = {"acme-sepsis", "beacon-sepsis", "lumen-cxr", "radnote-cxr", "news2"}


def test_adapters_are_found_by_their_manifest_and_sorted() -> None:
    found = discover_adapters()

    assert list(found) == sorted(found)
    assert {"oip_v2", "cds_hooks", "openai_chat", "published_score"} <= set(found)
    assert all(name == one.manifest.adapter for name, one in found.items())


def test_the_shipped_tools_load_and_have_overlapping_live_tools_and_a_fallback() -> None:
    tools = load_tools(TOOLS_DIR, discover_adapters())

    assert set(tools) >= SHIPPED
    sepsis = {t.mode for t in tools.values() if "sepsis-risk" in t.capabilities}
    assert sepsis >= {"live", "fallback"}
    live = [
        t for t in tools.values() if t.mode == "live" and "chest-xray-findings" in t.capabilities
    ]
    assert len(live) >= 2
    assert len({t.adapter for t in tools.values() if t.mode == "live"}) >= 3


def test_every_simulated_vendor_says_that_it_is() -> None:
    for tool in load_tools(TOOLS_DIR, discover_adapters()).values():
        if tool.simulator is not None:
            assert tool.vendor.endswith("(simulated)")


def _tools_with(folder: Path, change: tuple[str, str], *, name: str = "acme-sepsis") -> Path:
    text = (TOOLS_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    (folder / f"{name}.yaml").write_text(text.replace(*change, 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("tool: acme-sepsis", "tool: other-sepsis"), r"acme-sepsis\.yaml: tool"),
        (("adapter: oip_v2", "adapter: no_such"), r"acme-sepsis\.yaml: adapter"),
        (("region: local", "region: local\nregion: abroad"), "line .*: a key occurs twice"),
        (("region: local", "colour: red"), r"colour \(extra_forbidden\)"),
        (("deadline_ms: 2500", "deadline_ms: 0"), "deadline_ms"),
        (("model: sepsis6h", "modell: sepsis6h"), r"request\.modell?"),
        (("below: 0.6", "below: 0.1"), "bands"),
        (("pin: true", "pin: perhaps"), r"answer\.pin"),
        (("  model_version: 4.1.0", "  model_version: null"), "model_version"),
        (("endpoints: {default:", "endpoints: {north:"), "endpoints"),
        (("vendor: Acme", "vendor: [Acme"), "not valid YAML"),
    ],
)
def test_a_tool_file_that_cannot_be_used_names_file_and_field(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ToolFileInvalid, match=said) as raised:
        load_tools(_tools_with(tmp_path, change), discover_adapters())

    assert "acme-sepsis.yaml" in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_secret_without_a_name_is_refused(tmp_path: Path) -> None:
    change = ("secret: RADNOTE_TOKEN", "secret: null")

    with pytest.raises(ToolFileInvalid, match=r"auth\.secret"):
        load_tools(_tools_with(tmp_path, change, name="radnote-cxr"), discover_adapters())


def test_a_score_that_is_not_marked_as_a_fallback_is_refused(tmp_path: Path) -> None:
    change = ("mode: fallback", "mode: live")

    with pytest.raises(ToolFileInvalid, match="mode"):
        load_tools(_tools_with(tmp_path, change, name="news2"), discover_adapters())


def test_an_unchanged_tool_file_elsewhere_is_good(tmp_path: Path) -> None:
    file = tmp_path / "anything.yaml"
    shutil.copy(TOOLS_DIR / "acme-sepsis.yaml", file)

    assert load_tool(file, discover_adapters()).tool == "acme-sepsis"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolFileInvalid, match="cannot be read"):
        load_tool(tmp_path / "gone.yaml", discover_adapters())


@pytest.mark.parametrize("text", ["a: 1\na: 2", "b: {a: 1, a: 2}", "- 1", "a: [", "? {x: 1} : 2"])
def test_yaml_that_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(YamlRefused):
        load_mapping(text)


def _package(folder: Path, package: str, adapter: str) -> None:
    inside = folder / package / adapter
    source = ROOT / "adapters" / "careweir_adapters" / "published_score"
    shutil.copytree(source, inside, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / package / "__init__.py").write_text("")
    for file in inside.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("adapter: published_score", f"adapter: {adapter}"))


def test_a_third_party_adapter_comes_in_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "hospital_pack_one", "house_score")
    _enter(tmp_path, monkeypatch, "hospital_pack_one.house_score")

    found = discover_adapters()

    assert found["house_score"].manifest.transport == "in_process"
    assert found["house_score"].module.__name__ == "hospital_pack_one.house_score.adapter"


def test_two_adapters_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "hospital_pack_two", "published_score")
    _enter(tmp_path, monkeypatch, "hospital_pack_two.published_score")

    with pytest.raises(ToolFileInvalid, match="published_score"):
        discover_adapters()


def test_a_folder_that_is_not_its_manifest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "hospital_pack_three", "house_score")
    (tmp_path / "hospital_pack_three" / "house_score").rename(
        tmp_path / "hospital_pack_three" / "renamed_score"
    )
    _enter(tmp_path, monkeypatch, "hospital_pack_three.renamed_score")

    with pytest.raises(ToolFileInvalid, match="folder"):
        discover_adapters()


def _enter(folder: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Install one entry point, as a wheel would."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    entry = EntryPoint(name=value.rpartition(".")[2], value=value, group=registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda **_: (entry,))


def test_a_score_in_process_has_nothing_to_replay() -> None:
    adapter = discover_adapters()["published_score"]
    assert adapter.example_tool is not None

    result = replay(adapter, adapter.example_tool, VendorAnswer(200, {}, b"{}"))

    assert result["error"] == {"code": "not_replayable", "detail": "computed in process"}
    assert (result["findings"], result["completeness"]) == ([], "none")
