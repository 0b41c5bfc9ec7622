"""The text of curated lists, entry by entry."""

from __future__ import annotations

from pathlib import Path

from stir.certificate_chain import write_pem_chain
from tests.fakes.sealed_log import SealedLog
from tests.fakes.small_pki import Authority
from trust_store.fingerprints import sha256_of
from trust_store.subscriptions.list_file import CuratedList, parse

HEAD = '[list]\nname = "street-list"\ncurator = "Street Council"\n'
PATH = Path("folder") / "list.toml"


def anchor(authority: Authority, name: str = "example-ca", more: str = "", operator: str = "Example Ltd") -> str:
    """Write an authority down, with lines of `more` constraints."""
    pem = write_pem_chain([authority.certificate]).decode()
    own = f'name = "{name}"\noperator = "{operator}"\nsha256 = "{sha256_of(authority.certificate)}"\n'
    return f"\n[[anchor]]\n{own}{more}certificate = '''\n{pem}'''\n"


def log(made: SealedLog, name: str = "north-log", operator: str = "North Watch") -> str:
    """Write a log down."""
    trusted = made.trusted()
    description = trusted.data.decode()
    own = f'name = "{name}"\noperator = "{operator}"\nsha256 = "{trusted.sha256}"\n'
    return f"\n[[log]]\n{own}description = '''\n{description}'''\n"


def witness(key: str, name: str = "library", operator: str = "Town Library") -> str:
    """Write a witness down."""
    return f'\n[[witness]]\nname = "{name}"\noperator = "{operator}"\nkey = "{key}"\n'


def deny(line: str) -> str:
    """Write a deny down."""
    return f"\n[[deny]]\n{line}\n"


def read(*entries: str) -> CuratedList:
    """Read a list of these entries."""
    return parse("".join((HEAD, *entries)).encode(), PATH)
