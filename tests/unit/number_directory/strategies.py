"""What hypothesis makes of this room's values."""

from __future__ import annotations

from hypothesis import strategies as st

from number_directory.access_list import ANYONE, NOBODY, AccessList, AppAccess, Grant
from number_directory.hidden_lookup import HiddenRequest
from number_directory.lookup import LookupAnswer, LookupRequest
from number_directory.move import Move
from number_directory.own_listing import Notice, OwnListing
from number_directory.record import Medium, Record
from tests.fakes.directory_statements import EXPIRES_AT, ISSUED_AT
from tests.unit.stir.strategies import numbers, prefixes

sequences = st.integers(1, 2**53 - 1)
times = st.integers(0, 2**53 - 1)
_label = r"[a-z0-9](?:[a-z0-9-]{0,8}[a-z0-9])?"
apps = st.from_regex(rf"\A{_label}(?:\.{_label}){{1,3}}\Z")
urls = st.from_regex(r"\Ahttps://[a-z]{1,9}\.example(?:/[a-z]{1,5})?\Z")
uris = st.from_regex(r"\A[a-z]{1,6}:[A-Za-z0-9/@%]{0}[A-Za-z0-9/@?=&#.-]{1,40}\Z")
request_ids = st.from_regex(r"\A[A-Za-z0-9_-]{16,64}\Z")
tokens = st.from_regex(r"\A[A-Za-z0-9_-]{22,40}\Z")
records = st.builds(
    Record,
    number=numbers,
    app=apps,
    uris=st.lists(uris, min_size=1, max_size=4, unique=True).map(tuple),
    media=st.frozensets(st.sampled_from(Medium)),
    sequence=sequences,
    issued_at=st.integers(0, ISSUED_AT),
    expires_at=st.integers(ISSUED_AT + 1, EXPIRES_AT),
    section=st.none() | st.binary(min_size=1, max_size=60),
)
withdrawals = st.builds(
    Record,
    number=numbers,
    app=apps,
    uris=st.just(()),
    media=st.none(),
    sequence=sequences,
    issued_at=st.integers(0, ISSUED_AT),
    expires_at=st.integers(ISSUED_AT + 1, EXPIRES_AT),
)
grants = st.just(ANYONE) | numbers.map(Grant.to_number) | prefixes.map(Grant.to_prefix) | tokens.map(Grant.to_token)
accesses = st.just(NOBODY) | st.builds(
    AppAccess,
    allow=st.frozensets(grants, min_size=1, max_size=5),
    media=st.none() | st.frozensets(grants, max_size=3),
)
access_lists = st.builds(
    AccessList,
    number=numbers,
    sequence=sequences,
    issued_at=times,
    default=accesses,
    apps=st.dictionaries(apps, accesses, max_size=4),
)
_asked = st.lists(numbers, min_size=1, max_size=8, unique=True).map(tuple)
_shown = st.lists(tokens, max_size=3).map(tuple)
lookups = st.builds(LookupRequest, audience=urls, issued_at=times, token_id=request_ids, numbers=_asked, tokens=_shown)


@st.composite
def _answers(draw: st.DrawFn) -> LookupAnswer:
    asked = draw(_asked)
    shown = asked[: draw(st.integers(0, len(asked)))]
    moved = draw(st.sets(st.sampled_from(shown))) if shown else set()
    texts = st.lists(st.text(), max_size=3).map(tuple)
    return LookupAnswer(
        {number: draw(texts) for number in shown},
        {number: draw(st.text()) for number in shown if number in moved},
        asked[len(shown) :],
    )


answers = _answers()
moves = st.builds(
    Move, number=numbers, origin=urls, destination=urls.map(lambda url: f"{url}/2"), sequence=sequences, issued_at=times
)
own_listings = st.builds(OwnListing, audience=urls, issued_at=times, token_id=request_ids, number=numbers)
blinded = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=8, unique=True).map(tuple)
hidden_requests = st.builds(HiddenRequest, audience=urls, issued_at=times, token_id=request_ids, blinded=blinded)
notices = st.builds(
    Notice,
    at=times,
    text=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30),
    app=st.none() | apps,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
