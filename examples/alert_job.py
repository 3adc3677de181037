"""Warns of low balances: run `python examples/alert_job.py` every few minutes by cron, which mails what it prints."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from balancekit import AggregateClient, IncompleteError, MergedBalances
from balancekit.config import load_config

FLOORS = {"USDC": Decimal(500), "BTC": Decimal("0.1")}


def judge(merged: MergedBalances, before: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return what is new since the run before, and what the next run has to know.

    A total that lacks an account is neither low nor enough: what was known of it stays, and is not reported again.
    """
    low, lines = set(before.get("low", ())), list[str]()
    for code, floor in FLOORS.items():
        try:
            is_low = merged.amount(code) < floor
        except IncompleteError:
            continue
        if is_low != (code in low):
            low ^= {code}
            held = merged[code].plain if code in merged else "0"
            lines.append(f"{held} {code}: {'below' if is_low else 'no longer below'} {floor}")
    unknown = sorted(failure.account for failure in merged.failures)
    if unknown != before.get("unknown", []):
        lines.append(merged.notice or "All accounts can be read again.")
    if lines and before:
        changes = merged.changes_since(MergedBalances.from_dict(before["balances"]))
        lines.append(f"Since the run before:\n{changes}")
    return lines, {"low": sorted(low), "unknown": unknown, "balances": merged.to_dict()}


async def read(client: AggregateClient) -> MergedBalances:
    """Read all accounts once."""
    async with client:
        return await client.fetch()


def report(merged: MergedBalances, path: Path, send: Callable[[str], object]) -> None:
    """Send what is new, and keep in the file what the next run has to know."""
    lines, after = judge(merged, json.loads(path.read_text()) if path.exists() else {})
    if lines:
        send("\n".join(lines))
    path.with_suffix(".new").write_text(json.dumps(after))
    path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    report(asyncio.run(read(load_config("accounts.toml").make_client())), Path("alerts.json"), print)
