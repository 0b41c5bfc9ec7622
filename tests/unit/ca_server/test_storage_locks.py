from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from ca_server.orders import Account
from ca_server.storage import Storage
from tests.fakes.authority import NOW

LOOK = """
import sys
from ca_server.storage import Storage
storage = Storage.open(sys.argv[1])
print(len(storage.accounts.page(None, 10)))
storage.close()
"""


def seen_elsewhere(url: str) -> int:
    """Return how many accounts another process finds; it opens the database and closes it again."""
    done = subprocess.run([sys.executable, "-c", LOOK, url], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


def account(number: int) -> Account:
    """Return an account of its own."""
    return Account(f"account-{number}", f"{{{number}}}", bytes([number] * 32), (), terms_agreed=True, created_at=NOW)


def test_a_process_that_looks_takes_no_log_from_one_that_writes(tmp_path: Path) -> None:
    """What several threads write is seen by every other process, whoever opened and closed the file in between."""
    url = f"sqlite:///{tmp_path / 'ca.db'}"
    storage = Storage.open(url)
    storage.migrate()
    storage.accounts.add(account(1))
    done, leave = threading.Event(), threading.Event()

    def hold_a_connection() -> None:
        storage.accounts.page(None, 10)
        done.set()
        leave.wait(60)

    other = threading.Thread(target=hold_a_connection)
    other.start()
    done.wait(60)
    try:
        assert seen_elsewhere(url) == 1
        storage.accounts.add(account(2))
        assert seen_elsewhere(url) == 2
    finally:
        leave.set()
        other.join()
        storage.close()
    assert seen_elsewhere(url) == 2
