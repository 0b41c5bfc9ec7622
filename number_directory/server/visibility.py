"""From an access list to what a lookup asks the database for: who sees which of a number's records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from number_directory.access_list import NOBODY, AccessList, AppAccess, Grant, GrantKind
from number_directory.server.storage.grants import ANYONE, MEDIA, RECORD, Visibility, of_number, of_prefix, of_token
from stir.jws import decode_base64url
from stir.telephone_number import TelephoneNumber


def visibilities(access_list: AccessList, apps: Sequence[str]) -> list[Visibility]:
    """Return who may see what of the records for these apps."""
    return [one for app in apps for one in _of_app(app, access_list.of_app(app))]


def _of_app(app: str, access: AppAccess) -> Iterable[Visibility]:
    """Return a row for each grantee of an app.

    A grantee of the media who sees the record by another grant has a row of its own for both, or shares that other's.
    Where only the caller can bring the two together, such as a token for the one and a number for the other, the row of
    the media alone shows nothing.
    """
    if access == NOBODY:
        return
    shows = dict.fromkeys(access.allow, RECORD if access.media is not None else RECORD | MEDIA)
    for grant in access.media or ():
        if any(_implies(grant, other) for other in access.allow):
            shows[grant] = RECORD | MEDIA
            continue
        narrower = [other for other in access.allow if _implies(other, grant)]
        shows.update(dict.fromkeys(narrower, RECORD | MEDIA))
        if any(GrantKind.TOKEN in {grant.kind, other.kind} for other in access.allow if other not in narrower):
            shows[grant] = MEDIA
    for grant, shown in shows.items():
        yield Visibility(grantee(grant), app, shown)


def grantee(grant: Grant) -> bytes:
    """Return a grant as the database knows it."""
    match grant.kind:
        case GrantKind.ANYONE:
            return ANYONE
        case GrantKind.NUMBER:
            return of_number(TelephoneNumber.parse(grant.value))
        case GrantKind.PREFIX:
            return of_prefix(grant.value.removeprefix("+"))
        case GrantKind.TOKEN:
            return of_token(decode_base64url(grant.value))


def _implies(grant: Grant, other: Grant) -> bool:
    """Tell whether everybody whom one grant admits is admitted by another."""
    if grant == other or other.kind is GrantKind.ANYONE:
        return True
    numeric = {GrantKind.NUMBER, GrantKind.PREFIX}
    return grant.kind in numeric and other.kind is GrantKind.PREFIX and grant.value.startswith(other.value)
