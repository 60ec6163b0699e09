"""The one SQLite file, owned by one thread.

Every operation is a plain function that takes a `sqlite_utils.Database` and runs as one transaction on the
database's own thread. Writes that wait at the same moment share one commit: each runs in its own savepoint, so
one that fails undoes only itself, and nobody is told "done" before the shared commit has reached the disk
(`synchronous=FULL`). This is what lets "written before answered" keep up with many people at once.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import sqlite_utils

from knowledge.errors import StorageFailed
from knowledge.migrations import migrate

Db = sqlite_utils.Database
T = TypeVar("T")

GROUP = 256
BUSY_MS = 5_000


def rows(db: Db, sql: str, *args: Any) -> list[dict[str, Any]]:
    """All rows of a query, as dictionaries."""
    cursor = db.execute(sql, args)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def row(db: Db, sql: str, *args: Any) -> dict[str, Any] | None:
    """The first row of a query, or None."""
    found = rows(db, sql, *args)
    return found[0] if found else None


class Database:
    """Runs operations one after another on the file's own thread.

    `write` and `read` return futures; `asyncio.wrap_future` awaits them, `.result()` blocks for the command line.
    A future fails with what the operation raised, or with `StorageFailed` when the disk or a lock did not let
    it through; then nothing of that operation has been kept.
    """

    def __init__(self, path: Path, synchronous: str = "FULL") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._synchronous = synchronous
        self._waiting: queue.SimpleQueue[tuple[bool, Callable[[Db], Any], Future[Any]] | None] = queue.SimpleQueue()
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(opened,), name="database", daemon=True)
        self._thread.start()
        opened.result()

    def write(self, operation: Callable[[Db], T]) -> "Future[T]":
        """Run `operation` in a transaction; its future completes after the commit."""
        return self._submit(True, operation)

    def read(self, operation: Callable[[Db], T]) -> "Future[T]":
        """Run `operation` on one consistent snapshot. Whatever it writes is undone: a way to see what a change would do."""
        return self._submit(False, operation)

    def close(self) -> None:
        """Finish what waits, then close the file."""
        self._waiting.put(None)
        self._thread.join()

    def _submit(self, writes: bool, operation: Callable[[Db], T]) -> "Future[T]":
        future: Future[T] = Future()
        self._waiting.put((writes, operation, future))
        return future

    def _work(self, opened: "Future[None]") -> None:
        try:
            db = _open(self.path, self._synchronous)
        except (sqlite3.Error, OSError) as error:
            opened.set_exception(_storage_failed(error))
            return
        except BaseException as error:
            opened.set_exception(error)
            return
        opened.set_result(None)
        open_for_work = True
        while open_for_work:
            first = self._waiting.get()
            group = [first] if first else []
            open_for_work = first is not None
            while open_for_work and len(group) < GROUP and not self._waiting.empty():
                item = self._waiting.get()
                open_for_work = item is not None
                if item:
                    group.append(item)
            # Who no longer waits for an operation that has not begun has taken it back.
            group = [item for item in group if item[2].set_running_or_notify_cancel()]
            for _, operation, future in [item for item in group if not item[0]]:
                _run_alone(db, operation, future)
            _run_together(db, [(operation, future) for writes, operation, future in group if writes])
        db.close()


def open_reader(path: Path) -> Db:
    """A connection that only reads, for one thread at a time; it sees what is committed and waits for nobody."""
    return sqlite_utils.Database(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False))


def _open(path: Path, synchronous: str) -> Db:
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    db = sqlite_utils.Database(connection)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA foreign_keys = ON")
    migrate(db)
    return db


def _run_alone(db: Db, operation: Callable[[Db], T], future: "Future[T]") -> None:
    try:
        db.execute("BEGIN")
        try:
            result = operation(db)
        finally:
            db.rollback()
    except sqlite3.Error as error:
        future.set_exception(_storage_failed(error))
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


def _run_together(db: Db, group: "list[tuple[Callable[[Db], Any], Future[Any]]]") -> None:
    if not group:
        return
    done: list[tuple[Future[Any], Any]] = []
    try:
        db.execute("BEGIN IMMEDIATE")
        for operation, future in group:
            try:
                with db.atomic():
                    done.append((future, operation(db)))
            except sqlite3.OperationalError:
                # Disk full or I/O error may have undone the whole transaction: nobody may be told "done".
                raise
            except Exception as error:
                future.set_exception(_storage_failed(error) if isinstance(error, sqlite3.Error) else error)
        db.execute("COMMIT")
    except sqlite3.Error as error:
        db.rollback()
        for _, future in group:
            if not future.done():
                future.set_exception(_storage_failed(error))
        return
    for future, result in done:
        future.set_result(result)


def _storage_failed(error: Exception) -> StorageFailed:
    return StorageFailed(f"暂时写不进数据库（{error}）。请检查磁盘空间，确认没有别的程序占用数据文件，然后再试一次。")
