"""Who a browser is, where it stands, and what its page may load.

A browser is a chat: a random number in a cookie, signed with the installation's own key, so nobody can speak as another
chat. An address is believed from the connection itself, or from a proxy the settings name, and is passed on only as a
keyed hash: enough to limit, useless for finding a person.
"""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from bot.settings import Network
from knowledge.errors import Unreadable

COOKIE = "yq_chat"
COOKIE_SECONDS = 365 * 24 * 3600
FIRST_CHAT = 2**52
"""Above every Telegram id, and up to twice this number still exact in JavaScript."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Signer:
    """Makes and checks what only this installation can have made."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def new_chat(self) -> int:
        """A chat nobody else has."""
        return FIRST_CHAT + secrets.randbelow(FIRST_CHAT)

    def cookie(self, chat_id: int) -> str:
        """The cookie that makes a browser this chat."""
        return f"{chat_id}.{self._sign('chat', str(chat_id))}"

    def chat(self, cookie: str | None) -> int | None:
        """The chat a cookie stands for; None when it is missing, damaged or forged."""
        found = re.fullmatch(r"([0-9]{16})\.([0-9a-f]{64})", cookie or "")
        if found is None or not hmac.compare_digest(found[2], self._sign("chat", found[1])):
            return None
        return int(found[1])

    def tag(self, chat_id: int) -> str:
        """A short name of a chat that its page may know: it tells when the browser has become another chat."""
        return self._sign("tag", str(chat_id))[:12]

    def address(self, address: str) -> str:
        """What limits know instead of an address; an IPv6 household counts as one."""
        parsed = _address(address)
        where = ipaddress.ip_network((parsed, 64), strict=False) if isinstance(parsed, ipaddress.IPv6Address) else address
        return self._sign("address", str(where))[:16]

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def load_signer(data_dir: Path) -> Signer:
    """The signer of this installation; its key is made on first use. Raises Unreadable when the key file is damaged."""
    path = data_dir / "secret.key"
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
    else:
        key = secrets.token_bytes(32)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
    if len(key) < 32:
        raise Unreadable(f"{path} 不完整。请从备份恢复；没有备份就删除它再启动（访客会得到新的对话）。")
    return Signer(key)


def peer_address(request: web.Request, proxies: Sequence[Network]) -> str:
    """Where a request comes from: the peer, or, behind trusted proxies, the nearest address that is not one of them."""
    peer = request.remote or ""
    if not _is_in(peer, proxies):
        return _plain_address(peer)
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
    hops = [_without_port(hop) for hop in forwarded.split(",") if hop.strip()]
    outside = [hop for hop in hops if not _is_in(hop, proxies)]
    return _plain_address(outside[-1] if outside else hops[0] if hops else peer)


def is_https(request: web.Request, proxies: Sequence[Network]) -> bool:
    """Whether the visitor's own connection is encrypted, directly or up to a trusted proxy."""
    if _is_in(request.remote or "", proxies):
        forwarded = request.headers.get("X-Forwarded-Proto", request.scheme)
        return forwarded.split(",")[-1].strip().lower() == "https"
    return bool(request.scheme == "https")


def is_own_origin(request: web.Request, public_url: str | None) -> bool:
    """Whether a browser says the request was made by a page of ours; no word about it counts as no."""
    try:
        origin = urlsplit(request.headers.get("Origin", ""))
        public = urlsplit(public_url or "")
    except ValueError:
        return False
    if origin.scheme not in ("http", "https") or not origin.netloc:
        return False
    own = [("http", request.host), ("https", request.host), (public.scheme, public.netloc)]
    return _site(origin.scheme, origin.netloc) in [_site(*site) for site in own]


def set_cookie(response: web.StreamResponse, value: str, https: bool) -> None:
    """Give the browser its identity for a year, out of reach of scripts and of other sites."""
    response.set_cookie(COOKIE, value, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="Lax", secure=https)


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Nothing is loaded from anywhere else and nobody may frame the page; a header a page set itself stays."""
    # 'self' covers websockets only in newer browsers; the phones of those who need this most are not new.
    host = request.host if re.fullmatch(r"[\w.:\[\]-]+", request.host, re.ASCII) else ""
    sockets = f" ws://{host} wss://{host}" if host else ""
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{sockets};"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")


def _site(scheme: str, netloc: str) -> tuple[str, str]:
    default = ":443" if scheme == "https" else ":80"
    return scheme, netloc.lower().removesuffix(default)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _plain_address(text: str) -> str:
    """An address as everybody writes it; what is none stays text that no network contains."""
    return str(_address(text) or text[:45] or "unknown")


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _without_port(hop: str) -> str:
    """Some proxies write `1.2.3.4:5678` or `[2001:db8::1]:5678`."""
    found = re.fullmatch(r"\s*(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+|(.+?))\s*", hop)
    return next((part for part in found.groups() if part), "") if found else ""
