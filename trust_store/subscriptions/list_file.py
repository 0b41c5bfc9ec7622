"""The format of a curated list: `list.toml`, in the words of `trust.toml`, with the certificates in it.

docs/reference/curated-lists.md describes it for people. An unknown key is refused, as in `trust.toml`: to skip a limit
that this version does not know would be to believe more than the curator said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography import x509

from policies.errors import PolicyFileError
from policies.loading import parse_toml, toml_text
from policies.precedence import Layer, LayerKind
from policies.terms import Terms
from stir.certificate_chain import read_pem_chain
from stir.errors import StirError
from trust_store import trust_file
from trust_store.anchors import Anchor
from trust_store.entries import AnchorEntry, DenyEntry, LogEntry, Name, Note, Operator, TrustFileContent, WitnessEntry
from trust_store.errors import AnchorError, ListError, LogError, TrustFileError
from trust_store.lines import Lines
from trust_store.logs import TrustedLog, TrustedWitness
from trust_store.trust_file import Places

LIST_NAME: Final = "list.toml"
"""What the list is called among the files of its release, and in its curator's folder."""
VERSION: Final = "version"
"""The member of its `custom` that says which version of the list it is."""
LARGEST_LIST: Final = 1024 * 1024
"""In bytes."""

_WORDS = {"curator", "about", "operator", "note"}
"""The keys whose text is a stranger's, and shown to the user."""
_Certificate = Annotated[str, msgspec.Meta(max_length=16 * 1024)]
_Description = Annotated[str, msgspec.Meta(max_length=256 * 1024)]


class ListHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[list]`: what it is called, and who answers for it."""

    name: Name
    curator: Operator
    about: Note = ""


class ListAnchorEntry(AnchorEntry, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An `[[anchor]]`: an authority, on which terms, and its certificate in PEM."""

    certificate: _Certificate


class ListLogEntry(LogEntry, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A `[[log]]`: a transparency log, and its `log.json`."""

    description: _Description


class ListContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a list may say."""

    head: ListHead = msgspec.field(name="list")
    anchor: tuple[ListAnchorEntry, ...] = ()
    log: tuple[ListLogEntry, ...] = ()
    witness: tuple[WitnessEntry, ...] = ()
    deny: tuple[DenyEntry, ...] = ()


@dataclass(frozen=True)
class CuratedList:
    """A list that was read: as it is written, and what it says, each value with its place."""

    content: ListContent
    layer: Layer
    certificates: dict[str, x509.Certificate]
    logs: tuple[TrustedLog, ...]
    witnesses: tuple[TrustedWitness, ...]

    @property
    def head(self) -> ListHead:
        """What the list is called, and who answers for it."""
        return self.content.head


def parse(data: bytes, path: Path, label: str | None = None) -> CuratedList:
    """Read a list. `path` is named in errors, `label` where its lines are told. Raises ListError."""
    try:
        text = toml_text(data, path, LARGEST_LIST)
        content = parse_content(text, path)
        places = Places(path, label or str(path), Lines.of(text))
        plain = TrustFileContent(anchor=content.anchor, log=content.log, witness=content.witness, deny=content.deny)
        beliefs = trust_file.beliefs_of(plain, places, LayerKind.LIST)
    except (PolicyFileError, TrustFileError) as error:
        raise ListError(str(error)) from error
    terms = [offer.terms for offer in beliefs.layer.offers]
    return CuratedList(
        content=content,
        layer=beliefs.layer,
        certificates={
            entry.sha256: certificate_of(entry, terms[index], places.whole("anchor", index, "certificate"))
            for index, entry in enumerate(content.anchor)
        },
        logs=tuple(
            log_of(entry, place, places.whole("log", index, "description"))
            for index, (entry, (_, place)) in enumerate(zip(content.log, beliefs.logs, strict=True))
        ),
        witnesses=beliefs.witnesses,
    )


def parse_content(text: str, path: Path) -> ListContent:
    """Read the text of a list as it is written, but not its certificates and descriptions. Raises ListError."""
    try:
        content = parse_toml(text, ListContent, path)
    except PolicyFileError as error:
        raise ListError(str(error)) from error
    _require_plain(content, path)
    return content


def _require_plain(content: ListContent, path: Path) -> None:
    """Refuse words that a terminal might obey, or that read as others than they are, instead of being shown."""
    for entry in (content.head, *content.anchor, *content.log, *content.witness, *content.deny):
        for key in _WORDS & set(entry.__struct_fields__):
            if not getattr(entry, key).isprintable():
                msg = f"{path}: {key}: text without line breaks or control characters is written here"
                raise ListError(msg)


def certificate_of(entry: ListAnchorEntry, terms: Terms, place: str) -> x509.Certificate:
    """Read an anchor's certificate, and make sure that it is the one of the fingerprint. Raises ListError."""
    try:
        (certificate,) = read_pem_chain(entry.certificate.encode())
        Anchor(terms, certificate).require(entry.sha256)
    except (StirError, AnchorError, ValueError) as error:
        msg = f"{place}: this is not the certificate of {entry.name}: {error}"
        raise ListError(msg) from error
    return certificate


def log_of(entry: ListLogEntry, source: str, place: str) -> TrustedLog:
    """Read a log's description, and make sure that it is the one of the fingerprint. Raises ListError."""
    try:
        log = TrustedLog(entry.name, entry.operator, source, entry.description.encode())
        log.require(entry.sha256)
    except LogError as error:
        msg = f"{place}: this is not the description of {entry.name}: {error}"
        raise ListError(msg) from error
    return log
