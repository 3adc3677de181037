"""Codes, labels, types of assets and the table of ISO 4217."""

import enum

import iso4217
import pytest

from balancekit import AssetType
from balancekit.money.currencies import ISO_4217_CODES, check_chain, check_code, check_label, normalize_code


@pytest.mark.parametrize("code", ["BTC", "usdt", "USDC.e", "1INCH", "€", "X" * 32])
def test_a_printable_code_is_kept_as_it_is(code):
    """Every code that can be shown is accepted: providers choose them."""
    assert check_code(code) == code


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "empty"),
        ("X" * 33, "longer than 32"),
        ("BT\x1b[31mC", "not printable"),
        ("BTC\n", "not printable"),
        ("B\u202eTC", "not printable"),
        ("\ud800", "not printable"),
        (" BTC", "blanks"),
        ("BTC ", "blanks"),
        ("BTC 1000000", "blanks in it"),
    ],
)
def test_a_code_that_cannot_be_shown_is_refused(code, reason):
    """Escape sequences, invisible characters and endless names never reach a terminal."""
    with pytest.raises(ValueError, match=reason):
        check_code(code)


INVISIBLE = [
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180D, 0x180F, 0x2800, 0x3164, 0xFE00, 0xFE0F, 0xFFA0,
    0x16FE4, 0x1D159, 0xE0100, 0xE01EF,
]  # fmt: skip


@pytest.mark.parametrize("check", [check_code, check_chain, check_label])
@pytest.mark.parametrize("character", [chr(code) for code in INVISIBLE], ids=ascii)
def test_a_name_with_an_invisible_character_does_not_pass_for_another(check, character):
    """Selectors, fillers and the blank of braille count as printable in Python, but nothing is drawn for them."""
    with pytest.raises(ValueError, match="not printable"):
        check(f"BTC{character}")


@pytest.mark.parametrize("label", ["Main shop", "café", "東京", "店", "\u0915\u094d\u0937"])
def test_names_of_other_scripts_and_labels_of_several_words_are_kept(label):
    """What is drawn stays, combining marks included; a blank in a label or a chain is no harm."""
    assert check_label(label) == check_chain(label) == label


class Currency(str, enum.Enum):  # noqa: UP042 - a StrEnum is written as its value
    """Codes as members of an enumeration, as many programs have them; their names are not their values."""

    BITCOIN = "BTC"
    EURO = "€"


@pytest.mark.parametrize("check", [check_code, check_chain, check_label, normalize_code])
@pytest.mark.parametrize("member", Currency)
def test_a_name_becomes_a_plain_string(check, member):
    """A member of an enumeration is equal to its value, but has another hash, and is written as something else."""
    name = check(member)

    assert type(name) is str
    assert name == member.value


def test_a_code_is_a_string():
    """A number is no code."""
    with pytest.raises(TypeError, match="must be a string, not int"):
        check_code(1)


@pytest.mark.parametrize("label", ["", " shop", "shop\n", "sh\x1bop", "x" * 201], ids=repr)
def test_a_label_that_cannot_be_shown_is_refused(label):
    """A label that cannot be read on a screen would not name an account."""
    with pytest.raises(ValueError, match="label"):
        check_label(label)


@pytest.mark.parametrize(
    ("code", "currency"), [("usdc", "USDC"), ("U\u017fDT", "U\u017fDT"), ("\u0131nch", "\u0131nch")]
)
def test_only_ascii_letters_become_upper_case(code, currency):
    """A letter of another script that would become an ASCII one does not let a code pass for another."""
    assert normalize_code(code) == currency


@pytest.mark.parametrize(
    ("reported", "asset_type"),
    [
        ("crypto", AssetType.CRYPTO),
        ("fiat", AssetType.FIAT),
        ("stock", AssetType.UNKNOWN),
        ("CRYPTO", AssetType.UNKNOWN),
    ],
)
def test_a_type_that_is_not_known_yet_is_unknown(reported, asset_type):
    """A type that the API adds later is no error, and is not guessed."""
    assert AssetType.reported(reported) is asset_type


def test_the_table_of_iso_4217_is_that_of_its_date():
    """The table has every code of the standard, no more and no less."""
    assert {currency.code for currency in iso4217.Currency} == ISO_4217_CODES
