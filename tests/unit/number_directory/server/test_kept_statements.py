from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from number_directory.access_list import ANYONE
from number_directory.record import SignedRecord, sign_record
from number_directory.server.errors import StorageError
from number_directory.server.storage import Entry, KeptStatement, Storage
from stir.jws import Chain, decode_base64url, encode_base64url
from tests.fakes.directory_statements import OWNER as HELD
from tests.fakes.directory_statements import SECOND, published, record
from tests.fakes.directory_world import OWNER, STRANGER, VIDEO, DirectoryWorld
from tests.fakes.small_pki import root

ABOVE: Chain = HELD.chain[1:]


def rewritten(change: Callable[[str], str]) -> str:
    """Return a record whose header was written in another way, as a text; its signature counts no more."""
    header, rest = published().without_media.split(".", 1)
    return f"{encode_base64url(change(decode_base64url(header).decode()).encode())}.{rest}"


def test_a_statement_is_kept_in_half_its_length_and_read_as_it_was_signed() -> None:
    """What all records of an authority have in common is not kept in each, and is there again when it is read."""
    text = published().without_media
    kept = KeptStatement.of(text, ABOVE)
    assert kept.text == text
    assert len(kept.data) < len(text) / 2


def test_statements_of_one_authority_and_kind_have_one_frame(world: DirectoryWorld) -> None:
    """Thousands of records, access lists and moves need three rows for what they have in common."""
    for number in (OWNER, STRANGER):
        world.publish(number)
        world.publish(number, VIDEO)
        world.allow(ANYONE, number=number)
    world.post("/moves", world.move_token("https://other.example"))
    rows = world.directory.storage.grants.database.rows("SELECT header FROM directory_frames")
    headers = [json.loads(bytes(header)) for (header,) in rows]
    assert sorted(header["typ"] for header in headers) == ["tn-acl+jwt", "tn-move+jwt", "tn-record+jwt"]
    above = b64encode(world.authority.certificate.public_bytes(Encoding.DER)).decode()
    assert all(header["x5c"] == ["", above] for header in headers)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(rewritten(lambda header: header.replace(":", ": ", 1)), id="white space"),
        pytest.param(
            rewritten(lambda header: json.dumps(json.loads(header), separators=(",", ":"))[:-1] + " }"), id="end"
        ),
        pytest.param(rewritten(lambda header: header.replace("/", r"\/")), id="escapes"),
        pytest.param(rewritten(lambda header: header.replace('"x5c":["', '"x5c":[ "')), id="before the certificate"),
        pytest.param(rewritten(lambda header: header.replace("]", f',"{"AAAA"}"]')), id="a certificate of nobody's"),
        pytest.param(rewritten(lambda header: "{" + header[1:].replace('"alg":"ES256",', "", 1)), id="no alg"),
        pytest.param(
            SignedRecord.parse(sign_record(record(), HELD.key, HELD.chain, [SECOND.chain])).without_media,
            id="several chains",
        ),
    ],
)
def test_what_is_written_otherwise_is_kept_whole(text: str) -> None:
    """A header that no other owner's statement will have makes no frame: nobody fills the table of those."""
    kept = KeptStatement.of(text, ABOVE)
    assert (kept.frame, kept.text) == (None, text)


def test_another_encoding_of_a_certificate_is_kept_whole() -> None:
    """Where the parts would not give the very text again, they are not taken apart."""
    text = rewritten(lambda header: header.replace('"x5c":["', '"x5c":["!'))
    kept = KeptStatement.of(text, ABOVE)
    assert (kept.frame, kept.text) == (None, text)


def test_a_chain_as_far_as_the_anchor_may_leave_the_anchor_out() -> None:
    """A frame holds as many of the authorities as the statement brings."""
    text = SignedRecord.parse(sign_record(record(), HELD.key, HELD.chain[:1])).without_media
    for authorities in (ABOVE, ()):
        kept = KeptStatement.of(text, authorities)
        assert kept.frame is not None
        assert kept.text == text
    assert KeptStatement.of(published().without_media, ()).frame is None


def test_statements_of_several_chains_are_shown_as_they_were_signed(world: DirectoryWorld) -> None:
    """What is kept whole is answered as well."""
    held, now = world.held(), int(world.clock().timestamp())
    stated = record(number=OWNER, issued_at=now, expires_at=now + 3600)
    other = root("Second Root", key_number=31).number(OWNER)
    token = sign_record(stated, held.key, held.chain, [other.chain])
    world.post("/records", token)
    world.allow(ANYONE)
    assert world.look_up(OWNER, caller=None).records[OWNER] == (token,)


def test_a_frame_that_is_missing_is_an_error_of_the_database(small_world: DirectoryWorld) -> None:
    """A database that was put together wrongly is told, rather than a record made up."""
    small_world.publish()
    small_world.directory.storage.grants.database.run("DELETE FROM directory_frames")
    with pytest.raises(StorageError, match="lacks the frame"):
        entries_of(small_world)


def test_statements_from_before_frames_are_shown_and_replaced(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that an earlier version filled is answered from, and takes what follows."""
    before, steps = tmp_path / "before", Storage.steps
    before.mkdir()
    for name in ("__init__.py", "0001_tables.py", "0002_hidden.py", "0003_hidden_lists.py"):
        shutil.copy(steps / name, before)
    donor = DirectoryWorld.make(tmp_path / "donor")
    donor.publish()
    donor.publish(app=VIDEO)
    donor.allow(ANYONE)
    monkeypatch.setattr(Storage, "steps", before)
    old = Storage.open(database_url)
    old.migrate()
    _copy_as_texts(donor.directory.storage, old)
    old.close()
    monkeypatch.setattr(Storage, "steps", steps)
    world = DirectoryWorld.make(tmp_path / "directory", database_url)
    shown = donor.look_up(OWNER, caller=None)
    assert len(shown.records[OWNER]) == 2
    assert world.look_up(OWNER, caller=None) == shown
    kept = world.directory.storage.numbers.find(OWNER)
    assert kept is not None
    assert kept.access_list is not None
    assert (kept.access_list.frame, [one.statement.frame for one in entries_of(world)]) == (None, [None, None])
    world.hold(OWNER, donor.held())
    world.publish(seq=2)
    assert [one.statement.frame is None for one in entries_of(world)] == [False, True]
    assert len(world.look_up(OWNER, caller=None).records[OWNER]) == 2
    donor.close()
    world.close()


def entries_of(world: DirectoryWorld) -> list[Entry]:
    """Return what is kept of the owner's records."""
    return world.directory.storage.entries.of_number(OWNER)


def _copy_as_texts(source: Storage, target: Storage) -> None:
    """Copy a number into a database of the version before, as that kept it."""
    take, give = source.grants.database, target.grants.database
    kept, entries = source.numbers.find(OWNER), source.entries.of_number(OWNER)
    assert kept is not None
    assert kept.access_list is not None
    texts = {(entry.app): entry.statement.text for entry in entries}
    with target.transaction():
        for table in ("directory_numbers", "directory_entries", "directory_grants", "directory_authorities"):
            columns = _COLUMNS[table]
            for row in take.rows(" ".join(("SELECT", ", ".join(columns), "FROM", table))):
                values = dict(zip(columns, row, strict=True))
                if table == "directory_numbers":
                    values["access_list"] = kept.access_list.text
                if table == "directory_entries":
                    values["statement"] = texts[values["app"]]
                places = ", ".join("?" * len(columns))
                give.run(
                    " ".join(("INSERT INTO", table, f"({', '.join(columns)}) VALUES ({places})")), *values.values()
                )


_COLUMNS = {
    "directory_numbers": ["number", "access_list", "access_seq", "access_authority", "access_serial"],
    "directory_entries": [
        *("number", "app", "seq", "statement", "media", "content", "leaf", "ends_at", "state", "authority", "serial"),
        *("accepted_at", "forget_at"),
    ],
    "directory_grants": ["key", "app", "number", "shows"],
    "directory_authorities": ["id", "chain"],
}
