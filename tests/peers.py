"""Programs that we did not write, against which the tests prove ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NPM_FOLDER = Path(__file__).parent / "npm"
"""Where the npm peers are installed: a script in this folder finds them by `require`."""
_WITNESS_FOLDER = Path(__file__).parents[1] / ".venv-witness"
_WITNESS_INSTALLER = Path(__file__).parent / "witness" / "install.sh"
_DEBIAN_GOPATH = Path("/usr/share/gocode")
_DEBIAN_FOLDERS = "/usr/sbin:/sbin:" + ":".join(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin")))


def require(program: str, package: str) -> str:
    """Return the path of `program`; where it is missing, fail in CI and skip elsewhere.

    `package` is the Debian package that brings it.
    """
    path = shutil.which(program) or shutil.which(program, path=_DEBIAN_FOLDERS)
    return path or _missing(f"{program} is not installed: apt-get install {package}")


def require_go_package(name: str, package: str) -> Path:
    """Return the GOPATH in which Debian's `package` has put the Go package `name`; missing, fail in CI, else skip."""
    if (_DEBIAN_GOPATH / "src" / name).is_dir():
        return _DEBIAN_GOPATH
    return Path(_missing(f"Go package {name} is not installed: apt-get install {package}"))


def require_npm(package: str) -> Path:
    """Return the folder whose scripts can `require` the npm package; where it is missing, fail in CI, else skip."""
    if (NPM_FOLDER / "node_modules" / package).is_dir():
        return NPM_FOLDER
    return Path(_missing(f"npm package {package} is not installed: npm ci --prefix tests/npm"))


def require_witness(program: str) -> str:
    """Return the path of a program of `aics-witness`; where no Python is at hand that runs it, skip and say so."""
    path = _WITNESS_FOLDER / "bin" / program
    if path.exists():
        return str(path)
    found = subprocess.run(["sh", _WITNESS_INSTALLER, "--find"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(found.stderr.strip())
    return _missing("aics-witness is not installed: sh tests/witness/install.sh")


def _missing(message: str) -> str:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
