"""The notebook of examples/, run by a kernel; the accounts are read over real sockets."""

import json

import pytest

from tests.support.pages import ROOT

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")


async def test_the_cells_show_what_could_be_read_and_no_key(accounts, tmp_path, monkeypatch):
    """The table says what is missing, a total that lacks an account is not known, and the kernel ends."""
    lines = ["[client]", "timeout = 0.3", "attempts = 1"]
    for account in accounts.sandbox.accounts:
        kind = "cryptoprocessing" if "secret" in account.settings else "getmany"
        lines += [f"[accounts.{account.label}]", f'provider = "{kind}"']
        for name, value in account.settings.items():
            if name == "base_url":
                lines.append(f'base_url = "{value}"')
            else:
                variable = f"{account.label}_{name}".upper()
                monkeypatch.setenv(variable, value)
                lines.append(f'{name} = {{ env = "{variable}" }}')
    (tmp_path / "accounts.toml").write_text("\n".join(lines))
    notebook = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)

    cells = nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    await cells.async_execute()

    shown = json.dumps(notebook)
    assert "INCOMPLETE: 2 of 3 accounts could not be read: down, hung" in shown
    assert "USDC is not known" in shown
    assert [secret for secret in accounts.secrets() if secret in shown] == []
    assert cells.km is None
