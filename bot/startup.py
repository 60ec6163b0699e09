"""Opens a data folder: database, court configuration, model, index, and what answers from them.

The command line and the running bot start the same way, so `ask` answers exactly as the bot does. On an empty data folder
the shipped content is indexed first; after an upgrade that changed it, again.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bot.settings import Settings
from knowledge import library
from knowledge.clock import now
from knowledge.court import CONTENT, Court, Topic, load_court, load_topics, topic_codes
from knowledge.database import Database, Db
from knowledge.files import Refused
from knowledge.ledger import history
from knowledge.ledger.deadlines import Calendar, Rules
from knowledge.ledger.record import CACHED
from knowledge.thesaurus import Thesaurus, load_thesaurus

if TYPE_CHECKING:
    from bot.answering import Answering
    from indexing.building import Generation
    from indexing.confidence import Calibration
    from indexing.encoder import Encoder
    from indexing.spelling import Spelling

Progress = Callable[[str, int, int], None]
SHIPPED_CALIBRATION = CONTENT.parent.parent / "indexing" / "model" / "calibration.json"


@dataclass(frozen=True)
class Folders:
    """Where things lie inside the data folder."""

    data: Path

    @property
    def database(self) -> Path:
        """The one SQLite file."""
        return self.data / "yuanqitong.db"

    @property
    def index(self) -> Path:
        """Index generations."""
        return self.data / "index"

    @property
    def imports(self) -> Path:
        """Tables on their way in: looked at, not yet committed."""
        return self.data / "imports"

    @property
    def documents(self) -> Path:
        """Documents dropped in by admins."""
        return self.data / "documents"


class Opened:
    """An opened data folder; what is expensive is opened when first asked for."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = now, progress: Progress | None = None) -> None:
        self.settings, self.clock, self._progress = settings, clock, progress
        self.folders = Folders(settings.data_dir)

    @cached_property
    def database(self) -> Database:
        """The database, brought to the newest schema. Raises StorageFailed."""
        return Database(self.folders.database, self.settings.database_synchronous)

    @cached_property
    def court(self) -> Court:
        """The court's configuration. Raises Unreadable."""
        return load_court(self.folders.data)

    @cached_property
    def topics(self) -> dict[str, Topic]:
        """The taxonomy."""
        return load_topics()

    @cached_property
    def thesaurus(self) -> tuple[Thesaurus, list[Refused]]:
        """The words of the street and of the law, the court's own first; and the rows that cannot be used."""
        from indexing.words import clean

        return load_thesaurus(self.folders.data / "thesaurus.csv", topic_codes(), clean)

    @cached_property
    def spelling(self) -> "Spelling":
        """What reads slips of the thumb; it knows the words of the thesaurus besides the model's."""
        from indexing.spelling import Spelling

        return Spelling(term for row in self.thesaurus[0].rows for term in row[:2])

    @cached_property
    def calendar(self) -> Calendar:
        """The court's calendar. Raises Unreadable."""
        return Calendar.load(self.folders.data / "calendar.csv")

    @cached_property
    def rules(self) -> Rules:
        """What is due when in this court. Raises Unreadable."""
        return Rules.of(self.court, self.calendar)

    @cached_property
    def encoder(self) -> "Encoder":
        """The embedding model. Raises IndexUnusable when the one that is configured is not here."""
        from indexing.encoder import load_encoder

        return load_encoder(self.settings.embedding_model)

    @cached_property
    def answering(self) -> "Answering":
        """What answers questions from the current index, which is built first where there is none.

        Raises IndexUnusable when the index is damaged or another model's.
        """
        from bot.answering import Answering
        from indexing.building import open_generation

        generation = self.ensure_index()
        return Answering(
            self.database,
            self.encoder,
            self.calibration,
            open_generation(self.folders.index, generation, self.encoder),
            self.clock,
            self.thesaurus[0],
            self.spelling,
            self.settings.answer_only_reviewed,
        )

    @cached_property
    def calibration(self) -> "Calibration":
        """How sure the bot may be: the court's own calibration, else the shipped one. Raises Unreadable."""
        from indexing.confidence import load_calibration

        return load_calibration(self.calibration_file, self.encoder.fingerprint)

    @property
    def calibration_file(self) -> Path:
        """The court's own calibration, else the shipped one."""
        own = self.folders.data / "calibration.json"
        return own if own.exists() else SHIPPED_CALIBRATION

    def follow_rules(self) -> None:
        """Work out every deadline anew if the calendar or the rules have changed since they were last worked out.

        Nothing else of a need is touched: what somebody changed behind the history's back must be found, not mended.
        """
        if self.database.read(lambda db: library.recall(db, "rules", None)).result() != self.rules.fingerprint:
            self.rebuild_ledger(CACHED)

    def rebuild_ledger(self, only: Sequence[str] = ()) -> int:
        """Make the columns of every need (or `only` these) again from its history; returns how many needs changed."""

        def rebuild(db: Db) -> int:
            library.remember(db, "rules", self.rules.fingerprint)
            return history.rebuild(db, self.rules, only)

        return self.database.write(rebuild).result()

    def ensure_index(self) -> "Generation":
        """The current generation; built where there is none, rebuilt after an upgrade of content or model."""
        from indexing.building import current, reindex

        generation = current(self.folders.index)
        fingerprint = shipped_fingerprint()
        if generation and self.database.read(lambda db: library.recall(db, "shipped_content", None)).result() == fingerprint:
            return generation
        report = reindex(self.database, self.folders.index, self.encoder, self.clock(), progress=self._progress)
        self.remember_shipped()
        return report.generation

    def remember_shipped(self) -> None:
        """Note which shipped content the index was built from."""
        fingerprint = shipped_fingerprint()
        self.database.write(lambda db: library.remember(db, "shipped_content", fingerprint)).result()

    def close(self) -> None:
        """Close what was opened."""
        for name in ("encoder", "database"):
            if name in self.__dict__:
                self.__dict__[name].close()


def shipped_fingerprint() -> str:
    """A hash over what an upgrade may change: the shipped content, the shipped model, and how an index is written."""
    from indexing.building import SPLITTER
    from indexing.encoder import SHIPPED, fingerprint_of
    from indexing.local import FORMAT

    digest = hashlib.sha256(f"{FORMAT} {SPLITTER} {fingerprint_of(SHIPPED)}".encode())
    for path in sorted(p for folder in ("faq", "guides") for p in (CONTENT / folder).iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
