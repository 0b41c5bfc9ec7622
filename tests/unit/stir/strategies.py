"""What hypothesis makes of this room's values."""

from __future__ import annotations

from hypothesis import strategies as st

from stir.passport import Passport, message_integrity
from stir.telephone_number import NumberPrefix, NumberRange, TelephoneNumber
from stir.tn_auth_list import NumberEntry, RangeEntry, ServiceProviderCode, TnAuthList

digit_strings = st.text("0123456789", max_size=14)
numbers = st.from_regex(r"\A[1-9][0-9]{6,14}\Z").map(TelephoneNumber)
prefixes = st.from_regex(r"\A[1-9][0-9]{0,14}\Z").map(NumberPrefix)


@st.composite
def _ranges(draw: st.DrawFn, fewest: int = 1) -> NumberRange:
    length = draw(st.integers(1, 15))
    last = draw(st.integers(fewest - 1, 10**length - 1))
    return NumberRange(length, draw(st.integers(0, last - fewest + 1)), last)


ranges = _ranges()
entries = st.one_of(
    st.from_regex(r"\A[!-~]{1,255}\Z").map(ServiceProviderCode),
    _ranges(fewest=2).map(lambda numbers_: RangeEntry(numbers_.start, numbers_.count)),
    st.from_regex(r"\A[0-9#*]{1,15}\Z").map(NumberEntry),
)
tn_auth_lists = st.lists(entries, min_size=1, max_size=8).map(lambda found: TnAuthList(tuple(found)))

_dest = st.lists(st.from_regex(r"\A[0-9#*]{1,32}\Z"), min_size=1, max_size=4).map(tuple)
_uris = st.lists(st.from_regex(r"\A[a-z]{1,6}:[!#-;=?-~]{1,20}\Z"), max_size=3).map(tuple)
_times = st.integers(0, 2**53 - 1)
_calls = st.builds(Passport, orig=numbers, dest=_dest, issued_at=_times, dest_uris=_uris)
_messages = st.builds(
    Passport,
    orig=numbers,
    dest=_dest,
    issued_at=_times,
    ppt=st.just("msg"),
    message_integrity=st.binary().map(message_integrity),
    dest_uris=_uris,
)
passports = _calls | _messages


@st.composite
def damaged(draw: st.DrawFn, der: bytes) -> bytes:
    """Draw the bytes with one to three of them changed, or cut off."""
    changed = bytearray(der)
    for _ in range(draw(st.integers(1, 3))):
        changed[draw(st.integers(0, len(der) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(len(der) - 3, len(der)))])
