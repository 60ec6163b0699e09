"""Every setting, read once from the environment or `.env` beside pyproject.toml. Nothing else reads the environment."""

import ipaddress
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from knowledge.errors import BadInput

ROOT = Path(__file__).parent.parent
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(BaseSettings):
    """What can be set from outside; each field's description is the line above it in `.env.example`."""

    model_config = SettingsConfigDict(env_file=ROOT / ".env", env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(ROOT / "data", description="数据文件夹：数据库、索引、法院自己的配置都在里面")
    web_host: str = Field("127.0.0.1", description="网页监听地址；对外提供请放在反向代理后面，不要直接改成 0.0.0.0")
    web_port: int = Field(8080, ge=0, le=65535, description="网页监听端口")
    public_url: str | None = Field(None, description="企业从外部看到的网址（https://…），用来核对网页来源；没有反向代理就不填")
    console_url: str | None = Field(None, description="工作人员在法院内网打开的网址，用来生成登录链接；不填就用监听地址")
    console_networks: str = Field(
        "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        description="能打开工作台 /console 的网段，逗号分隔",
    )
    trusted_proxies: str = Field("", description="可信反向代理的网段，逗号分隔；只有来自它们的 X-Forwarded-For、X-Forwarded-Proto 才算数")
    telegram_bot_token: SecretStr | None = Field(
        None, description="Telegram 机器人令牌；不填就不开 Telegram。境内需要代理，内容会经过境外服务器"
    )
    telegram_api_base: str = Field("https://api.telegram.org", description="Telegram Bot API 地址，可以是自建服务器")
    telegram_proxy: str | None = Field(None, description="访问 Telegram 用的代理，例如 http://127.0.0.1:7890")
    telegram_webhook_url: str | None = Field(None, description="Telegram 回调网址；不填就用长轮询（推荐，无需对外开端口）")
    telegram_webhook_secret: SecretStr | None = Field(
        None, description="Telegram 回调密钥，用回调时必填，1 到 256 位字母、数字、下划线、连字符"
    )
    embedding_model: str | None = Field(None, description="向量模型：任意 sentence-transformers 名称或文件夹；不填用自带模型")
    answer_only_reviewed: bool = Field(False, description="只用本院审核发布过的条目直接答复（true/false）")
    database_synchronous: Literal["FULL", "NORMAL"] = Field(
        "FULL", description="数据库落盘方式：FULL 断电不丢，NORMAL 更快但断电可能丢最后几条"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="日志详细程度；日志里没有个人信息")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # Never the current folder: a relative path is beside pyproject.toml.
        return value if value.is_absolute() else ROOT / value

    @field_validator("console_networks", "trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @cached_property
    def console(self) -> list[Network]:
        """The networks that may open the console."""
        return _networks(self.console_networks)

    @cached_property
    def proxies(self) -> list[Network]:
        """The proxies whose forwarded address is believed."""
        return _networks(self.trusted_proxies)


def load_settings(data_dir: Path | None = None) -> Settings:
    """The settings; `data_dir` from the command line wins. Raises BadInput naming the variable and what it should be."""
    try:
        return Settings(data_dir=data_dir.resolve()) if data_dir else Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"设置 {'.'.join(map(str, first['loc'])).upper()} 不对：{first['msg']}。请改正 .env 或环境变量。") from error


def env_example() -> str:
    """The text of `.env.example`: every setting, commented out, with its default."""
    lines = ["# 院企通的全部设置。复制为 .env 后，去掉要改的那一行前面的 #。", ""]
    for name, field in Settings.model_fields.items():
        default = "data" if name == "data_dir" else "" if field.default is None else str(field.default)
        lines += [f"# {field.description}", f"#{name.upper()}={default.lower() if isinstance(field.default, bool) else default}", ""]
    return "\n".join(lines)


def _networks(text: str) -> list[Network]:
    return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]
