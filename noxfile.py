"""What is checked before a change lands: `nox` runs it; `lowest`, `fuzz`, `soak`, `bench`, `pictures` run by name."""

import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
SUPPORTED = nox.project.python_versions(PYPROJECT)
# Tried where they are installed, though balancekit does not claim yet to support them; `t` is a free-threaded build.
COMING = ["3.15", "3.14t", "3.15t"]
# All that packaging can break: names, modules, data files, metadata and the console script.
PACKAGING_TESTS = [
    "tests/test_exports.py",
    "tests/test_packaging.py",
    "tests/cli/test_main.py",
    "tests/cli/test_demo.py",
]


def _runs(version: str) -> bool:
    # A version manager's stand-in for an interpreter that is not there is found, but does not run.
    python = shutil.which(f"python{version}")
    return python is not None and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0  # noqa: S603 - an interpreter's own path


PRESENT = [version for version in SUPPORTED + COMING if _runs(version)] or [sys.executable]

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "tests", "examples", "packages", "docs", "build"]
nox.options.stop_on_first_error = False


def _group(name: str) -> list[str]:
    return nox.project.dependency_groups(PYPROJECT, name)


def _install_redis_server(session: nox.Session) -> None:
    # It may fail: markers cannot say that there are binaries for glibc only. Then the tests report what they lack.
    session.install("--only-binary=:all:", *_group("redis-server"), success_codes=[0, 1])


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and which package imports which; before each commit, too: .pre-commit-config.yaml."""
    session.install(*_group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-logo", "--no-cache")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict, and that pyright knows the type of each public name."""
    session.install("-e", ".[cli,redis]", *_group("typing"))
    session.run("mypy")
    session.run("pyright", "--pythonpath", shutil.which("python", path=session.bin) or "python")
    # It takes the python on the PATH, whatever --pythonpath says.
    session.run("pyright", "--verifytypes", "balancekit", "--ignoreexternal")


@nox.session(python=PRESENT)
def tests(session: nox.Session) -> None:
    """Run all tests on every interpreter that is present, with branch coverage; or some: `nox -s tests -- FILE`."""
    # Where a dependency has no wheel for an interpreter yet, pip says so; building it would end in a compiler's errors.
    wheels_only = ["--only-binary=:all:"] if session.python in COMING else []
    session.install(*wheels_only, "-e", ".[cli,redis]", *_group("test"))
    _install_redis_server(session)
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.env["COVERAGE_FILE"] = str(Path(session.create_tmp()) / "coverage")
    session.run("coverage", "erase")
    session.run("pytest", "-n", "auto", env={"COVERAGE_PROCESS_START": str(Path("pyproject.toml").resolve())})
    session.run("coverage", "combine", "--quiet")
    server = session.run("python", "-m", "tests.support.redis_server", silent=True)
    # Without a server the floor holds for the code that could run.
    session.run("coverage", "report", *([] if server else ["--omit=*/stores/redis/*"]))


@nox.session
def examples(session: nox.Session) -> None:
    """Start, use and stop the programs in `examples/`, and try the recipes, in an environment of their own.

    Some programs need older libraries.
    """
    mypy = [requirement for requirement in _group("typing") if requirement.startswith("mypy")]
    session.install("-e", ".[cli,redis]", *_group("examples"), *mypy)
    _install_redis_server(session)
    session.run("mypy", "examples")
    recipes = ["tests/test_recipes.py", "tests/test_docs.py"]
    session.run("pytest", "tests/examples", *recipes, *session.posargs)
    session.run("pytest", "-n", "auto", "examples/packages/ccxt")


@nox.session
def packages(session: nox.Session) -> None:
    """Install the packages in `examples/packages` with all that they require, and find each by its name."""
    found = sorted(str(file.parent) for file in Path("examples/packages").glob("*/pyproject.toml"))
    session.install(".[cli,redis]", *found, *_group("test"))
    session.run("pytest", "tests/examples/test_packages.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, in `build/docs`, with every warning an error, and check all links without a network."""
    session.install("-e", ".[redis]", *_group("docs"))
    site = Path("build", "docs")
    shutil.rmtree(site, ignore_errors=True)
    source = ["--conf-dir", "docs", "--doctree-dir", session.create_tmp(), "."]
    session.run("sphinx-build", "--quiet", "--fresh-env", "--fail-on-warning", *source, str(site))
    session.run("python", "docs/check_links.py", str(site))


@nox.session(python=PRESENT[0])
def lowest(session: nox.Session) -> None:
    """Run all tests with the lowest versions that `pyproject.toml` allows of what is installed with balancekit."""
    project = PYPROJECT["project"]
    needed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(requirement.replace(">=", "==") for requirement in needed))
    session.install("--constraint", str(constraints), "-e", ".[cli,keyring,otel,redis]", *_group("test"))
    _install_redis_server(session)
    session.run("pytest", *(session.posargs or ["-n", "auto"]))


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions, and test the installed wheel, without the source tree, for what packaging can break."""
    session.install("build", "twine", *_group("test"))
    here = Path(session.create_tmp()).resolve()
    shutil.rmtree(here / "dist", ignore_errors=True)
    shutil.rmtree(here / "tree", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(here / "dist"))
    session.run("twine", "check", "--strict", *map(str, (here / "dist").iterdir()))
    (wheel,) = (here / "dist").glob("*.whl")
    session.install(f"{wheel}[cli,redis]", "--force-reinstall", "--no-deps")
    session.install(f"{wheel}[cli,redis]")
    shutil.copytree("tests", here / "tree" / "tests")
    shutil.copy("pyproject.toml", here / "tree")
    session.chdir(here / "tree")
    session.run("pytest", *PACKAGING_TESTS)


@nox.session
def pictures(session: nox.Session) -> None:
    """Draw the pictures of the command line, and the chart of the results that the benchmarks have kept."""
    session.install("-e", ".[cli]")
    session.run("python", "docs/pictures.py")
    session.run("python", "-m", "benchmarks.chart")


@nox.session(venv_backend="none")
def dev(session: nox.Session) -> None:
    """Create `.venv` with all that working on balancekit takes: the package, editable, and the tools of every check."""
    folder = Path(".venv")
    if not (folder / "pyvenv.cfg").exists():
        session.run(sys.executable, "-m", "venv", str(folder), external=True)
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    session.run(python, "-m", "pip", "install", "-e", ".[cli,otel,redis]", *_group("dev"), external=True)
    server = ["--only-binary=:all:", *_group("redis-server")]
    session.run(python, "-m", "pip", "install", *server, external=True, success_codes=[0, 1])


@nox.session
def fuzz(session: nox.Session) -> None:
    """Search for a response that breaks a promise: `nox -s fuzz -- 600`, in seconds; then time hostile megabytes."""
    session.install("-e", ".", *_group("fuzz"))
    seconds = session.posargs[0] if session.posargs else "600"
    session.run("python", "-m", "tests.long.fuzz.read_responses", seconds, str(Path(session.create_tmp()) / "fuzz"))
    session.run("python", "-m", "tests.long.fuzz.hostile_bodies", "20")


@nox.session
def soak(session: nox.Session) -> None:
    """Fetch under random faults of providers, then of Redis, and account for everything: `nox -s soak -- 600`."""
    session.install("-e", ".[redis]", *_group("soak"))
    _install_redis_server(session)
    for program in ("soak", "soak_redis"):
        session.run("python", "-X", "dev", "-W", "error", "-m", f"tests.long.{program}", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against other ways to do the same: `nox -s bench -- --quick`; a whole run draws the chart."""
    session.install("-e", ".[cli]", *_group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
