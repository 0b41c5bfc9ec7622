"""The format of `trust.toml`, the user's own file: anchors, denies and settings.

docs/reference/trust-toml.md describes it for people. An unknown key is refused: to skip a limit that this version does
not know would be to believe more than the user said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509

from policies.belief import Deny, RevocationMode, Settings, Terms
from policies.errors import PolicyError, PolicyFileError
from policies.loading import parse_toml, read_toml
from stir.certificate import read_pem_chain
from stir.errors import StirError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from trust_store.anchors import Anchor
from trust_store.errors import AnchorError, TrustFileError
from trust_store.home import TrustHome
from trust_store.lines import Lines

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN, extra_json_schema={"examples": ["example-ca"]})]
Operator = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Note = Annotated[str, msgspec.Meta(max_length=500)]
Sha256 = Annotated[
    str, msgspec.Meta(pattern="^[0-9a-f]{64}$", extra_json_schema={"examples": ["64 hexadecimal digits, lower case"]})
]
Number = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{6,14}$", extra_json_schema={"examples": ["+12025550123"]})]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{0,14}$", extra_json_schema={"examples": ["+1202"]})]
Prefixes = Annotated[tuple[Prefix, ...], msgspec.Meta(min_length=1, extra_json_schema={"examples": [["+1202"]]})]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=31 * 24 * 60 * 60)]
Skew = Annotated[int, msgspec.Meta(ge=0, le=600)]
Day = Annotated[date, msgspec.Meta(extra_json_schema={"examples": ["2027-06-30"]})]


class AnchorEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An `[[anchor]]`: an authority that the user believes, and on which terms."""

    name: Name
    operator: Operator
    sha256: Sha256
    prefixes: Prefixes | None = None
    issued_not_after: Day | None = None
    until: Day | None = None


class DenyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[deny]]`: something that the user never believes."""

    number: Number | None = None
    prefix: Prefix | None = None
    certificate: Sha256 | None = None
    note: Note = ""


class SettingsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[settings]`: how strictly to look at time and revocation."""

    revocation: RevocationMode = RevocationMode.WHEN_AVAILABLE
    call_seconds: Seconds = Settings().call_seconds
    message_seconds: Seconds = Settings().message_seconds
    skew_seconds: Skew = Settings().skew_seconds


class TrustFileContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a `trust.toml` may say."""

    settings: SettingsEntry = SettingsEntry()
    anchor: tuple[AnchorEntry, ...] = ()
    deny: tuple[DenyEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What a `trust.toml` says, each value with the line at which it stands."""

    terms: tuple[tuple[str, Terms], ...]
    """For each anchor, the SHA-256 of its certificate in hexadecimal, and the terms."""
    denies: tuple[Deny, ...]
    settings: Settings


def load(home: TrustHome) -> tuple[tuple[Anchor, ...], tuple[Deny, ...], Settings]:
    """Read a store's files; a store without a `trust.toml` is empty. Raises TrustFileError."""
    beliefs = read(home.trust_file)
    anchors = tuple(Anchor(terms, _certificate(home, sha256, terms)) for sha256, terms in beliefs.terms)
    return anchors, beliefs.denies, beliefs.settings


def read(path: Path) -> Beliefs:
    """Read a `trust.toml` alone, without the certificates that it names; a missing one says nothing."""
    text = read_text(path)
    return Beliefs((), (), Settings()) if text is None else parse(text, path)


def read_text(path: Path) -> str | None:
    """Return the text of a `trust.toml`, None where there is none. Raises TrustFileError."""
    try:
        return read_toml(path)
    except PolicyFileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise TrustFileError(str(error)) from error


def parse(text: str, path: Path) -> Beliefs:
    """Read the text of a `trust.toml`. `path` is named in errors and, its last part, in verdicts."""
    content = parse_content(text, path)
    places = _Places(path, Lines.of(text))
    _refuse_twins(content, places)
    terms = tuple((entry.sha256, _terms(entry, index, places)) for index, entry in enumerate(content.anchor))
    denies = tuple(_deny(entry, index, places) for index, entry in enumerate(content.deny))
    return Beliefs(terms, denies, _settings(content.settings, places))


def parse_content(text: str, path: Path) -> TrustFileContent:
    """Read the text of a `trust.toml` as it is written. Raises TrustFileError."""
    try:
        return parse_toml(text, TrustFileContent, path)
    except PolicyFileError as error:
        raise TrustFileError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Places:
    """Says where a value stands: `trust.toml:12`."""

    path: Path
    lines: Lines

    def of(self, *path: str | int) -> str:
        return f"{self.path.name}:{self.lines.line_of(*path)}"

    def given(self, entry: msgspec.Struct, *path: str | int) -> Mapping[str, str]:
        """Return the places of the values that an entry gives, leaving out those that say what is said anyway."""
        usual = dict(zip(reversed(entry.__struct_fields__), reversed(entry.__struct_defaults__), strict=False))
        keys = (key for key in entry.__struct_fields__ if getattr(entry, key) != usual.get(key))
        return {key: self.of(*path, key) for key in keys}


def _terms(entry: AnchorEntry, index: int, places: _Places) -> Terms:
    return Terms(
        name=entry.name,
        operator=entry.operator,
        source=places.of("anchor", index),
        prefixes=tuple(NumberPrefix.parse(prefix) for prefix in entry.prefixes or ()),
        issued_not_after=entry.issued_not_after,
        until=entry.until,
        sources=places.given(entry, "anchor", index),
    )


def _deny(entry: DenyEntry, index: int, places: _Places) -> Deny:
    source = places.of("deny", index)
    try:
        return Deny(
            source=source,
            number=TelephoneNumber.parse(entry.number) if entry.number is not None else None,
            prefix=NumberPrefix.parse(entry.prefix) if entry.prefix is not None else None,
            certificate=entry.certificate,
            note=entry.note,
        )
    except PolicyError as error:
        msg = f"{places.path.with_name(source)}: {error}"
        raise TrustFileError(msg) from error


def _settings(entry: SettingsEntry, places: _Places) -> Settings:
    return Settings(
        revocation=entry.revocation,
        call_seconds=entry.call_seconds,
        message_seconds=entry.message_seconds,
        skew_seconds=entry.skew_seconds,
        sources=places.given(entry, "settings"),
    )


def _refuse_twins(content: TrustFileContent, places: _Places) -> None:
    """Refuse two anchors of one name or of one certificate, as nobody could say whose terms count."""
    for key, values in (
        ("name", [entry.name for entry in content.anchor]),
        ("sha256", [entry.sha256 for entry in content.anchor]),
    ):
        for index in _second_ones(values):
            place = places.path.with_name(places.of("anchor", index, key))
            msg = f"{place}: another anchor has the same {key}; keep one of the two"
            raise TrustFileError(msg)


def _second_ones(values: list[str]) -> Iterator[int]:
    return (index for index, value in enumerate(values) if values.index(value) != index)


def _certificate(home: TrustHome, sha256: str, terms: Terms) -> x509.Certificate:
    """Read an anchor's certificate from the folder, and make sure that it is the one that the user named."""
    path = home.anchors / f"{sha256}.pem"
    place = home.trust_file.with_name(terms.source)
    try:
        (certificate,) = read_pem_chain(path.read_bytes())
        Anchor(terms, certificate).require(sha256)
    except FileNotFoundError as error:
        msg = f"{place}: the certificate of {terms.name} is missing: {path}; add the anchor again, or remove it"
        raise TrustFileError(msg) from error
    except OSError as error:
        msg = f"{place}: the certificate of {terms.name} cannot be read: {path}: {error.strerror}"
        raise TrustFileError(msg) from error
    except (StirError, AnchorError, ValueError) as error:
        msg = f"{place}: {path} is not the certificate of {terms.name}: {error}"
        raise TrustFileError(msg) from error
    return certificate
