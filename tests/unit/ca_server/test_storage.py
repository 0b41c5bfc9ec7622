from __future__ import annotations

import itertools
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from ca_server.errors import StorageError
from ca_server.orders import Account
from ca_server.storage import Code, Storage
from ca_server.storage.nonces import LONGEST_NONCE_LIFE
from ca_server.web.nonces import CLOCK_SKEW
from serving.database import Database
from serving.times import to_column
from tests.fakes.authority import NOW
from tests.fakes.postgresql import PostgresqlServer

STEPS = ("0001_tables", "0002_logs", "0003_what_may_go")
MIGRATE = "import sys; from ca_server.storage import Storage; print(*Storage.open(sys.argv[1]).migrate())"
TIMEOUT = 60


def an_account(name: str = "a", key: bytes = b"k") -> Account:
    """Return an account."""
    return Account(name, '{"kty":"EC"}', key * 32, ("mailto:a@example.com",), True, NOW)


def in_threads(work: Callable[[int], object], threads: int = 8) -> list[object]:
    """Do the same in several threads that start at one moment, and return what came of it."""
    start = threading.Barrier(threads)

    def run(index: int) -> object:
        start.wait(TIMEOUT)
        return work(index)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads), timeout=TIMEOUT))


@pytest.mark.parametrize("url", ["", "mysql://host/db", "sqlite://", "sqlite:///", "answerback.db", "file.toml"])
def test_an_address_of_no_known_database_is_refused_with_what_to_write(url: str) -> None:
    """A URL that is neither SQLite's nor PostgreSQL's raises StorageError, naming both forms."""
    with pytest.raises(StorageError, match=r"sqlite:///.*postgresql://"):
        Storage.open(url)


def test_a_sqlite_file_in_a_missing_folder_names_the_folder(tmp_path: Path) -> None:
    """The error of a file that cannot be made says which, and what to do."""
    storage = Storage.open(f"sqlite:///{tmp_path}/missing/ca.db")
    with pytest.raises(StorageError, match=r"missing/ca\.db: .*make its folder"):
        storage.migrate()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file of something else raises StorageError."""
    (tmp_path / "ca.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="cannot be opened"):
        Storage.open(f"sqlite:///{tmp_path}/ca.db").migrate()


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where psycopg is missing, the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"answerback\[postgresql\]"):
        Storage.open("postgresql://localhost/ca")


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite without RETURNING is refused at once, not in the middle of an order."""
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))
    with pytest.raises(StorageError, match="too old"):
        Storage.open("sqlite:///ca.db")


def test_a_server_that_does_not_answer_raises_storage_error(tmp_path: Path) -> None:
    """No foreign exception leaves the room when PostgreSQL cannot be reached."""
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match="cannot be opened"):
        Storage.open(f"postgresql:///ca?host={tmp_path}").ping()


def test_the_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    """The file holds numbers and codes, and nobody else on the machine can read it."""
    storage = Storage.open(f"sqlite:///{tmp_path}/ca.db")
    storage.migrate()
    storage.close()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_migrate_makes_the_tables_once(database_url: str) -> None:
    """The first migration names its steps, the second finds nothing to do."""
    storage = Storage.open(database_url)
    assert storage.migrate() == STEPS
    assert storage.migrate() == ()
    assert storage.accounts.add(an_account())
    storage.close()


def test_processes_may_migrate_at_once(database_url: str) -> None:
    """Of several processes that migrate one new database together, one does it and all succeed."""
    processes = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, database_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    results = [process.communicate(timeout=TIMEOUT) for process in processes]
    assert [errors for _, errors in results] == [b""] * 4
    assert sorted(output.strip() for output, _ in results) == [b"", b"", b"", " ".join(STEPS).encode()]


def test_a_database_newer_than_the_program_is_refused(storage: Storage) -> None:
    """A database with a step that this version does not know is left alone, and the error says what to do."""
    storage._database.run("INSERT INTO migrations (name, applied) VALUES (?, ?)", "0999_future", "2030-01-01 00:00:00")
    with pytest.raises(StorageError, match=r"newer version.*0999_future.*install that version"):
        storage.migrate()


def test_a_step_that_fails_changes_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A migration that breaks half way leaves no table, and the error is the room's own."""
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "0001_broken.py").write_text(
        "def up(migrator, database):\n"
        "    database.execute_sql('CREATE TABLE half (id INTEGER)')\n"
        "    database.execute_sql('CREATE NONSENSE')\n"
    )
    storage = Storage.open(database_url)
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "steps", tmp_path / "steps")
        with pytest.raises(StorageError, match="cannot be brought to this version"):
            storage.migrate()
    with pytest.raises(StorageError):
        storage._database.rows("SELECT * FROM half")
    assert storage.migrate() == STEPS
    storage.close()


def test_what_was_kept_before_a_step_is_there_after_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A certificate with its revocation, and a spent nonce, survive the step that makes their tables anew."""
    (tmp_path / "steps").mkdir()
    for name in STEPS[:2]:
        (tmp_path / "steps" / f"{name}.py").write_bytes((Storage.steps / f"{name}.py").read_bytes())
    storage = Storage.open(database_url)
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "steps", tmp_path / "steps")
        assert storage.migrate() == STEPS[:2]
    database, times = storage._database, (0,) * 3
    storage.accounts.add(an_account())
    database.run(
        "INSERT INTO authorizations (id, account_id, numbers, created_at, expires_at) VALUES ('z','a','n',0,0)"
    )
    database.run(
        "INSERT INTO orders (id, account_id, numbers, created_at, expires_at, authorization_id)"
        " VALUES ('o', 'a', 'n', 0, 0, 'z')"
    )
    database.run(
        "INSERT INTO certificates (id, serial, account_id, order_id, number, issuer, der, chain, key_hash, issued_at,"
        " not_before, not_after, shard, revoked_at, revocation_reason)"
        " VALUES ('c', ?, 'a', 'o', '12025550123', 'i', ?, ?, ?, ?, ?, ?, 3, 5, 1)",
        (7).to_bytes(20, "big"),
        b"der",
        b"chain",
        b"h" * 32,
        *times,
    )
    database.run("INSERT INTO nonces (id, expires_at) VALUES ('n', ?)", to_column(NOW))
    assert storage.migrate() == STEPS[2:]
    kept = storage.certificates.with_serial(7)
    assert kept is not None
    assert (kept.der, kept.shard, kept.revocation_reason) == (b"der", 3, 1)
    assert storage.certificates.is_compromised(b"h" * 32)
    assert storage.certificates.chain("c") == ("a", b"chain")
    assert not storage.nonces.spend("n", NOW)
    database.run("DELETE FROM orders")
    with pytest.raises(StorageError):
        database.run("DELETE FROM accounts")
    storage.close()


def test_without_tables_the_error_is_the_rooms_own(database_url: str) -> None:
    """A database that was never migrated raises StorageError."""
    storage = Storage.open(database_url)
    with pytest.raises(StorageError):
        storage.ping()
    storage.close()


def test_two_storages_in_one_process_do_not_touch(storage: Storage, tmp_path: Path) -> None:
    """What one database knows, another in the same process does not."""
    other = Storage.open(f"sqlite:///{tmp_path}/other.db")
    other.migrate()
    assert storage.accounts.add(an_account("one"))
    assert other.accounts.add(an_account("two"))
    assert other.accounts.get("one") is None
    assert storage.accounts.get("two") is None
    other.close()


def test_a_transaction_that_fails_leaves_nothing(storage: Storage) -> None:
    """An exception undoes all that its transaction did, and what comes after works."""

    def fail() -> None:
        with storage.transaction():
            storage.accounts.add(an_account())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert storage.accounts.get("a") is None
    assert storage.accounts.add(an_account())


def test_a_transaction_in_a_transaction_is_refused(storage: Storage) -> None:
    """A nested transaction is a fault of ours, told at once and not by a deadlock."""
    with storage.transaction(), pytest.raises(StorageError, match="already"):
        storage.transaction().__enter__()
    storage.ping()


def test_other_threads_see_a_transaction_only_when_it_ended(storage: Storage) -> None:
    """Until a transaction ends, another thread reads what was before."""
    with ThreadPoolExecutor(1) as pool:
        with storage.transaction():
            storage.accounts.add(an_account())
            assert pool.submit(storage.accounts.get, "a").result(TIMEOUT) is None
        assert pool.submit(storage.accounts.get, "a").result(TIMEOUT) is not None


def test_errors_do_not_quote_rows(storage: Storage) -> None:
    """A violated constraint is told without the values of the row, which may be numbers or codes."""
    storage.accounts.add(an_account("secret-name"))
    with pytest.raises(StorageError) as caught:
        storage.accounts.add(an_account("secret-name", b"x"))
    assert "secret-name" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_code_prints_hidden() -> None:
    """No traceback shows a code by accident."""
    assert "12345678" not in repr(Code("12345678", 1))


def test_threads_that_ended_leave_no_connection(storage: Storage) -> None:
    """The connections of dead threads are closed when another thread connects."""
    for _ in range(5):
        thread = threading.Thread(target=storage.ping)
        thread.start()
        thread.join(TIMEOUT)
    assert len(storage._database._connections) <= 2


def test_a_closed_storage_opens_again_when_used(storage: Storage) -> None:
    """Close ends the connections of all threads; a later use makes new ones."""
    storage.accounts.add(an_account())
    storage.close()
    storage.close()
    assert storage.accounts.get("a") is not None


def in_fork(work: Callable[[], bool]) -> bool:
    """Return what came of it in a child process."""
    context = multiprocessing.get_context("fork")
    result = context.Value("i", 0)

    def run() -> None:
        result.value = work()

    process = context.Process(target=run)
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0
    return bool(result.value)


def test_a_fork_before_the_first_use_or_after_close_gets_its_own_connections(storage: Storage) -> None:
    """A child process works with a storage that its parent closed, and so does the parent."""
    storage.accounts.add(an_account("parent"))
    storage.close()
    assert in_fork(lambda: storage.accounts.get("parent") is not None and storage.accounts.add(an_account("c", b"c")))
    assert storage.accounts.get("c") is not None


def test_a_fork_with_open_connections_does_no_harm(storage: Storage) -> None:
    """A child leaves its parent's PostgreSQL connections alone, and refuses to touch SQLite, which it could destroy."""
    storage.accounts.add(an_account("parent"))

    def child() -> bool:
        if not storage._database.is_sqlite:
            return storage.accounts.get("parent") is not None
        with pytest.raises(StorageError, match="open it after the fork"):
            storage.ping()
        return True

    holds, release = threading.Event(), threading.Event()

    def hold() -> None:
        with storage.transaction():
            storage.accounts.add(an_account("held", b"h"))
            holds.set()
            release.wait(TIMEOUT)

    holder = threading.Thread(target=hold)
    holder.start()
    assert holds.wait(TIMEOUT)
    worked = in_fork(child)
    release.set()
    holder.join(TIMEOUT)
    assert worked
    assert storage.accounts.get("held") is not None


@pytest.mark.peer
def test_a_restarted_server_is_connected_to_again(postgresql_server: PostgresqlServer) -> None:
    """After PostgreSQL cut all connections, reads and transactions work at once."""
    storage = Storage.open(postgresql_server.fresh_storage())
    storage.accounts.add(an_account())
    postgresql_server.cut_connections()
    assert storage.accounts.get("a") is not None
    postgresql_server.cut_connections()
    with storage.transaction():
        storage.accounts.set_contacts("a", ())
    storage.close()


@pytest.mark.peer
def test_a_transaction_that_lost_its_server_fails_whole(postgresql_server: PostgresqlServer) -> None:
    """A connection lost inside a transaction fails the transaction, and the next one works."""
    storage = Storage.open(postgresql_server.fresh_storage())

    def lose() -> None:
        with storage.transaction():
            storage.accounts.add(an_account())
            postgresql_server.cut_connections()
            storage.accounts.set_contacts("a", ())

    with pytest.raises(StorageError):
        lose()
    assert storage.accounts.get("a") is None
    postgresql_server.cut_connections()
    with pytest.raises(StorageError):
        storage.accounts.set_contacts("a", ())
    assert storage.accounts.add(an_account())
    storage.close()


def test_a_nonce_is_spent_once(storage: Storage) -> None:
    """The first to spend a nonce succeeds, and nobody after that."""
    assert storage.nonces.spend("n", NOW)
    assert not storage.nonces.spend("n", NOW)
    assert storage.nonces.spend("m", NOW)


def test_of_many_who_spend_one_nonce_one_succeeds(storage: Storage) -> None:
    """Threads that spend the same nonces at one moment never both succeed."""
    spent = in_threads(lambda _: [storage.nonces.spend(f"n{index}", NOW) for index in range(25)])
    assert [sum(column) for column in zip(*spent, strict=True)] == [1] * 25  # type: ignore[call-overload]


def test_spent_nonces_are_forgotten_in_time(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, spending forgets the nonces that cannot be valid any more, and no others."""
    monkeypatch.setattr("ca_server.storage.nonces._SPENDS_BETWEEN_CLEANINGS", 3)
    storage.nonces.spend("old", NOW)
    storage.nonces.spend("young", NOW + timedelta(hours=1))
    storage.nonces.spend("cleans", NOW + LONGEST_NONCE_LIFE + timedelta(minutes=1))
    assert storage.nonces.spend("old", NOW)
    assert not storage.nonces.spend("young", NOW + timedelta(hours=1))


def test_a_spent_nonce_is_kept_for_front_ends_whose_clocks_are_behind(storage: Storage) -> None:
    """Who tidies up on one host forgets no nonce that another still takes for good, minutes after it expired here."""
    storage.nonces.spend("n", NOW)
    storage.forget(NOW + 2 * CLOCK_SKEW)
    assert not storage.nonces.spend("n", NOW)
    storage.forget(NOW + timedelta(days=1))
    assert storage.nonces.spend("n", NOW)


def test_what_is_acknowledged_is_synced_though_nonces_are_not(tmp_path: Path) -> None:
    """SQLite syncs every commit, also after a nonce was spent without that."""
    storage = Storage.open(f"sqlite:///{tmp_path}/ca.db")
    storage.migrate()
    full, normal, how = [(2,)], [(1,)], "PRAGMA synchronous"
    assert storage._database.rows(how) == full
    storage.nonces.spend("n", NOW)
    assert storage._database.rows(how) == normal
    with storage.transaction():
        assert storage._database.rows(how) == full
    storage.nonces.spend("m", NOW)
    assert storage.accounts.add(an_account())
    assert storage._database.rows(how) == full
    assert storage._database.rows("PRAGMA journal_mode") == [("wal",)]
    storage.close()


def test_a_secret_that_was_undone_is_not_gone_on_with(storage: Storage, storage_url: str) -> None:
    """Else one process would name buckets by a secret that no other has, and count by itself."""

    def fail() -> None:
        with storage.transaction():
            undone.append(storage.secret("one"))
            raise ZeroDivisionError

    undone: list[bytes] = []
    other = Storage.open(storage_url)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert other.secret("one") == storage.secret("one") != undone[0]
    other.close()


def test_a_secret_is_made_once_for_all(storage: Storage, storage_url: str) -> None:
    """All threads and front ends get the same 32 bytes for a name, and others for another name."""
    other = Storage.open(storage_url)
    secrets = {bytes(str(secret), "ascii") for secret in in_threads(lambda _: storage.secret("one"))}
    assert len(secrets) == 1
    assert other.secret("one") == storage.secret("one")
    assert len(other.secret("one")) == 32
    assert other.secret("two") != storage.secret("one")
    other.close()


def test_full_buckets_are_forgotten(storage: Storage) -> None:
    """A bucket that is full is what an unknown one is, and its row goes."""
    with storage.transaction():
        storage.buckets.held(["full", "empty"])
        storage.buckets.fill({"full": NOW - timedelta(seconds=1), "empty": NOW + timedelta(hours=1)})
    assert storage.buckets.forget_full(NOW) == 1
    with storage.transaction():
        assert storage.buckets.held(["empty"]) == {"empty": NOW + timedelta(hours=1)}


def test_accounts_are_paged_in_the_order_of_their_making(storage: Storage) -> None:
    """Pages follow one another without gap or overlap."""
    for index in range(5):
        name = f"account-{9 - index}"
        account = Account(name, "{}", bytes([index]) * 32, (), True, NOW + timedelta(seconds=index))
        assert storage.accounts.add(account)
    first = storage.accounts.page(None, 3)
    second = storage.accounts.page(first[-1].id, 3)
    assert [account.id for account in (*first, *second)] == [f"account-{9 - index}" for index in range(5)]


def test_writers_of_one_process_and_of_two_do_not_fail_each_other(storage: Storage, storage_url: str) -> None:
    """Many threads over two storages write at once, and every write is there afterwards."""
    other = Storage.open(storage_url)
    names = itertools.count()

    def write(index: int) -> None:
        for _ in range(10):
            name = next(names)
            with (storage, other)[index % 2].transaction():
                assert (storage, other)[index % 2].accounts.add(an_account(f"n{name}", name.to_bytes(1, "big")))

    in_threads(write)
    assert len(storage.accounts.page(None, 1000)) == 80
    other.close()


def test_sqlite_takes_no_row_locks(tmp_path: Path) -> None:
    """One SQL text serves both databases: SQLite's loses its row locks, PostgreSQL's gets its own placeholders."""
    database = Database.at(f"sqlite:///{tmp_path}/x.db")
    assert database._compile("SELECT 1 WHERE 1 = ? FOR UPDATE OF a, b SKIP LOCKED") == "SELECT 1 WHERE 1 = ?"
    pytest.importorskip("psycopg")
    assert Database.at("postgres://h/d")._compile("SELECT ? FOR UPDATE") == "SELECT %s FOR UPDATE"


def test_the_tables_have_an_index_for_every_lookup(tmp_path: Path) -> None:
    """No statement of the room reads a whole table that grows, but for those that forget."""
    storage = Storage.open(f"sqlite:///{tmp_path}/ca.db")
    storage.migrate()
    for statement in _statements():
        plan = storage._database.rows(f"EXPLAIN QUERY PLAN {statement}", *([None] * statement.count("?")))
        scans = [row[3] for row in plan if row[3].startswith("SCAN ") and " USING " not in row[3]]
        assert not [scan for scan in scans if "CONSTANT ROW" not in scan], statement
    storage.close()


def _statements() -> list[str]:
    """Return the SQL that the storage's modules keep as constants, but for inserts."""
    from ca_server.storage import accounts, authorizations, certificates, messages, orders  # noqa: PLC0415

    found = []
    for module in (accounts, authorizations, certificates, messages, orders):
        for name, value in vars(module).items():
            text = value.split() if isinstance(value, str) and name.isupper() else [""]
            if text[0] in {"SELECT", "UPDATE"} and "WHERE" in text:
                found.append(Database._compile(_SQLITE, value))
    assert len(found) > 20
    return found


_SQLITE = Database.at(f"sqlite:///{os.devnull}")
