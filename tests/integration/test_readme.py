from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
DOCUMENTED_PORT = "14000"
SECONDS = 120

pytestmark = pytest.mark.slow


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language in a page."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands_and_output(block: str) -> tuple[list[str], list[str]]:
    """Tell what is typed, after a `$` and up to its last continuation, from what is printed."""
    commands: list[str] = []
    printed: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append(line.removeprefix("$ "))
        elif commands and commands[-1].endswith("\\"):
            commands[-1] += "\n" + line
        else:
            printed.append(line)
    return commands, printed


def run(script: str, folder: Path, home: Path, typed: str = "") -> str:
    """Run a script in bash as a person would in a folder of their own; return all that it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "ANSWERBACK_HOME": str(home)},
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def free_port() -> str:
    """Find a port to put in the place of the README's, which may be taken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def type_out(console: str, folder: Path, program: str = "") -> None:
    """Type what is shown as typed, then run the program; what is shown as printed must have been printed."""
    port = free_port()
    commands, printed = commands_and_output(console.replace(DOCUMENTED_PORT, port))
    await_port = f"until (: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done"
    script = "\n".join(f"{line}\n{await_port}" if line.endswith("&") else line for line in commands)
    leave_nothing = "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"
    last = f"python - <<'PROGRAM'\n{program}PROGRAM\n"
    said = run(f"{leave_nothing}\n{script}\n{last}", folder, folder / "home", "y\n").splitlines()
    assert printed
    assert [line for line in printed if line not in said] == []


def test_readme_commands_and_program_do_what_it_says(tmp_path: Path) -> None:
    """What the README tells a person to type works in this order, prints what it shows, and its program runs after."""
    _, trying = blocks("README.md", "console")
    (program,) = blocks("README.md", "python")
    type_out(trying, tmp_path, f"{program}assert verdict.outcome.value == 'verified'\n")


def test_the_readme_begins_with_the_demo() -> None:
    """The first thing to type is `make demo`, as tests/end_to_end/test_demo.py types it."""
    demo, _ = blocks("README.md", "console")
    commands, _ = commands_and_output(demo)
    assert commands == ["make demo"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_a_page_points_at_exists(page: str) -> None:
    """Each relative link of the pages at the root leads to a file, and each `make` target that they name is one."""
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets


def test_each_decision_has_a_number_of_its_own() -> None:
    """Two records that were written at once do not share a number, and the title says the file's."""
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert len(set(numbers)) == len(numbers)
    assert [page.name for page, number in zip(pages, numbers, strict=True) if not titled(page, number)] == []


def titled(page: Path, number: int) -> bool:
    """Tell whether the page's first line begins with its number."""
    return page.read_text().startswith(f"# {number}. ")
