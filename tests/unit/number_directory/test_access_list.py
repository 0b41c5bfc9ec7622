from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.access_list import (
    ANYONE,
    LARGEST_ACCESS_LIST,
    MOST_GRANTS,
    NOBODY,
    TYPE,
    AccessList,
    AppAccess,
    Grant,
    GrantKind,
    Showing,
    SignedAccessList,
    grants_of,
    sign_access_list,
)
from number_directory.errors import AccessListError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.fakes.directory_statements import CHAT, ISSUED_AT, OWNER, SECOND, VIDEO, dumps, forged
from tests.fakes.small_pki import CALLED, CALLER, STRANGER
from tests.unit.number_directory.strategies import access_lists, json_values, numbers, prefixes, tokens

TOKEN = "a-bearer-token-of-the-owner"
CLAIMS: dict[str, object] = {
    "apps": {CHAT: {"allow": [{"tn": CALLER.e164}]}},
    "default": "nobody",
    "iat": ISSUED_AT,
    "seq": 1,
    "tn": CALLED.e164,
}
LIST = AccessList(CALLED, 1, ISSUED_AT, apps={CHAT: AppAccess(frozenset({Grant.to_number(CALLER)}))})


@given(access_lists)
def test_an_access_list_survives_its_text(stated: AccessList) -> None:
    """What is signed is read back, and its key verifies it."""
    read = SignedAccessList.parse(sign_access_list(stated, OWNER.key, OWNER.chain, [SECOND.chain]))
    read.verify(OWNER.key.public_key())
    assert read.access_list == stated
    assert (read.number, read.sequence, read.issued_at) == (stated.number, stated.sequence, stated.issued_at)


def test_an_access_list_has_one_encoding() -> None:
    """The same list is the same bytes, whatever the order in which it was made."""
    assert SignedAccessList.parse(sign_access_list(LIST, OWNER.key, OWNER.chain)).content == dumps(CLAIMS)


def test_nobody_sees_a_record_unless_its_owner_says_so() -> None:
    """The default of a list is nobody; and nobody is not anyone."""
    empty = AccessList(CALLED, 1, ISSUED_AT)
    assert empty.default == NOBODY
    for grants in (grants_of(None), grants_of(CALLER, [TOKEN])):
        assert empty.shows(CHAT, grants) is Showing.NOTHING


@given(numbers, numbers, prefixes, tokens, tokens)
def test_grants_admit_those_whom_they_name(
    asker: TelephoneNumber, named: TelephoneNumber, prefix: NumberPrefix, shown: str, named_token: str
) -> None:
    """By number, by prefix, by token, or anyone."""
    granted = {
        Grant.to_number(named): asker == named,
        Grant.to_number(asker): True,
        Grant.to_prefix(prefix): prefix.covers(asker),
        Grant.to_prefix(NumberPrefix(asker.digits[:3])): True,
        Grant.to_token(named_token): shown == named_token,
        Grant.to_token(shown): True,
        ANYONE: True,
    }
    grants = grants_of(asker, [shown])
    for grant, admits in granted.items():
        assert (grant in grants) is admits
        assert (AppAccess(frozenset({grant})).shows(grants) is Showing.WITH_MEDIA) is admits


def test_who_does_not_say_its_number_is_anyone() -> None:
    """An unsigned lookup sees what is open to anyone, or to the token that it shows."""
    assert grants_of(None) == {ANYONE}
    assert grants_of(None, [TOKEN]) == {ANYONE, Grant.to_token(TOKEN)}


@pytest.mark.parametrize("token", ["", "short", "a" * 21, "a" * 129, "a" * 21 + "=", "é" * 22, "a" * 22 + "\n"])
def test_a_token_that_no_lookup_shows_is_not_granted(token: str) -> None:
    """It would open nothing, and its hash would tell it to the directory."""
    with pytest.raises(AccessListError, match="22 to 128"):
        Grant.to_token(token)


def test_media_may_be_for_fewer() -> None:
    """An owner may let a record be seen without its media."""
    access = AppAccess(frozenset({ANYONE}), frozenset({Grant.to_number(CALLER)}))
    assert access.shows(grants_of(CALLER)) is Showing.WITH_MEDIA
    assert access.shows(grants_of(STRANGER)) is Showing.RECORD
    assert AppAccess(frozenset({ANYONE}), frozenset()).shows(grants_of(CALLER)) is Showing.RECORD
    hidden = AppAccess(frozenset({Grant.to_number(STRANGER)}), frozenset({ANYONE}))
    assert hidden.shows(grants_of(CALLER)) is Showing.NOTHING


def test_apps_have_lists_of_their_own() -> None:
    """The default is for those that have none."""
    list_ = replace(LIST, default=AppAccess(frozenset({ANYONE})), apps={**LIST.apps, "shy.example": NOBODY})
    assert list_.shows(VIDEO, grants_of(None)) is Showing.WITH_MEDIA
    assert list_.shows(CHAT, grants_of(None)) is Showing.NOTHING
    assert list_.shows("shy.example", grants_of(CALLER)) is Showing.NOTHING


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (GrantKind.NUMBER, "12025550123"),
        (GrantKind.NUMBER, "+1202"),
        (GrantKind.PREFIX, "1202"),
        (GrantKind.PREFIX, "+"),
        (GrantKind.TOKEN, TOKEN),
        (GrantKind.TOKEN, "AAAA"),
        (GrantKind.TOKEN, "no base64url"),
        (GrantKind.ANYONE, "+1"),
    ],
)
def test_a_grant_to_nothing_cannot_exist(kind: GrantKind, value: str) -> None:
    """A value of Grant is one that can be signed."""
    with pytest.raises(AccessListError):
        Grant(kind, value)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 0},
        {"issued_at": -1},
        {"apps": {"chat": NOBODY}},
        {"apps": {f"chat{number}.example": NOBODY for number in range(33)}},
        {
            "default": AppAccess(
                frozenset(Grant(GrantKind.NUMBER, f"+{number}") for number in range(10**9, 10**9 + MOST_GRANTS + 1))
            )
        },
    ],
)
def test_a_list_outside_the_format_cannot_exist(change: dict[str, object]) -> None:
    """Nor can a list that no reader takes."""
    with pytest.raises(AccessListError):
        replace(LIST, **change)


def test_media_of_what_nobody_sees_are_shown_to_nobody() -> None:
    """Such a list was surely meant otherwise."""
    with pytest.raises(AccessListError, match="nobody does"):
        AppAccess(frozenset(), frozenset({ANYONE}))


def test_the_largest_list_of_numbers_fits() -> None:
    """An owner can name everybody in a large address book."""
    many = frozenset(Grant(GrantKind.NUMBER, f"+{number}") for number in range(10**14, 10**14 + MOST_GRANTS))
    token = sign_access_list(replace(LIST, apps={CHAT: AppAccess(many)}), OWNER.key, OWNER.chain)
    assert 50_000 < len(token) <= LARGEST_ACCESS_LIST
    assert SignedAccessList.parse(token).access_list.apps[CHAT].allow == many


@pytest.mark.parametrize(
    "change",
    [
        {"default": "anyone"},
        {"default": {"allow": []}},
        {"default": {"allow": ["anyone", "anyone"]}},
        {"default": {"allow": [{"tn": CALLER.e164}, "anyone"]}},
        {"default": {"allow": ["nobody"]}},
        {"default": {"allow": [{}]}},
        {"default": {"allow": [{"tn": CALLER.e164, "prefix": "+1202"}]}},
        {"default": {"allow": [{"tn": "1"}]}},
        {"default": {"allow": ["anyone"], "media": None}},
        {"default": {"allow": ["anyone"], "more": 1}},
        {"default": {"media": []}},
        {"apps": []},
        {"apps": {CHAT: {"allow": []}}},
    ],
)
def test_claims_outside_the_format_are_refused(change: dict[str, object]) -> None:
    """Grants are sorted, each once, each of one kind."""
    with pytest.raises(AccessListError):
        SignedAccessList.parse(forged(TYPE, CLAIMS | change))


def test_a_list_cannot_be_changed() -> None:
    """What was read stays as it was signed."""
    apps = dict(LIST.apps)
    made = replace(LIST, apps=apps)
    apps[VIDEO] = NOBODY
    assert VIDEO not in made.apps
    assert hash(made) == hash(LIST)
    assert CALLER.digits not in repr(made)


@given(st.text())
def test_any_text_gives_this_rooms_error(text: str) -> None:
    """No text makes the reader raise anything else."""
    with pytest.raises(AccessListError):
        SignedAccessList.parse(text)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "x"]), json_values, max_size=3), json_values)
def test_any_claims_give_a_list_or_this_rooms_error(change: dict[str, object], access: object) -> None:
    """Whatever stands in a claim, it is read or refused."""
    for claims in (CLAIMS | change, CLAIMS | {"default": {"allow": access}}):
        with contextlib.suppress(AccessListError):
            assert SignedAccessList.parse(forged(TYPE, claims)).access_list
