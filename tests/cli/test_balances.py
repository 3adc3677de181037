"""`balancekit balances`: what goes to stdout and to stderr, and the exit code."""

import csv
import io
import json
import sys

import pytest

from balancekit import MergedBalances
from balancekit.cli import cli
from balancekit.cli.sandbox_settings import write_settings
from balancekit.sandbox import Fault


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_totals_are_shown(run, accounts_toml):
    """Without options, stdout has a table of the totals over all accounts, and stderr is empty."""
    result = run("balances", "--config", accounts_toml)

    assert result.exit_code == 0
    assert result.stderr == ""
    assert "Totals of 3 accounts, as of 20" in result.stdout
    assert "12.123456789012345679" in result.stdout
    assert "1 zero not shown (see --all)" in result.stdout
    assert "LTC" not in result.stdout


def test_balances_are_shown_by_account(run, accounts_toml):
    """With --by-account each balance has its line, also where a currency is on two chains."""
    result = run("balances", "--config", accounts_toml, "--by-account", "--all")

    assert "Balances of 3 accounts" in result.stdout
    assert "LTC" in result.stdout
    assert [line.split()[1] for line in result.stdout.splitlines() if "USDC  " in line and "." in line][1:] == [
        "ethereum",
        "polygon",
    ]
    assert "not shown" not in result.stdout


def test_csv_holds_the_totals(run, accounts_toml):
    """CSV has one line for each currency, with every digit of the amount."""
    result = run("balances", "--config", accounts_toml, "--format", "csv")

    assert result.stdout.startswith("currency,asset_type,amount,available,pending,as_of,stale\n")
    rows = _rows(result.stdout)
    assert [(row["currency"], row["asset_type"], row["amount"], row["stale"]) for row in rows] == [
        ("BTC", "crypto", "1.54000001", "false"),
        ("ETH", "crypto", "12.123456789012345679", "false"),
        ("EUR", "fiat", "1510250.40", "false"),
        ("USD", "fiat", "980.15", "false"),
        ("USDC", "crypto", "2180.200000", "false"),
    ]
    assert all(row["as_of"].endswith("+00:00") for row in rows)


def test_csv_by_account_holds_the_balances(run, accounts_toml):
    """With --by-account CSV has one line for each balance, with its account, chain and time of reading."""
    result = run("balances", "--config", accounts_toml, "--format", "csv", "--by-account", "--currency", "usdc")

    rows = _rows(result.stdout)
    assert [(row["account"], row["chain"], row["amount"]) for row in rows] == [
        ("shop-eu", "", "1830.25"),
        ("treasury", "ethereum", "250.000000"),
        ("treasury", "polygon", "99.950000"),
    ]
    assert rows[0]["as_of"].endswith("+00:00")


def test_json_can_be_read_back(run, accounts_toml):
    """`MergedBalances.from_json` reads what --format json writes."""
    result = run("balances", "--config", accounts_toml, "--format", "json", "--all")

    merged = MergedBalances.from_json(result.stdout)
    assert str(merged.amount("ETH")) == "12.123456789012345679"
    assert "LTC" in merged
    assert merged.complete


def test_json_is_filtered_like_the_table(run, accounts_toml):
    """JSON holds only the chosen currencies, without zeros, in the totals and in the accounts."""
    result = run("balances", "--config", accounts_toml, "--format", "json", "--currency", "btc", "--currency", "LTC")

    data = json.loads(result.stdout)
    assert [total["currency"] for total in data["totals"]] == ["BTC"]
    assert {balance["currency"] for account in data["accounts"] for balance in account["balances"]} == {"BTC"}
    assert MergedBalances.from_json(result.stdout).complete


def test_a_currency_that_no_account_holds_is_named(run, accounts_toml):
    """Stderr names a chosen currency that no account holds; one that is held as zero is not named."""
    result = run("balances", "--config", accounts_toml, "--format", "csv", "--currency", "xyz", "--currency", "LTC")

    assert result.exit_code == 0
    assert result.stderr == "XYZ is held in none of the accounts that were read\n"
    assert _rows(result.stdout) == []


def test_only_the_accounts_asked_for_are_read(run, accounts_toml, stand_in):
    """With --account no request is sent for another account."""
    result = run("balances", "--config", accounts_toml, *["--account", "shop-us"] * 2, "--format", "csv")

    assert result.exit_code == 0
    assert [request.account for request in stand_in.requests] == ["shop-us"]
    assert _rows(result.stdout)[0]["amount"] == "1.50000001"


@pytest.mark.parametrize("option", ["--currency", "--value-in"])
@pytest.mark.parametrize(
    ("code", "problem"),
    [("", "an empty code"), ("BTC ETH", "blanks in it"), ("\x1b[31mX", "not printable"), ("X" * 33, "longer")],
    ids=["empty", "two", "escape", "long"],
)
def test_what_is_no_code_is_a_usage_error(run, stand_in, accounts_toml, option, code, problem):
    """As with a variable of the shell that is not set: no request is sent, and stderr says what is wrong."""
    result = run("balances", "--config", accounts_toml, option, code)

    assert result.exit_code == 2
    assert f"'{option}'" in result.stderr
    assert problem in result.stderr
    assert stand_in.requests == ()


def test_an_unknown_account_is_a_usage_error(run, accounts_toml):
    """A label that no account has ends the command with 2, and its name on stderr."""
    result = run("balances", "--config", accounts_toml, "--account", "shop-uk")

    assert result.exit_code == 2
    assert result.stderr == "Error: --account: no account is labelled 'shop-uk'; did you mean 'shop-us'?\n"


def test_aliases_are_applied(run, accounts_toml):
    """A code with an alias is counted as that currency; the balances show the code that was sent."""
    with accounts_toml.open("a") as file:
        file.write('[aliases]\nUSDC = "USD"\n')

    result = run("balances", "--config", accounts_toml, "--by-account", "--currency", "USD")

    assert "Sent as" in result.stdout
    assert "USDC" in result.stdout


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_code_that_is_counted_as_another_currency_is_a_usage_error(run, accounts_toml, form):
    """It is held: an empty result would look as if nothing were."""
    with accounts_toml.open("a") as file:
        file.write('[aliases]\nUSDC = "USD"\n')

    result = run("balances", "--config", accounts_toml, "--format", form, "--currency", "usdc")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: --currency: USDC is an alias of USD here: ask for USD\n"


def test_the_table_of_a_brand_is_applied_to_its_accounts(run, sandbox, tmp_path):
    """Its codes are counted as one currency, and those of another account stay apart."""
    sandbox.add_cryptoprocessing("shop", {"USDTE": "1", "USDTT": "2"})
    sandbox.add_getmany("till", {"USDTE": "5"})
    path = write_settings(tmp_path, sandbox.accounts)
    with path.open("a") as file:
        file.write('[providers.cryptoprocessing]\nbrand = "coinspaid"\n')

    result = run("balances", "--config", path, "--format", "csv")

    assert [line.split(",")[::2][:2] for line in result.stdout.splitlines()[1:]] == [["USDT", "3"], ["USDTE", "5"]]


def test_the_path_of_the_configuration_may_be_in_the_environment(run, accounts_toml):
    """BALANCEKIT_CONFIG replaces the option --config."""
    result = run("balances", env={"BALANCEKIT_CONFIG": str(accounts_toml)})

    assert result.exit_code == 0


def test_the_configuration_is_in_the_current_folder_by_default(run, accounts_toml, monkeypatch):
    """Without a path, accounts.toml of the current folder is read."""
    monkeypatch.chdir(accounts_toml.parent)

    assert run("balances").exit_code == 0


def test_client_settings_of_the_file_are_used(run, accounts_toml, stand_in):
    """With one attempt in the file, an account that fails is asked once."""
    stand_in.fail("treasury", Fault(status=503))
    with accounts_toml.open("a") as file:
        file.write("[client]\nattempts = 1\n")

    assert run("balances", "--config", accounts_toml).exit_code == 3
    assert [request.account for request in stand_in.requests].count("treasury") == 1


@pytest.fixture
def same_balance(sandbox, tmp_path):
    """Have two accounts list a balance with the same id, and return the path of their settings."""
    body = '{"data":[{"id":"b-1","balance":{"value":"150","code":"USDC","decimals":2,"chain":"base"}}]}'
    for label in ("treasury", "again"):
        sandbox.add_getmany(label)
        sandbox.fail(label, Fault(body=body))
    return write_settings(tmp_path / "settings", sandbox.accounts)


def test_a_balance_that_two_accounts_list_is_counted_once(run, same_balance):
    """The account that the file names later fails, stderr names it and the other, and the exit code is 3."""
    result = run("balances", "--config", same_balance, "--format", "csv")

    assert result.exit_code == 3
    assert [(row["currency"], row["amount"]) for row in _rows(result.stdout)] == [("USDC", "1.50")]
    failed, gap = result.stderr.splitlines()
    assert failed.startswith("again (getmany): the USDC balance with the id 'b-1' is in account 'treasury' too")
    assert gap == "INCOMPLETE: 1 of 2 accounts could not be read: again"


def test_balances_of_two_origins_may_have_the_same_id(run, same_balance):
    """Each installation of an API numbers its balances by itself."""
    before, _, after = same_balance.read_text().rpartition("127.0.0.1")
    same_balance.write_text(f"{before}localhost{after}")

    result = run("balances", "--config", same_balance, "--format", "csv")

    assert (result.exit_code, result.stderr) == (0, "")
    assert [(row["currency"], row["amount"]) for row in _rows(result.stdout)] == [("USDC", "3.00")]


class Terminal(io.StringIO):
    """A stream that passes for a terminal."""

    def isatty(self):
        """Return what a terminal returns."""
        return True


@pytest.mark.parametrize(
    ("stream", "count", "shown"), [(Terminal, 6, True), (Terminal, 5, False), (io.StringIO, 6, False)]
)
def test_progress_is_shown_on_a_terminal_for_many_accounts(accounts_toml, stand_in, monkeypatch, stream, count, shown):
    """Stderr has a progress bar only on a terminal, and only for more than five accounts."""
    for number in range(count - 3):
        stand_in.add_cryptoprocessing(f"till-{number}")
    write_settings(accounts_toml.parent, stand_in.accounts)
    monkeypatch.setattr(sys, "stderr", stderr := stream())

    code = cli(["balances", "--config", str(accounts_toml), "--format", "csv"], standalone_mode=False)

    assert code == 0
    assert ("Reading accounts" in stderr.getvalue()) is shown


def test_totals_are_shown_at_each_provider(run, accounts_toml):
    """With --group-by provider each provider has its totals, which add up to those of all."""
    result = run("balances", "--config", accounts_toml, "--group-by", "provider", "--currency", "USDC")

    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["cryptoprocessing", "USDC", "crypto", "1830.25", "shop-eu"] in rows
    assert ["getmany", "USDC", "crypto", "349.950000", "treasury"] in rows


def test_group_by_account_is_by_account(run, accounts_toml):
    """The two options are one."""
    tables = [
        run("balances", "--config", accounts_toml, "--currency", "ETH", *option).stdout.splitlines()[2:]
        for option in (["--by-account"], ["--group-by", "account"])
    ]

    assert tables[0] == tables[1]


UNKNOWN = {"currency": "MNT", "type": "unheard of", "balance": "3"}


@pytest.mark.parametrize("zero", [{"type": "crypto"}, {"type": "fiat"}], ids=str)
def test_json_without_zeros_can_be_read_back(run, sandbox, tmp_path, zero):
    """A zero that keeps two types of asset apart stays in it."""
    kinds = [{"type": "fiat"}, {"type": "crypto"}]
    held = [{"currency": "MNT", "balance": "0" if kind == zero else "5", **kind} for kind in kinds]
    sandbox.add_cryptoprocessing("shop")
    sandbox.fail("shop", Fault(body=json.dumps({"data": [*held, UNKNOWN]})))
    path = write_settings(tmp_path, sandbox.accounts)

    result = run("balances", "--config", path, "--format", "json")

    assert [str(total.amount) for total in MergedBalances.from_json(result.stdout)] == ["5", "3"]
