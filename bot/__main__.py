"""The command line: a stable contract people script against (README lists it; DESIGN section 8).

Each command imports what it needs when it runs, so that `ask` starts in a second. With `--json`, standard output carries
JSON alone; progress and complaints go to standard error. Exit codes: 0 done, 2 the input is wrong, 1 our fault or a broken promise.
"""

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from bot.settings import Settings, load_settings
from bot.startup import Opened
from knowledge.errors import BadInput, PromiseBroken, YuanqitongError


class Failing(click.Group):
    """Turns our errors into one line on standard error and an exit code; any other error is our fault."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except YuanqitongError as error:
            click.echo(f"错误：{error}", err=True)
            ctx.exit(error.exit_code)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            logging.getLogger(__name__).debug("internal error", exc_info=True)
            click.echo(f"程序内部错误（{type(error).__name__}: {error}）。设 LOG_LEVEL=DEBUG 再运行一次可看到细节。", err=True)
            ctx.exit(1)


pass_settings = click.make_pass_decorator(Settings)


@click.group(cls=Failing, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="数据文件夹，默认是 pyproject.toml 旁边的 data/")
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None) -> None:
    """院企通：区法院给辖区企业的法律问答和司法需求台账。

    例：python -m bot run
    """
    # What is written here is the court's and the enterprises': nobody else on the machine reads it.
    os.umask(0o077)
    ctx.obj = load_settings(data_dir)
    logging.basicConfig(level=ctx.obj.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # aiohttp's access lines and aiogram's update lines would carry addresses and chat ids.
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("aiogram").setLevel(logging.WARNING)
    logging.getLogger("faiss").setLevel(logging.WARNING)


@main.command()
@click.option("--host", help="监听地址，默认取 WEB_HOST")
@click.option("--port", type=click.IntRange(0, 65535), help="监听端口，默认取 WEB_PORT")
@pass_settings
def run(settings: Settings, host: str | None, port: int | None) -> None:
    """启动网页聊天、工作台和所有已配置的渠道。

    例：python -m bot run --port 8090
    """
    import asyncio

    from bot.app import serve

    chosen = {"web_host": host, "web_port": port}
    settings = settings.model_copy(update={name: value for name, value in chosen.items() if value is not None})
    opened = _open(settings)
    try:
        asyncio.run(serve(opened, lambda line: click.echo(line)))
    finally:
        opened.close()


@main.command()
@click.argument("text", required=False)
@click.option("--batch", type=click.Path(path_type=Path, exists=True, dir_okay=False), help='每行一个 {"id":…,"q":…} 的文件')
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON")
@click.option("--why", is_flag=True, help="说明理由：候选、分数、防错检查")
@click.option("-k", type=click.IntRange(1, 100), default=3, help="候选数，默认 3")
@click.option("--record", is_flag=True, help="记入台账（提问人 cli）；不加则什么也不记")
@pass_settings
def ask(settings: Settings, text: str | None, batch: Path | None, as_json: bool, why: bool, k: int, record: bool) -> None:
    """问一个问题，走的就是机器人回答的那条路。

    例：python -m bot ask 客户一直拖着货款不给，怎么办 --why
    """
    from bot import asking

    if (text is None) == (batch is None):
        raise BadInput("请给出一个问题，或用 --batch 给出文件，两者选一。")
    opened = _open(settings)
    if batch is not None:
        _print_batch(asking.answer_batch(opened, batch, k, record))
        return
    found = asking.answer_one(opened, text or "", k, record)
    click.echo(_json(found.as_json()) if as_json else found.as_text(why))


@main.command()
@click.argument("text", required=False)
@click.option("--batch", type=click.Path(path_type=Path, exists=True, dir_okay=False), help='每行一个 {"id":…,"q":…} 的文件')
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON")
@click.option("-k", type=click.IntRange(1, 1000), default=100, help="条数，默认 100")
@pass_settings
def statutes(settings: Settings, text: str | None, batch: Path | None, as_json: bool, k: int) -> None:
    """按问题查现行有效的法条（先用 reindex --laws 导入法规）。

    例：python -m bot statutes 拖欠货款的利息怎么算 -k 5
    """
    from bot import asking

    if (text is None) == (batch is None):
        raise BadInput("请给出一个问题，或用 --batch 给出文件，两者选一。")
    opened = _open(settings)
    if batch is not None:
        _print_batch(asking.statutes_batch(opened, batch, k))
        return
    if as_json:
        click.echo(_json(asking.statutes_of(opened, text or "", k)))
        return
    for hit in asking.statute_hits(opened, text or "", k):
        mark = "" if hit.in_force else "　（效力不明，请核对）"
        click.echo(f"{hit.score:.3f}  《{hit.law}》{hit.article}{mark}")


@main.command()
@click.option("--knowledge", multiple=True, help="要导入的资料文件或文件夹，可重复；写 none 表示不再导入")
@click.option("--laws", multiple=True, help="法规文件夹（Markdown），可重复；写 none 表示不要")
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON")
@click.option("--rollback", is_flag=True, help="退回上一代索引")
@click.option("--accept", is_flag=True, help="检验题变差了也切换")
@pass_settings
def reindex(settings: Settings, knowledge: tuple[str, ...], laws: tuple[str, ...], as_json: bool, rollback: bool, accept: bool) -> None:
    """重建索引：在旁边建好、验证、再切换；运行中的机器人两秒内用上新索引。

    例：python -m bot reindex --knowledge 政策文件/ --laws 法规/
    """
    from bot import quality
    from indexing import building

    opened = _open(settings)
    if rollback:
        generation = building.rollback(opened.database, opened.folders.index, opened.encoder, opened.clock())
        click.echo(_json({"generation": generation.number}) if as_json else f"已退回第 {generation.number} 代索引。")
        return
    exam = [] if accept else quality.exam(opened)
    report = building.reindex(
        opened.database, opened.folders.index, opened.encoder, opened.clock(), _paths(knowledge), _paths(laws), _progress, exam
    )
    opened.remember_shipped()
    click.echo(_json(building.report_json(report)) if as_json else "\n".join(building.report_lines(report)))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON")
@pass_settings
def evaluate(settings: Settings, file: Path, as_json: bool) -> None:
    """用带答案的问题文件检验质量和速度，每行 {"q":…,"expect":[条目编号]}，空表示不该答。

    例：python -m bot evaluate tests/golden/answerable.jsonl
    """
    from bot import quality

    result = quality.evaluate(_open(settings), file)
    click.echo(_json(result.as_json()) if as_json else result.as_text())


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--promise", type=click.FloatRange(0.5, 0.999), default=0.95, help="直接答复至少要有多少正确（95% 区间的下限），默认 0.95")
@pass_settings
def calibrate(settings: Settings, file: Path, promise: float) -> None:
    """用本院带答案的问题校准“把握”，每行 {"q":…,"expect":[条目编号]}；证据不够就不改动。

    例：python -m bot calibrate 检验题.jsonl --promise 0.95
    """
    from bot import quality

    click.echo("\n".join(quality.calibrate(_open(settings), file, promise)))


@main.group()
def needs() -> None:
    """司法需求台账。

    例：python -m bot needs list
    """


@needs.command("list")
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON")
@pass_settings
def needs_list(settings: Settings, as_json: bool) -> None:
    """列出需求，最新的在前；个人信息已遮盖。

    例：python -m bot needs list --json
    """
    from bot.ledger_view import need_lines, needs_json

    opened = _open(settings)
    if as_json:
        click.echo(_json(needs_json(opened)))
        return
    click.echo("\n".join(need_lines(opened)) or "台账里还没有需求。")


@needs.command("show")
@click.argument("no")
@pass_settings
def needs_show(settings: Settings, no: str) -> None:
    """显示一件需求的全过程。

    例：python -m bot needs show XQ-2026-0001
    """
    from bot.ledger_view import story_lines

    click.echo("\n".join(story_lines(_open(settings), no.upper())))


@needs.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--unmasked", is_flag=True, help="含完整的联系人和电话，要同时用 --why 写明理由")
@click.option("--why", default="", help="导出完整联系方式的理由，会记入审计")
@pass_settings
def needs_export(settings: Settings, file: Path, unmasked: bool, why: str) -> None:
    """把台账导出为 Excel 或 CSV，从已登记的需求算起；个人信息默认遮盖，专班办理的需求不在内。

    例：python -m bot needs export 台账.xlsx
    """
    from bot.sheets.whole import export_ledger

    click.echo(export_ledger(_open(settings), file, unmasked, why))


@main.group("library")
def library_group() -> None:
    """知识库。

    例：python -m bot library stats
    """


@library_group.command("stats")
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON")
@pass_settings
def stats(settings: Settings, as_json: bool) -> None:
    """各主题有多少条问答和指南、状态、问法、引用、新旧，哪些主题不足。

    例：python -m bot library stats
    """
    from bot.library_stats import library_stats

    opened = _open(settings)
    opened.ensure_index()
    found = library_stats(opened)
    click.echo(_json(found.as_json()) if as_json else "\n".join(found.as_lines()))


@main.group()
def staff() -> None:
    """工作人员和登录链接。

    例：python -m bot staff add 张三 --role registrar
    """


@staff.command("add")
@click.argument("name")
@click.option(
    "--role", "roles", multiple=True, required=True, help="角色，可重复：registrar assigner handler reviewer supervisor admin auditor"
)
@click.option("--telegram-id", type=int, help="本人的 Telegram 数字编号")
@click.option("--division", help="承办部门的代号，见 court.yaml 的 divisions，例如 commercial")
@pass_settings
def staff_add(settings: Settings, name: str, roles: tuple[str, ...], telegram_id: int | None, division: str | None) -> None:
    """添加工作人员，最后一行是 24 小时内有效的一次性登录链接。

    例：python -m bot staff add 张三 --role registrar --role reviewer
    """
    from bot.access import add_staff

    opened = _open(settings)
    if division and division not in opened.court.divisions:
        raise BadInput(f"没有 {division} 这个部门代号，可用的有：{', '.join(opened.court.divisions)}。")
    opened.database.write(lambda db: add_staff(db, name, list(roles), opened.clock(), telegram_id, division)).result()
    click.echo(f"已添加 {name.strip()}。请把下面的链接交给本人，24 小时内有效，只能用一次：")
    click.echo(_link(opened, name.strip()))


@staff.command("link")
@click.argument("name")
@pass_settings
def staff_link(settings: Settings, name: str) -> None:
    """再生成一个一次性登录链接（最后一行）。

    例：python -m bot staff link 张三
    """
    click.echo(_link(_open(settings), name.strip()))


@staff.command("list")
@pass_settings
def staff_list(settings: Settings) -> None:
    """列出工作人员。

    例：python -m bot staff list
    """
    from bot.access import all_staff
    from knowledge.court import ROLES

    for person in _open(settings).database.read(all_staff).result():
        roles = "、".join(ROLES[role] for role in json.loads(person["roles"]))
        click.echo(f"{person['name']}　{roles}　{'在职' if person['active'] else '停用'}　{person['chats'] or '未登录过'}")


@main.group()
def ledger() -> None:
    """台账的防篡改链。

    例：python -m bot ledger verify
    """


@ledger.command("verify")
@pass_settings
def ledger_verify(settings: Settings) -> None:
    """核对整条历史链，断了就指出第一处，退出码 1。

    例：python -m bot ledger verify
    """
    from knowledge.ledger.history import verify

    opened = _open(settings)
    opened.follow_rules()
    found = opened.database.read(lambda db: verify(db, opened.rules)).result()
    if found.first_break:
        raise PromiseBroken(f"台账历史链断在：{found.first_break}。请用备份比对，并报告管理员。")
    click.echo(f"台账历史链完整：{found.length} 条，其中 {found.erased} 条的文字已按要求删除（erased）。链头 {found.head}")


@ledger.command("rebuild")
@pass_settings
def ledger_rebuild(settings: Settings) -> None:
    """按历史和现在的日历、规则，重算每件需求的状态、字段和期限。

    例：python -m bot ledger rebuild
    """
    click.echo(f"已按历史重算全部需求，{_open(settings).rebuild_ledger()} 件有变化。")


@main.command("check-citations")
@click.option(
    "--laws",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="法规文件夹，可重复；不给就只按 laws.csv 核对",
)
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), help="把所引法规的版本和日期写成 laws.csv")
@pass_settings
def check_citations(settings: Settings, laws: tuple[Path, ...], write: Path | None) -> None:
    """核对每条答复引用的法条：存在、今天有效，答复里的数字在法条里找得到。

    有问题就列出，退出码 1；来源没有写明效力的只作提示。

    例：python -m bot check-citations --laws 法规/
    """
    from knowledge import citations, library

    if write and not laws:
        raise BadInput("写 laws.csv 需要法规原文，请同时给出 --laws 法规文件夹。")
    opened = _open(settings)
    opened.ensure_index()
    entries = [item.entry for item in opened.database.read(library.all_published).result()]
    by_title = citations.read_by_title(laws) if laws else None
    if write and by_title is not None:
        cited = {citation.law for entry in entries for citation in entry.basis}
        written = citations.write_register(write, (law for versions in by_title.values() for law in versions), cited)
        click.echo(f"已写 {write}：{written} 个版本。")
    problems = citations.check(entries, by_title, opened.clock().date())
    for problem in problems:
        click.echo(f"{'！' if problem.kind == 'unknown' else '✘'} {problem}")
    count = Counter(problem.kind for problem in problems)
    click.echo(
        f"核对了 {len(entries)} 个条目的 {sum(len(entry.basis) for entry in entries)} 处引用：有错 {count['wrong']} 处，"
        f"效力不明 {count['unknown']} 处，" + (f"数字对不上 {count['number']} 处。" if laws else "没有给出法规原文，数字没有核对。")
    )
    if count["wrong"] or count["number"]:
        sys.exit(1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="只输出 JSON")
@pass_settings
def reconcile(settings: Settings, as_json: bool) -> None:
    """对账：每天收到的消息 = 已答复 + 已列选项 + 已登记 + 对话 + 未受理（+ 未处理完）。

    例：python -m bot reconcile
    """
    from bot.ledger_view import reconcile_lines, reconciliation

    found = reconciliation(_open(settings))
    click.echo(_json(found) if as_json else "\n".join(reconcile_lines(found)))
    if not found["balanced"]:
        raise PromiseBroken("对不上账，见上面标出的日期。")


@main.command()
@pass_settings
def doctor(settings: Settings) -> None:
    """体检：配置了什么、缺什么、被覆盖了什么，以及该运行哪条命令。

    例：python -m bot doctor
    """
    from bot.doctor import examine

    findings = examine(_open(settings))
    for finding in findings:
        click.echo(str(finding))
    if any(finding.mark == "✘" for finding in findings):
        sys.exit(1)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_settings
def backup(settings: Settings, file: Path) -> None:
    """备份整个数据文件夹（运行中也可以），附台账链头。

    例：python -m bot backup 备份/2026-11-22.zip
    """
    from bot.backup import write_backup

    click.echo(write_backup(_open(settings), file))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="只检查备份能否恢复，不改动任何东西")
@pass_settings
def restore(settings: Settings, file: Path, check: bool) -> None:
    """从备份恢复；先检查，再放回（原来的数据改名保留）。

    例：python -m bot restore 备份/2026-11-22.zip --check
    """
    from bot.backup import restore_backup

    click.echo(restore_backup(settings.data_dir, file, check))


def _json(content: object) -> str:
    """One line of JSON, whatever is in it: separators that some readers take for line ends and halves of characters are escaped."""
    escaped = json.dumps(content, ensure_ascii=False).translate({0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"})
    return escaped.encode("utf-8", "backslashreplace").decode()


def _open(settings: Settings) -> Opened:
    return Opened(settings, progress=_progress)


def _progress(what: str, done: int, total: int) -> None:
    """Progress on standard error, one line that is written over on a terminal."""
    share = f"{done}/{total}" if total else str(done)
    end = "\n" if not sys.stderr.isatty() or done == total else "\r"
    if sys.stderr.isatty() or done == total:
        click.echo(f"{what} {share}{end}", err=True, nl=False)


def _link(opened: Opened, name: str) -> str:
    from bot.access import make_link

    token = opened.database.write(lambda db: make_link(db, name, opened.clock())).result()
    settings = opened.settings
    base = settings.console_url or f"http://{settings.web_host}:{settings.web_port}"
    return f"{base.rstrip('/')}/console/enter?token={token}"


def _paths(given: tuple[str, ...]) -> list[Path] | None:
    if not given:
        return None
    if given == ("none",):
        return []
    for path in given:
        if not Path(path).exists():
            raise BadInput(f"没有这个文件或文件夹：{path}")
    return [Path(path) for path in given]


def _print_batch(results: Iterable[dict[str, Any]]) -> None:
    failed = False
    for result in results:
        failed = failed or "error" in result
        click.echo(_json(result))
    if failed:
        sys.exit(2)


if __name__ == "__main__":
    main(prog_name="python -m bot")
