"""What several tests share: the data, a data folder with its index built once, and the running bot."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.app import App
from bot.settings import Settings
from bot.startup import Opened
from tests.bot_api import TOKEN, BotApi
from tests.courthouse import court, db
from tests.office import office, open_office

__all__ = ["court", "db", "office", "open_office"]
"""Fixtures that stand beside their own class."""


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of laws and questions (`YUANQITONG_DATA`, else ../shared/data beside the project)."""
    named = os.environ.get("YUANQITONG_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set YUANQITONG_DATA")
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the shipped content indexed; copied, never used itself."""
    folder = tmp_path_factory.mktemp("built") / "data"
    opened = Opened(Settings(data_dir=folder))
    opened.ensure_index()
    opened.close()
    return folder


@pytest.fixture
def data_dir(built: Path, tmp_path: Path) -> Path:
    """A data folder of this test's own, ready to answer."""
    return Path(shutil.copytree(built, tmp_path / "data"))


@dataclass(frozen=True)
class Running:
    """The bot at work: its parts, the port of its web server, and the stand-in Telegram."""

    app: App
    port: int
    api: BotApi


@pytest.fixture
async def running(data_dir: Path) -> AsyncIterator[Running]:
    """The real bot with both channels, on loopback."""
    async with BotApi() as api:
        settings = Settings(data_dir=data_dir, web_port=0, telegram_bot_token=SecretStr(TOKEN), telegram_api_base=api.url)
        opened = Opened(settings)
        app = App(opened)
        try:
            yield Running(app, await app.start(), api)
        finally:
            await app.stop()
            opened.close()
