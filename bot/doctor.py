"""Says what is configured, what is missing or overridden, and the command that mends it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec

from bot.access import all_staff
from bot.library_stats import library_stats
from bot.startup import Opened
from indexing import building
from knowledge import library
from knowledge.clock import now
from knowledge.database import Db, row
from knowledge.errors import YuanqitongError
from knowledge.ledger.history import verify

LEAST_FREE = 500_000_000


@dataclass(frozen=True)
class Finding:
    """One line: ✔ in order, ！ worth knowing, ✘ broken; with what to do."""

    mark: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.mark} {self.text}" + (f"　→ {self.fix}" if self.fix else "")


def examine(opened: Opened) -> list[Finding]:
    """Everything worth saying about this installation; an examination that fails is itself a finding."""
    found: list[Finding] = []
    for part in (_court, _index, _library, _model, _ledger, _delivery, _people, _channels, _calendar, _disk):
        try:
            found += part(opened)
        except YuanqitongError as error:
            found.append(Finding("✘", str(error)))
    return found


def _court(opened: Opened) -> Iterator[Finding]:
    court, own = opened.court, opened.folders.data / "court.yaml"
    if court.is_demo:
        yield Finding("！", f"还没有确认是哪个法院，所有页面显示“{court.watermark}”", f"在 {own} 里填 court_name 和 confirmed_by")
    else:
        yield Finding("✔", f"{court.name}，由 {court.confirmed_by} 确认")
    if court.own_keys:
        yield Finding("✔", f"本院配置覆盖了：{'、'.join(court.own_keys)}")
    for name in ("calendar.csv", "calibration.json"):
        if (opened.folders.data / name).exists():
            yield Finding("✔", f"使用本院自己的 {name}")


def _index(opened: Opened) -> Iterator[Finding]:
    generation = building.current(opened.folders.index)
    if generation is None:
        yield Finding("！", "还没有索引，第一次启动时会自动建立", "python -m bot reindex")
        return
    building.open_generation(opened.folders.index, generation, opened.encoder).entries.check()
    yield Finding(
        "✔", f"索引第 {generation.number} 代，{generation.made_at[:16]} 建：条目 {generation.entry_count}，法条 {generation.article_count}"
    )
    if not generation.laws:
        yield Finding("！", "没有导入法规，答不上来时不能列出相关法条", "python -m bot reindex --laws 法规文件夹")
    revision = opened.database.read(library.revision).result()
    if revision != generation.covers:
        yield Finding("！", "条目有改动还没进索引", "启动着的机器人几秒内会自动跟上；没启动就运行 python -m bot reindex")
    counts = opened.database.read(library.counts).result()
    yield Finding("✔", "条目：" + "，".join(f"{kind} {n}" for kind, n in counts.items()))


def _library(opened: Opened) -> Iterator[Finding]:
    found = library_stats(opened)
    few = f"；{len(found.below_floor)} 个主题的问答不足" if found.below_floor else ""
    text = f"问法 {found.wordings} 句，引用 {found.citations} 处；本院已审核 {found.reviewed} 条{few}"
    yield Finding("！" if few else "✔", text, "python -m bot library stats" if few else "")
    for problem in found.outdated:
        yield Finding("！", f"依据要更新：{problem}", "改正该条目后运行 python -m bot reindex")
    thesaurus, refused = opened.thesaurus
    own = opened.folders.data / "thesaurus.csv"
    yield Finding("✔", f"同义词表 {len(thesaurus.rows)} 行" + (f"，含本院自己的 {own}" if own.exists() else ""))
    for item in refused:
        yield Finding("！", f"同义词表 {item}", "改正这一行后重启")


def _model(opened: Opened) -> Iterator[Finding]:
    from indexing.confidence import load_calibration

    calibration = load_calibration(opened.calibration_file, opened.encoder.fingerprint)
    if calibration.answer_from > 1:
        own = opened.folders.data / "calibration.json"
        fix = f"删除 {own}（它是为别的模型做的）" if own.exists() else "去掉 EMBEDDING_MODEL 用自带模型"
        yield Finding("！", f"向量模型 {opened.encoder.name} 没有校准过，只列选项、不直接答复", fix)
    else:
        yield Finding(
            "✔", f"向量模型 {opened.encoder.name}，把握 {calibration.answer_from:.2f} 起直接答复，{calibration.offer_from:.2f} 起列选项"
        )
    if opened.settings.embedding_model and not find_spec("sentence_transformers"):
        yield Finding("✘", "设置了 EMBEDDING_MODEL，但没有安装模型组件", "make install")
    if opened.settings.answer_only_reviewed:
        yield Finding("！", "只用本院审核过的条目答复（ANSWER_ONLY_REVIEWED=true）")


def _ledger(opened: Opened) -> Iterator[Finding]:
    found = opened.database.read(verify).result()
    if found.first_break:
        yield Finding("✘", f"台账历史链断在：{found.first_break}", "用备份比对：python -m bot restore 备份文件 --check")
    else:
        yield Finding("✔", f"台账历史链完整，{found.length} 条")


def _delivery(opened: Opened) -> Iterator[Finding]:
    def read(db: Db) -> dict[str, int]:
        return (
            row(
                db,
                "SELECT (SELECT count(*) FROM inbox WHERE done_at IS NULL) AS unhandled,"
                " (SELECT count(*) FROM outbox WHERE state = 'waiting') AS waiting,"
                " (SELECT count(*) FROM outbox WHERE state = 'failed') AS failed",
            )
            or {}
        )

    counts = opened.database.read(read).result()
    mark = "！" if counts["failed"] else "✔"
    yield Finding(mark, f"未处理消息 {counts['unhandled']}，待送达 {counts['waiting']}，送不到 {counts['failed']}")


def _people(opened: Opened) -> Iterator[Finding]:
    people = opened.database.read(all_staff).result()
    if not people:
        yield Finding("！", "还没有工作人员，登记的需求没有人看", "python -m bot staff add 姓名 --role registrar")
    else:
        yield Finding("✔", f"工作人员 {len(people)} 人")


def _channels(opened: Opened) -> Iterator[Finding]:
    settings = opened.settings
    yield Finding("✔", f"网页 http://{settings.web_host}:{settings.web_port}/，工作台只对这些网段开放：{settings.console_networks}")
    if settings.web_host not in ("127.0.0.1", "::1", "localhost"):
        yield Finding("！", f"网页直接监听 {settings.web_host}", "对外请只经过反向代理，见 README")
    if settings.telegram_bot_token:
        yield Finding("！", "Telegram 已开：境内需要代理，消息会经过境外服务器；需求和通知已遮盖个人信息")
        if settings.telegram_webhook_url and not settings.telegram_webhook_secret:
            yield Finding("✘", "用 Telegram 回调必须有密钥", "设置 TELEGRAM_WEBHOOK_SECRET")
    else:
        yield Finding("✔", "Telegram 未开（没有设置 TELEGRAM_BOT_TOKEN）")


def _calendar(opened: Opened) -> Iterator[Finding]:
    year = now().year
    for wanted in (year, year + 1):
        if opened.calendar.is_working_day(date(wanted, 1, 4)) is None:
            where = opened.folders.data / "calendar.csv"
            yield Finding(
                "！", f"没有 {wanted} 年的工作日历，回执只写“{opened.court.answer_days} 个工作日内”", f"把该年放假安排写进 {where}"
            )


def _disk(opened: Opened) -> Iterator[Finding]:
    free = shutil.disk_usage(opened.folders.data).free
    yield Finding(
        "✔" if free > LEAST_FREE else "✘", f"磁盘剩余 {free // 1_000_000} MB", "" if free > LEAST_FREE else "清理磁盘，否则消息写不下来"
    )
