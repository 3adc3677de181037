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


@pytest.mark.parametrize("registered", [object(), dict], ids=["no class", "another class"])
def test_an_entry_point_that_is_no_adapter_is_a_config_error(monkeypatch, tmp_path, registered):
    """The error names the provider and what is registered in its place."""
    install_plugin(monkeypatch, tmp_path, mybank=registered)

    with pytest.raises(ConfigError, match=r"'mybank' is registered as .*, which is no HttpProvider"):
        provider_class("mybank")
