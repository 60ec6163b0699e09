"""What the design promises about the code itself: import directions, heavy imports, one reader of the environment."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.settings import ROOT, env_example

PACKAGES = ("bot", "indexing", "knowledge")
ALLOWED = {"bot": {"bot", "indexing", "knowledge"}, "indexing": {"indexing", "knowledge"}, "knowledge": {"knowledge"}}
ONLY_IN = {
    "faiss": {"indexing/vectors.py"},
    "torch": {"indexing/encoder.py", "indexing/screening.py", "indexing/training.py"},
    "sentence_transformers": {"indexing/encoder.py", "indexing/training.py"},
}
NEVER_IN_CHANNELS = {"bot/answering.py", "bot/settings.py", "bot/asking.py", "bot/startup.py", "bot/red_lines.py", "bot/small_talk.py"}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The modules a file imports anywhere, also inside functions; what is imported for types alone does not run."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    own = {module.split(".")[0] for module in imports(path)}
    assert own & set(PACKAGES) <= ALLOWED[name.split("/")[0]]
    if not name.startswith("bot/") or name in NEVER_IN_CHANNELS:
        assert not own & {"aiogram", "aiohttp"}
    for library, places in ONLY_IN.items():
        assert library not in own or name in places, f"{library} in {name}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_settings_read_the_environment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    # The child process of a foreign model is told to stay offline; that sets the environment, it does not read it.
    if name in ("bot/settings.py", "indexing/encoder.py"):
        return
    assert "os.environ" not in text and "getenv" not in text


def test_env_example_is_what_settings_read() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


def test_asking_needs_neither_aiogram_nor_torch(data_dir: Path) -> None:
    """`ask` starts in a second because of what it does not import."""
    code = (
        "import sys; from bot.__main__ import main\n"
        f"main(['--data-dir', {str(data_dir)!r}, 'ask', '客户拖着货款不给'], standalone_mode=False)\n"
        "print(sorted({'aiogram', 'aiohttp', 'torch', 'sentence_transformers', 'jieba'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert shown.stdout.strip().endswith("[]")


def test_no_names_that_say_nothing() -> None:
    vague = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "base", "service"}
    assert not [path for path in sources() if path.stem in vague]
