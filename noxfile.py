"""What is checked before a change lands: `nox` runs all of it; `fuzz`, `soak` and `bench` are run by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
SUPPORTED = nox.project.python_versions(PYPROJECT)


def _runs(version: str) -> bool:
    # A version manager's stand-in for an interpreter that is not there is found, but does not run.
    python = shutil.which(f"python{version}")
    return python is not None and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0  # noqa: S603 - an interpreter's own path


PRESENT = [version for version in SUPPORTED if _runs(version)] or [sys.executable]

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "typing", "tests", "build"]
nox.options.stop_on_first_error = False


def _group(name: str) -> list[str]:
    return nox.project.dependency_groups(PYPROJECT, name)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install(*_group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict, in the package and in a file that uses every public name."""
    session.install("-e", ".[cli,redis]", *_group("typing"))
    session.run("mypy")
    session.run("pyright", "--pythonpath", shutil.which("python", path=session.bin) or "python")


@nox.session(python=PRESENT)
def tests(session: nox.Session) -> None:
    """Run the tests on every interpreter that is present, with branch coverage."""
    session.install("-e", ".[cli,redis]", *_group("test"))
    session.env["COVERAGE_FILE"] = str(Path(session.create_tmp()) / "coverage")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions, and run the tests against the installed wheel, away from the source tree."""
    session.install("build", "twine", *_group("test"))
    here = Path(session.create_tmp()).resolve()
    shutil.rmtree(here / "dist", ignore_errors=True)
    shutil.rmtree(here / "tree", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(here / "dist"))
    session.run("twine", "check", "--strict", *map(str, (here / "dist").iterdir()))
    (wheel,) = (here / "dist").glob("*.whl")
    session.install(f"{wheel}[cli,redis]", "--force-reinstall", "--no-deps")
    session.install(f"{wheel}[cli,redis]")
    for name in ("tests", "benchmarks"):
        shutil.copytree(name, here / "tree" / name)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(name, here / "tree")
    shutil.copytree(".ci", here / "tree" / ".ci")
    session.chdir(here / "tree")
    session.run("pytest", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Search for an answer that breaks a promise: `nox -s fuzz -- 600`, in seconds; then time hostile megabytes."""
    session.install("-e", ".", *_group("fuzz"))
    seconds = session.posargs[0] if session.posargs else "600"
    session.run("python", "tests/long/fuzz/read_responses.py", seconds, str(Path(session.create_tmp()) / "fuzz"))
    session.run("python", "tests/long/fuzz/hostile_bodies.py", "20")


@nox.session
def soak(session: nox.Session) -> None:
    """Fetch under random faults and account for everything: `nox -s soak -- 600`, in seconds."""
    session.install("-e", ".", *_group("soak"))
    session.run("python", "-X", "dev", "-W", "error", "tests/long/soak.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against other ways to do the same: `nox -s bench -- --quick`; a whole run draws the README's chart."""
    session.install("-e", ".[cli]", *_group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
