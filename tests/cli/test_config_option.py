"""The option --config: standard input, and what a shell completes."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from balancekit.cli import cli
from balancekit.cli.config_option import Hooks
from tests.cli.conftest import ENVIRON
from tests.support.pages import blocks


def test_standard_input_is_read(run, accounts_toml):
    """With -; paths in it are relative to the current folder."""
    text = accounts_toml.read_text().replace('file = "', f'file = "{accounts_toml.parent}/')

    result = run("balances", "--config", "-", "--format", "csv", input=text)

    assert (result.exit_code, result.stderr) == (0, "")
    assert "BTC,crypto,1.54000001" in result.stdout


def test_a_mistake_in_standard_input_has_its_line(run):
    """As one in a file has."""
    result = run("balances", "--config", "-", input="[acounts]\n")

    assert result.exit_code == 2
    assert result.stderr == "Error: standard input:1: 'acounts' is unknown; did you mean 'accounts'?\n"


@pytest.mark.parametrize("command", ["balances", "check", "watch"])
def test_what_is_to_be_done_once_all_is_imported_is_done_before_there_is_an_adapter(tmp_path, command):
    """Whatever the configuration is: what adapters make is not frozen, so that it is collected at the end."""
    imported = []
    hooks = Hooks(lambda: imported.append("balancekit.client.aggregate" in sys.modules), ended=lambda: None)

    result = CliRunner().invoke(cli, [command, "--config", str(tmp_path / "missing.toml")], obj=hooks)

    assert result.exit_code == 2
    assert imported == [True]


def test_the_context_object_of_a_host_is_left_alone(tmp_path):
    """The commands may be a part of another command line."""
    result = CliRunner().invoke(cli, ["balances", "--config", str(tmp_path / "missing.toml")], obj={})

    assert result.exit_code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="the redirection is that of a shell")
@pytest.mark.parametrize(
    "command",
    [
        "balances --config - <&-",
        "check --config - </dev/null",
        "watch --config - 0>file",
        "init --config new.toml <&-",
        "init --config new.toml </dev/null",
    ],
)
def test_a_standard_input_without_a_text_is_a_usage_error(tmp_path, command):
    """Whether it is closed, empty or cannot be read: one line, and no traceback."""
    command = f"{shlex.quote(sys.executable)} -m balancekit {command}"

    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path, env=ENVIRON)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Error: " in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such flag")
def test_a_standard_input_that_does_not_block_is_read_to_its_end(accounts_toml, start):
    """Another program may have set that on the pipe; what comes later is a part of the file as well."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    # More than a pipe holds, so that it comes in parts.
    text = "# comment\n" * 50_000 + accounts_toml.read_text()
    process = start("balances", "--format", "csv", "--config", "-", stdin=read, cwd=accounts_toml.parent)
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        pipe.write(text)

    stdout, stderr = process.communicate(timeout=30)

    assert (process.returncode, stderr) == (0, "")
    assert "BTC,crypto,1.54000001" in stdout


@pytest.mark.parametrize("arguments", [["balances"], ["check"], ["watch"], ["webhook-test", "--account", "a", "url"]])
def test_without_a_file_it_says_what_to_do_next(run, arguments, tmp_path):
    """Whichever command reads it."""
    result = run(*arguments, "--config", tmp_path / "none.toml")

    assert result.exit_code == 2
    assert "No such file or directory; `balancekit init` writes one, and `balancekit demo` needs none" in result.stderr


def complete(folder, words):
    """Return what a shell offers after the words."""
    environ = ENVIRON | {
        "_BALANCEKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["balancekit", *words]),
        "COMP_CWORD": str(len(words)),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "balancekit"], capture_output=True, text=True, check=True, cwd=folder, env=environ
    )
    return [line.partition(",")[2] for line in ran.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["balances", "--account", "sho"], ["shop-eu", "shop-us"]),
        (["balances", "--config", "none.toml", "--account", "sho"], []),
        (["balances", "--currency", "us"], ["USD", "USDC", "USDG", "USDT", "USN"]),
        (["bal"], ["balances"]),
    ],
    ids=["label", "no file", "currency", "command"],
)
def test_a_shell_completes_labels_and_currencies(accounts_toml, words, offered):
    """Without a secret being read, and without an error if there is no file."""
    for secret in accounts_toml.parent.glob("*.secret"):
        secret.unlink()

    assert complete(accounts_toml.parent, words) == offered


@pytest.mark.parametrize("text", ["accounts = 5", 'accounts = "shop"', 'accounts = ["shop"]', "[[", "\0"])
def test_a_shell_completes_no_label_of_a_file_without_accounts(tmp_path, text):
    """Nor is there an error, in the middle of what is typed."""
    (tmp_path / "accounts.toml").write_text(text)

    assert complete(tmp_path, ["balances", "--account", "s"]) == []


def test_a_shell_completes_no_label_that_it_would_interpret(tmp_path):
    """The file in a folder may be anybody's, and what is completed is not quoted; nor is what no account can have."""
    harmless = ["shop-1", "Shop_2.eu", "shop@eu:3", "магазин", "小店"]
    hostile = [
        "shop\x1b]0;owned\x07\x1b[8m", "shop;touch$IFS/tmp/pwn", "shop$(id)", "shop`id`", "shop|id", "shop&id",
        "shop>f", "shop<f", "~root", "shop*", "shop?", "[a]", "{a,b}", "#shop", "!shop", "a'b", 'a"b', "a\\b", "=ls",
        "shop eu", "shop\u2028eu", "shop\u202eue", "shop\neu", "-shop", "", "s" * 500,
    ]  # fmt: skip
    tables = [f"[accounts.{json.dumps(label)}]" for label in [*hostile, *harmless]]
    (tmp_path / "accounts.toml").write_text("\n".join(tables), encoding="utf-8")

    assert complete(tmp_path, ["balances", "--account", ""]) == harmless


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has none")
def test_a_shell_does_not_wait_for_a_file(tmp_path):
    """As for the other end of a FIFO."""
    os.mkfifo(tmp_path / "accounts.toml")

    assert complete(tmp_path, ["balances", "--account", "s"]) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the command is a script of the shell")
@pytest.mark.parametrize(
    ("shell", "question", "answer"),
    [
        (["bash", "--norc", "-c"], "complete -p balancekit", "-F _balancekit_completion balancekit"),
        (["zsh", "-f", "-c"], "print $_comps[balancekit]", "_balancekit_completion"),
        (["fish", "--no-config", "-c"], 'complete -C "balancekit bal"', "balances\tRead the balances of all accounts"),
    ],
    ids=["bash", "zsh", "fish"],
)
def test_the_lines_of_the_page_set_up_a_shell(tmp_path, shell, question, answer):
    """As they are written there, for each shell."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    (block,) = blocks(shell[0])
    command = tmp_path / "balancekit"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m balancekit "$@"\n')
    command.chmod(0o755)
    environ = ENVIRON | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    ran = subprocess.run([*shell, f"{block.code}{question}"], capture_output=True, text=True, check=False, env=environ)

    assert answer in ran.stdout, ran.stderr
