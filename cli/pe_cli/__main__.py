"""Entry point of ``./pe`` and of ``python -m pe_cli``."""

import sys

import typer

app = typer.Typer(no_args_is_help=True)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    sys.exit(main())
