"""What the web chat serves over plain HTTP: its page, the page's own files, uploads, and whether it is ready.

Everything the page needs comes from here, named by content so that a phone loads it once; opening the page is what gives
a browser its identity.
"""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import jinja2
from aiohttp import BodyPartReader, web

from bot.channels.web_messages import MOST_CHARACTERS
from bot.channels.web_security import COOKIE, Signer, add_security_headers, is_https, is_own_origin, set_cookie
from bot.channels.web_uploads import MOST_BYTES, TOO_BIG, TooBig, Uploads
from bot.settings import Settings
from knowledge.court import Court
from knowledge.errors import BadInput

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
STATIC = {"chat.css": "text/css", "chat.js": "text/javascript"}
FORM_BYTES = 64 * 1024
"""What a form may weigh around its file."""

MAY_NOT_UPLOAD = "这个对话不能上传文件。工作人员请先用登录链接登录。"
NO_FILE = "没有读到文件。请重新选择文件再传。"


class WebPages:
    """The routes `/`, `/static/…`, `/upload` and `/healthz`."""

    def __init__(
        self,
        settings: Settings,
        court: Court,
        signer: Signer,
        uploads: Uploads,
        ready: Callable[[], bool],
        may_upload: Callable[[int], Awaitable[bool]],
    ) -> None:
        self._settings, self._court, self._signer, self._uploads = settings, court, signer, uploads
        self._ready, self._may_upload = ready, may_upload
        self._static = {name: (PAGE / name).read_bytes() for name in STATIC}
        self._versions = {name: hashlib.sha256(body).hexdigest()[:12] for name, body in self._static.items()}
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )

    def attach(self, app: web.Application) -> None:
        """Add the routes, and the security headers to every response of `app`."""
        app.on_response_prepare.append(add_security_headers)
        app.router.add_get("/", self._show_page)
        app.router.add_post("/upload", self._take_upload)
        app.router.add_get("/healthz", self._show_health)
        for name in STATIC:
            app.router.add_get(f"/static/{name}", self._show_static)

    async def _show_page(self, request: web.Request) -> web.Response:
        chat_id = self._signer.chat(request.cookies.get(COOKIE)) or self._signer.new_chat()
        text = self._templates.get_template("index.html").render(
            title=self._court.name or "院企通",
            watermark=self._court.watermark if self._court.is_demo else None,
            tag=self._signer.tag(chat_id),
            most_characters=MOST_CHARACTERS,
            most_bytes=MOST_BYTES,
            versions=self._versions,
        )
        response = web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})
        response.enable_compression()
        set_cookie(response, self._signer.cookie(chat_id), is_https(request, self._settings.proxies))
        return response

    async def _show_static(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        response = web.Response(body=self._static[name], content_type=STATIC[name], charset="utf-8", headers=headers)
        response.enable_compression()
        return response

    async def _show_health(self, request: web.Request) -> web.Response:
        ready = self._ready()
        return web.json_response({"ready": ready}, status=200 if ready else 503, headers={"Cache-Control": "no-store"})

    async def _take_upload(self, request: web.Request) -> web.Response:
        chat_id = self._signer.chat(request.cookies.get(COOKIE))
        if (request.content_length or 0) > MOST_BYTES + FORM_BYTES:
            return refusal(413, TOO_BIG)
        if chat_id is None or not is_own_origin(request, self._settings.public_url) or not await self._may_upload(chat_id):
            return refusal(403, MAY_NOT_UPLOAD)
        try:
            upload = await self._uploads.save(await _file_part(request), chat_id)
        except TooBig as error:
            return refusal(413, str(error))
        except BadInput as error:
            return refusal(400, str(error))
        except OSError as error:
            log.error("an upload could not be saved: %s", error.strerror)
            return refusal(507, "文件暂时存不下，请稍后再传；一直不行请联系管理员检查磁盘空间。")
        return web.json_response({"file": upload.id, "name": upload.name, "size": upload.size})


def refusal(status: int, text: str) -> web.Response:
    """A sentence for the person; what they are still sending is not waited for."""
    response = web.json_response({"text": text}, status=status, dumps=lambda value: json.dumps(value, ensure_ascii=False))
    response.force_close()
    return response


async def _file_part(request: web.Request) -> BodyPartReader:
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "file" and part.filename:
                return part
    except (ValueError, AssertionError) as error:
        raise BadInput(NO_FILE) from error
    raise BadInput(NO_FILE)
