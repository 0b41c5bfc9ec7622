"""The pages about enrolling do what they say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from acme_client.store import HOME_VARIABLE
from stir.identity_header import IdentityHeader
from tests.fakes.enrolment_world import EnrolmentWorld, code_in, now, routed
from tests.fakes.patient_clock import PatientClock
from tests.integration.test_readme import DOCUMENTED_PORT, commands_and_output, free_port, run

DOCS = Path(__file__).parents[2] / "docs"
DIRECTORY_PORT = "15000"


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_programs_of_the_how_to_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The examples, run one after the other, enrol a number, list what is held, and sign a call."""
    world = EnrolmentWorld(tmp_path, hand=PatientClock(now()))
    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", routed({world.host: world}))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "app"))
    monkeypatch.setattr("builtins.input", lambda _: code_in(world.texts[0]))
    for number, program in enumerate(blocks("how-to/enrol-a-number.md", "python")):
        path = tmp_path / f"program{number}.py"
        path.write_text(program)
        runpy.run_path(str(path), run_name="__main__")
    world.close()
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("by https://ca.example/acme/index")
    assert second.startswith("+12025550123 ")
    passport = IdentityHeader.parse(third.removeprefix("Identity: ")).signed.passport
    assert (passport.orig.e164, passport.dest) == ("+12025550123", ("12025550199",))


def awaiting(port: str) -> str:
    """Write what waits in bash until somebody listens on a port."""
    return f"until (: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done"


@pytest.mark.slow
def test_the_tutorial_works(tmp_path: Path) -> None:
    """What the tutorial tells a person to type works in this order and prints what it shows."""
    ports = {documented: free_port() for documented in (DOCUMENTED_PORT, DIRECTORY_PORT)}
    started = iter(ports.values())
    outbox = "my-ca/outbox-development/*.txt"
    phone = f"< <(until ls {outbox} > /dev/null 2>&1; do sleep 0.1; done; tail -n 1 {outbox})"
    lines: list[str] = []
    shown: list[str] = []
    for block in blocks("tutorial/enrol-and-call.md", "console"):
        commands, printed = commands_and_output(re.sub("|".join(ports), lambda found: ports[found[0]], block))
        shown += printed
        for command in commands:
            by_hand = {"answerback enrol": phone, "answerback trust add": "<<< y"}
            typed = next((what for name, what in by_hand.items() if command.startswith(name)), "")
            lines += [f"{command} {typed}", *([awaiting(next(started))] if command.endswith("&") else [])]
    leave_nothing = "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"
    said = run("\n".join([leave_nothing, *lines]), tmp_path, tmp_path / "home")
    assert len(shown) == 14
    for line in shown:  # the columns of a table may be wider than on the page
        assert line.split() in [told.split() for told in said.splitlines()]
