"""Every setting, read once at start-up from ``CAREWEIR_*`` and files; frozen afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from careweir.errors import ConfigInvalid


class Settings(BaseSettings):
    """The gateway's configuration. An unknown ``CAREWEIR_*`` name refuses to start (``load``)."""

    model_config = SettingsConfigDict(env_prefix="CAREWEIR_", frozen=True, extra="forbid")

    config: Path | None = Field(default=None, description="Folder of policies and tools.")
    data: Path = Field(default=Path("careweir-data"), description="Folder of the embedded SQLite.")
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL instead of SQLite."
    )
    secrets_dir: Path | None = Field(default=None, description="Folder of one file per secret.")
    keys_dir: Path | None = Field(default=None, description="Folder of the audit and patient keys.")
    witness_file: Path | None = Field(default=None, description="Append-only file of checkpoints.")
    witness_syslog: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="host:port over TCP.",
    )
    witness_required: bool = Field(
        default=False, description="Nothing is disclosed while no witness takes checkpoints."
    )
    feed_url: str | None = Field(
        default=None,
        pattern=r"^(https://|http://127\.0\.0\.1:)\S+$",
        description="Webhook that gets every entry as an OCSF event.",
    )
    feed_syslog: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="host:port over TCP that gets every entry.",
    )
    replica: str = Field(default="gateway-1", pattern=r"^[A-Za-z0-9.-]{1,32}$", description="Name.")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+[^\s?#/]$",
        description="Where callers find this gateway.",
    )
    token_issuer: str | None = Field(default=None, description="Issuer of access tokens.")
    token_audience: str = Field(default="careweir", description="Audience that tokens must name.")
    token_jwks: str | None = Field(
        default=None, description="The issuer's JWKS: a file, an https URL, or discover."
    )
    static_tokens: Path | None = Field(
        default=None, description="File of bearer tokens that never change; without it: none."
    )
    token_endpoint: str | None = Field(
        default=None,
        pattern=r"^(https://|http://127\.0\.0\.1:)[!-~]+$",
        description="Where callers get tokens; told in smart-configuration.",
    )
    token_lifetime_max_s: int = Field(default=86_400, gt=0, description="Longest token accepted.")
    cds_origins: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:-]+( https?://[A-Za-z0-9.:-]+)*)?$",
        description="Origins of browsers that may call /cds-services, with a space between.",
    )
    body_bytes_max: int = Field(default=25_000_000, gt=0, description="Largest request body.")
    body_s_max: float = Field(default=60.0, gt=0, description="Time for a request body to arrive.")
    deadline_ms_default: int = Field(default=4000, gt=0, le=60_000, description="Without one.")
    results_kept_s: int = Field(default=86_400, ge=0, description="Answers can be read again.")
    job_deadline_s: int = Field(default=900, gt=0, le=86_400, description="For respond-async.")
    job_lease_s: int = Field(default=20, ge=2, le=25, description="Then others take a job over.")
    webhooks: Path | None = Field(default=None, description="YAML: client, url, secret's name.")
    in_flight_max: int = Field(default=512, gt=0, description="Questions at once; above: 503.")
    rate_per_s: float = Field(
        default=100.0, gt=0, le=1_000_000, description="Requests a second of one application."
    )
    rate_burst: int = Field(default=500, gt=0, description="Requests of one application at once.")
    rates: Path | None = Field(
        default=None, description="YAML: client, per_s, burst; for applications of their own."
    )
    allow_http_endpoints: bool = Field(default=False, description="Plain http to tools.")
    private_networks: str = Field(
        default="", max_length=1000, description="Networks that names of tools may lead to."
    )
    log_json: bool = Field(default=True, description="JSON lines; otherwise for people.")


def load_settings(
    *, data: Path | None = None, database_url: str | None = None, config: Path | None = None
) -> Settings:
    """Environment first, the command line's options over it; raises ConfigInvalid."""
    known = {f"CAREWEIR_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(n for n in os.environ if n.startswith("CAREWEIR_") and n not in known)
    if unknown := [name for name in unknown if not name.startswith("CAREWEIR_TEST_")]:
        raise ConfigInvalid(f"unknown setting {unknown[0]} (see docs/operators.md)")
    options = {"data": data, "database_url": database_url, "config": config}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
        raise ConfigInvalid(f"these settings cannot be used: {', '.join(fields)}") from None
