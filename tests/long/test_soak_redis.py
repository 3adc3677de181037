"""Replicas whose Redis crashes, is restored and fails over; the same as tests/long/soak_redis.py, for a short time."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("psutil")


def test_everything_is_accounted_for_whatever_happens_to_redis(running_server):
    """Twenty seconds of it end with the totals of the model."""
    program = [sys.executable, "-m", "tests.long.soak_redis", "20"]

    ran = subprocess.run(
        program, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False
    )

    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "all is accounted for"), ran.stdout + ran.stderr
