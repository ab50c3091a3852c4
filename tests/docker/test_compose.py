"""No engine starts the services here, so the compose file is read and held to the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from careweir.settings import load_settings
from support.paths import ROOT

Parse = Callable[[list[str]], tuple[str, dict[str, Any]]]

FILE = ROOT / "docker" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, one in SERVICES.items() if one["image"].startswith("careweir:"))
REPLICAS = [name for name in OURS if "CAREWEIR_DATABASE_URL" in SERVICES[name].get("environment",
                                                                                  {})]  # fmt: skip


def test_there_are_a_database_two_replicas_and_a_demonstration_behind_a_profile() -> None:
    assert set(SERVICES) == {"postgres", "gateway-1", "gateway-2", "demo"}
    assert REPLICAS == ["gateway-1", "gateway-2"]
    assert SERVICES["demo"]["profiles"] == ["demo"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_image_has_a_tag_that_is_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z]+:\d+[a-z0-9.-]*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", OURS)
def test_each_container_of_ours_is_hardened(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert "privileged" not in service
    assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])
    assert any(str(one).split(":")[1] == "/var/lib/careweir" for one in service["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_each_container_of_ours_is_built_from_the_dockerfile_beside_it(name: str) -> None:
    build = SERVICES[name]["build"]
    context = (FILE.parent / build["context"]).resolve()

    assert context == ROOT
    assert (context / build["dockerfile"]).is_file()


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_that_careweir_knows_and_listens_where_the_port_leads(
    name: str, parse_command: Parse
) -> None:
    word, params = parse_command(SERVICES[name]["command"])

    assert word == "serve"
    assert params["host"] == "0.0.0.0"
    assert params["demo"] is (name == "demo")
    assert all(str(port).endswith(f":{params['port']}") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", REPLICAS)
def test_the_settings_of_a_replica_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES[name]["environment"]
    for key, value in environment.items():
        monkeypatch.setenv(key, re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value))

    settings = load_settings()

    assert settings.replica == name
    assert settings.database_url is not None
    assert settings.config == Path("/etc/careweir/config")


def test_no_secret_stands_in_the_file_only_names_of_files_outside_the_repository() -> None:
    text = FILE.read_text(encoding="utf-8")
    declared = COMPOSE["secrets"]
    used = {secret for one in SERVICES.values() for secret in one.get("secrets", [])}

    assert set(declared) == used
    assert all(set(one) == {"file"} for one in declared.values())
    assert all(one["file"].startswith("./site/secrets/") for one in declared.values())
    assert not re.search(r"://[^/\s:]+:[^@\s]+@", text)
    assert not re.search(r"(?m)^\s*POSTGRES_PASSWORD:", text)


def test_both_replicas_hold_the_same_audit_keys_and_differ_in_name_and_port_only() -> None:
    first, second = (SERVICES[name] for name in REPLICAS)

    differing = {key for key in first if first[key] != second[key]}
    assert differing == {"environment", "ports", "volumes"}
    shared = {k: v for k, v in first["environment"].items() if k != "CAREWEIR_REPLICA"}
    assert shared == {k: v for k, v in second["environment"].items() if k != "CAREWEIR_REPLICA"}


def test_every_volume_and_network_that_is_used_is_declared() -> None:
    volumes = {
        str(volume).partition(":")[0] for one in SERVICES.values() for volume in one["volumes"]
    }
    networks = {network for one in SERVICES.values() for network in one["networks"]}

    assert {name for name in volumes if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert networks == set(COMPOSE["networks"])
    assert COMPOSE["networks"]["back"]["internal"] is True


def test_the_readme_says_that_nobody_has_run_these_files() -> None:
    assert "linted, not run" in (ROOT / "docker" / "README.md").read_text(encoding="utf-8")
