"""The registry of providers' names."""

import pytest

from balancekit import ConfigError, HttpProvider
from balancekit.providers import BUILT_IN, provider_class
from tests.support.plugins import install_plugin


class MyBank(HttpProvider):
    """An adapter of another distribution."""

    provider = "mybank"


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_adapter_is_found_by_its_name(name):
    """The name in the registry is the `provider` of the adapter's class."""
    assert provider_class(name).provider == name


def test_an_adapter_of_another_distribution_is_found(monkeypatch, tmp_path):
    """An installed distribution with an entry point is enough to use the name of its provider."""
    install_plugin(monkeypatch, tmp_path, mybank=MyBank)

    assert provider_class("mybank") is MyBank


def test_an_unknown_name_is_a_config_error_that_lists_the_known(monkeypatch, tmp_path):
    """The error of a misspelt name lists the built-in and the registered providers."""
    install_plugin(monkeypatch, tmp_path, mybank=MyBank)

    with pytest.raises(
        ConfigError, match=r"^no provider is named 'getmeny'; there are cryptoprocessing, getmany, mybank$"
    ):
        provider_class("getmeny")


@pytest.mark.parametrize(
    ("name", "meant"), [("coinspaid", "a brand of cryptoprocessing"), ("blacksheep", "whose API is getmany")]
)
def test_a_name_of_a_processor_leads_to_that_of_its_api(name, meant):
    """Processors are known by names that are not those of their APIs here."""
    with pytest.raises(ConfigError, match=f"^no provider is named '{name}', {meant}; there are cryptoprocessing, "):
        provider_class(name)


@pytest.mark.parametrize("registered", [object(), dict], ids=["no class", "another class"])
def test_an_entry_point_that_is_no_adapter_is_a_config_error(monkeypatch, tmp_path, registered):
    """The error names the provider and what is registered in its place."""
    install_plugin(monkeypatch, tmp_path, mybank=registered)

    with pytest.raises(ConfigError, match=r"'mybank' is registered as .*, which makes no BalanceProvider"):
        provider_class("mybank")


def test_a_name_that_two_distributions_register_is_a_config_error_that_names_both(monkeypatch, tmp_path):
    """Which of them would get the secrets is not left to the order of the search path."""
    for distribution in ("mybank-b", "mybank-a"):
        (tmp_path / distribution).mkdir()
        install_plugin(monkeypatch, tmp_path / distribution, distribution=distribution, mybank=MyBank)

    with pytest.raises(
        ConfigError,
        match=r"^the provider 'mybank' is registered more than once, by mybank-a and mybank-b: uninstall all but one$",
    ):
        provider_class("mybank")


def test_a_distribution_that_registers_a_built_in_name_is_a_config_error(monkeypatch, tmp_path):
    """A built-in adapter is not used while a distribution claims its name."""
    install_plugin(monkeypatch, tmp_path, getmany=MyBank)

    with pytest.raises(ConfigError, match=r"^the provider 'getmany' is built in, and balancekit-plugin registers"):
        provider_class("getmany")
    assert provider_class("cryptoprocessing").provider == "cryptoprocessing"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("raise SystemExit(0)", "importing 'mybank' raised SystemExit"),
        ("raise GeneratorExit", "importing 'mybank' raised GeneratorExit"),
        ("raise RuntimeError('canary')", "importing 'mybank' raised RuntimeError"),
        ("raise ImportError('no licence for canary')", "importing 'mybank' raised ImportError"),
        (
            "import no_such_module",
            "importing 'mybank' raised ModuleNotFoundError(\"No module named 'no_such_module'\")",
        ),
    ],
    ids=["exit", "generator exit", "error", "own import error", "import"],
)
def test_whatever_importing_an_adapter_raises_is_a_config_error(monkeypatch, tmp_path, statement, message):
    """The text of what is raised is shown only where it is the name of a module."""
    (tmp_path / "mybank_module.py").write_text(f"{statement}\n")
    install_plugin(monkeypatch, tmp_path, mybank="mybank_module:Provider")

    with pytest.raises(ConfigError) as caught:
        provider_class("mybank")

    assert str(caught.value) == message
    assert caught.value.__context__ is None


def test_an_interrupt_while_an_adapter_is_imported_is_not_caught(monkeypatch, tmp_path):
    """Ctrl-C ends the program."""
    (tmp_path / "mybank_module.py").write_text("raise KeyboardInterrupt\n")
    install_plugin(monkeypatch, tmp_path, mybank="mybank_module:Provider")

    with pytest.raises(KeyboardInterrupt):
        provider_class("mybank")


def test_a_name_that_may_be_a_secret_is_not_shown():
    """A secret that was put in place of the name is in no message."""
    with pytest.raises(ConfigError, match=r"^no provider is of that name; there are cryptoprocessing, getmany$"):
        provider_class("JBSWY3DPEHPK3PXP")
