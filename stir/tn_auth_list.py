"""The TNAuthorizationList: which numbers a certificate speaks for (RFC 8226 §9).

    TNAuthorizationList ::= SEQUENCE SIZE (1..MAX) OF TNEntry
    TNEntry ::= CHOICE { spc [0] ServiceProviderCode, range [1] TelephoneNumberRange, one [2] TelephoneNumber }

The module's tags are explicit. Encodings are read and written as strict DER.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from cryptography.hazmat import asn1

from stir.errors import TelephoneNumberError, TnAuthListError
from stir.telephone_number import NumberPrefix, NumberRange, TelephoneNumber

OID = "1.3.6.1.5.5.7.1.26"
"""id-pe-TNAuthList (RFC 8226 §9)."""

SMALLEST_RANGE = 2

_LONG_FORM = 0x80
"""The bit of a DER length octet that says how many length octets follow (X.690 §8.1.3.5)."""
_TN_CHARACTERS = re.compile(r"[0-9#*]{1,15}", re.ASCII)
_SPC_CHARACTERS = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServiceProviderCode:
    """An `spc` entry: all numbers of a carrier, known to its numbering authority by this code."""

    code: str

    def __post_init__(self) -> None:
        """Refuse an empty code and one with characters that no registry hands out."""
        if not _SPC_CHARACTERS.fullmatch(self.code):
            msg = "a service provider code is 1 to 255 visible ASCII characters"
            raise TnAuthListError(msg)


@dataclass(frozen=True, slots=True, repr=False)
class RangeEntry:
    """A `range` entry: `count` numbers from the digits `start` on, all of one length."""

    start: str
    count: int

    def __post_init__(self) -> None:
        """Refuse a range of one, one that leaves its length, and one that does not start at digits."""
        if self.count < SMALLEST_RANGE:
            msg = "a TNAuthList range counts at least 2 numbers; use a single number for one"
            raise TnAuthListError(msg)
        try:
            NumberRange.starting_at(self.start, self.count)
        except TelephoneNumberError as error:
            raise TnAuthListError(str(error)) from error

    @property
    def numbers(self) -> NumberRange:
        """The interval that the entry stands for."""
        return NumberRange.starting_at(self.start, self.count)

    def __repr__(self) -> str:
        """Hide the numbers: a short range is somebody's."""
        return f"RangeEntry(<{self.count} numbers of {len(self.start)} digits>)"


@dataclass(frozen=True, slots=True, repr=False)
class NumberEntry:
    """A `one` entry: a single number, or a service code with `#` and `*`, without `+`."""

    number: str

    def __post_init__(self) -> None:
        """Refuse characters outside the format's alphabet."""
        if not _TN_CHARACTERS.fullmatch(self.number):
            msg = "a TNAuthList number is 1 to 15 of the characters 0-9 # *"
            raise TnAuthListError(msg)

    @property
    def numbers(self) -> NumberRange | None:
        """The interval of just this number; None where it has `#` or `*`, which no range holds."""
        return NumberRange.starting_at(self.number, 1) if self.number.isdigit() else None

    def __repr__(self) -> str:
        """Hide the number: this value may stand in a traceback."""
        return f"NumberEntry(<{len(self.number)} digits>)"


Entry = ServiceProviderCode | RangeEntry | NumberEntry


@asn1.sequence
class _RangeAsn1:
    start: asn1.IA5String
    count: int


_SpcAsn1 = asn1.Variant[asn1.IA5String, Literal["spc"]]
_RangeEntryAsn1 = asn1.Variant[_RangeAsn1, Literal["range"]]
_OneAsn1 = asn1.Variant[asn1.IA5String, Literal["one"]]
_EntryAsn1 = _SpcAsn1 | _RangeEntryAsn1 | _OneAsn1


@asn1.sequence
class _WrappedListAsn1:
    """The list inside one more SEQUENCE: the codec takes no bare SEQUENCE OF at the top."""

    entries: list[
        Annotated[_SpcAsn1, asn1.Explicit(0)]
        | Annotated[_RangeEntryAsn1, asn1.Explicit(1)]
        | Annotated[_OneAsn1, asn1.Explicit(2)]
    ]


@dataclass(frozen=True)
class TnAuthList:
    """The numbers that a certificate, order or token speaks for: one or more entries, in their encoded order."""

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Refuse an empty list, which RFC 8226 §9 does not allow."""
        if not self.entries:
            msg = "a TNAuthList has at least one entry"
            raise TnAuthListError(msg)

    @classmethod
    def for_number(cls, number: TelephoneNumber) -> Self:
        """Return the list of just this number."""
        return cls((NumberEntry(number.digits),))

    @classmethod
    def for_prefixes(cls, prefixes: Iterable[NumberPrefix]) -> Self:
        """Return the list of every E.164 number that begins with one of the prefixes."""
        ranges = (numbers for prefix in prefixes for numbers in prefix.ranges())
        return cls(tuple(_entry_for(numbers) for numbers in ranges))

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Read the value of the certificate extension, strict DER; raise TnAuthListError for anything else."""
        try:
            decoded = asn1.decode_der(_WrappedListAsn1, _in_sequence(der))
        except ValueError as error:
            msg = "not the DER of a TNAuthorizationList (RFC 8226 §9)"
            raise TnAuthListError(msg) from error
        return cls(tuple(_entry_from_asn1(entry) for entry in decoded.entries))

    @classmethod
    def from_identifier(cls, value: str) -> Self:
        """Read the value of an ACME identifier of type TNAuthList: unpadded base64url of the DER (RFC 9448 §3)."""
        if not _BASE64URL.fullmatch(value):
            msg = "a TNAuthList identifier is base64url without padding (RFC 9448 §3)"
            raise TnAuthListError(msg)
        try:
            der = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except ValueError as error:
            msg = "a TNAuthList identifier is base64url without padding (RFC 9448 §3)"
            raise TnAuthListError(msg) from error
        names = cls.from_der(der)
        if names.identifier != value:
            msg = "a TNAuthList identifier is the canonical base64url of its DER"
            raise TnAuthListError(msg)
        return names

    def to_der(self) -> bytes:
        """Return the DER of the extension's value."""
        wrapped = asn1.encode_der(_WrappedListAsn1(entries=[_entry_to_asn1(entry) for entry in self.entries]))
        return wrapped[_header_length(wrapped) :]

    @cached_property
    def identifier(self) -> str:
        """The list as the value of an ACME identifier of type TNAuthList (RFC 9448 §3)."""
        return base64.urlsafe_b64encode(self.to_der()).rstrip(b"=").decode("ascii")

    @property
    def single_number(self) -> TelephoneNumber | None:
        """The E.164 number, where the list is exactly one `one` entry that is such a number; otherwise None."""
        match self.entries:
            case (NumberEntry(number),):
                try:
                    return TelephoneNumber(number)
                except TelephoneNumberError:
                    return None
            case _:
                return None

    @cached_property
    def intervals(self) -> tuple[NumberRange, ...]:
        """The ranges and digit-only numbers as sorted intervals that neither overlap nor touch."""
        merged: list[NumberRange] = []
        found = (entry.numbers for entry in self.entries if not isinstance(entry, ServiceProviderCode))
        for numbers in sorted(numbers for numbers in found if numbers is not None):
            last = merged[-1] if merged else None
            if last is not None and last.length == numbers.length and numbers.first <= last.last + 1:
                merged[-1] = NumberRange(last.length, last.first, max(last.last, numbers.last))
            else:
                merged.append(numbers)
        return tuple(merged)

    def covers_number(self, number: TelephoneNumber) -> bool:
        """Tell whether the number is in one of the list's ranges or numbers; a provider code covers none by itself."""
        return self._covers_range(NumberRange.of(number))

    def covers(self, other: TnAuthList) -> bool:
        """Tell whether this list encompasses every entry of `other` (RFC 9060 §4.1).

        Service codes with `#` or `*` and provider codes are covered only by their equals.
        """
        return all(self._covers_range(numbers) for numbers in other.intervals) and other._named <= self._named

    def _covers_range(self, numbers: NumberRange) -> bool:
        index = bisect_right(self.intervals, (numbers.length, numbers.first), key=lambda own: (own.length, own.first))
        return index > 0 and self.intervals[index - 1].covers(numbers)

    @cached_property
    def _named(self) -> frozenset[Entry]:
        """The entries that no interval stands for."""
        return frozenset(
            entry for entry in self.entries if isinstance(entry, ServiceProviderCode) or entry.numbers is None
        )


def _entry_for(numbers: NumberRange) -> Entry:
    return NumberEntry(numbers.start) if numbers.count == 1 else RangeEntry(numbers.start, numbers.count)


def _entry_from_asn1(entry: _EntryAsn1) -> Entry:
    value = entry.value
    if isinstance(value, _RangeAsn1):
        return RangeEntry(value.start.as_str(), value.count)
    return ServiceProviderCode(value.as_str()) if entry.tag == "spc" else NumberEntry(value.as_str())


def _entry_to_asn1(entry: Entry) -> _EntryAsn1:
    if isinstance(entry, RangeEntry):
        return asn1.Variant(_RangeAsn1(start=asn1.IA5String(entry.start), count=entry.count), "range")
    if isinstance(entry, NumberEntry):
        return asn1.Variant(asn1.IA5String(entry.number), "one")
    return asn1.Variant(asn1.IA5String(entry.code), "spc")


def _in_sequence(der: bytes) -> bytes:
    """Return the DER of a SEQUENCE whose only element is `der`."""
    size = len(der)
    if size < _LONG_FORM:
        return bytes((0x30, size)) + der
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x30, _LONG_FORM | len(octets))) + octets + der


def _header_length(der: bytes) -> int:
    """Return how many bytes the tag and length of a DER value take."""
    return 2 if der[1] < _LONG_FORM else 2 + (der[1] ^ _LONG_FORM)
