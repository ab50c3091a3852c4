"""``sources.yaml``: what loads, what is refused, who may name a source."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from careweir.errors import ConfigInvalid
from careweir.source import Source, SourceUnknown, load_sources, source_of
from careweir.source.place import Place
from minimise.charts import ROOT, Json
from source.pulling import KEYS, SECRETS, SMART, written

EHR: Json = {"base_url": "https://ehr.example.org/fhir/R4", "auth": SMART}


def load(folder: Path, secrets: Any = SECRETS) -> dict[str, Source]:
    return load_sources(folder, secret=secrets.get, clock=lambda: datetime.now(UTC))


def test_no_file_means_no_sources(tmp_path: Path) -> None:
    assert load(tmp_path) == {}
    assert load(ROOT / "policies") == {}  # the example is not a configuration


def test_a_file_gives_a_source_for_each_name(tmp_path: Path) -> None:
    local = {"base_url": "http://127.0.0.1:8080/fhir", "auth": {"kind": "none"}}

    found = load(written(tmp_path, **{"main-ehr": EHR, "lab": local}))

    assert set(found) == {"main-ehr", "lab"}
    assert found["main-ehr"].client.base.url == "https://ehr.example.org/fhir/R4"
    assert found["main-ehr"].dialect.count == 200


def test_the_example_loads_as_it_stands(tmp_path: Path) -> None:
    example = ROOT / "policies" / "sources.example.yaml"
    (tmp_path / "sources.yaml").write_bytes(example.read_bytes())

    secrets = {"MAIN_EHR_KEY": SECRETS["EC_KEY"], "ARCHIVE_TOKEN": "abc"}
    assert len(load(tmp_path, secrets)) >= 2


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://ehr.example.org/fhir"},
        {"base_url": "http://localhost:8080/fhir"},
        {"base_url": "ftp://ehr.example.org/fhir"},
        {"base_url": "https://user:secret@ehr.example.org/fhir"},
        {"base_url": "https://ehr.example.org/fhir?x=1"},
        {"base_url": "https://ehr.example.org/fhir#x"},
        {"auth": {"kind": "none"}},
        {"auth": {"kind": "bearer"}},
        {"auth": {"kind": "smart", "secret": "EC_KEY"}},
        {"auth": {**SMART, "token_url": "http://ehr.example.org/token"}},
        {"auth": {**SMART, "surprise": "x"}},
        {"auth": {**SMART, "secret": "MISSING"}},
        {"auth": {**SMART, "secret": "../FIXED"}},
        {"auth": {**SMART, "secret": "FIXED"}},
        {"surprise": 1},
        {"page_count": 0},
        {"resources_max": 1_000_000},
        {"lacks": ["everything"]},
        {"judge": "nothing"},
        {"sites": ["no such/site"]},
    ],
)
def test_what_cannot_be_right_refuses_to_start(tmp_path: Path, change: Json) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(written(tmp_path, ehr={**EHR, **change}))

    assert str(caught.value).startswith("sources.yaml")
    assert "abc.def" not in str(caught.value)
    assert load(written(tmp_path, ehr=EHR))


@pytest.mark.parametrize(
    "text",
    ["", "version: 2\nsources: {}\n", "version: 1\nsources: {}\nmore: 1\n",
     "version: 1\nversion: 1\nsources: {}\n", "version: 1\nsources: {a: 1, a: 2}\n"],
)  # fmt: skip
def test_a_file_that_is_not_read_in_full_refuses_to_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.yaml").write_text(text)

    with pytest.raises(ConfigInvalid):
        load(tmp_path)


@pytest.mark.parametrize(
    "key",
    [
        {name: value for name, value in KEYS["EC"].items() if name != "d"},
        {name: value for name, value in KEYS["EC"].items() if name != "kid"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        [],
    ],
)
def test_a_key_that_cannot_sign_refuses_to_start(tmp_path: Path, key: Any) -> None:
    import json

    with pytest.raises(ConfigInvalid, match="private JWK"):
        load(written(tmp_path, ehr=EHR), {"EC_KEY": json.dumps(key)})


def test_a_source_is_open_to_its_sites_only(tmp_path: Path) -> None:
    sources = load(written(tmp_path, all=EHR, north={**EHR, "sites": ["north"]}))

    assert source_of(sources, "all", site=None).name == "all"
    assert source_of(sources, "north", site="north").name == "north"
    said = set()
    for name, site in (("north", "south"), ("north", None), ("nowhere", "north")):
        with pytest.raises(SourceUnknown) as caught:
            source_of(sources, name, site=site)
        said.add((caught.value.code, str(caught.value), caught.value.path))
    assert len(said) == 1


def test_a_source_may_name_a_token_endpoint_under_tls_only() -> None:
    places = [Place.read(url) for url in ("https://a.example/fhir", "http://127.0.0.1:1/fhir")]
    remote, local = places

    assert remote is not None
    assert local is not None
    assert not remote.may_trust(local)
    assert local.may_trust(remote)
    assert Place.read("http://192.168.0.1/fhir") is None
    assert Place.read("https://[::1]:8443/fhir") == Place("https", "::1", 8443, "/fhir")
