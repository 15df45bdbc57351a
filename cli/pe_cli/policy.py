"""``./pe policy``: look at policy bundles, check them, and make them of what was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Policy bundles: check, show, export.", no_args_is_help=True)

_Bundle = Annotated[
    str, typer.Argument(help="Policy bundle: a name in models/, or a path.", metavar="BUNDLE")
]


@app.command("check")
def check(bundle: _Bundle) -> None:
    """Load a bundle as a node would: schema, hashes, golden input and output."""
    from pe_core.bundle import load_bundle

    loaded = load_bundle(bundle)
    schema = loaded.schema
    typer.echo(
        f"{schema.name}: sound ({schema.kind} {schema.role}, dt {schema.dt:g} s, sha256 {schema.sha256[:12]})"
    )


@app.command("show")
def show(bundle: _Bundle) -> None:
    """Print what a bundle says of itself: role, inputs, robot limits, provenance, hashes."""
    from dataclasses import asdict

    from pe_core.bundle import load_bundle

    loaded = load_bundle(bundle)
    typer.echo(json.dumps({"path": str(loaded.path), **asdict(loaded.schema)}, indent=1, default=str))


@app.command("export")
def export(
    run: Annotated[Path, typer.Argument(help="Run folder of ./pe train.", metavar="RUN")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")],
    out: Annotated[Path | None, typer.Option(help="Where to. Default: models/.", metavar="DIR")] = None,
) -> None:
    """Make a bundle of a trained policy, and compare it with what it was made of; with ONNX where that is installed."""
    from training.learning.export import export as make

    _say(*make(run, name, out or _models()))


@app.command("polygon")
def polygon(
    bundle: _Bundle,
    name: Annotated[str, typer.Option(help="Name of the new bundle.")],
    out: Annotated[Path | None, typer.Option(help="Where to. Default: models/.", metavar="DIR")] = None,
) -> None:
    """Make of a CBF-Beta bundle one that keeps its polygon: it drives the mean of the truncated density."""
    from training.learning.keep_polygon import keep_polygon

    _say(*keep_polygon(bundle, name, out or _models()))


@app.command("rebuild")
def rebuild(bundle: _Bundle) -> None:
    """Script a learned bundle again, in its place, where that changes no action by a bit: for modules made faster."""
    from training.learning.rebuilt import rebuild as make

    _say(*make(bundle))


@app.command("onnx")
def onnx(bundle: _Bundle) -> None:
    """Write model.onnx beside a bundle's model, and compare the two."""
    from pe_core.paths import bundle_path
    from training.learning.onnx_file import add_onnx

    path = bundle_path(bundle)
    typer.echo(_onnx_said(path, add_onnx(path)))


def _models() -> Path:
    from pe_core.paths import share_directory

    return share_directory() / "models"


def _say(path: Path, found: dict[str, float]) -> None:
    """What was found of a bundle that was made, with ONNX where that is installed."""
    from training.learning.onnx_file import OnnxError, add_onnx

    typer.echo(
        f"{path}: equals what it was made of to {found['difference']:.2g}, {found['call_ms']:.3f} ms a call (batch one)"
    )
    try:
        typer.echo(_onnx_said(path, add_onnx(path)))
    except OnnxError as error:
        typer.echo(f"no ONNX: {error}")


def _onnx_said(path: Path, found: dict[str, Any]) -> str:
    return (
        f"{path / 'model.onnx'}: equals the bundle to {found['difference']:.2g} over {found['inputs']} inputs, "
        f"opset {found['opset']}"
    )
