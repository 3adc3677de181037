"""The README's program for many replicas, against a real Redis."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_program_prints_what_the_readme_shows(server, monkeypatch, capsys):
    """It runs as it stands, and its output is the block below it."""
    pairs = re.findall(r"^```python\n(.*?)^```$\n+^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    ((program, output),) = [(program, output) for program, output in pairs if "RedisStore" in program]
    monkeypatch.setenv("REDIS_URL", server.url)

    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out == output
