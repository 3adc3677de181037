"""The settings of an adapter, by the annotations of its constructor."""

from collections.abc import Sequence
from typing import Annotated, Literal, Optional

import pytest

from balancekit import CryptoprocessingProvider, GetManyProvider, HttpProvider, Secret
from balancekit.providers.settings import settings_of


def adapter_of(annotation, **attributes):
    """Make an adapter whose constructor has one setting, `token`, of a type."""

    def construct(self, account, *, token):
        """Take the setting."""

    construct.__annotations__["token"] = annotation
    return type("Adapter", (HttpProvider,), {"provider": "own", "__init__": construct, **attributes})


@pytest.mark.parametrize(
    "annotation",
    [
        Secret,
        "Secret",
        Secret | None,
        Optional[Secret],  # noqa: UP045 - as others write it
        Annotated[Secret, "from the portal"],
        str | Secret,
        Sequence[Secret],
        "Sequence[Secret]",
        list[Secret] | None,
        Sequence[str | Secret],
        "Missing | Secret",
        "missing.Secret",
    ],
    ids=str,
)
def test_a_setting_is_a_secret_if_its_annotation_names_secret(annotation):
    """However it is written, and even if the rest of it is imported for type checkers alone."""
    assert settings_of(adapter_of(annotation))["token"].is_secret


@pytest.mark.parametrize("annotation", [str, "str", "Missing", "Secretary", int | None, Sequence[str]], ids=str)
def test_any_other_setting_is_no_secret(annotation):
    """It may stand in the file."""
    assert not settings_of(adapter_of(annotation))["token"].is_secret


@pytest.mark.parametrize("annotation", [str | Secret, "Missing | str | Secret", Sequence[str | Secret]], ids=str)
def test_a_class_that_names_its_secrets_has_no_others_that_may_be_text(annotation):
    """Cryptoprocessing's `key` is public, and taken as a `Secret` as well."""
    assert not settings_of(adapter_of(annotation, secret_settings=frozenset({"other"})))["token"].is_secret
    assert settings_of(adapter_of(annotation, secret_settings=frozenset({"token"})))["token"].is_secret


def test_the_secrets_of_the_built_in_adapters_are_those_that_they_name():
    """Their other settings, and the inherited constructor's, may stand in the file."""
    secrets = {
        adapter: {name for name, setting in settings_of(adapter).items() if setting.is_secret}
        for adapter in (CryptoprocessingProvider, GetManyProvider, HttpProvider)
    }

    assert secrets == {CryptoprocessingProvider: {"secret"}, GetManyProvider: {"signing_key"}, HttpProvider: set()}


@pytest.mark.parametrize(
    ("annotation", "takes_lists", "takes_one"),
    [
        (Secret, False, True),
        (Sequence[Secret], True, False),
        (tuple[Secret, ...] | None, True, False),
        (list, True, False),
        (Secret | Sequence[Secret], True, True),
        ("Missing | Sequence[Secret]", True, False),
        ("Missing | Secret | Sequence[Secret]", True, True),
        ("Missing", False, True),
    ],
    ids=str,
)
def test_a_setting_takes_what_its_annotation_names(annotation, takes_lists, takes_one):
    """A list, a single value or both."""
    setting = settings_of(adapter_of(annotation))["token"]

    assert (setting.takes_lists, setting.takes_one) == (takes_lists, takes_one)


@pytest.mark.parametrize(
    ("annotation", "choices"),
    [
        (Literal["eu", "us"], ("eu", "us")),
        (Literal["eu", "us"] | None, ("eu", "us")),
        (Optional[Literal["eu"]], ("eu",)),  # noqa: UP045 - as others write it
        (Literal["eu", 1], ()),
        (Literal["eu"] | Secret, ()),
        (str, ()),
        (None, ()),
        ("Missing", ()),
    ],
    ids=str,
)
def test_a_literal_names_all_texts_that_a_setting_takes(annotation, choices):
    """Other literals, and those beside other types, leave the check to the constructor."""
    setting = settings_of(adapter_of(annotation))["token"]

    assert setting.choices == choices
    assert (str in setting.types) >= bool(choices)
