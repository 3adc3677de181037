"""The command `balancekit`, also as `python -m balancekit`."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line; without its extra, say how to install it and exit with 2."""
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
