"""The command `balancekit`, also as `python -m balancekit`."""

import sys

from balancekit.version import __version__


def main() -> None:
    """Run the command line; if its dependencies are missing, print how to install them and exit with 2."""
    # Without click this takes a tenth of the time, which scripts that check the version notice. What cannot be written
    # is left to the command, which says so.
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        try:
            sys.stdout.write(f"balancekit, version {__version__}\n")
            sys.stdout.flush()
        except OSError:
            pass
        else:
            sys.exit(0)
    from importlib.util import find_spec

    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"The balancekit command needs {' and '.join(missing)}. Install it with: pip install 'balancekit[cli]'\n"
        )
        sys.exit(2)
    try:
        import gc

        from balancekit.cli import cli
        from balancekit.cli.config_option import Hooks

        # To look for garbage among what was imported, again and at the end, takes a tenth of the time of a command.
        cli(prog_name="balancekit", obj=Hooks(imported=gc.freeze, ended=_let_interrupts_end_the_process))
    except KeyboardInterrupt:
        # While modules were imported; later, the command itself handles it.
        _let_interrupts_end_the_process()
        if sys.stderr is not None:
            sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    except SystemExit as ended:
        _let_interrupts_end_the_process()
        from balancekit.cli.threads import end_process_if_threads_go_on

        end_process_if_threads_go_on(ended.code)
        raise


def _let_interrupts_end_the_process() -> None:
    """Let Ctrl-C end the process at once, as it ends one that is not written in Python.

    The command has shown what it had to. A KeyboardInterrupt, raised wherever the interpreter is as it ends, would be a
    traceback, or be lost.
    """
    import signal

    # One that is ignored, as by a job in the background, stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
