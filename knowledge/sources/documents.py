"""Policy documents of any format become the same thing: a title, a date, and paragraphs, some of them headings.

The words stay as they are; only what the format adds (line breaks of a PDF page, tags, page numbers) is taken away.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.errors import Unreadable
from knowledge.files import read_bytes, read_text
from knowledge.numerals import NUMERALS
from knowledge.sources.archives import read_office_file

if TYPE_CHECKING:
    from docx.table import Table


@dataclass(frozen=True)
class Paragraph:
    """A paragraph's text; `level` is 1 for the highest heading, None for running text."""

    text: str
    level: int | None = None


@dataclass(frozen=True)
class Document:
    """A document as it was read; `title` and `date` only where the format itself names them."""

    paragraphs: tuple[Paragraph, ...]
    title: str | None = None
    date: str | None = None


_MARK = re.compile(r"(#{1,6})\s+(\S.*)$")
_BEGINS_ANEW = re.compile(rf"\s*(?:第[{NUMERALS}]+[编章节条]|[{NUMERALS}]+、|[（(][{NUMERALS}\d]+[)）]|\d+[.．、]|附件)")
_PAGE_NUMBER = re.compile(r"\s*(?:[-—–]\s*\d+\s*[-—–]|\d{1,4}|第\s*\d+\s*页.*)\s*$")
_SENTENCE_END = ("。", "！", "？", "；", "：", ".", "!", "?", ";", ":", "”")
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = _HEADINGS | {"p", "div", "br", "li", "tr", "td", "th", "table", "section", "article", "blockquote", "pre", "dt", "dd"}
_STRAY_BRACKET = re.compile(r"<(?=[^<>]*(?:<|\Z))")
_SILENT = frozenset({"script", "style", "template", "noscript"})


def markdown(fields: Mapping[str, object], body: str) -> Document:
    """A Markdown document without an id: headings by `#`, title and date from its front matter where given."""
    named = {name: str(fields[name]) if fields.get(name) else None for name in ("title", "date")}
    return Document(_marked(body), named["title"], named["date"])


def _plain_text(path: Path) -> Document:
    return Document(_marked(read_text(path)))


def _marked(text: str) -> tuple[Paragraph, ...]:
    paragraphs = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        mark = _MARK.match(line)
        paragraphs.append(Paragraph(mark[2], len(mark[1])) if mark else Paragraph(line.replace("**", "")))
    return tuple(paragraphs)


def _word(path: Path) -> Document:
    import docx
    from docx.table import Table

    data = read_office_file(path)
    paragraphs: list[Paragraph] = []
    title = None
    try:
        for block in docx.Document(io.BytesIO(data)).iter_inner_content():
            if isinstance(block, Table):
                paragraphs += [Paragraph(row) for row in _table_rows(block)]
                continue
            style = (block.style.name or "") if block.style else ""
            if style == "Title" and title is None:
                title = block.text.strip() or None
            elif block.text.strip():
                paragraphs += [Paragraph(line, _word_level(style)) for line in filter(None, map(str.strip, block.text.split("\n")))]
    except Exception as error:  # a damaged document fails with whatever its parser met first
        raise Unreadable("打不开这个 Word 文件，文件可能已损坏") from error
    return Document(tuple(paragraphs), title)


def _word_level(style: str) -> int | None:
    found = re.match(r"(?:Heading|标题) (\d)", style)
    return int(found[1]) if found else None


def _table_rows(table: "Table") -> Iterator[str]:
    for row in table.rows:
        cells = dict.fromkeys(cell.text.strip().replace("\n", " ") for cell in row.cells)
        yield "　".join(filter(None, cells))


def _pdf(path: Path) -> Document:
    from pypdf import PdfReader

    data = read_bytes(path)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("PDF 有密码，请去掉密码后再导入")
        pages = [page.extract_text().split("\n") for page in reader.pages]
    except Unreadable:
        raise
    except Exception as error:  # a damaged PDF fails with whatever its parser met first
        raise Unreadable("打不开这个 PDF 文件，文件可能已损坏或加密") from error
    lines = [line for page in _without_running_heads(pages) for line in page]
    if len("".join(lines).strip()) < 10:
        raise Unreadable("这是扫描件，没有文字，请先做文字识别（OCR），或改用 Word 文件")
    return Document(tuple(map(Paragraph, _joined(lines))))


def _without_running_heads(pages: Sequence[list[str]]) -> Iterator[list[str]]:
    ends = [line.strip() for page in pages for line in {*page[:1], *page[-1:]}]
    repeated = {line for line in ends if len(pages) > 2 and ends.count(line) > len(pages) / 2}
    for page in pages:
        yield [line for line in page if line.strip() not in repeated and not _PAGE_NUMBER.match(line)]


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Paragraphs of a page's lines: a full line without an end mark goes on in the next one."""
    width = max(map(len, lines), default=0)
    open_line = ""
    for line in map(str.strip, lines):
        goes_on = open_line and line and not _BEGINS_ANEW.match(line)
        if goes_on and len(open_line.split("\n")[-1]) >= 0.75 * width and not open_line.endswith(_SENTENCE_END):
            open_line = f"{open_line}\n{line}"
            continue
        if open_line:
            yield _one_line(open_line)
        open_line = line
    if open_line:
        yield _one_line(open_line)


def _one_line(lines: str) -> str:
    return re.sub(r"(?<=[\x21-\x7e])\n(?=[\x21-\x7e])", " ", lines).replace("\n", "")


def _html(path: Path) -> Document:
    page = _Page()
    page.feed(_closed(read_text(path)))
    page.close()
    page.end_paragraph()
    return Document(tuple(page.paragraphs), page.title)


def _closed(html: str) -> str:
    """Without comments and tags that never close: html.parser takes quadratic time over those."""
    first, *rest = html.split("<!--")
    return _STRAY_BRACKET.sub("&lt;", first + "".join(part.partition("-->")[2] for part in rest))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[Paragraph] = []
        self.title: str | None = None
        self._text: list[str] = []
        self._level: int | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag in _BLOCKS or tag == "title":
            self.end_paragraph()
            self._level = int(tag[1]) if tag in _HEADINGS else None

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "title":
            self.title = self._taken() or None
        elif tag in _BLOCKS:
            self.end_paragraph()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text.append(data)

    def end_paragraph(self) -> None:
        """Close the paragraph that is open, if it has any text."""
        text = self._taken()
        if text:
            self.paragraphs.append(Paragraph(text, self._level))
        self._level = None

    def _taken(self) -> str:
        text = " ".join("".join(self._text).split())
        self._text.clear()
        return text


DOCUMENTS: Mapping[str, Callable[[Path], Document]] = {
    ".docx": _word,
    ".pdf": _pdf,
    ".txt": _plain_text,
    ".html": _html,
    ".htm": _html,
}
