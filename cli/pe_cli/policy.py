"""``./pe policy``: look at policy bundles and check them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

app = typer.Typer(help="Policy bundles: check, show.", no_args_is_help=True)

_Bundle = Annotated[str, typer.Argument(help="Policy bundle: a name in models/, or a path.", metavar="BUNDLE")]


@app.command("check")
def check(bundle: _Bundle) -> None:
    """Load a bundle as a node would: schema, hashes, golden input and output."""
    from pe_core.bundle import load_bundle

    loaded = load_bundle(bundle)
    schema = loaded.schema
    typer.echo(f"{schema.name}: sound ({schema.kind} {schema.role}, dt {schema.dt:g} s, sha256 {schema.sha256[:12]})")


@app.command("show")
def show(bundle: _Bundle) -> None:
    """Print what a bundle says of itself: role, inputs, robot limits, provenance, hashes."""
    from dataclasses import asdict

    from pe_core.bundle import load_bundle

    loaded = load_bundle(bundle)
    typer.echo(json.dumps({"path": str(loaded.path), **asdict(loaded.schema)}, indent=1, default=str))
