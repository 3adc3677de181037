"""What the exit codes mean."""

from balancekit import ConfigError
from balancekit.cli.exit_codes import EXIT_CODES, ExitCode, exit_code_for_error


def test_subclasses_end_with_the_code_of_their_class():
    """The table needs only the roots."""

    class OurConfigError(ConfigError):
        pass

    assert exit_code_for_error(OurConfigError()) is EXIT_CODES[ConfigError] is ExitCode.USAGE
