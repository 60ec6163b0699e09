"""Files from outside, met with care: how big, in which encoding, and what could not be taken from them.

Every reader (laws, question tables, policy documents) opens files through here, so that a huge file, a strange
encoding or rubbish ends as one clear line in a report and never as a crash.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from knowledge.errors import Unreadable

LARGEST_FILE = 20_000_000
DEEPEST_YAML = 50

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_NEVER_IN_CHINESE_TEXT = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff\x80-\x9f]")
_FRONT_MATTER = re.compile(r"---\n(.*?\n)??---\s*(?:\n|$)", re.DOTALL)


@dataclass(frozen=True)
class Refused:
    """Something that was not taken in: the file, the row or line in it (None: the whole file), and why, in Chinese."""

    path: Path
    row: int | None
    reason: str

    def __str__(self) -> str:
        """One line for a report: `A.yaml 第 12 行：缺少 answer`."""
        where = f" 第 {self.row} 行" if self.row else ""
        return f"{self.path.name}{where}：{self.reason}"


def read_bytes(path: Path) -> bytes:
    """The file's bytes. Raises Unreadable if it cannot be opened, is empty or is over 20 MB."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise Unreadable("文件超过 20 MB，请拆分后再导入")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"打不开文件：{error.strerror}") from error
    if not data.strip():
        raise Unreadable("文件是空的")
    return data


def read_text(path: Path) -> str:
    """The file's text with `\\n` line ends. Raises Unreadable as `read_bytes` and `decode` do."""
    return decode(read_bytes(path))


def decode(data: bytes) -> str:
    """Text from UTF-8 (with or without BOM), UTF-16 with BOM, or GB18030; raises Unreadable for anything else."""
    text = _decoded(data)
    if "\0" in text or len(_CONTROL.findall(text)) > len(text) // 100:
        raise Unreadable("文件内容不是文字")
    return _CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes) -> str:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError as error:
        raise Unreadable("认不出文字编码，请另存为 UTF-8 后再导入") from error
    # GB18030 gives a character to almost any bytes; these ones give rubbish away.
    if _NEVER_IN_CHINESE_TEXT.search(text):
        raise Unreadable("认不出文字编码，请另存为 UTF-8 后再导入")
    return text


def front_matter(text: str) -> tuple[dict[str, object], str]:
    """The YAML block between `---` lines at the top ({} if there is none) and the text below it.

    Raises Unreadable if the block is not a YAML mapping.
    """
    found = _FRONT_MATTER.match(text)
    if found is None:
        return {}, text
    fields = load_yaml(found[1] or "")
    if fields is None:
        return {}, text[found.end() :]
    if not isinstance(fields, dict):
        raise Unreadable("文件开头 --- 之间的内容应是“名称: 值”")
    return {str(name): value for name, value in fields.items()}, text[found.end() :]


def load_yaml(text: str) -> object:
    """What one YAML document says. Raises Unreadable naming the line where it breaks off, or for absurdly deep nesting."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = f"第 {error.problem_mark.line + 1} 行附近" if error.problem_mark else ""
        raise Unreadable(f"YAML 写法有误{line}：请检查缩进、冒号和引号") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable("YAML 写法有误：请检查缩进、冒号和引号") from error


def _check_depth(events: Iterable[yaml.Event]) -> None:
    # The C loader recurses without a limit: deep nesting would end the whole process, not raise.
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise Unreadable("YAML 嵌套太深")
