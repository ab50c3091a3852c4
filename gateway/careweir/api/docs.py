"""``/docs``: the OpenAPI document as one plain page, without scripts and without a CDN."""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}article{border:1px solid #d0d7de;border-radius:8px;padding:.8rem 1rem;
margin:1rem 0}
code{font:14px ui-monospace,monospace}.m{font-weight:700;padding:.1rem .5rem;border-radius:4px;
background:#0b5cad;color:#fff}.GET{background:#2d6a4f}table{border-collapse:collapse}
td{padding:.15rem .8rem .15rem 0;vertical-align:top}
"""


def page(document: dict[str, Any]) -> str:
    """An HTML page that lists every route with its summary, body and responses."""
    articles = [
        _article(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>{escape(document['info'].get('description', ''))} "
        f'The machine-readable form is <a href="/openapi.json">openapi.json</a>.</p>'
        f"{''.join(articles)}</html>"
    )


def _article(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(str(answer['description']))}</td></tr>"
        for status, answer in operation.get("responses", {}).items()
    )
    return (
        f'<article><h2><span class="m {method}">{method}</span> <code>{escape(path)}</code></h2>'
        f"<p>{escape(operation.get('description', operation.get('summary', '')))}</p>"
        f"<table>{rows}</table></article>"
    )
