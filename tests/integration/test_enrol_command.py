"""`answerback enrol` and its neighbours at a terminal, against our own authorities without sockets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from acme_client.addresses import AuthorityAddress
from acme_client.codes import CallbackCodes
from acme_client.enrol import Enrolment
from acme_client.one_key import companions, key_for_all
from acme_client.store import HOME_VARIABLE, Store, key_hash
from answerback.cli import front_door
from answerback.enrolling import PromptCodes, Steps
from policies.issuance import Cap, IssuancePolicy, SmsCaps
from tests.fakes.enrolment_world import NUMBER, EnrolmentWorld, code_in, now, routed, wrong
from tests.fakes.patient_clock import PatientClock

Build = Callable[..., EnrolmentWorld]


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, EnrolmentWorld]]:
    """Return the authorities by host; the command finds those that are put in, and its own store."""
    found: dict[str, EnrolmentWorld] = {}
    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", routed(found))
    monkeypatch.setattr("acme_client.polling.time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "app"))
    yield found
    for world in found.values():
        world.close()


@pytest.fixture
def build(tmp_path: Path, worlds: dict[str, EnrolmentWorld]) -> Build:
    """Return a function that opens an authority at a host."""

    def built(host: str = "ca.example", **changes: Any) -> EnrolmentWorld:  # noqa: ANN401  # an authority's settings
        worlds[host] = EnrolmentWorld(tmp_path, host, hand=PatientClock(now()), **changes)
        return worlds[host]

    return built


@pytest.fixture
def world(build: Build) -> EnrolmentWorld:
    """Return the usual authority."""
    return build()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that sets what is typed at each prompt; it returns the questions that will have been asked."""
    questions: list[str] = []

    def set_lines(*lines: str | Callable[[], str]) -> list[str]:
        left = list(lines)

        def prompt(text: str, **_: object) -> str:
            questions.append(text)
            if not left:
                raise click.Abort
            line = left.pop(0)
            return line() if callable(line) else line

        monkeypatch.setattr(click, "prompt", prompt)
        return questions

    return set_lines


def run(*arguments: str, **options: Any) -> Result:  # noqa: ANN401  # of click's runner
    """Run the front door."""
    return CliRunner().invoke(front_door, list(arguments), **options)


def data(result: Result) -> Any:  # noqa: ANN401  # any JSON
    """Return the JSON that a command printed."""
    return json.loads(result.stdout)


def test_a_person_enrols_a_number(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """The code is asked for with what one needs to know, and the certificate is told."""
    questions = typed(lambda: code_in(world.texts[0]))
    result = run("enrol", NUMBER.e164, "--ca", "ca.example")
    assert result.exit_code == 0, result.output
    assert f"{NUMBER.e164} is certified by ca.example until" in result.stdout
    assert questions[0].startswith("Code of 8 digits (5 tries left; r sends it again from ")
    assert "sends an SMS to +120******23 from ExampleCA" in result.stderr
    assert "@ca.example" in result.stderr
    assert "delivered to the phone" in result.stderr
    assert code_in(world.texts[0]) not in result.output


def test_the_other_spelling_is_the_same_command(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """`enroll` is `enrol`."""
    typed(lambda: code_in(world.texts[0]))
    assert run("enroll", NUMBER.e164, "--ca", "https://ca.example/acme/index").exit_code == 0


def test_a_wrong_code_shows_the_tries_that_are_left(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """After a wrong code the reason and the tries left are shown."""
    questions = typed(lambda: wrong(code_in(world.texts[0])), "123", "", lambda: code_in(world.texts[0]))
    result = run("enrol", NUMBER.e164, "--ca", "ca.example")
    assert result.exit_code == 0, result.output
    assert "4 tries left" in questions[1]
    assert "A code has 8 digits" in result.stderr


def test_a_resend_that_is_too_early_is_explained(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """`r` before its time says from when on, and the prompt stays."""
    typed("r", lambda: code_in(world.texts[0]))
    result = run("enrol", NUMBER.e164, "--ca", "ca.example")
    assert result.exit_code == 0, result.output
    assert "Another message can be sent from" in result.stderr
    assert len(world.texts) == 1


def test_the_only_message_cannot_be_sent_again(build: Build, typed: Callable[..., list[str]]) -> None:
    """Where no more messages are sent, the prompt offers none and `r` says so."""
    world = build(policy=IssuancePolicy(countries=("US",), sends=1))
    questions = typed("r", lambda: code_in(world.texts[0]))
    result = run("enrol", NUMBER.e164, "--ca", "ca.example")
    assert result.exit_code == 0, result.output
    assert "sends it again" not in questions[0]
    assert "sends no more messages" in result.stderr


def test_a_lost_message_is_told_and_sent_again(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """Where the message was not delivered, the person is told before waiting for it, and has it sent again."""
    world.network = "lost"

    def again() -> str:
        world.network = "up"
        world.hand.sleep(61)
        return "resend"

    typed("", again, lambda: code_in(world.texts[-1]))
    patched = pytest.MonkeyPatch()
    patched.setattr("answerback.enrolling._why_not_resend", lambda _: None)
    result = run("enrol", NUMBER.e164, "--ca", "ca.example")
    patched.undo()
    assert result.exit_code == 0, result.output
    assert "NOT delivered" in result.stderr
    assert "Another message is on its way" in result.stderr


def test_an_interrupted_prompt_keeps_the_order(
    world: EnrolmentWorld, typed: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C at the prompt ends the command in one line, and the next run goes on from there."""
    monkeypatch.setattr("answerback.enrolling.sys", SimpleNamespace(stdin=Terminal(), stderr=sys.stderr))
    typed()
    result = run("enrol", NUMBER.e164, "--ca", "ca.example")
    assert result.exit_code == 1
    assert "run the same command again" in result.stderr
    typed(lambda: code_in(world.texts[0]))
    assert run("enrol", NUMBER.e164, "--ca", "ca.example").exit_code == 0
    assert (world.count("orders"), len(world.texts)) == (1, 1)


class Terminal:
    """A standard input where a person sits."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_prompt_without_a_person_says_what_to_do(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """Without a terminal the options for programs are named, and the order is kept."""
    typed()
    result = run("enrol", NUMBER.e164, "--ca", "ca.example")
    assert result.exit_code == 1
    assert "--code-command" in result.stderr
    assert world.store.pending(world.address, NUMBER) is not None


def test_a_command_gives_the_code(world: EnrolmentWorld, tmp_path: Path) -> None:
    """--code-command runs a program whose output is the code; --challenge sms-reply suits it."""
    script = tmp_path / "phone.py"
    script.write_text(f"import pathlib; print(max(pathlib.Path({str(world._phone)!r}).iterdir()).read_text())")
    command = f"{sys.executable} {script}"
    for challenge in ("sms-code", "sms-reply"):
        options = ("--challenge", challenge, "--code-command", command, "--force", "--json")
        result = run("enrol", NUMBER.e164, "--ca", "ca.example", *options)
        assert result.exit_code == 0, result.output
        assert data(result)["certificates"][0]["number"] == NUMBER.e164
        assert result.stderr == ""


def test_a_file_gives_the_code(world: EnrolmentWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--code-file waits for a file, which may hold the whole message."""
    path = tmp_path / "code"
    write = SimpleNamespace(sleep=lambda _: path.write_text(world.texts[-1]))
    monkeypatch.setattr("acme_client.polling.time", write)
    result = run("enrol", NUMBER.e164, "--ca", "ca.example", "--code-file", str(path))
    assert result.exit_code == 0, result.output
    assert not path.exists()


def test_several_authorities_in_one_command(build: Build, typed: Callable[..., list[str]]) -> None:
    """Each authority is asked in turn, and each certificate is told."""
    one, two = build("one.example"), build("two.example")
    typed(lambda: code_in(one.texts[0]), lambda: code_in(two.texts[0]))
    result = run("enrol", NUMBER.e164, "--ca", "one.example", "--ca", "two.example", "--ca", "one.example")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2
    assert [held.ca for held in Store.open().certificates()] == [
        "https://one.example/acme/index",
        "https://two.example/acme/index",
    ]


def test_one_authority_that_fails_does_not_stop_the_others(build: Build, typed: Callable[..., list[str]]) -> None:
    """The others go on; the exit code and a line for each failure say what did not work."""
    world = build("two.example")
    typed(lambda: code_in(world.texts[0]))
    arguments = ("enrol", NUMBER.e164, "--ca", "gone.example", "--ca", "two.example")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "Error: gone.example: gone.example cannot be reached" in result.stderr
    assert "is certified by two.example" in result.stdout
    again = run(*arguments, "--json")
    assert again.exit_code == 1
    assert data(again)["failures"][0]["authority"] == "gone.example"
    assert len(data(again)["certificates"]) == 1
    assert "1 of 2" in data(again)["error"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("2025550123", "--ca", "ca.example"), "begins with +"),
        (("+12025550123", "--ca", "ftp://ca.example"), "https"),
        (("+12025550123", "--ca", "http://ca.example"), "--insecure-http"),
        (("+12025550123", "--ca", "gone.example"), "cannot be reached"),
        (("+12025550123", "--ca", "ca.example", "--email", "nobody"), "email"),
        (("+12025550123", "--ca", "ca.example", "--code-command", ""), "names no command"),
        (("+12025550123", "--ca", "ca.example", "--code-command", "sh -c 'x"), "never closed"),
        (("+12025550123", "--ca", "ca.example", "--code-command", "x", "--code-file", "y"), "not from both"),
        (("+442079460123", "--ca", "ca.example"), "rejectedIdentifier"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_done_is_one_line(
    world: EnrolmentWorld, arguments: tuple[str, ...], reason: str, as_json: bool
) -> None:
    """A failure is one line on standard error, or a JSON object with it, and exit code 1."""
    result = run("enrol", *arguments, *(["--json"] if as_json else []))
    assert result.exit_code == 1
    line = data(result)["error"] if as_json else result.stderr.splitlines()[-1]
    assert reason in line
    assert world.texts == []


def test_terms_are_shown_and_asked_about(build: Build, typed: Callable[..., list[str]]) -> None:
    """Without --agree-terms the URL is shown and agreement asked for; no means no account."""
    world = build(terms_of_service="https://ca.example/terms.html")
    typed(lambda: code_in(world.texts[0]))
    for answer in ("n\n", ""):
        result = run("enrol", NUMBER.e164, "--ca", "ca.example", input=answer)
        assert result.exit_code == 1
        assert "https://ca.example/terms.html" in result.stderr
        assert "--agree-terms" in result.stderr
    assert world.count("accounts") == 0
    assert run("enrol", NUMBER.e164, "--ca", "ca.example", input="y\n").exit_code == 0


def test_terms_can_be_agreed_to_on_the_command_line(build: Build, typed: Callable[..., list[str]]) -> None:
    """--agree-terms and --email go with the new account."""
    world = build(terms_of_service="https://ca.example/terms.html")
    typed(lambda: code_in(world.texts[0]))
    options = ("--agree-terms", "--email", "me@example.org")
    assert run("enrol", NUMBER.e164, "--ca", "ca.example", *options).exit_code == 0
    assert data(run("account", "show", "--json"))["emails"] == ["me@example.org"]


def test_a_limit_says_when_to_come_back(build: Build, typed: Callable[..., list[str]]) -> None:
    """A refusal for now ends in the time after which to try again."""
    caps = SmsCaps(number=Cap(burst=1, refill_seconds=30 * 3600))
    world = build(policy=IssuancePolicy(countries=("US",), attempts=1, sms=caps))
    typed(lambda: wrong(code_in(world.texts[0])))
    assert "start again" in run("enrol", NUMBER.e164, "--ca", "ca.example").stderr
    limited = run("enrol", NUMBER.e164, "--ca", "ca.example").stderr
    assert "; try again after 20" in limited


def test_certificates_are_shown(build: Build, typed: Callable[..., list[str]]) -> None:
    """The table has a line for each certificate with its number, authority, end and state."""
    assert "No certificates are held here" in run("certificates").stdout
    assert data(run("certificates", "--json")) == {"certificates": []}
    world = build()
    typed(lambda: code_in(world.texts[0]))
    run("enrol", NUMBER.e164, "--ca", "ca.example")
    titles, row = run("certificates").stdout.splitlines()
    assert titles.split() == ["Number", "Authority", "Until", "State"]
    assert row.split() == [NUMBER.e164, "ca.example", *row.split()[2:5], "good"]
    (listed,) = data(run("certificates", "--json"))["certificates"]
    assert (listed["state"], listed["validation"]) == ("good", ["sms-code"])
    assert Path(listed["chain"]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_renew_renews_what_is_due(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """Nothing is due at first; with --force a new certificate comes without a message."""
    assert run("renew").stdout == "Nothing is due.\n"
    typed(lambda: code_in(world.texts[0]))
    first = data(run("enrol", NUMBER.e164, "--ca", "ca.example", "--json"))["certificates"][0]
    assert run("renew").stdout == "Nothing is due.\n"
    assert data(run("renew", "--json")) == {"certificates": []}
    result = run("renew", NUMBER.e164, "--ca", "ca.example", "--force", "--json")
    assert result.exit_code == 0, result.output
    assert data(result)["certificates"][0]["serial"] != first["serial"]
    assert len(world.texts) == 1


def test_renew_says_what_it_cannot_do(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """A number that is not held, and an authority that is gone, are failures of one line."""
    typed(lambda: code_in(world.texts[0]))
    run("enrol", NUMBER.e164, "--ca", "ca.example")
    assert "no such certificate" in run("renew", "+12025550199").stderr
    world.adapter.before = lambda _: (_ for _ in ()).throw(ConnectionError())
    result = run("renew", "--force")
    assert result.exit_code == 1


def test_revoke_asks_first(world: EnrolmentWorld, typed: Callable[..., list[str]]) -> None:
    """Without --yes the person is asked, and nobody to answer means no; afterwards the table says revoked."""
    typed(lambda: code_in(world.texts[0]))
    run("enrol", NUMBER.e164, "--ca", "ca.example")
    for typed_in in ("n\n", ""):
        refused = run("revoke", NUMBER.e164, input=typed_in)
        assert refused.exit_code == 1
        assert refused.stderr.endswith("nothing was revoked; where nobody can answer, give --yes\n")
    result = run("revoke", NUMBER.e164, "--reason", "key-compromise", "--yes")
    assert result.exit_code == 0, result.output
    assert "is revoked" in result.stdout
    assert run("certificates").stdout.split()[-1] == "revoked"
    assert "no such certificate" in run("revoke", "+12025550199", "--yes").stderr


def test_revoke_takes_a_certificate_that_another_got(
    world: EnrolmentWorld, typed: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --certificate and --ca the number is proved to the authority, and the certificate revoked."""
    typed(lambda: code_in(world.texts[-1]), lambda: code_in(world.texts[-1]))
    assert run("enrol", NUMBER.e164, "--ca", world.host, "--agree-terms").exit_code == 0
    stolen = tmp_path / "stolen.pem"
    stolen.write_bytes(Store.open().certificates()[0].chain_path.read_bytes())
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path / "holder"))
    result = run("revoke", "--certificate", str(stolen), "--ca", world.host, "--agree-terms", "--yes", "--json")
    assert (result.exit_code, data(result)["revoked"]["state"]) == (0, "revoked"), result.output
    assert "name the authority" in run("revoke", "--certificate", str(stolen)).stderr
    assert "which number's certificate" in run("revoke").stderr


def test_revoke_wants_to_know_which(build: Build, typed: Callable[..., list[str]]) -> None:
    """With certificates from several authorities one must be chosen."""
    one, two = build("one.example"), build("two.example")
    typed(lambda: code_in(one.texts[0]), lambda: code_in(two.texts[0]))
    run("enrol", NUMBER.e164, "--ca", "one.example", "--ca", "two.example")
    assert "choose one of one.example, two.example with --ca" in run("revoke", NUMBER.e164, "--yes").stderr
    result = run("revoke", NUMBER.e164, "--ca", "two.example", "--yes", "--json")
    assert data(result)["revoked"]["authority"] == "https://two.example/acme/index"


def test_the_account_is_shown_changed_and_closed(build: Build, typed: Callable[..., list[str]]) -> None:
    """Which account is meant follows from --ca, or from there being just one."""
    assert "enrol a number first" in run("account", "show").stderr
    one, two = build("one.example"), build("two.example")
    typed(lambda: code_in(one.texts[0]), lambda: code_in(two.texts[0]))
    run("enrol", NUMBER.e164, "--ca", "one.example", "--ca", "two.example")
    assert "choose with --ca one of one.example, two.example" in run("account", "show").stderr
    assert "no account at three.example" in run("account", "show", "--ca", "three.example").stderr
    updated = run("account", "update", "--ca", "one.example", "--email", "me@example.org")
    assert "me@example.org" in updated.stdout
    assert "valid" in run("account", "show", "--ca", "one.example").stdout
    kept = run("account", "deactivate", "--ca", "one.example", input="n\n")
    assert "stays open" in kept.stderr
    closed = run("account", "deactivate", "--ca", "one.example", "--yes", "--json")
    assert data(closed) == {"authority": "https://one.example/acme/index", "status": "deactivated"}
    assert data(run("account", "show", "--json"))["authority"] == "https://two.example/acme/index"


def test_a_moving_line_shows_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line moves, markup in it is only text, and it makes way for a prompt."""
    from acme_client.progress import Progress, Step  # noqa: PLC0415

    shown: list[str] = []
    line = SimpleNamespace(start=lambda: shown.append("start"), update=shown.append, stop=lambda: shown.append("stop"))
    monkeypatch.setattr("answerback.enrolling.sys", SimpleNamespace(stderr=Terminal()))
    monkeypatch.setattr("answerback.enrolling._moving_line", lambda text: shown.append(text) or line)
    steps = Steps()
    steps(Progress(Step.CONNECTING, "ca.example", "connecting"))
    steps(Progress(Step.ORDERING, "ca.example", "[red]ordering"))
    with steps.paused():
        pass
    steps.close()
    assert shown == ["connecting", "start", "\\[red]ordering", "stop"]
    assert PromptCodes(steps).steps is steps


# One key at several authorities


def enrolled(*arguments: str, worlds: list[EnrolmentWorld], typed: Callable[..., list[str]]) -> list[Any]:
    """Enrol the number with some authorities, and return the certificates that the command tells of."""
    typed(*[lambda world=world: code_in(world.texts[-1]) for world in worlds])  # type: ignore[misc]
    result = run("enrol", NUMBER.e164, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return list(data(result)["certificates"])


def keys() -> list[bytes]:
    """Return the public keys of the certificates that are held, by authority."""
    return [key_hash(held.key().public_key()) for held in Store.open().certificates()]


BOTH = ("--ca", "ca.example", "--ca", "other.example", "--same-key")


def test_one_key_is_certified_by_several_authorities_in_one_go(build: Build, typed: Callable[..., list[str]]) -> None:
    """Each proves the number by itself."""
    worlds = [build(), build("other.example")]
    assert len(enrolled(*BOTH, worlds=worlds, typed=typed)) == 2
    assert len(set(keys())) == 1
    assert [len(world.texts) for world in worlds] == [1, 1]


def test_without_being_asked_for_each_authority_gets_a_key_of_its_own(
    build: Build, typed: Callable[..., list[str]]
) -> None:
    """One that is lost then is lost at one authority."""
    worlds = [build(), build("other.example")]
    enrolled(*BOTH[:-1], worlds=worlds, typed=typed)
    assert len(set(keys())) == 2


def test_a_further_authority_certifies_the_key_that_is_held(build: Build, typed: Callable[..., list[str]]) -> None:
    """And the first is not asked again."""
    first, second = build(), build("other.example")
    enrolled("--ca", "ca.example", worlds=[first], typed=typed)
    (key,) = keys()
    enrolled(*BOTH, worlds=[second], typed=typed)
    assert keys() == [key, key]
    assert len(first.texts) == 1


def test_an_authority_that_certified_another_key_certifies_this_one(
    build: Build, typed: Callable[..., list[str]]
) -> None:
    """The key of which more certificates are held is kept; the number's proof is remembered there."""
    worlds = [build(), build("other.example"), build("third.example")]
    enrolled(*BOTH, worlds=worlds[:2], typed=typed)
    kept = keys()[0]
    enrolled("--ca", "third.example", worlds=worlds[2:], typed=typed)
    assert len(set(keys())) == 2
    enrolled("--ca", "third.example", "--same-key", worlds=[], typed=typed)
    assert keys() == [kept] * 3
    assert [len(world.texts) for world in worlds] == [1, 1, 1]


def test_a_new_key_can_be_had_for_all(build: Build, typed: Callable[..., list[str]]) -> None:
    """With --force."""
    worlds = [build(), build("other.example")]
    enrolled(*BOTH, worlds=worlds, typed=typed)
    before = keys()
    enrolled(*BOTH, "--force", worlds=[], typed=typed)
    assert len(set(keys())) == 1
    assert keys()[0] != before[0]


def test_an_order_that_was_begun_keeps_its_key(build: Build, typed: Callable[..., list[str]]) -> None:
    """A command that was stopped between two authorities goes on with the same key."""
    first, second = build(), build("other.example")
    typed(lambda: code_in(first.texts[-1]))  # nobody answers for the second
    assert run("enrol", NUMBER.e164, *BOTH).exit_code == 1
    (key,) = keys()
    enrolled(*BOTH, worlds=[second], typed=typed)
    assert keys() == [key, key]
    assert [len(world.texts) for world in (first, second)] == [1, 1]


def test_an_order_for_another_key_is_given_up(build: Build, typed: Callable[..., list[str]]) -> None:
    """What was begun before without --same-key does not split the set."""
    first, second = build(), build("other.example")
    typed()
    assert run("enrol", NUMBER.e164, "--ca", "other.example").exit_code == 1
    enrolled("--ca", "ca.example", worlds=[first], typed=typed)
    (key,) = keys()
    place = AuthorityAddress.parse("other.example")
    assert Store.open().pending(place, NUMBER) is not None
    enrolled("--ca", "ca.example", "--same-key", worlds=[], typed=typed)
    store = Store.open()
    with_key = key_for_all(store, NUMBER, [AuthorityAddress.parse("ca.example")], now())
    assert key_hash(with_key.public_key()) == key
    Enrolment(
        ca=place,
        number=NUMBER,
        keys=store,
        codes=CallbackCodes(lambda _: code_in(second.texts[-1])),
        key=with_key,
    ).run()
    assert keys() == [key, key]


def test_a_renewal_keeps_a_key_that_several_certified_and_no_revoked_one(
    build: Build, typed: Callable[..., list[str]]
) -> None:
    """So that the set stays one; a key of which one certificate was revoked is taken by nobody again."""
    worlds = [build(), build("other.example")]
    enrolled(*BOTH, worlds=worlds, typed=typed)
    before = keys()
    assert run("renew", "--force").exit_code == 0
    assert keys() == before
    store = Store.open()
    store.mark_revoked(store.certificates()[0], now())
    assert run("renew", "--force", "--ca", "other.example").exit_code == 0
    assert keys()[1] != before[1]
    assert key_hash(key_for_all(store, NUMBER, [], now()).public_key()) == keys()[1]
    alone = [held for held in store.certificates() if held.revoked_at is None]
    assert companions(store, alone[0], now()) == []
