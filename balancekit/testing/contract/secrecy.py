"""The contract: no secret is shown, whatever the API sends and wherever an error ends up."""

import base64
import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from balancekit.errors import ConfigError
from balancekit.http.messages import Request, Response
from balancekit.http.redaction import walk_exception_chain
from balancekit.testing.contract import documents
from balancekit.testing.contract.harness import LABEL, Harness, always, on_request, with_status
from balancekit.testing.contract.server import Change, Reply

_LONG: Final = 20

_HERE: Final = Path(__file__).parent

_CANARY: Final = "canary-3f9a2b7c"

_BAD_URLS: Final = (
    f"https://user:{_CANARY}@contract.example",
    f"https://contract.example/?token={_CANARY}",
    "http://contract.example",
    "ftp://contract.example",
    "contract.example",
    "",
)

_DISGUISES: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "percent": lambda text: quote(text, safe=""),
    "every character escaped": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "upper case": str.upper,
    "reversed": lambda text: text[::-1],
    "a line for each character": "\n".join,
}

_PUBLIC: Final = frozenset({"host", "accept", "accept-encoding", "user-agent", "content-type", "content-length"})


class SecrecyTests(Harness):
    """The same keys move money."""

    def test_the_secrets_are_declared(self) -> None:
        """Without them the tests would look for nothing; an API without credentials says `has_secrets = False`."""
        assert self.secrets or not self.has_secrets, "list the credentials of make_provider in secrets"
        assert not isinstance(self.secrets, str), "secrets: expected a list of texts"
        assert not [secret for secret in self.secrets if len(secret) < 8], "secrets: expected 8 characters or more"

    def test_the_repr_of_an_adapter_shows_no_secret(self) -> None:
        """Neither do its text, its attributes or its format."""
        provider = self.make_provider(LABEL, "https://contract.example")

        self._check_hidden(f"{provider!r} {provider} {getattr(provider, '__dict__', '')!r} {provider.provider}")

    def test_the_repr_of_an_adapter_that_has_read_shows_no_secret(self) -> None:
        """What it has kept, such as a token, is hidden."""

        async def steps() -> str:
            async with self._api(self._some()) as api:
                provider = self.make_provider(LABEL, api.base_url)
                await self._read_from(api, provider)
            return f"{provider!r} {provider} {getattr(provider, '__dict__', '')!r}"

        self._check_hidden(self._run(steps))

    def test_a_pickle_of_an_adapter_holds_no_secret(self) -> None:
        """It cannot be pickled, or what is pickled is harmless."""
        provider = self.make_provider(LABEL, "https://contract.example")
        try:
            pickled = pickle.dumps(provider)
        except Exception:  # noqa: BLE001 - any refusal will do
            return
        self._check_hidden(pickled.decode("latin-1"))

    def test_a_pickle_of_what_was_read_holds_no_secret(self) -> None:
        """Results are cached, and sent to other processes."""
        read = self._read()

        self._check_hidden(pickle.dumps(read.outcome).decode("latin-1"))
        self._check_hidden(repr(read.outcome))

    def test_a_fingerprint_holds_no_secret(self) -> None:
        """It is in the keys of a shared store, and the same for the same account."""
        first, second = (self.make_provider(LABEL, "https://contract.example") for _ in range(2))
        fingerprint = getattr(first, "fingerprint", "")

        assert isinstance(fingerprint, str)
        assert fingerprint == getattr(second, "fingerprint", "")
        self._check_hidden(fingerprint)

    @pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 429, 500, 503])
    def test_a_request_that_is_sent_back_is_not_shown(self, status: int) -> None:
        """A debugging server, or a proxy, may respond with what it was sent."""
        self._check_echo(lambda request: Response(status, {"Location": request.url}, _texts_of(request).encode()))

    @pytest.mark.parametrize("disguise", _DISGUISES)
    def test_a_secret_in_disguise_is_not_shown(self, disguise: str) -> None:
        """Encoded, it is as readable as before."""
        disguised = _DISGUISES[disguise]

        def echo(request: Request) -> Response:
            sent = " ".join(disguised(text) for text in (*self._sent(request), _texts_of(request)))
            return Response(403, {}, f"Not with {sent}".encode())

        self._check_echo(echo, hidden=disguised)

    def test_a_secret_as_the_providers_code_is_not_shown(self) -> None:
        """The code is a fact of the error, and is logged."""
        self._check_echo(lambda request: Response(401, {}, self.error_body(*[" ".join(self._sent(request))] * 2)))

    def test_a_secret_in_an_error_of_a_success_is_not_shown(self) -> None:
        """An error with the status of a success is read as any other."""
        self._check_echo(lambda request: Response(200, {}, self.error_body(*[" ".join(self._sent(request))] * 2)))

    def test_a_secret_that_is_sent_back_in_any_field_is_not_shown(self) -> None:
        """Not in the error of the field either, nor as the code of a currency."""
        self._need("sends_json")
        before = self._read()
        for index, response in enumerate(before.responses):
            document = documents.parse(response.body)
            for path, _ in documents.places(document):
                self._check_hidden(
                    _shown_of(self._read(change=on_request(index, self._repeats(document, path))).outcome)
                )

    @pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nX: ", None], ids=["cut", "half a head", "hanging"])
    def test_a_transport_error_shows_no_secret(self, reply: bytes | None) -> None:
        """Exceptions of HTTP libraries hold the request."""
        read = self._read(change=always(reply), seconds=0.1)

        self._check_hidden(_shown_of(read.outcome))

    def test_a_head_that_quotes_the_request_is_not_shown(self) -> None:
        """What cannot be parsed is quoted by parsers."""
        self._check_echo(lambda request: b"HTTP/1.1 " + _texts_of(request).encode() + b"\r\n\r\n")

    def test_the_log_shows_no_secret(self, caplog: pytest.LogCaptureFixture) -> None:
        """Not even at DEBUG, after a success and after a failure."""
        with caplog.at_level(logging.DEBUG):
            self._read()
            self._read(change=lambda _, request, __: Response(401, {}, _texts_of(request).encode()))

        self._check_hidden(
            " ".join(f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records)
        )

    def test_nothing_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A library writes to neither output."""
        self._read()
        self._read(change=with_status(401))

        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("label", ["", "a\nb", " ", "x" * 5000], ids=["empty", "two lines", "blank", "long"])
    def test_a_label_that_cannot_be_used_is_a_config_error(self, label: str) -> None:
        """It is raised at once, and its traceback shows no secret with its local variables."""
        self._check_refused(label, "https://contract.example")

    @pytest.mark.parametrize("base_url", _BAD_URLS)
    def test_a_base_url_that_cannot_be_used_is_a_config_error(self, base_url: str) -> None:
        """Credentials would cross the network in the clear, or stand in the URL; neither is shown."""
        self._check_refused(LABEL, base_url)

    def test_a_copy_of_an_adapter_shows_no_secret(self) -> None:
        """It can be copied, or refuses to be."""
        provider = self.make_provider(LABEL, "https://contract.example")
        try:
            copied = copy.copy(provider)
        except Exception:  # noqa: BLE001 - any refusal will do
            return
        self._check_hidden(repr(copied))

    def _repeats(self, document: object, path: documents.Path) -> Change:
        """Send a document with the secrets in place of one of its values."""
        return lambda _, request, __: Response(
            200, {}, documents.write(documents.replace(document, path, " ".join(self._sent(request))))
        )

    def _check_refused(self, label: str, base_url: str) -> None:
        with pytest.raises(ConfigError) as caught:
            self.make_provider(label, base_url)
        own = Path(type(self).make_provider.__code__.co_filename)
        self._check_hidden(_shown_by(caught.value, own), _CANARY)

    def _sent(self, request: Request) -> list[str]:
        """Return the secrets: those that are declared, and what a request has besides, such as signatures."""
        values = [value for name, value in request.headers.items() if name.lower() not in _PUBLIC]
        return [*self.secrets, *values]

    def _check_echo(self, echo: Callable[[Request], Reply], hidden: Callable[[str], str] = str) -> None:
        """Send back what an adapter has sent, and check that the error does not show it."""
        for index in range(len(self._read().responses)):
            read = self._read(change=on_request(index, lambda _, request, __: echo(request)))
            self._check_error(read)
            shown = _shown_of(read.outcome)
            # A short one may be a word.
            sent = [text for text in self._sent(read.requests[index]) if len(text) > _LONG]
            self._check_hidden(shown, *sent)
            assert not [text for text in (*self.secrets, *sent) if hidden(text) in shown], (
                "a secret is shown, disguised"
            )

    def _check_hidden(self, shown: str, *more: str) -> None:
        found = [f"{secret[:2]}…" for secret in (*self.secrets, *more) if secret in shown]
        assert not found, f"secrets are shown: {', '.join(found)}"


def _texts_of(request: Request) -> str:
    """Return all that was sent, as a server might repeat it."""
    headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    return f"{request.method} {request.url}\n{headers}\n\n{request.body.decode('latin-1')}"


def _shown_of(outcome: object) -> str:
    """Return all that can be seen of an outcome, and of its error if it has one."""
    error = getattr(outcome, "error", None)
    if error is None:
        return repr(outcome)
    return f"{outcome!r} {_shown_by(error)} {pickle.dumps(error).decode('latin-1')}"


def _shown_by(error: BaseException, *tests: Path) -> str:
    """Return the text of all that an error tracker could collect of an exception, except of the tests' own frames."""
    return " ".join(text for link in walk_exception_chain(error) for text in _texts_by(link, tests))


def _texts_by(link: BaseException, tests: tuple[Path, ...]) -> Iterator[str]:
    yield f"{link!r} {link} {link.args!r} {vars(link)!r}"
    for frame in traceback.TracebackException.from_exception(link, capture_locals=True).stack:
        path = Path(frame.filename)
        if path not in tests and _HERE not in path.parents:
            yield repr(frame.locals)
