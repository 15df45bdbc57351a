"""Entry point of ``./pe`` and of ``python -m pe_cli``."""

import sys

from pe_cli.app import app


def main() -> None:
    """Run the command line; a mistake in what the user gave is one line on stderr and exit status 2."""
    try:
        app(prog_name="pe")
    except ValueError as error:
        from pe_core.config import ConfigurationError

        if not isinstance(error, ConfigurationError):
            raise
        print(f"pe: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`./pe ... | head`); nothing is left to say, not even at exit.
        sys.stdout = None
        sys.exit(141)


if __name__ == "__main__":
    main()
