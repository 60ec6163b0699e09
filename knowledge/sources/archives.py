"""Word and Excel files are zip archives: looked into before any library opens them.

A small archive can unfold to gigabytes, and XML can define entities that do the same; both end here.
"""

import io
import zipfile
from pathlib import Path

from knowledge.errors import Unreadable
from knowledge.files import read_bytes

LARGEST_UNPACKED = 100_000_000
LARGEST_RATIO = 200


def read_office_file(path: Path) -> bytes:
    """The bytes of a .docx or .xlsx that is safe to open.

    Raises Unreadable if it is no such file, unpacks to over 100 MB or 200 times its size, or has a DOCTYPE in its XML.
    """
    data = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive, len(data))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        raise Unreadable("文件已损坏、有密码，或者不是 Office 文件") from error
    return data


def _check(archive: zipfile.ZipFile, packed: int) -> None:
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > LARGEST_UNPACKED or unpacked > LARGEST_RATIO * packed:
        raise Unreadable("压缩内容展开后过大，疑似压缩炸弹，没有打开")
    for member in members:
        if member.filename.lower().endswith((".xml", ".rels")) and b"<!DOCTYPE" in archive.read(member).replace(b"\0", b""):
            raise Unreadable("文件的 XML 里有 DOCTYPE 声明，不安全，没有打开")
