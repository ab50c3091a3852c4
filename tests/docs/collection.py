"""The OpenAPI document as a collection for Postman and Bruno: ``python -m docs.collection``.

Writes ``docs/examples/careweir.postman_collection.json`` anew. Variables: ``base_url``, ``token``.

Source: Postman Collection Format v2.1.0; Bruno and Insomnia import the same file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from careweir.app import build_app
from careweir.settings import Settings
from support.paths import ROOT

FILE = ROOT / "docs" / "examples" / "careweir.postman_collection.json"
SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
EXAMPLES: dict[str, Any] = {
    "capability": "sepsis-risk", "tool": "acme-sepsis", "cds": "sepsis-risk",
}  # fmt: skip
Json = dict[str, Any]


def collection(document: Json) -> Json:
    """The whole collection: one folder a first part of the path, one request an operation."""
    folders: dict[str, list[Json]] = {}
    for path, methods in sorted(document["paths"].items()):
        for method, operation in sorted(methods.items()):
            made = _request(path, method.upper(), operation, document)
            folders.setdefault(_folder(path), []).append(made)
    return {
        "info": {
            "name": "careweir",
            "description": "Made from /openapi.json. Set base_url and token.",
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}"}]},
        "variable": [
            {"key": "base_url", "value": "http://127.0.0.1:8080"},
            {"key": "token", "value": ""},
        ],
        "item": [{"name": name, "item": items} for name, items in sorted(folders.items())],
    }


def _folder(path: str) -> str:
    first = path.split("/")[1]
    return first if first in ("v1", "fhir", "cds-services") else "about"


def _request(path: str, method: str, operation: Json, document: Json) -> Json:
    names = re.findall(r"\{(\w+)\}", path)
    raw = "{{base_url}}" + re.sub(r"\{(\w+)\}", r":\1", path)
    given = operation.get("parameters", ())
    query = [
        {"key": one["name"], "value": _value(one["schema"]), "disabled": not one.get("required"),
         "description": one.get("description", "")}
        for one in given if one["in"] == "query"
    ]  # fmt: skip
    needed = [f"{one['key']}={one['value']}" for one in query if not one["disabled"]]
    url: Json = {
        "raw": raw + ("?" + "&".join(needed) if needed else ""),
        "host": ["{{base_url}}"],
        "path": [f":{p[1:-1]}" if p.startswith("{") else p for p in path.split("/")[1:]],
        "variable": [{"key": name, "value": _example(path, name)} for name in names],
    }
    url |= {"query": query} if query else {}
    request: Json = {"method": method, "header": _headers(given, operation), "url": url,
                     "description": operation.get("description", "")}  # fmt: skip
    if operation.get("security") == []:
        request["auth"] = {"type": "noauth"}
    if "requestBody" in operation:
        request["body"] = {"mode": "raw", "raw": _body(path, operation, document)}
    return {"name": f"{method} {path}", "request": request}


def _headers(given: Any, operation: Json) -> list[Json]:
    found = [{"key": one["name"], "value": "", "disabled": True} for one in given
             if one["in"] == "header"]  # fmt: skip
    content = operation.get("requestBody", {}).get("content", {})
    return [*([{"key": "Content-Type", "value": next(iter(content))}] if content else []), *found]


def _value(schema: Json) -> str:
    allowed = schema.get("enum") or [schema.get("const", schema.get("default", ""))]
    return str(allowed[0])


def _example(path: str, name: str) -> str:
    kind = "cds" if path.startswith("/cds") else "capability" if "capabilities" in path else "tool"
    return str(EXAMPLES[kind]) if name == "name" else ""


def _body(path: str, operation: Json, document: Json) -> str:
    if path in ("/v1/inferences", "/v1/disclosures/preview"):
        question = (ROOT / "docs" / "examples" / "question.json").read_text("utf-8")
        return json.dumps(json.loads(question), indent=1)
    schema = next(iter(operation["requestBody"]["content"].values()))["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    fields = document["components"]["schemas"].get(name, {})
    required = fields.get("required", ())
    return json.dumps({one: _value(fields["properties"][one]) for one in required}, indent=1)


def made() -> str:
    """The file's text as it should be."""
    document = build_app(Settings()).openapi()
    return json.dumps(collection(document), indent=1, ensure_ascii=False) + "\n"


def write(file: Path = FILE) -> None:
    """Write the file anew."""
    file.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    write()
