"""The command `balancekit`, also as `python -m balancekit`."""

import sys

from balancekit.version import __version__


def main() -> None:
    """Run the command line; without its extra, say how to install it and exit with 2."""
    # Scripts ask for it, and answering takes a tenth of the time that importing click does.
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"balancekit, version {__version__}\n")
        sys.exit(0)
    from importlib.util import find_spec

    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"The balancekit command needs {' and '.join(missing)}. Install it with: pip install 'balancekit[cli]'\n"
        )
        sys.exit(2)
    from balancekit.cli import cli

    cli(prog_name="balancekit")


if __name__ == "__main__":
    main()
