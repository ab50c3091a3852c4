"""No engine builds the image here, so the Dockerfile is read: rules that no build checks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

import pytest

from careweir.settings import Settings
from support.paths import ROOT

Parse = Callable[[list[str]], tuple[str, dict[str, Any]]]

DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|private_?key)\w*[= ]\S")
PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+[a-z0-9.-]*( AS [a-z]+)?")


@dataclass(frozen=True)
class Line:
    """One instruction; ``stage`` counts the FROM lines before it."""

    word: str
    rest: str
    stage: int


def lines_of(text: str) -> list[Line]:
    """The instructions of a Dockerfile, comments and line continuations taken out."""
    kept = "\n".join(one for one in text.splitlines() if not one.lstrip().startswith("#"))
    found: list[Line] = []
    for raw in re.sub(r"\\\n", " ", kept).splitlines():
        word, _, rest = raw.strip().partition(" ")
        if word:
            stage = sum(one.word == "FROM" for one in found) + (word == "FROM")
            found.append(Line(word, " ".join(rest.split()), stage))
    return found


def faults(text: str) -> set[str]:
    """The names of the rules that a Dockerfile breaks."""
    lines = lines_of(text)
    last = max(line.stage for line in lines)
    final = {line.word: line.rest for line in lines if line.stage == last}
    checks = {
        "unknown instruction": all(line.word in INSTRUCTIONS for line in lines),
        "base not pinned": all(PINNED.fullmatch(ln.rest) for ln in lines if ln.word == "FROM"),
        "one stage": last > 1,
        "adds": all(line.word != "ADD" for line in lines),
        "runs as root": re.fullmatch(r"[1-9]\d*:[1-9]\d*", final.get("USER", "")) is not None,
        "no health check": "/readyz" in final.get("HEALTHCHECK", "")
        and "curl" not in final["HEALTHCHECK"],
        "no stop signal": final.get("STOPSIGNAL") == "SIGTERM",
        "no port": final.get("EXPOSE", "").isdigit(),
        "shell entry point": final.get("ENTRYPOINT", "").startswith("["),
        "unhashed install": all("--require-hashes" in line.rest or "--no-index" in line.rest
                                for line in lines if line.word == "RUN" and "install\", \"--" in
                                line.rest),
        "secret": not any(SECRET.search(ln.rest) for ln in lines if ln.word in ("ARG", "ENV")),
        "copies everything": not any(line.word == "COPY" and line.rest.split()[0] in (".", "./")
                                     for line in lines),
    }  # fmt: skip
    return {name for name, kept in checks.items() if not kept}


def test_the_dockerfile_breaks_no_rule() -> None:
    assert faults(DOCKERFILE) == set()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("EXPOSE 8080", "EXPOZE 8080", "unknown instruction"),
        ("FROM python:3.11-slim-bookworm\n", "FROM python:latest\n", "base not pinned"),
        ("FROM python:3.11-slim-bookworm\n", "FROM python\n", "base not pinned"),
        ("COPY requirements.txt ./", "ADD https://example.org/r.txt ./", "adds"),
        ("USER 10001:10001", "USER 0:0", "runs as root"),
        ("USER 10001:10001", "", "runs as root"),
        ("USER 10001:10001", "USER careweir", "runs as root"),
        ("/readyz", "/", "no health check"),
        ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "no stop signal"),
        ('ENTRYPOINT ["careweir"]', "ENTRYPOINT careweir", "shell entry point"),
        ('"--require-hashes", ', "", "unhashed install"),
        ("PYTHONUNBUFFERED=1", "PYTHONUNBUFFERED=1 DB_PASSWORD=x", "secret"),
        ("COPY gateway/ gateway/", "COPY . .", "copies everything"),
    ],
)
def test_each_rule_finds_what_it_is_for(old: str, new: str, fault: str) -> None:
    assert old in DOCKERFILE

    assert fault in faults(DOCKERFILE.replace(old, new))


def copied() -> Iterator[str]:
    """Every path that is copied from the repository."""
    for line in lines_of(DOCKERFILE):
        if line.word == "COPY" and not line.rest.startswith("--from="):
            yield from line.rest.split()[:-1]


def ignored(path: str) -> bool:
    """Does .dockerignore keep a path out? The last pattern that matches it or a parent decides."""
    verdict = False
    parts = PurePosixPath(path).parts
    prefixes = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    for raw in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = raw.strip()
        if not pattern or pattern.startswith("#"):
            continue
        wanted, bare = pattern.startswith("!"), pattern.removeprefix("!").rstrip("/")
        names = [*prefixes, *parts] if bare.startswith("**/") else prefixes
        if any(fnmatch(name, bare.removeprefix("**/")) for name in names):
            verdict = not wanted
    return verdict


def test_everything_that_is_copied_exists_and_reaches_the_build() -> None:
    paths = list(copied())

    assert {"requirements.txt", "pyproject.toml", "policies/"} <= set(paths)
    for path in paths:
        assert (ROOT / path).exists(), path
        assert not ignored(path.rstrip("/")), path


@pytest.mark.parametrize(
    "path",
    [".git/config", ".venv/bin/python", "tests/conftest.py", "careweir-data/audit.db",
     "docker/site/secrets/pgpass", "gateway/careweir/__pycache__/app.cpython-311.pyc", ".env"],
)  # fmt: skip
def test_data_keys_history_and_leftovers_do_not_reach_the_build(path: str) -> None:
    assert ignored(path)


def test_the_default_command_is_one_that_careweir_knows(parse_command: Parse) -> None:
    final = {line.word: line.rest for line in lines_of(DOCKERFILE)}
    arguments = json.loads(final["ENTRYPOINT"])[1:] + json.loads(final["CMD"])

    name, params = parse_command(arguments)

    assert name == "serve"
    assert params["port"] == int(final["EXPOSE"])


def test_each_setting_of_the_image_is_a_setting_of_the_gateway() -> None:
    known = {f"CAREWEIR_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"\bCAREWEIR_[A-Z_]+", DOCKERFILE))

    assert named
    assert named <= known
