from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.errors import Refusal, RefusalKind
from ca_server.web.payloads import read_contacts, read_time


def refusal_of(*contacts: str) -> RefusalKind:
    """Return the kind of refusal that the contacts meet."""
    with pytest.raises(Refusal) as refused:
        read_contacts(contacts)
    return refused.value.kind


def test_mailto_contacts_are_taken() -> None:
    """A mailto URL of one address is a contact; so is none at all."""
    contacts = ("mailto:admin@ca.example", "MAILTO:a.b+c%40d@xn--bcher-kva.example")
    assert read_contacts(contacts) == contacts
    assert read_contacts(()) == ()


@pytest.mark.parametrize("contact", ["tel:+12025550123", "https://ca.example/", "xmpp:a@ca.example"])
def test_another_scheme_is_an_unsupported_contact(contact: str) -> None:
    """RFC 8555 §7.3: a scheme that the server does not support is unsupportedContact."""
    assert refusal_of(contact) is RefusalKind.UNSUPPORTED_CONTACT


@pytest.mark.parametrize(
    "contact",
    [
        "",
        "admin@ca.example",
        "mailto:",
        "mailto:admin",
        "mailto:admin@",
        "mailto:@ca.example",
        "mailto:admin@ca",
        "mailto:admin@-ca.example",
        "mailto:a@ca.example,b@ca.example",
        "mailto:a@ca.example?subject=hello",
        "mailto:a b@ca.example",
        "mailto:a@ca.example\n",
        "mailto:a\0@ca.example",
        "mailto:\u00e4@ca.example",
        "mailto:" + "a" * 400 + "@ca.example",
    ],
)
def test_another_form_is_an_invalid_contact(contact: str) -> None:
    """RFC 8555 §7.3: header fields and several addresses MUST be rejected; so is what is no address."""
    assert refusal_of(contact) is RefusalKind.INVALID_CONTACT


def test_contacts_are_few() -> None:
    """More than ten contacts are refused."""
    assert refusal_of(*["mailto:admin@ca.example"] * 11) is RefusalKind.INVALID_CONTACT


@given(st.text(max_size=40))
def test_any_text_is_a_contact_or_refused(text: str) -> None:
    """Whatever the text, nothing but a refusal comes out, and what passes is ASCII."""
    with contextlib.suppress(Refusal):
        assert read_contacts((text,))[0].isascii()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31t12:00:00z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00.5+02:00", datetime(2030, 1, 31, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2016-01-01T00:04:00+04:00", datetime(2015, 12, 31, 20, 4, tzinfo=UTC)),
        (None, None),
    ],
)
def test_times_are_those_of_rfc_3339(text: str | None, moment: datetime | None) -> None:
    """RFC 8555 §7.1.3: times are in the format of RFC 3339, with any offset."""
    assert read_time(text, "notBefore") == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-01-31",
        "2030-01-31T12:00:00",
        "2030-01-31 12:00:00Z",
        "2030-W05-4T12:00:00Z",
        "2030-02-31T12:00:00Z",
        "2030-01-31T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2030-01-31T12:00:00+99:99",
        "\uff12030-01-31T12:00:00Z",
    ],
)
def test_other_times_are_malformed(text: str) -> None:
    """Other formats, impossible days and times outside of the calendar are refused, naming the member."""
    with pytest.raises(Refusal, match="notBefore") as refused:
        read_time(text, "notBefore")
    assert refused.value.kind is RefusalKind.MALFORMED
