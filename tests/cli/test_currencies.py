"""`balancekit currencies`: the codes of the brands, for people and for programs."""

import json

import pytest

from balancekit.cli.currencies import currencies
from balancekit.providers.brands import BRANDS
from tests.cli.test_config_option import complete


def test_every_code_has_its_currency_and_its_chain(run):
    """With the base URL of the brand, and where and when the codes were read."""
    result = run("currencies")

    assert (result.exit_code, result.stderr) == (0, "")
    shown = [line.split() for line in result.stdout.splitlines()]
    for brand in BRANDS.values():
        assert [brand.name, brand.base_url] in shown
        for each in brand.codes:
            assert [each.code, each.currency, *(["(assumed)"] * each.is_assumed), *each.chain.split()] in shown
    assert f"From {BRANDS['coinspaid'].codes_source}, read 2026-11-27." in result.stdout


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("name", BRANDS)
def test_one_brand_may_be_chosen(run, name, form):
    """The others are not shown."""
    result = run("currencies", "--brand", name, "--format", form)

    named = {word for word in result.stdout.replace('"', " ").split() if word in BRANDS}
    assert named == {name}


def test_a_brand_whose_codes_are_not_known_is_no_empty_table(run):
    """It is a sentence."""
    result = run("currencies", "--brand", "alphapo")

    assert result.stdout.splitlines()[1:] == ["Its codes are not known, and pass unchanged.", ""]


def test_json_has_all_that_is_known(run):
    """With the documents, and what is assumed."""
    written = json.loads(run("currencies", "--format", "json").stdout)

    assert [*written] == [*BRANDS]
    shop = written["coinspaid"]
    assert shop["read_on"] == "2026-11-27"
    assert all((shop["base_url_source"], shop["codes_source"]))
    assert {"code": "BNB-BSC", "currency": "BNB", "chain": "BNB Smart Chain", "is_assumed": True} in shop["codes"]


def test_a_shell_completes_brands(tmp_path):
    """And the option takes those that there are."""
    (option,) = (param for param in currencies.params if param.name == "name")

    assert option.type.choices == tuple(BRANDS)
    assert complete(tmp_path, ["currencies", "--brand", "c"]) == ["coinspaid", "cryptoprocessing"]
