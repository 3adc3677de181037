"""What every adapter does; the test file of each has a class that derives from this one."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from balancekit import Balance, ConfigError, MalformedResponseError, ProviderError, Response
from balancekit.http.hints import HINTS
from balancekit.http.quotations import Secrets
from balancekit.providers import base
from tests.support.clock import NEW_YEAR

CANARY = "canary-3f9a"
GATEWAY_PAGE = (
    "502: <html> <head><title>502 Bad Gateway</title></head> "
    "<body> <center><h1>502 Bad Gateway</h1></center> </body> </html>"
)
"""The message of the sample `bad_gateway`: a proxy's page, on one line."""
BASE_URLS = ["http://x.example", "x.example", None, f"https://user:{CANARY}@x.example"]


class AdapterContract:
    """Derive from it with the attributes below; tests are made of the rows of the tables by conftest.py."""

    secrets: tuple
    """What is never shown of the settings of an account."""
    by_reference: frozenset
    """The names of the settings that a configuration file may hold by reference only."""
    bad_settings: tuple
    """Settings that cannot work: names and values; those of the base URL need not be listed."""
    samples: str
    """The folder of what the provider sends; there is a `page` of its documentation, and an `empty` list."""
    malformed: tuple
    """Responses that are a 200 and hold no balances, and the messages of their errors."""
    bodies: st.SearchStrategy
    """Bodies that are nearly right."""
    documented_errors: tuple
    """What error responses become: names of samples, classes, codes, messages, and the starts of hints."""

    @staticmethod
    def make(account="shop", **changes):
        """Make an account; settings may be changed."""
        raise NotImplementedError

    @pytest.fixture
    def provider(self, monkeypatch):
        """Make an account whose requests are all alike: words that are in a signature by chance would not be shown."""
        monkeypatch.setattr(base, "new_nonce", lambda: "AAAAAAAAAAAAAAAAAAAAAA==")
        provider = self.make()
        provider.clock = lambda: NEW_YEAR
        return provider

    def check_nothing_is_shown(self, shown):
        """Check that a text has none of the secrets."""
        assert not [secret for secret in [CANARY, *self.secrets] if secret in shown]

    def test_secrets_are_held_by_reference_only(self, provider):
        """A configuration file names where a secret is, not the secret."""
        assert type(provider).secret_settings == self.by_reference

    def test_a_setting_that_cannot_work_is_named_and_not_shown(self, bad_setting, everything_shown_by):
        """The message names account and setting, and neither it nor the traceback's variables show a secret."""
        name, value = bad_setting

        with pytest.raises(ConfigError, match=rf"^account 'shop': {name}: ") as caught:
            self.make(**{name: value})

        self.check_nothing_is_shown(everything_shown_by(caught.value))

    def test_an_account_shows_no_secret(self, provider):
        """Neither the provider nor its parts nor its request show a key or a signature."""
        request = provider.build_request(now=0, nonce="n")
        signatures = [value for name, value in request.headers.items() if "Signature" in name]

        shown = repr([provider, vars(provider), request])

        assert signatures
        assert not [signature for signature in signatures if signature in shown]
        self.check_nothing_is_shown(shown)

    @pytest.mark.parametrize(
        "disguise",
        [bytes, base64.b64encode, bytes.hex, lambda sent: "\n".join(sent.decode()), lambda sent: sent.decode()[:-9]],
        ids=["plain", "base64", "hexadecimal", "lines", "cut"],
    )
    async def test_a_request_that_is_sent_back_is_not_shown(self, provider, monkeypatch, everything_shown_by, disguise):
        """Neither key nor signature, nor six characters of them, can be put together from the error."""
        sent = []

        async def send_back(session, request):
            sent.extend(value for name, value in request.headers.items() if name != "Content-Type")
            body = disguise(" ".join(sent).encode())
            return Response(403, body=body if isinstance(body, bytes) else body.encode())

        monkeypatch.setattr(base, "send", send_back)

        with pytest.raises(ProviderError, match="403") as caught:
            await provider.fetch_balances(None)

        shown = everything_shown_by(caught.value)
        assert not any(value[:6] in shown or value[-15:-9] in shown for value in sent if len(value) > 20)
        assert not Secrets(sent).quoted_in(str(caught.value))

    async def test_a_malformed_response_is_named_by_its_path(self, provider, wire, malformed):
        """What holds no balances is never an empty account; the message says where and what is wrong."""
        wire.outcome, message = malformed

        with pytest.raises(MalformedResponseError) as caught:
            await provider.fetch_balances(None)

        assert caught.value.message == message

    @pytest.mark.parametrize("beside", [{"data": []}, {"data": None}, {}], ids=["empty", "null", "absent"])
    async def test_an_error_with_the_status_of_a_success_is_no_empty_account(self, provider, wire, beside):
        """The provider's code and words are in the error, whether or not there is a list beside them."""
        reported = {"success": False, "code": 10003, "message": "invalid signature"}
        wire.outcome = Response(200, body=json.dumps(reported | beside).encode())

        with pytest.raises(MalformedResponseError) as caught:
            await provider.fetch_balances(None)

        assert caught.value.code == "10003"
        assert "reports an error, though with the status of a success: 200 10003: invalid sig" in str(caught.value)

    async def test_the_words_of_a_response_without_a_list_are_shown(self, provider, wire):
        """Whether its code is that of an error only the reader may know; nothing else of it is shown."""
        wire.outcome = Response(200, body=b'{"code": 1003, "msg": "rate limit exceeded", "data": {}, "word": "horse"}')

        with pytest.raises(MalformedResponseError) as caught:
            await provider.fetch_balances(None)

        assert caught.value.code is None
        assert caught.value.hint == f"{HINTS[MalformedResponseError]}. The response says: 1003 rate limit exceeded"

    async def test_the_words_of_a_success_are_not_shown_as_those_of_an_error(self, provider, wire):
        """What is wrong with one of its balances has nothing to do with them."""
        wire.outcome = Response(200, body=b'{"code": 0, "message": "OK", "data": [{}]}')

        with pytest.raises(MalformedResponseError) as caught:
            await provider.fetch_balances(None)

        assert (caught.value.code, caught.value.hint) == (None, HINTS[MalformedResponseError])

    async def test_a_success_that_says_so_is_read(self, provider, wire):
        """A status, a code and a message of a success are in its way nowhere."""
        said = b'{"success": true, "code": 0, "message": "OK", "status": "ok", "data": []}'
        wire.outcome = Response(200, body=said)

        assert await provider.fetch_balances(None) == ()

    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(st.data())
    def test_any_body_gives_balances_or_a_malformed_response(self, data):
        """Nothing else comes of a 200, whatever is in it."""
        response = Response(200, body=data.draw(st.binary() | self.bodies))

        with suppress(ValueError):
            balances = self.make().read_response(response)

            assert isinstance(balances, tuple)
            assert all(isinstance(balance, Balance) for balance in balances)

    async def test_a_documented_error_is_typed(self, provider, mocked, session, read_sample, documented_error):
        """Each has its class, status, code, hint and message, and says whether trying again may help."""
        case, kind, code, message, hint = documented_error
        sample, built = read_sample(self.samples, case), provider.build_request(now=0, nonce="n")
        mocked.add(built.url, built.method, status=sample.status, body=sample.body)

        with pytest.raises(ProviderError) as caught:
            await provider.fetch_balances(session)

        error = caught.value
        assert (type(error), error.status, error.code) == (kind, sample.status, code)
        assert error.hint.startswith(hint)
        assert error.message == message
        assert error.retryable is (sample.status >= 429)
