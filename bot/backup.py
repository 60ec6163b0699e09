"""Backup while running, and a restore that is checked first.

A backup is one ZIP: the database as SQLite's own online copy, the court's configuration and documents, the key that signs
chat cookies, and a manifest with hashes, row counts and the head of the ledger's chain. The index is not in it: it can be
rebuilt from the database and the sources.
"""

import hashlib
import json
import os
import sqlite3
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from bot.startup import Opened
from knowledge.clock import now, stamp
from knowledge.database import Db
from knowledge.errors import BadInput, Conflict, Unreadable
from knowledge.ledger.history import head, verify
from knowledge.migrations import migrate

KEPT_FILES = ("court.yaml", "calendar.csv", "calibration.json", "secret.key")
KEPT_FOLDERS = ("documents", "uploads")
COUNTED = ("inbox", "outbox", "askings", "needs", "need_history", "entries", "staff")


def write_backup(opened: Opened, file: Path) -> str:
    """Write a backup to `file`, complete or not at all. Raises BadInput when the file exists or its folder does not."""
    if file.exists():
        raise BadInput(f"{file} 已经存在，请换个文件名。")
    if not file.parent.exists():
        raise BadInput(f"文件夹 {file.parent} 不存在，请先建好。")
    if not os.access(file.parent, os.W_OK):
        raise BadInput(f"文件夹 {file.parent} 不能写入，请换一个，或调整权限。")
    data = opened.folders.data
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        copy = Path(scratch) / "yuanqitong.db"
        opened.database.read(lambda db: _copy(db, copy)).result()
        files = [copy, *(data / name for name in KEPT_FILES if (data / name).is_file())]
        files += [path for name in KEPT_FOLDERS if (data / name).is_dir() for path in sorted((data / name).rglob("*")) if path.is_file()]
        partial = Path(scratch) / "backup.zip"
        manifest = {"made_at": stamp(now()), "files": {}, **_facts(copy)}
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                name = "yuanqitong.db" if path == copy else str(path.relative_to(data))
                manifest["files"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
                archive.write(path, name)
            archive.writestr("manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1))
        os.chmod(partial, 0o600)
        os.replace(partial, file)
    return f"已备份到 {file}：{len(files)} 个文件，需求 {manifest['counts']['needs']} 件，台账链头 {manifest['chain_head']}"


def restore_backup(data: Path, file: Path, check: bool) -> str:
    """Check a backup and, unless `check`, put it in place of `data`, whose old content is kept beside it.

    Raises Unreadable when the backup is damaged, Conflict when a bot is running on `data`; then nothing has changed.
    """
    data.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data.parent) as scratch:
        manifest = _unpack(file, Path(scratch))
        facts = _facts(Path(scratch) / "yuanqitong.db")
        if facts != {name: manifest.get(name) for name in facts}:
            raise Unreadable(f"{file} 里的数据库与清单不符，不能用来恢复。")
        whole = "" if facts["chain_whole"] else "（注意：备份时台账历史链就已经断了，请用 ledger verify 查看）"
        found = f"备份完好：{manifest['made_at'][:16]} 做的{whole}，需求 {facts['counts']['needs']} 件，台账链头 {facts['chain_head']}"
        if check:
            return found
        _refuse_if_running(data)
        kept = data.with_name(f"{data.name}.before-{now():%Y%m%d-%H%M%S}")
        before = f"原来的数据在 {kept}。" if data.exists() else ""
        if data.exists():
            data.rename(kept)
        Path(scratch).rename(data)
        Path(scratch).mkdir()
    return f"{found}。已恢复到 {data}。{before}索引会在下次启动时重建。"


def _copy(db: Db, target: Path) -> None:
    with sqlite3.connect(target) as copy:
        db.conn.backup(copy)
    copy.close()


def _facts(path: Path) -> dict[str, Any]:
    """What must be the same before and after: row counts, and the ledger's head. Raises Unreadable for a damaged database.

    They are read from a copy brought to the newest schema, so that a backup of an earlier version can be judged and restored.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            copy = sqlite3.connect(Path(scratch) / "facts.db", isolation_level=None)
            try:
                if source.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                    raise Unreadable("备份里的数据库已损坏。")
                source.backup(copy)
                db = Db(copy)
                migrate(db)
                counts = {name: copy.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in COUNTED}
                return {"counts": counts, "chain_head": head(db), "chain_whole": verify(db).first_break is None}
            finally:
                source.close()
                copy.close()
    except sqlite3.DatabaseError as error:
        raise Unreadable(f"备份里的数据库打不开（{error}）。") from error


def _unpack(file: Path, target: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            if (
                not isinstance(manifest, dict)
                or not isinstance(manifest.get("files"), dict)
                or not isinstance(manifest.get("made_at"), str)
            ):
                raise Unreadable(f"{file} 的清单看不懂，不是完好的备份文件。")
            for name, expected in manifest["files"].items():
                content = archive.read(name)
                if hashlib.sha256(content).hexdigest() != expected:
                    raise Unreadable(f"备份里的 {name} 已损坏。")
                path = (target / name).resolve()
                if not path.is_relative_to(target.resolve()):
                    raise Unreadable("备份里有不该有的路径。")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return manifest
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, ValueError, OSError) as error:
        raise Unreadable(f"{file} 不是完好的备份文件。") from error


def _refuse_if_running(data: Path) -> None:
    import fcntl

    lock = data / "run.lock"
    if not lock.exists():
        return
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("院企通正在这个数据文件夹上运行，请先停掉再恢复。") from error
