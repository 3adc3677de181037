"""The command line as a whole process, against a script that somebody would write for the same duty."""

import tempfile
import time
from pathlib import Path

from benchmarks.accounts import SECRET, SIGNING_KEY, make_accounts
from benchmarks.figures import Figure, Results
from benchmarks.measures.run import Run, python

_DELAY = 200
_CONFIG = """\
[accounts.shop]
provider = "cryptoprocessing"
key = "{shop}"
secret = {{ env = "SHOP_SECRET" }}
base_url = "{url}/api/v2"

[accounts.till]
provider = "getmany"
key_id = "{till}"
signing_key = {{ env = "TILL_KEY" }}
base_url = "{url}"
"""


def measure(run: Run, results: Results) -> None:
    """Time both on two accounts that take 200 ms, and `--version` against an interpreter that does nothing."""
    shop, till = (account.key_id for account in make_accounts(2, delay=_DELAY))
    environ = {"SHOP_SECRET": SECRET, "TILL_KEY": SIGNING_KEY}
    script = str(Path(__file__).parents[1] / "programs" / "script.py")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "accounts.toml")
        config.write_text(_CONFIG.format(shop=shop, till=till, url=run.site.http))
        commands = {
            "ours": ("-m", "balancekit", "balances", "--config", str(config)),
            "theirs": (script, str(config)),
            "version": ("-m", "balancekit", "--version"),
            "nothing": ("-c", "pass"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(run.rounds + 1):
            for name, arguments in commands.items():
                begun = time.perf_counter()
                python(*arguments, environ=environ)
                if turn:
                    seconds[name].append(time.perf_counter() - begun)
    results.add("CLI / hand-written script", Figure.of_ratios(seconds["ours"], seconds["theirs"]))
    results.add("CLI", Figure.of(1e3 * one for one in seconds["ours"]), "ms")
    more = [1e3 * (one - other) for one, other in zip(seconds["version"], seconds["nothing"], strict=True)]
    results.add("--version over python -c pass", Figure.of(more), "ms")
