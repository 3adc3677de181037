"""Adapters of other distributions: their classes define the settings, and what they raise is an account's problem."""

import base64
import os  # noqa: TC003 - for the annotation that names what it does not have
import re
import sys
from collections.abc import Sequence

import pytest

from balancekit import ConfigError, Secret
from tests.config.conftest import CANARY, PLUGGED, REFERENCES
from tests.support.plugins import PlugIn, TokenProvider, install_plugin


class UntypedProvider(TokenProvider):
    """An adapter with an annotation that can be resolved only by type checkers."""

    secret_settings = frozenset()

    def __init__(self, account, *, pages: "Missing", token: "Secret | None" = None) -> None:  # noqa: F821 - as under TYPE_CHECKING
        super().__init__(account, token=token or "", pages=pages)


@pytest.fixture
def plugin(monkeypatch, tmp_path_factory):
    """Install a distribution with two adapters, and one that cannot be imported."""
    folder = tmp_path_factory.mktemp("plugin")
    install_plugin(monkeypatch, folder, token=TokenProvider, untyped=UntypedProvider, broken="no_such_module:Provider")


def test_the_settings_of_an_adapter_come_from_its_class(load, plugin):
    """The constructor's parameters, their types and `secret_settings` define what an account may hold."""
    (provider,) = load(
        '[accounts.a]\nprovider = "token"\ntoken = { env = "SHOP_SECRET" }\ntimeout = 2\npages = 3'
    ).providers

    assert provider.token.reveal() == "s3cret"
    assert (provider.timeout, provider.pages) == (2, 3)


def test_a_type_that_cannot_be_resolved_is_not_checked(load, plugin):
    """A value whose annotation exists only for type checkers goes to the constructor as it is."""
    assert load('[accounts.a]\nprovider = "untyped"\npages = [1]').providers[0].pages == [1]


def test_a_type_that_cannot_be_resolved_makes_no_other_setting_less_secret(problem, plugin):
    """A parameter that is annotated as a secret is one, whatever the others are annotated with."""
    text = '[accounts.a]\nprovider = "untyped"\npages = 1\ntoken = "s3cret"'

    assert problem(text) == f"account 'a': token: a secret does not belong in this file; give {REFERENCES}"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated where a function is defined")
def test_an_annotation_is_not_evaluated_to_find_the_settings(load, monkeypatch, tmp_path):
    """It may name, without quotes, what is imported for type checkers alone."""
    plugin = (
        "from tests.support.plugins import TokenProvider\n"
        "class Provider(TokenProvider):\n"
        "    def __init__(self, account, *, pages: Missing) -> None:\n"
        "        super().__init__(account, token='', pages=pages)\n"
    )
    (tmp_path / "unquoted_annotation.py").write_text(plugin)
    install_plugin(monkeypatch, tmp_path, unquoted="unquoted_annotation:Provider")

    assert load('[accounts.a]\nprovider = "unquoted"\npages = [1]').providers[0].pages == [1]


class ComparesSettings(PlugIn):
    """An adapter that rejects a combination of settings."""

    def __init__(self, account, *, region: str, token: "str | Secret" = "", limit: int = 1) -> None:
        if region != "eu":
            raise ConfigError("limit: 2 is too much, for the region that was given")
        super().__init__(account, token=token)


def test_a_mistake_that_follows_from_another_is_not_shown(mistakes, install):
    """Where a setting is missing, an adapter may reject another because of it."""
    install(ComparesSettings)

    lines = mistakes('[accounts.a]\nprovider = "plugin"\nlimit = 2\n')

    assert [line.split(": ")[2] for line in lines] == ["region"]


class OddAnnotations(PlugIn):
    """An adapter whose annotations cannot be evaluated."""

    def __init__(self, account, *, token: "str | Secret", pages: "os.missing" = 1, more: "1 +" = 2) -> None:  # noqa: F722 - not an expression
        super().__init__(account, token=token)
        self.pages = pages


def test_annotations_that_cannot_be_evaluated_do_no_harm(load, install):
    """The value goes to the constructor as it is."""
    install(OddAnnotations)

    (provider,) = load(f"{PLUGGED}pages = [1]\n").providers

    assert provider.pages == [1]


class Annotated(PlugIn):
    """An adapter whose secret is known by its annotation alone."""

    secret_settings = frozenset()

    def __init__(self, account, *, token: "Secret | None") -> None:
        super().__init__(account, token=token)


def test_a_setting_annotated_with_secret_is_a_secret(load, problem, install):
    """It is named by reference, and reaches the constructor hidden."""
    install(Annotated)

    (provider,) = load(PLUGGED).providers

    assert provider.token.reveal() == "s3cret"
    assert "token: a secret does not belong in this file" in problem(
        f'[accounts.a]\nprovider = "plugin"\ntoken = "{CANARY}"'
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('timeout = "2"', "timeout: expected a number or a whole number, got a string"),
        ("pages = true", "pages: expected a whole number, got a boolean"),
        ('pages = { env = "SHOP_SECRET" }', "pages: expected a whole number, got a string"),
        ("pages = 0", "TokenProvider rejected the settings with RuntimeError"),
        ("base_url = []", "base_url: expected text, got a list"),
        ("more = 1", "'more' is unknown; there are provider, token, timeout, pages, base_url"),
    ],
    ids=["text for number", "bool for int", "reference for int", "constructor", "list for text", "var-keyword"],
)
def test_a_wrong_setting_of_a_plugin_is_named(problem, plugin, setting, message):
    """Types are checked before the constructor is called; the message of what it raises is not shown."""
    text = f'[accounts.a]\nprovider = "token"\ntoken = {{ env = "SHOP_SECRET" }}\n{setting}'

    assert problem(text) == f"account 'a': {message}"


class QuotingProvider(TokenProvider):
    """An adapter that quotes what it is given."""

    secret_settings = frozenset()
    quote = "{}".format

    def __init__(self, account, *, token: Secret, others: Sequence[Secret] = (), names: Sequence[str] = ()) -> None:
        super().__init__(account, token=token)
        self.others, self.names = others, names
        if not (others or names):
            raise self.config_error("token", f"expected 32 hex digits, got {type(self).quote(token.reveal())}")


@pytest.mark.parametrize(
    "quote",
    [str, str.upper, lambda token: token.encode().hex(), lambda token: base64.b64encode(token.encode()), list],
    ids=["plain", "upper case", "hex", "base64", "list"],
)
def test_a_secret_that_a_plug_in_quotes_is_not_shown(problem, monkeypatch, tmp_path, quote):
    """Its message is shown without it."""
    monkeypatch.setattr(QuotingProvider, "quote", quote)
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)

    text = problem('[accounts.a]\nprovider = "quoting"\ntoken = { env = "SHOP_SECRET" }')

    assert text.startswith("account 'a': token: expected 32 hex digits, got ")
    words = {"account", "a", "token", "expected", "32", "hex", "digits", "got"}
    assert set(re.sub(r"\W", " ", text).split()) <= words


@pytest.mark.parametrize(
    ("value", "revealed"),
    [('[{ env = "SHOP_SECRET" }, { file = "second" }]', ["s3cret", "2"]), ('{ env = "SHOP_SECRET" }', ["s3cret"])],
    ids=["list", "one"],
)
def test_a_list_of_secrets_may_be_given_by_reference(load, monkeypatch, tmp_path, value, revealed):
    """By several, or by one."""
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)
    (tmp_path / "second").write_text("2")

    (provider,) = load(
        f'[accounts.a]\nprovider = "quoting"\ntoken = {{ env = "SHOP_SECRET" }}\nothers = {value}'
    ).providers

    assert [other.reveal() for other in provider.others] == revealed


def test_one_reference_for_a_list_of_texts_is_a_list(load, monkeypatch, tmp_path):
    """A text by itself would be taken for a list of its characters."""
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)
    text = '[accounts.a]\nprovider = "quoting"\ntoken = { env = "SHOP_SECRET" }\nnames = { env = "SHOP_SECRET" }'

    assert load(text).providers[0].names == ("s3cret",)


def test_a_secret_in_a_list_does_not_belong_in_the_file(problem, monkeypatch, tmp_path):
    """As one by itself does not."""
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)
    text = '[accounts.a]\nprovider = "quoting"\ntoken = { env = "SHOP_SECRET" }\nothers = ["s3cret"]'

    assert problem(text) == f"account 'a': others[0]: a secret does not belong in this file; give {REFERENCES}"


def test_an_adapter_that_cannot_be_imported_is_named(problem, plugin):
    """A plug-in that fails to import is a problem of the account that uses it."""
    expected = "importing 'broken' raised ModuleNotFoundError(\"No module named 'no_such_module'\")"

    assert problem('[accounts.a]\nprovider = "broken"') == f"account 'a': provider: {expected}"


@pytest.mark.parametrize(
    "raised",
    [SystemExit(0), GeneratorExit(), RuntimeError(CANARY), BaseException(CANARY)],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_constructor_raises_is_a_problem_of_its_account(problem, install, raised):
    """An adapter that exits with 0 does not end the program as if all had been read."""
    install(type("PlugIn", (PlugIn,), {"raised": raised}))

    assert problem(PLUGGED) == f"account 'a': PlugIn rejected the settings with {type(raised).__name__}"


class _Raises(type(PlugIn)):
    """A class of classes that raises whatever it is asked for."""

    def __getattr__(cls, name):
        raise RuntimeError(CANARY)


def _unreadable(**declared):
    class Unreadable:
        def __init__(self, account, *, token: Secret) -> None:
            raise AssertionError("it is not made")

        async def fetch_balances(self, session):
            return []

    for name, value in declared.items():
        setattr(Unreadable, name, value)
    return Unreadable


UNREADABLE = {
    "no secrets": (_unreadable(secret_settings=None), "TypeError"),
    "a number": (_unreadable(secret_settings=5), "TypeError"),
    "no signature": (_unreadable(__signature__=5), "TypeError"),
    "a class of classes": (_Raises("Raises", (), {}), "RuntimeError"),
}


@pytest.mark.parametrize(("adapter", "raised"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_adapter_whose_settings_cannot_be_read_is_a_problem_of_its_account(problem, install, adapter, raised):
    """It is named, and the other accounts of the file are read."""
    install(adapter)

    assert problem(PLUGGED) == f"account 'a': provider: the settings of 'plugin' cannot be read: {raised}"


class ExitsLater(PlugIn):
    """An adapter that ends the program when its first request is built."""

    def build_request(self, *, now, nonce):
        """End the program."""
        raise SystemExit(0)


def test_whatever_an_adapter_raises_after_its_construction_is_a_problem(problem, install):
    """The accounts are compared by the requests that they send, which the adapters build."""
    install(ExitsLater)

    assert problem(PLUGGED) == "SystemExit while the accounts were made"


@pytest.mark.parametrize("raised", [KeyboardInterrupt(CANARY), SystemExit(CANARY)], ids=lambda error: repr(error)[:9])
def test_no_environment_is_in_a_frame_whatever_is_raised(load, install, everything_shown_by, raised):
    """Error trackers collect the local variables of every frame, of an interrupt too, and what it was raised with."""
    install(type("PlugIn", (PlugIn,), {"raised": raised}))
    expected = KeyboardInterrupt if isinstance(raised, KeyboardInterrupt) else ConfigError

    with pytest.raises(expected) as caught:
        load(PLUGGED, {"SHOP_SECRET": CANARY})

    assert CANARY not in everything_shown_by(caught.value)
