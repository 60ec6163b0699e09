"""Who gets as far as the console, and what a browser may do with its pages.

The console stands on the court's network and nowhere else: an address outside gets the same 404 as a path that does not
exist. Pages load nothing from elsewhere, run no script, and are never kept by a browser or a proxy.
"""

import hmac
import ipaddress
from typing import NamedTuple
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web

from bot.channels.web_security import peer_address
from bot.desk import LONGEST_REPLY
from bot.settings import Network, Settings
from knowledge.errors import BadInput

INCOMPLETE = "表单不完整，没有保存。请返回上一页重新填写。"
FORM_BYTES = 64 * 1024
MOST_DRAINED = 4 * 1024 * 1024
MOST_FIELDS = 400
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    # With no-referrer, browsers would send our own forms with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Upload(NamedTuple):
    """A file somebody sent with a form."""

    name: str
    content: bytes


class Form(dict[str, str]):
    """What was filled in: by name the last value, with `many` every value, and the file that came along."""

    def __init__(self, fields: list[tuple[str, str]] | None = None, upload: Upload | None = None) -> None:
        super().__init__(fields or [])
        self._fields, self.upload = fields or [], upload

    def many(self, name: str) -> list[str]:
        """Every value of a field that may be ticked more than once, in order."""
        return [value for field, value in self._fields if field == name]


class TooLong(BadInput):
    """A form weighs more than any honest one does."""


def is_let_in(request: web.Request, settings: Settings) -> bool:
    """Whether the request comes from this machine or from a network of CONSOLE_NETWORKS.

    A forwarded address counts for somebody only when a trusted proxy names it; against somebody it always counts, so that
    a reverse proxy nobody told us about does not carry the whole internet to the console.
    """
    peer = _network(request.remote)
    if peer is None:
        return False
    believed = peer_address(request, settings.proxies)
    claimed = peer_address(request, [*settings.proxies, peer])
    return all(_is_inside(address, settings.console) for address in (believed, claimed))


async def read_form(request: web.Request, limit: int | None = None) -> Form:
    """The fields of a form, line ends as we write them; `limit` is what a form with a file may weigh, in bytes.

    Raises TooLong, having read on so that the browser can show our page; BadInput for what is no form.
    """
    if limit and request.content_type == "multipart/form-data":
        return await _read_parts(request, limit)
    if (request.content_length or 0) > MOST_DRAINED:
        raise TooLong(_too_long())
    body, seen = b"", 0
    async for chunk in request.content.iter_chunked(FORM_BYTES):
        seen += len(chunk)
        if seen <= FORM_BYTES:
            body += chunk
        if seen > MOST_DRAINED:
            break
    if seen > FORM_BYTES:
        raise TooLong(_too_long())
    try:
        fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise BadInput(INCOMPLETE) from error
    return Form([(name, _tidy(value)) for name, value in fields])


async def _read_parts(request: web.Request, limit: int) -> Form:
    """A form with a file: its fields, and the last file that has a name."""
    fields: list[tuple[str, str]] = []
    upload, weight = None, 0
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise BadInput(INCOMPLETE)
            content = bytearray()
            while chunk := await part.read_chunk(FORM_BYTES):
                weight += len(chunk)
                if weight > limit:
                    raise TooLong(f"文件超过 {limit // 2**20} MB，没有读入。请拆成小一点的文件再传。")
                content += chunk
            if part.filename:
                upload = Upload(part.filename, bytes(content))
            elif part.filename is None and len(fields) < MOST_FIELDS:
                fields.append((part.name or "", _tidy(content.decode("utf-8", "replace"))))
    except ValueError as error:
        raise BadInput(INCOMPLETE) from error
    return Form(fields, upload)


def _tidy(value: str) -> str:
    return value.replace("\0", "").replace("\r\n", "\n")


def is_genuine(form: Form, csrf: str) -> bool:
    """Whether the form was made by a page of this session; takes the same time for every wrong guess."""
    return hmac.compare_digest(form.get("csrf", "").encode(), csrf.encode())


def secure(response: web.StreamResponse) -> None:
    """Put the console's headers on a response."""
    for name, value in HEADERS.items():
        response.headers[name] = value


def _too_long() -> str:
    return (
        f"提交的内容太长，没有保存，也没有发出。答复请控制在 {LONGEST_REPLY} 字以内。请按浏览器的“返回”，您写的内容还在那里，缩短后再提交。"
    )


def _network(address: str | None) -> Network | None:
    try:
        return ipaddress.ip_network((address or "").split("%")[0])
    except ValueError:
        return None


def _is_inside(text: str, networks: list[Network]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in networks)
