"""Log lines of the package, whose handlers are the host's."""

import contextvars
import logging
from pathlib import Path

import pytest

import balancekit
from balancekit.logs import Log
from tests.support.stores import PanicError

RAISED = [RuntimeError("the disk is full"), PanicError(), GeneratorExit()]


@pytest.fixture
def log():
    """Give a log of the package's own, of which nothing is left afterwards."""
    logger = logging.getLogger("balancekit.tests")
    logger.propagate = False
    yield Log("balancekit.tests")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


class Handler(logging.Handler):
    """A host's handler, which keeps what is logged and raises."""

    def __init__(self, raised=None):
        super().__init__()
        self.raised, self.records = raised, []

    def emit(self, record):
        """Keep a record, and raise."""
        self.records.append(record)
        if self.raised is not None:
            raise self.raised


@pytest.mark.parametrize("raised", RAISED, ids=repr)
def test_what_a_handler_raises_is_shown_and_nothing_more(log, capsys, raised):
    """As `logging` shows what goes wrong in its own handlers: the caller has other things to do."""
    log.logger.addHandler(Handler(raised))

    log.warning("%s is down", "shop")

    shown = capsys.readouterr().err
    assert "Message: '%s is down'\nArguments: ('shop',)" in shown
    assert type(raised).__name__ in shown


@pytest.mark.parametrize("raised", RAISED, ids=repr)
def test_it_is_not_shown_where_logging_shows_no_errors(log, capsys, monkeypatch, raised):
    """A host switches that off for all of its handlers."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.logger.addHandler(Handler(raised))

    log.warning("%s is down", "shop")

    assert capsys.readouterr().err == ""


def test_a_stderr_that_raises_fails_no_caller(log, monkeypatch):
    """A host may have replaced it by one that logs."""
    monkeypatch.setattr("sys.stderr", None)
    log.logger.addHandler(Handler(RuntimeError()))
    log.warning("down")

    class Redirected:
        def write(self, text):
            raise RuntimeError(text)

    monkeypatch.setattr("sys.stderr", Redirected())
    log.warning("down")


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_what_ends_the_program_ends_it(log, raised):
    """A handler may be where Ctrl-C arrives."""
    log.logger.addHandler(Handler(raised))

    with pytest.raises(type(raised)):
        log.warning("down")


def test_a_record_has_the_place_of_the_line_that_it_is_of(log):
    """Not that of the method which guards it, at any level and in any way of logging."""
    handler = Handler()
    log.logger.addHandler(handler)
    log.logger.setLevel(logging.DEBUG)

    log.debug("one")
    log.info("two")
    log.warning("three")
    log.log(logging.ERROR, "four")

    assert {(record.filename, record.funcName) for record in handler.records} == {
        ("test_logs.py", "test_a_record_has_the_place_of_the_line_that_it_is_of")
    }
    assert [record.getMessage() for record in handler.records] == ["one", "two", "three", "four"]


def test_only_the_command_line_takes_plain_loggers():
    """Only the command line, whose handlers are its own, takes loggers as they are."""
    package = Path(balancekit.__file__).parent
    plain = {path for path in package.rglob("*.py") if "logging.getLogger" in path.read_text()}

    assert {path.relative_to(package).parts[0] for path in plain} == {"cli", "logs.py"}


@pytest.mark.parametrize("without_context", [False, True])
def test_what_concerns_every_caller_is_logged_in_the_context_of_none(log, without_context):
    """Error trackers keep the request that is being served in the context, and show it with each line."""
    request = contextvars.ContextVar("request", default=None)
    handler = Handler()
    handler.addFilter(lambda _: shown.append(request.get()) or True)
    log.logger.addHandler(handler)
    shown = []

    request.set("POST /webhooks/shop")
    Log("balancekit.tests", without_context=without_context).warning("down")

    assert shown == [None if without_context else "POST /webhooks/shop"]
    assert handler.records[0].funcName == "test_what_concerns_every_caller_is_logged_in_the_context_of_none"
