"""Reindex: build beside, verify, switch, keep the last three.

    index/
      entries-<id>/  laws-<id>/    immutable corpora, named after what they were made from; unchanged ones are used again
      000012.json                  a generation: which corpora it serves and what they were made from
      current                      which generation is served, and up to which revision of the library that is right

Nothing that serves is ever written to. The library is rehearsed first, the index built from the rehearsal, and only
when the index is complete and verified are library and pointer changed, in that order; when the library changed meanwhile, the
rehearsal is repeated (vectors of unchanged texts are reused, so that is quick). Killed at any moment, the old generation serves.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from indexing import local
from indexing.encoder import Encoder
from indexing.guard import compare
from indexing.index import Unit
from indexing.laws import LawCorpus, laws_fingerprint, write_laws
from indexing.local import LocalIndex, Progress
from indexing.search import search, understand
from knowledge import library
from knowledge.clock import stamp
from knowledge.court import load_topics
from knowledge.database import Database, Db
from knowledge.entry import Entry
from knowledge.errors import BadInput, Conflict, IndexUnusable, PromiseBroken
from knowledge.library import Changes, Published
from knowledge.sources import Reading, Refused, read_sources

KEPT = 3
SPLITTER = 3
"""Grows when `words` or `Entry.searchable_texts` split otherwise, so that older corpora are not used again."""
SHIPPED_CONTENT = Path(library.__file__).parent / "content"


@dataclass(frozen=True)
class Sources:
    """Where imported knowledge comes from; remembered from one reindex to the next. Paths are absolute."""

    knowledge: tuple[str, ...] = ()
    laws: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generation:
    """One state of the index; `covers` is the library revision it was built from."""

    number: int
    entries: str
    laws: str | None
    covers: int
    made_at: str
    model_name: str
    sources: Sources
    entry_count: int
    article_count: int


@dataclass(frozen=True)
class Report:
    """What a reindex did: the new generation, changes by origin, and what was refused."""

    generation: Generation
    changes: dict[str, Changes]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Opened:
    """A generation ready to search."""

    generation: Generation
    entries: LocalIndex
    laws: LawCorpus | None


def reindex(
    database: Database,
    folder: Path,
    encoder: Encoder,
    at: datetime,
    knowledge: Sequence[Path] | None = None,
    laws: Sequence[Path] | None = None,
    progress: Progress | None = None,
    exam: Sequence[tuple[str, Collection[str]]] = (),
) -> Report:
    """Bring the index up to date with its sources and make it the one that serves.

    `knowledge` and `laws` replace what was imported before (an empty sequence removes it); None keeps the remembered paths.
    With `exam` (questions and the entries that are right) an index of the same sources that finds less than the one before is not
    taken (`guard`). Raises BadInput for that, and when given sources hold nothing usable, Conflict when another reindex runs; then
    nothing has changed.
    """
    with _only_builder(folder):
        before: Sources = database.read(_remembered).result()
        sources = Sources(
            before.knowledge if knowledge is None else tuple(str(path.resolve()) for path in knowledge),
            before.laws if laws is None else tuple(str(path.resolve()) for path in laws),
        )
        origins, refused = _read(database, sources, fresh=knowledge is not None)
        laws_name, laws_refused, articles = _build_laws(folder, encoder, sources, laws is not None, at, progress)
        covers = None
        while covers is None:
            revision, changes, entries = database.read(lambda db: _replace(db, origins, at)).result()
            entries_name = _build_entries(folder, encoder, entries, progress)
            _verify(folder, encoder, entries_name, entries)
            if exam and sources == before:
                _guard(folder, encoder, entries_name, entries, exam)
            # None: somebody changed the library meanwhile, so the rehearsal no longer holds.
            covers = database.write(partial(_commit, revision=revision, origins=origins, sources=sources, at=at)).result()
        generation = _switch(folder, entries_name, laws_name, covers, encoder.name, sources, len(entries), articles, at)
        _clean_up(folder)
        return Report(generation, changes, (*refused, *laws_refused))


def refresh(database: Database, folder: Path, encoder: Encoder, at: datetime) -> Generation | None:
    """Follow what staff changed in the library since the index was built; None when there was nothing to do."""
    with _only_builder(folder):
        revision, entries = database.read(lambda db: (library.revision(db), library.all_published(db))).result()
        now = current(folder)
        if now is None or now.covers == revision:
            return None
        name = _build_entries(folder, encoder, entries, None)
        _verify(folder, encoder, name, entries)
        generation = _switch(folder, name, now.laws, revision, encoder.name, now.sources, len(entries), now.article_count, at)
        _clean_up(folder)
        return generation


def rollback(database: Database, folder: Path, encoder: Encoder, at: datetime) -> Generation:
    """Serve the generation before the current one, and give the library back the imported entries it had then.

    What staff published in the console since is kept, and indexed anew. Raises BadInput when there is no generation before,
    IndexUnusable when it is damaged or another model's; then nothing has changed.
    """
    with _only_builder(folder):
        now = current(folder)
        earlier = [number for number in _numbers(folder) if now and number < now.number]
        if not earlier:
            raise BadInput("没有更早的索引可以退回。")
        target = _generation(folder, earlier[-1])
        opened = open_generation(folder, target, encoder)
        opened.entries.check()
        origins: dict[str, list[Entry]] = {"shipped": [], "files": []}
        for origin, body in opened.entries.sql("SELECT origin, body FROM entries"):
            if origin in origins:
                origins[origin].append(Entry.from_json(body))
        database.write(lambda db: _commit(db, None, origins, target.sources, at)).result()
        revision, entries = database.read(lambda db: (library.revision(db), library.all_published(db))).result()
        # Console entries may have changed since that generation: then it does not cover the library, and `refresh` follows.
        same = _entries_name(encoder, entries) == target.entries
        _point(folder, target.number, revision if same else -1)
        return _generation(folder, target.number)


def report_json(report: Report) -> dict[str, Any]:
    """A report for `--json`: counts by origin, and every refusal with file, row and reason."""
    return {
        "generation": report.generation.number,
        "entries": report.generation.entry_count,
        "articles": report.generation.article_count,
        "changes": {origin: {kind: len(ids) for kind, ids in asdict(changes).items()} for origin, changes in report.changes.items()},
        "refused": [{"file": str(item.path), "row": item.row, "reason": item.reason} for item in report.refused],
    }


def report_lines(report: Report) -> list[str]:
    """A report in a few Chinese lines: what changed, what was refused."""
    now = report.generation
    lines = [f"已切换到第 {now.number} 代索引：条目 {now.entry_count}，法条 {now.article_count}。"]
    for origin, label in (("shipped", "自带内容"), ("files", "导入资料")):
        found = report.changes[origin]
        if found.new or found.changed or found.same or found.withdrawn:
            lines.append(f"{label}：新增 {len(found.new)}，变动 {len(found.changed)}，不变 {len(found.same)}，撤下 {len(found.withdrawn)}")
        lines += [f"未收：{entry_id} 与工作人员在这里做的条目编号相同，保留后者" for entry_id in found.kept_ours]
    lines += [f"未收：{item}" for item in report.refused[:20]]
    return lines + ([f"……共 {len(report.refused)} 处未收"] if len(report.refused) > 20 else [])


def current(folder: Path) -> Generation | None:
    """The generation that serves, or None when nothing has been built yet. Raises IndexUnusable when the pointer is damaged."""
    pointer = folder / "current"
    if not pointer.exists():
        return None
    try:
        pointed = json.loads(pointer.read_text(encoding="utf-8"))
        return _generation(folder, pointed["number"], pointed["covers"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexUnusable("索引指针损坏。请运行：python -m bot reindex") from error


def open_generation(folder: Path, generation: Generation, encoder: Encoder) -> Opened:
    """Open a generation for searching. Raises IndexUnusable when it is damaged or another model's."""
    laws = LawCorpus(LocalIndex(folder / generation.laws, encoder.fingerprint)) if generation.laws else None
    return Opened(generation, LocalIndex(folder / generation.entries, encoder.fingerprint), laws)


def _remembered(db: Db) -> Sources:
    found = library.recall(db, "sources", {})
    return Sources(tuple(found.get("knowledge", ())), tuple(found.get("laws", ())))


def _read(database: Database, sources: Sources, fresh: bool) -> tuple[dict[str, list[Entry]], list[Refused]]:
    topics = load_topics()
    shipped = read_sources([SHIPPED_CONTENT / "faq", SHIPPED_CONTENT / "guides"], topics)
    files = read_sources([Path(path) for path in sources.knowledge], topics)
    gone = [Path(path) for path in sources.knowledge if not Path(path).exists()]
    if gone:
        # On another machine, or with a disk missing, nothing that answers is thrown away.
        kept = [item.entry for item in database.read(library.all_published).result() if item.origin == "files"]
        files = Reading(tuple(kept), tuple(Refused(path, None, "找不到了，沿用上次导入的内容") for path in gone))
    if fresh and sources.knowledge and not files.entries:
        raise BadInput("给出的资料里没有一条能用：" + "；".join(str(item) for item in files.refused[:5]))
    known = {entry.id for entry in shipped.entries}
    # The court's own entry wins over a shipped one of the same id.
    own = {entry.id for entry in files.entries}
    kept = [entry for entry in shipped.entries if entry.id not in own] if known & own else list(shipped.entries)
    return {"shipped": kept, "files": list(files.entries)}, [*shipped.refused, *files.refused]


def _replace(db: Db, origins: dict[str, list[Entry]], at: datetime) -> tuple[int, dict[str, Changes], list[Published]]:
    """Change the library; run as a rehearsal it tells what the index must hold. Returns the revision before."""
    revision = library.revision(db)
    changes = {origin: library.replace_origin(db, origin, entries, at) for origin, entries in origins.items()}
    return revision, changes, library.all_published(db)


def _commit(db: Db, revision: int | None, origins: dict[str, list[Entry]], sources: Sources, at: datetime) -> int | None:
    """Change the library for good and return its new revision; None when it is no longer at `revision`."""
    if revision is not None and library.revision(db) != revision:
        return None
    _replace(db, origins, at)
    library.remember(db, "sources", asdict(sources))
    return library.revision(db)


def _build_entries(folder: Path, encoder: Encoder, entries: Sequence[Published], progress: Progress | None) -> str:
    name = _entries_name(encoder, entries)
    if not _is_whole(folder / name, encoder):
        units = [Unit(item.entry.id, text) for item in entries for text in item.entry.searchable_texts()]

        def keep_bodies(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE entries (id TEXT PRIMARY KEY, origin TEXT, hash TEXT, body TEXT, state TEXT)")
            connection.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, 'published')",
                ((item.entry.id, item.origin, item.hash, item.entry.to_json()) for item in entries),
            )

        documents = {item.entry.id: item.entry.full_text() for item in entries}
        against = {item.entry.id: item.entry.not_for for item in entries if item.entry.not_for}
        known = _known_vectors(folder, encoder)
        local.build(folder / name, units, encoder, {"kind": "entries"}, known, documents, keep_bodies, against=against, progress=progress)
    return name


def _entries_name(encoder: Encoder, entries: Sequence[Published]) -> str:
    return _corpus_name("entries", encoder, [(item.entry.id, item.hash) for item in entries])


def _known_vectors(folder: Path, encoder: Encoder) -> dict[str, Any]:
    """Vectors of the entries that serve now; nothing when that index is another model's or unusable: then all is encoded anew."""
    try:
        now = current(folder)
        return LocalIndex(folder / now.entries, encoder.fingerprint).known_vectors() if now else {}
    except IndexUnusable:
        return {}


def _build_laws(
    folder: Path, encoder: Encoder, sources: Sources, fresh: bool, at: datetime, progress: Progress | None
) -> tuple[str | None, list[Refused], int]:
    if not sources.laws:
        return None, [], 0
    paths = [Path(path) for path in sources.laws]
    gone = [path for path in paths if not path.exists()]
    if gone:
        now = current(folder)
        refused = [Refused(path, None, "找不到了，沿用上次导入的法规" if now else "找不到了") for path in gone]
        return (now.laws, refused, now.article_count) if now else (None, refused, 0)
    name = _corpus_name("laws", encoder, [laws_fingerprint(paths, at.date())])
    if not _is_whole(folder / name, encoder):
        write_laws(folder / name, paths, encoder, at.date(), progress)
    manifest = LocalIndex(folder / name, encoder.fingerprint).manifest
    if fresh and not manifest["articles"]:
        raise BadInput("给出的文件夹里没有能读的法规文件（Markdown）。")
    refused = [Refused(Path(path), None, reason) for path, reason in manifest["refused"]]
    return name, refused, int(manifest["articles"])


def _is_whole(folder: Path, encoder: Encoder) -> bool:
    """Whether this corpus exists undamaged; a damaged one is removed, to be built again."""
    if not folder.exists():
        return False
    try:
        LocalIndex(folder, encoder.fingerprint).check()
    except IndexUnusable:
        shutil.rmtree(folder)
        return False
    return True


def _verify(folder: Path, encoder: Encoder, name: str, entries: Sequence[Published]) -> None:
    """Files as written, every entry there, and a sample of standard questions finds its own entry first or level with the first."""
    index = LocalIndex(folder / name, encoder.fingerprint)
    index.check()
    expected = sum(len(item.entry.searchable_texts()) for item in entries)
    if index.size != expected:
        raise PromiseBroken(f"新索引少了内容（应有 {expected} 条，实有 {index.size} 条），没有切换。请重试。")
    for item in entries[:: max(1, len(entries) // 20)]:
        hits = search(index, understand(encoder, item.entry.question), 3)
        if hits and all(hit.key != item.entry.id for hit in hits) and hits[0].wording != item.entry.question:
            raise PromiseBroken(f"新索引搜不到条目 {item.entry.id} 自己的问题，没有切换。请检查向量模型。")


def _guard(folder: Path, encoder: Encoder, name: str, entries: Sequence[Published], exam: Sequence[tuple[str, Collection[str]]]) -> None:
    """Raise BadInput when what serves now, made by the same model, finds more."""
    try:
        now = current(folder)
        before = LocalIndex(folder / now.entries, encoder.fingerprint) if now and now.entries != name else None
    except IndexUnusable:
        return
    if before is None:
        return
    had = {entry_id for (entry_id,) in before.sql("SELECT id FROM entries")}
    found = compare(before, LocalIndex(folder / name, encoder.fingerprint), encoder, exam, had & {item.entry.id for item in entries})
    if found.worse:
        raise BadInput(f"新索引比现在用的差，没有切换：{found}。请检查改动过的条目；确实要用，请加 --accept。")


def _switch(
    folder: Path, entries: str, laws: str | None, covers: int, model: str, sources: Sources, entry_count: int, articles: int, at: datetime
) -> Generation:
    number = max(_numbers(folder), default=0) + 1
    generation = Generation(number, entries, laws, covers, stamp(at), model, sources, entry_count, articles)
    _write(folder / f"{number:06d}.json", asdict(generation))
    _point(folder, number, covers)
    return generation


def _point(folder: Path, number: int, covers: int) -> None:
    _write(folder / "current", {"number": number, "covers": covers})


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace a small file whole: a reader sees the old one or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _generation(folder: Path, number: int, covers: int | None = None) -> Generation:
    fields = json.loads((folder / f"{number:06d}.json").read_text(encoding="utf-8"))
    sources = Sources(**{name: tuple(paths) for name, paths in fields.pop("sources").items()})
    return Generation(**fields | {"sources": sources} | ({} if covers is None else {"covers": covers}))


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("[0-9]*.json"))


def _corpus_name(kind: str, encoder: Encoder, content: Any) -> str:
    made_from = json.dumps([local.FORMAT, SPLITTER, encoder.fingerprint, content], ensure_ascii=False)
    return f"{kind}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"


def _clean_up(folder: Path) -> None:
    """Keep the newest generations up to the current one, and only the corpora they serve."""
    now = current(folder)
    kept = [number for number in _numbers(folder) if now and number <= now.number][-KEPT:]
    for number in set(_numbers(folder)) - set(kept):
        (folder / f"{number:06d}.json").unlink()
    used = {name for number in kept for name in (_generation(folder, number).entries, _generation(folder, number).laws)}
    for path in folder.iterdir():
        if path.is_dir() and path.name not in used:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "building.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("另一个重建索引的任务正在进行，请等它完成后再试。") from error
        yield
