from __future__ import annotations

import contextlib
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.precedence import LayerKind
from policies.terms import KeyType, Purpose
from stir.certificate_chain import write_pem_chain
from stir.validation_method import ValidationMethod
from tests.fakes import list_text, small_pki
from tests.fakes.list_text import HEAD, PATH, read
from tests.fakes.sealed_log import SealedLog
from tests.fakes.sealed_log import witness as made_witness
from trust_store.errors import ListError
from trust_store.subscriptions import list_file
from trust_store.subscriptions.list_file import LARGEST_LIST, parse

ROOT = small_pki.root()
ISSUING = ROOT.authority("Example Issuing")
LOG = SealedLog()
KEY = made_witness().verifier.format()
EVERY_CONSTRAINT = """\
prefixes = ["+1202"]
purposes = ["call", "record"]
issued_not_after = 2026-12-31
until = 2027-06-30
methods = ["sms-code"]
longest_life_hours = 192
authority_keys = ["p256"]
scts = 2
logs = ["north-log"]
log_operators = ["North Watch"]
"""
WHOLE = (
    list_text.anchor(ROOT, more=EVERY_CONSTRAINT),
    list_text.log(LOG),
    list_text.witness(KEY),
    list_text.deny('prefix = "+1900"\nnote = "premium rate"'),
)


def test_a_list_says_all_that_trust_toml_says_of_an_authority() -> None:
    """Every constraint, with its place in the list."""
    found = read(*WHOLE)
    (offer,) = found.layer.offers
    terms = offer.terms
    assert (found.head.name, found.head.curator, found.layer.kind) == ("street-list", "Street Council", LayerKind.LIST)
    assert (terms.name, terms.operator) == ("example-ca", "Example Ltd")
    assert [prefix.e164 for prefix in terms.prefixes or ()] == ["+1202"]
    assert terms.purposes == (Purpose.CALL, Purpose.RECORD)
    assert (terms.issued_not_after, terms.until) == (date(2026, 12, 31), date(2027, 6, 30))
    assert (terms.methods, terms.longest_life) == ((ValidationMethod.SMS_CODE,), timedelta(hours=192))
    assert (terms.authority_keys, terms.scts) == ((KeyType.P256,), 2)
    assert (terms.logs, terms.log_operators) == (("north-log",), ("North Watch",))
    assert terms.source_of("until") == f"{PATH}:12"
    assert found.certificates == {offer.sha256: ROOT.certificate}
    assert found.logs[0].data == LOG.trusted().data
    assert found.witnesses[0].operator == "Town Library"
    assert found.layer.denies[0].note == "premium rate"


def test_the_label_stands_where_lines_are_told() -> None:
    """A list that is kept somewhere else is told of by its own name."""
    found = parse((HEAD + list_text.anchor(ROOT)).encode(), PATH, "street-list")
    assert found.layer.offers[0].terms.source == "street-list:5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "list: this key is missing"),
        (HEAD + "[settings]\nscts = 0\n", "settings: there is no such key"),
        (HEAD.replace("street-list", "Street List"), "list.name"),
        (HEAD + 'about = "a"\nrank = 1\n', "list.rank: there is no such key"),
        (HEAD + list_text.anchor(ROOT, more="weight = 2\n"), "weight: there is no such key"),
        (HEAD + list_text.anchor(ROOT, more="prefixes = []\n"), "prefixes"),
        (HEAD + list_text.anchor(ROOT, more='logs = ["no-log"]\n'), "there is no [[log]] of the name 'no-log'"),
        (HEAD + list_text.anchor(ROOT) + list_text.anchor(ISSUING), "another anchor has the same name"),
        (HEAD + list_text.anchor(ROOT) + list_text.anchor(ROOT, "b"), "another anchor has the same sha256"),
        (HEAD + re.sub("certificate = .*", "", list_text.anchor(ROOT), flags=re.DOTALL), "certificate: this key is"),
        (HEAD + list_text.anchor(ROOT).replace("BEGIN", "BEGUN"), "list.toml:9: this is not the certificate of"),
        (
            HEAD
            + list_text.anchor(ROOT).replace("-----BEGIN", write_pem_chain([ROOT.certificate]).decode() + "-----BEGIN"),
            "this is not the certificate of example-ca: too many values",
        ),
        (HEAD + list_text.log(LOG).replace("{", "[", 1), "this is not the description of north-log"),
        (HEAD + list_text.witness(KEY[:-4] + "AAAA"), "this is no witness's key"),
        (HEAD + list_text.deny('prefix = "+1900"\nnumber = "+12025550123"'), "names exactly one"),
        (HEAD + 'about = "\\u001b[2J"\n', "about: text without line breaks or control characters"),
        (HEAD + list_text.anchor(ROOT, operator="Good \\u202e Ltd"), "operator: text without"),
        (HEAD + list_text.deny('prefix = "+1900"\nnote = "a\\nb"'), "note: text without"),
        (HEAD + "x" * LARGEST_LIST, "larger than 1024 KiB"),
        (HEAD + "." * 300, "more than 200 dots"),
    ],
)
def test_what_is_no_list_is_refused_with_its_place(text: str, words: str) -> None:
    """A list is believed as a whole or not at all."""
    with pytest.raises(ListError, match=re.escape(words)):
        parse(text.encode(), PATH)


def test_a_number_s_certificate_is_no_anchor() -> None:
    """Nor any other than the one of the fingerprint."""
    number = ISSUING.number()
    text = HEAD + list_text.anchor(ISSUING.with_certificate(number.chain[0]))
    with pytest.raises(ListError, match="it cannot be an anchor"):
        parse(text.encode(), PATH)
    other = HEAD + list_text.anchor(ROOT).replace(
        list_text.anchor(ROOT).split("'''")[1], "\n" + write_pem_chain([ISSUING.certificate]).decode()
    )
    with pytest.raises(ListError, match="which is not the one that was asked for"):
        parse(other.encode(), PATH)


def test_another_description_than_the_fingerprint_s_is_refused() -> None:
    """A log is known by the SHA-256 of its description."""
    text = HEAD + list_text.log(LOG).replace(LOG.trusted().sha256, "ab" * 32)
    with pytest.raises(ListError, match="not the one that was asked for"):
        parse(text.encode(), PATH)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_raise_anything_else(data: bytes) -> None:
    """Whatever stands there, it is a list or a ListError."""
    for content in (data, HEAD.encode() + data):
        with contextlib.suppress(ListError):
            parse(content, PATH)


@given(st.data())
def test_a_list_in_which_a_part_is_changed_is_read_or_refused(data: st.DataObject) -> None:
    """Cut, doubled or written over at any place: never a crash, and what is read is what stands there."""
    whole = (HEAD + "".join(WHOLE)).encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    changed = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    try:
        found = parse(changed, PATH)
    except ListError:
        return
    assert {offer.sha256 for offer in found.layer.offers} == set(found.certificates)


_HOURS = st.one_of(st.none(), st.integers(1, 87840))
_DAYS = st.one_of(st.none(), st.dates(date(1, 1, 1)))
_PURPOSES = st.one_of(st.none(), st.lists(st.sampled_from(list(Purpose)), min_size=1, unique=True))


@given(hours=_HOURS, until=_DAYS, purposes=_PURPOSES, scts=st.one_of(st.none(), st.integers(0, 16)))
def test_constraints_are_read_as_they_are_written(
    hours: int | None, until: date | None, purposes: list[Purpose] | None, scts: int | None
) -> None:
    """Whichever of them are given."""
    written = {
        "longest_life_hours": hours,
        "until": None if until is None else until.isoformat(),
        "purposes": None if purposes is None else [one.value for one in purposes],
        "scts": scts,
    }
    more = "".join(f"{key} = {value}\n" for key, value in written.items() if value is not None)
    terms = read(list_text.anchor(ROOT, more=more)).layer.offers[0].terms
    assert (terms.until, terms.scts) == (until, scts)
    assert terms.longest_life == (None if hours is None else timedelta(hours=hours))
    assert terms.purposes == (None if purposes is None else tuple(purposes))


def test_the_reference_shows_every_key() -> None:
    """And no key that there is not; its example is read."""
    page = (Path(__file__).parents[4] / "docs" / "reference" / "curated-lists.md").read_text()

    def keys(section: str) -> set[str]:
        text = page.split(f"## {section}", 1)[1].split("\n## ", 1)[0]
        return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))

    assert keys("`[list]`") == set(list_file.ListHead.__struct_fields__)
    assert keys("`[[anchor]]`") == {"name", "operator", "sha256", "certificate"}
    assert keys("`[[log]]`") == set(list_file.ListLogEntry.__struct_fields__)
