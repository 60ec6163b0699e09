"""Files kept between the two steps of an import: first looked at, then committed.

What is committed is byte for byte what was looked at: the token that goes through the form is the file's name, and holds the
hash of its content. Nothing of it is in the database until then. A file nobody came back for goes a day later.
"""

import hashlib
import re
import secrets
import time
from pathlib import Path

from bot.console.gate import Upload
from knowledge.errors import BadInput, Conflict

KEPT_SECONDS = 24 * 3600
GONE = "这份文件已经导入过，或放了超过一天，已不在这里。请重新上传。"
_TOKEN = re.compile(r"[0-9a-f]{32}-([0-9a-f]{64})\.(?:xlsx|csv)")
_ZIP = b"PK\x03\x04"


def hold(folder: Path, upload: Upload | None) -> str:
    """Keep a file in `folder` and return its token. Raises BadInput when there is no file or it is empty."""
    if upload is None or not upload.content.strip():
        raise BadInput("没有选文件，或者文件是空的。请选一个 .xlsx 或 .csv 文件再上传。")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(folder)
    # What it is shows in its content; people rename files.
    suffix = ".xlsx" if upload.content.startswith(_ZIP) else ".csv"
    token = f"{secrets.token_hex(16)}-{hashlib.sha256(upload.content).hexdigest()}{suffix}"
    path = folder / token
    path.touch(mode=0o600)
    path.write_bytes(upload.content)
    return token


def sweep(folder: Path) -> None:
    """Remove the files nobody came back for within a day."""
    for old in folder.iterdir() if folder.is_dir() else ():
        if old.stat().st_mtime < time.time() - KEPT_SECONDS:
            old.unlink(missing_ok=True)


def find(folder: Path, token: str) -> Path:
    """Where the file of this token is. Raises Conflict when it is not here any more, or not what it was."""
    match = _TOKEN.fullmatch(token)
    try:
        if match and hashlib.sha256((folder / token).read_bytes()).hexdigest() == match[1]:
            return folder / token
    except OSError:
        pass
    raise Conflict(GONE)


def release(folder: Path, token: str) -> None:
    """Remove the file of this token; one that is not here is no error."""
    if _TOKEN.fullmatch(token):
        (folder / token).unlink(missing_ok=True)
