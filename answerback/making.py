"""What the `init` commands have in common: what they are told or ask, and what they say to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

import click

from answerback.serving import asked, default_bind, key_options, passphrase_for

if TYPE_CHECKING:
    from ca_server.initialise import NewAuthority
    from stir.certificate import AuthorityCertificate

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Program:
    """A kind of program: what people call one, where one may be reached, and where it listens behind a proxy.

    `shown` says where people read its name, and `lasting` whether its public URL is for good.
    """

    thing: str
    example: str
    bind: str
    passphrase_variable: str
    shown: str = ""
    lasting: bool = True


_CA_VARIABLE = "ANSWERBACK_PASSPHRASE"
AUTHORITY = Program(
    "authority",
    "https://ca.example",
    "127.0.0.1:14000",
    _CA_VARIABLE,
    shown=", in SMS and certificates too",
    lasting=False,
)
SERVICE = Program(
    "service", "https://rs.example", "127.0.0.1:14000", _CA_VARIABLE, shown=", in SMS and certificates too"
)
LOG = Program("log", "https://log.example", "127.0.0.1:14100", "ANSWERBACK_LOG_PASSPHRASE")
DIRECTORY = Program("directory", "https://rs.example", "127.0.0.1:15000", "ANSWERBACK_DIRECTORY_PASSPHRASE")


class Given(TypedDict):
    """The options of every `init`, as click passes them."""

    name: str | None
    operator: str | None
    public_url: str | None
    passphrase_file: Path | None
    unencrypted_keys: bool
    bind: str | None


class GivenAuthority(Given):
    """Those of an `init` that makes an authority."""

    prefixes: tuple[str, ...]
    countries: tuple[str, ...]
    gateway: Literal["smpp", "outbox"]
    sender: str


@dataclass(frozen=True)
class Answers:
    """What the operator said, in options or at the terminal."""

    name: str
    operator: str
    public_url: str
    passphrase: bytes | None = field(repr=False)
    passphrase_file: Path | None
    bind: str


def naming_options(program: Program) -> Callable[[Command], Command]:
    """Return the argument FOLDER, and the options that name a program: the first ones of its `init`."""
    lasting = " It never changes." if program.lasting else ""
    return _all(
        click.argument("folder", type=click.Path(path_type=Path)),
        click.option("--name", help=f"The {program.thing}'s name, for people to read{program.shown}."),
        click.option("--operator", help=f"Who runs the {program.thing}."),
        click.option(
            "--public-url", metavar="URL", help=f"Where it will be reached, such as {program.example}.{lasting}"
        ),
    )


def keeping_options(program: Program) -> Callable[[Command], Command]:
    """Return the options that say how a program keeps its keys, and where it listens."""
    bind = f"Where the server listens.  [default: the public URL's own address, or {program.bind}]"
    return _all(key_options(program.passphrase_variable), click.option("--bind", metavar="ADDRESS:PORT", help=bind))


def authority_options(command: Command) -> Command:
    """Add the options that say whom an authority certifies, and how it sends SMS."""
    return _all(
        click.option(
            "--number-prefix",
            "prefixes",
            multiple=True,
            metavar="+1202",
            help="Certify these numbers only. May be repeated.",
        ),
        click.option(
            "--country",
            "countries",
            multiple=True,
            metavar="US",
            help="Certify this country's numbers. May be repeated.",
        ),
        click.option(
            "--gateway",
            type=click.Choice(["smpp", "outbox"]),
            default="smpp",
            show_default=True,
            help="How SMS are sent; outbox sends none and writes files instead.",
        ),
        click.option("--sender", default="answerback", show_default=True, help="What the phone shows as the sender."),
    )(command)


def answers(program: Program, given: Given) -> Answers:
    """Return what the operator gave, and ask at the terminal for what was left out.

    Raises Failure, and KeyStoreError for a passphrase file of no use.
    """
    name = asked(given["name"], "--name", f"Name of the {program.thing}, for people to read")
    operator = asked(given["operator"], "--operator", f"Operator of the {program.thing}")
    url = asked(given["public_url"], "--public-url", f"Public URL, such as {program.example}")
    file, unencrypted = given["passphrase_file"], given["unencrypted_keys"]
    passphrase = passphrase_for(file, unencrypted, program.passphrase_variable, are_new=True)
    return Answers(name, operator, url, passphrase, file, given["bind"] or default_bind(url, program.bind))


def new_authority(program: Program, given: GivenAuthority) -> NewAuthority:
    """Return the authority that is to be made. Raises as `answers`, and TelephoneNumberError."""
    from ca_server.initialise import NewAuthority
    from stir.telephone_number import NumberPrefix

    prefixes = tuple(NumberPrefix.parse(prefix) for prefix in given["prefixes"])
    answered = answers(program, given)
    return NewAuthority(
        name=answered.name,
        operator=answered.operator,
        public_url=answered.public_url,
        passphrase=answered.passphrase,
        passphrase_file=answered.passphrase_file,
        prefixes=prefixes,
        countries=given["countries"],
        gateway=given["gateway"],
        sender=given["sender"],
        bind=answered.bind,
    )


def tell_made(said: str, steps: Iterable[str]) -> None:
    """Say what is made, and what to do next."""
    click.echo(said)
    click.echo("Next:")
    for number, step in enumerate(steps, start=1):
        click.echo(f"  {number}. {step}")


def tell_authority_made(new: NewAuthority, config: Path, anchor: AuthorityCertificate, steps: Iterable[str]) -> None:
    """Say that an authority is made, what users are to believe of it, and what to do next."""
    said = f"{new.name} is made, in {config.parent}."
    tell_made(
        f"{said}\nIts anchor, for users to believe, has the SHA-256 fingerprint\n  {anchor.fingerprint.hex()}", steps
    )


def authority_steps(new: NewAuthority, config: Path) -> Iterator[str]:
    """Yield what an authority lacks before it can serve."""
    if new.passphrase is None:
        yield "The keys are NOT encrypted: let nobody else read this folder, nor its backups."
    elif new.passphrase_file is None:
        yield f"Keep the passphrase safe; the server reads it from the environment variable {_CA_VARIABLE}."
    root_key = config.parent / "keys" / "root.key"
    yield f"Move {root_key} to a place that is never online; only the next issuing certificate needs it."
    if new.gateway == "outbox":
        yield "NO SMS IS SENT: `outbox` writes files, for development. Name a real gateway before you certify anybody."
    else:
        yield f"Fill in your SMS provider under [[gateways]] in {config}."
    if not new.countries:
        yield f"Name the countries whose numbers you certify, under [policy] in {config}: there are none yet."


def _all(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator that stands for several, the first on top."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate
