"""README says what is so: every command, option, setting and file it names exists, in both languages alike."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bot.__main__ import main
from bot.settings import ROOT, Settings
from knowledge.court import ROLES, load_court
from knowledge.ledger.deadlines import Calendar

LANGUAGES = ("README.md", "README.zh-CN.md")
PLACES = ("bot/", "indexing/", "knowledge/", "tests/")
OUTSIDE = {"YUANQITONG_DATA"}
"""Read by the tests alone, so no setting of the product."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def fences(name: str, language: str) -> list[str]:
    """What stands in the code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(name), re.MULTILINE | re.DOTALL)


def spans(name: str) -> list[str]:
    """What stands between single backticks, code blocks aside."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text_of(name), flags=re.MULTILINE | re.DOTALL))


def shell_lines(name: str) -> list[str]:
    lines = [line.strip() for block in fences(name, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def bot_calls(name: str) -> Iterator[list[str]]:
    """The words after `python -m bot`, wherever it is written."""
    for line in [*shell_lines(name), *spans(name)]:
        found = re.match(r"(?:\.venv/bin/)?python -m bot (.*)", line)
        if found and "…" not in found[1]:
            yield shlex.split(found[1])


def make_targets() -> set[str]:
    makefile = text_of("Makefile")
    folder = re.search(r"^VENV := (.*)$", makefile, re.MULTILINE)
    assert folder
    return set(re.findall(r"^([\w./-]+):(?!=)", makefile.replace("$(VENV)", folder[1]), re.MULTILINE))


def command_of(words: list[str]) -> tuple[click.Command, str, list[str]]:
    """The command that words reach in the tree, its full name, and the words left for it."""
    command: click.Command = main
    name: list[str] = []
    rest = list(words)
    while isinstance(command, click.Group):
        assert rest and rest[0] in command.commands, f"no command {' '.join([*name, *rest[:1]])!r}"
        name.append(rest[0])
        command = command.commands[rest.pop(0)]
    return command, " ".join(name), rest


def all_commands(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield before + name


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_command_and_option_exists(name: str) -> None:
    for words in bot_calls(name):
        command, _, rest = command_of(words)
        known = {option for parameter in command.params for option in parameter.opts}
        assert not {word for word in rest if re.match(r"--?[a-z]", word)} - known, words
        named = rest[rest.index("--role") + 1] if "--role" in rest else "R"
        assert named in {"R", *ROLES}, words


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_table_of_commands_is_complete(name: str) -> None:
    rows = [row.split("|")[1].strip() for row in text_of(name).splitlines() if row.startswith("| `python -m bot")]
    named = {command_of(shlex.split(row.strip("`").removeprefix("python -m bot ")))[1] for row in rows}
    assert named == set(all_commands(main))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_make_target_and_module_exists(name: str) -> None:
    written = [*shell_lines(name), *spans(name)]
    targets = {line.removeprefix("make ") for line in written if re.fullmatch(r"make \S+", line)}
    assert {"run", "test", "bench", "install"} <= targets <= make_targets()
    modules = {found[1] for line in written if (found := re.match(r"python -m (tests\.[\w.]+)", line))}
    assert modules
    assert all((ROOT / f"{module.replace('.', '/')}.py").exists() for module in modules)


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_setting_exists(name: str) -> None:
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", text_of(name)))
    assert {"TRUSTED_PROXIES", "CONSOLE_URL", "TELEGRAM_BOT_TOKEN"} <= named
    assert named - OUTSIDE <= {field.upper() for field in Settings.model_fields}


@pytest.mark.parametrize("name", LANGUAGES)
def test_settings_files_shown_can_be_used(name: str, tmp_path: Path) -> None:
    shown = [block for block in fences(name, "ini") if "[Unit]" not in block]
    for number, block in enumerate(shown):
        env = tmp_path / f"{number}.env"
        env.write_text(block, encoding="utf-8")
        settings = Settings(_env_file=env)
        assert settings.console
    (tmp_path / "court.yaml").write_text(fences(name, "yaml")[0], encoding="utf-8")
    assert not load_court(tmp_path).is_demo
    days = re.findall(r"`(\d{4}-\d\d-\d\d,\w+)`", text_of(name))
    (tmp_path / "calendar.csv").write_text("\n".join(days), encoding="utf-8")
    assert len(Calendar.load(tmp_path / "calendar.csv").own) == len(days) == 2


@pytest.mark.parametrize("name", [*LANGUAGES, "CHANGELOG.md"])
def test_every_file_named_exists(name: str) -> None:
    text = text_of(name)
    linked = {link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    drawn = {path for path in re.findall(r"<br>([\w./]+)", text) if path.startswith(PLACES)}
    in_words = {span for span in spans(name) if span.startswith(PLACES) or span in {"LICENSE", "pyproject.toml", ".env.example"}}
    missing = {path for path in linked | drawn | in_words if not (ROOT / path).exists()}
    assert not missing


def test_both_languages_say_the_same() -> None:
    levels = [re.findall(r"^(#+) ", re.sub(r"^```.*?^```", "", text_of(name), flags=re.MULTILINE | re.DOTALL), re.M) for name in LANGUAGES]
    assert levels[0] == levels[1]
    assert shell_lines(LANGUAGES[0]) == shell_lines(LANGUAGES[1])
    assert list(bot_calls(LANGUAGES[0])) == list(bot_calls(LANGUAGES[1]))
    for language in ("nginx", "ini", "yaml"):
        one, other = ([re.sub(r"^#.*\n", "", block, flags=re.MULTILINE) for block in fences(name, language)] for name in LANGUAGES)
        assert one == other
    one, other = ([re.sub(r"[^|]", "", line) for line in text_of(name).splitlines() if line.startswith("|")] for name in LANGUAGES)
    assert one == other, "a row of a table is missing"
    arrows = [len(re.findall(r"--", fences(name, "mermaid")[0])) for name in LANGUAGES]
    assert arrows[0] == arrows[1]


@pytest.mark.parametrize("name", LANGUAGES)
def test_figures_have_their_place(name: str) -> None:
    assert re.search(r"^<!-- bench -->\n\|.*\n\|[-|]+\n(\|.*\n)*<!-- /bench -->$", text_of(name), re.MULTILINE)


@pytest.mark.parametrize("name", LANGUAGES)
def test_pictures_are_light(name: str) -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text_of(name))
    assert len(pictures) == 9
    assert all(0 < (ROOT / picture).stat().st_size <= 250_000 for picture in pictures)


def test_the_changelog_names_this_version() -> None:
    version = re.search(r'^version = "(.*)"$', text_of("pyproject.toml"), re.MULTILINE)
    assert version and f"\n## [{version[1]}] - " in text_of("CHANGELOG.md")
