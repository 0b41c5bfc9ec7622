from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from serving.database import Database
from serving.errors import Conflict, StorageError
from serving.storage import ProgramStorage

TIMEOUT = 60


class Shop(ProgramStorage):
    """A program's tables."""

    steps: ClassVar[Path]
    history = "shop_migrations"
    table = "shop_goods"
    cache_mib = 1

    def add(self, *names: str) -> int:
        """Add goods, all or none."""
        with self.transaction(synced=False):
            return self._database.run_many(f"INSERT INTO {self.table} (name) VALUES (?)", [(one,) for one in names])  # noqa: S608 - of two names

    def names(self) -> list[str]:
        """Return what there is."""
        return [name for (name,) in self._database.rows(f"SELECT name FROM {self.table} ORDER BY name")]  # noqa: S608 - as above

    @contextmanager
    def selling(self) -> Iterator[bool]:
        """Try to be the one who sells."""
        with self._alone(1, ".selling") as held:
            yield held


class Garage(Shop):
    """Another program's."""

    history = "garage_migrations"
    table = "garage_cars"


@pytest.fixture(autouse=True)
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give both programs a first step, of one name."""
    for program in (Shop, Garage):
        folder = tmp_path / program.history
        folder.mkdir()
        statement = f"CREATE TABLE {program.table} (name TEXT PRIMARY KEY)"
        (folder / "0001_tables.py").write_text(
            f"def up(migrator, database):\n    database.execute_sql({statement!r})\n"
        )
        monkeypatch.setattr(program, "steps", folder, raising=False)


def test_programs_share_a_database(database_url: str) -> None:
    """Each has its own steps and history in it, by one Database or by two, and migrating again does nothing."""
    database = Database.at(database_url)
    shop, garage = Shop(database), Garage(database)
    assert (shop.migrate(), garage.migrate()) == (("0001_tables",), ("0001_tables",))
    assert (shop.migrate(), garage.migrate()) == ((), ())
    assert (shop.add("tea", "salt"), garage.add("truck")) == (2, 1)
    other = Shop.open(database_url)
    assert (other.migrate(), other.names(), garage.names()) == ((), ["salt", "tea"], ["truck"])
    other.close()
    database.close()


def test_many_rows_are_all_there_or_none(database_url: str) -> None:
    """A row that is there already undoes the transaction, and is told as a conflict without its values."""
    shop = Shop.open(database_url)
    shop.migrate()
    shop.add("tea")
    with pytest.raises(Conflict) as refused:
        shop.add("salt", "tea")
    assert "tea" not in str(refused.value)
    assert shop.names() == ["tea"]
    shop.close()


def test_a_later_step_of_another_version_is_refused(database_url: str) -> None:
    """A program that is older than its tables leaves them alone, whatever its neighbour does."""
    database = Database.at(database_url)
    shop, garage = Shop(database), Garage(database)
    (Shop.steps / "0002_more.py").write_text("def up(migrator, database):\n    pass\n")
    assert shop.migrate() == ("0001_tables", "0002_more")
    (Shop.steps / "0002_more.py").unlink()
    with pytest.raises(StorageError, match="newer version of this program"):
        shop.migrate()
    assert garage.migrate() == ("0001_tables",)
    database.close()


def test_one_is_alone_at_what_only_one_may_do(database_url: str) -> None:
    """While one holds the lock another is told so; once it is left, the other gets it."""
    one, other = Shop.open(database_url), Shop.open(database_url)

    def try_other() -> bool:
        with other.selling() as held:
            return held

    with ThreadPoolExecutor(1) as pool:
        with one.selling() as held:
            assert held
            assert not pool.submit(try_other).result(TIMEOUT)
        assert pool.submit(try_other).result(TIMEOUT)
    one.close()
    other.close()


def test_where_the_file_is_known(tmp_path: Path) -> None:
    """SQLite's file, and none for a server."""
    pytest.importorskip("psycopg")
    assert Shop.open(f"sqlite:///{tmp_path}/a.db").file == tmp_path / "a.db"
    assert Shop.open("postgresql://host/name").file is None
