from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "acme_client",
    "answerback",
    "ca_server",
    "number_directory",
    "policies",
    "serving",
    "stir",
    "transparency",
    "trust_store",
)
SERVER_ONLY = {"boto3", "falcon", "gunicorn", "peewee", "psycopg", "smpplib", "structlog"}
OF_OPERATORS = (
    "answerback.commands.ca answerback.commands.demo answerback.demo answerback.rs "
    "number_directory.routing.serve number_directory.routing.web number_directory.server "
    "transparency.server transparency.witness.app transparency.witness.serve"
)
IMPORT_ALL = """\
import importlib, importlib.metadata, pkgutil, sys

packages, others = (argument.split() for argument in sys.argv[1:])
for name in packages:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.startswith(tuple(others)):
            importlib.import_module(module.name)
print(*(distribution.name.lower() for distribution in importlib.metadata.distributions()))
"""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("extras")]


def run(*command: str | Path) -> str:
    """Run a command and return what it printed; show what went wrong otherwise."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the distribution from a clean copy of what it is made of."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source)
    (built,) = wheels.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the locked versions without their hashes: pip takes no hashes beside a wheel that has none."""
    locked = (ROOT / "requirements" / "dev.lock").read_text()
    path = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    path.write_text("\n".join(re.findall(r"^[A-Za-z0-9_.-]+==\S+", locked, re.MULTILINE)))
    return path


def install(folder: Path, requirement: str, constraints: Path) -> Path:
    """Make an environment that holds the requirement and nothing else; return its folder of programs."""
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    run(
        *(sys.executable, "-m", "pip", "--python", programs / "python", "install"),
        *("--quiet", "--no-compile", "--constraint", constraints, requirement),
    )
    return programs


@pytest.mark.parametrize(
    ("extra", "packages", "of_another_extra"),
    [
        (
            "",
            "acme_client answerback number_directory policies stir transparency trust_store",
            OF_OPERATORS,
        ),
        ("[ca]", "ca_server serving", ""),
        ("[directory]", "number_directory serving", ""),
        ("[log]", "serving transparency", "transparency.server.publishing.s3_publisher"),
        ("[log,s3]", "serving transparency", ""),
    ],
)
def test_a_part_imports_where_only_its_extra_is_installed(
    tmp_path: Path, wheel: Path, constraints: Path, extra: str, packages: str, of_another_extra: str
) -> None:
    """Each room's modules import in an environment that was made by `pip install` of its extra alone."""
    programs = install(tmp_path / "environment", f"{wheel}{extra}", constraints)
    installed = set(run(programs / "python", "-I", "-c", IMPORT_ALL, packages, of_another_extra).split())
    assert "answerback" in installed
    assert bool(installed & SERVER_ONLY) == bool(extra)


def test_an_app_developer_installs_no_server(tmp_path: Path, wheel: Path, constraints: Path) -> None:
    """`pip install answerback` lists every command, and says what to install for those of an operator."""
    programs = install(tmp_path / "environment", str(wheel), constraints)
    assert "enrol" in run(programs / "answerback", "--help")
    asked = subprocess.run(
        [programs / "answerback", "ca", "init"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert asked.returncode == 1
    assert asked.stderr.endswith("pip install 'answerback[ca]'\n"), asked.stderr
