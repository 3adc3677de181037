"""The exit codes of errors and results."""

from balancekit import ConfigError
from balancekit.cli.exit_codes import EXIT_CODES, ExitCode, exit_code_for_error


def test_subclasses_end_with_the_code_of_their_class():
    """A subclass of an error in the table has its exit code."""

    class OurConfigError(ConfigError):
        pass

    assert exit_code_for_error(OurConfigError()) is EXIT_CODES[ConfigError] is ExitCode.USAGE
