"""An entry: one question the court answers, in its own words, with its legal basis.

FAQ answers, service guides and passages of policy documents are all entries, so that one search, one review
and one rule about what may answer cover them. An entry is a value: a change makes another one.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal

from knowledge.numerals import chinese_number

Kind = Literal["faq", "guide", "passage"]
BEGINNING = 300
"""Characters of an answer that are searched together with its question."""
State = Literal["draft", "review", "published", "withdrawn"]


@dataclass(frozen=True)
class Citation:
    """A place in a law: exact title, article in Chinese numerals (第九条, 第二百七十六条之一), version by effective date.

    `paragraph` counts from 1 (款) and is given where one paragraph alone supports the answer.
    """

    law: str
    article: str
    version: str | None = None
    paragraph: int | None = None

    def __str__(self) -> str:
        return f"《{self.law}》{self.article}" + (f"第{chinese_number(self.paragraph)}款" if self.paragraph else "")


@dataclass(frozen=True)
class Entry:
    """What is known about one question.

    `question` is the standard wording and `wordings` the other ways people ask it; all of them are searched. `not_for` are questions
    that look like it and that it does not answer (one thing in them is otherwise): near one of them nothing is answered directly.
    `answer` is shown word for word, never joined with another entry's. For a passage `question` is its heading
    path, `answer` the original text and `place` says where it stands in which document. `explained` gives the reason for
    each number in the answer that no cited article contains (a worked example, say), as (number as written, reason).
    """

    id: str
    question: str
    answer: str
    kind: Kind = "faq"
    topic: str | None = None
    wordings: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()
    deadline: str | None = None
    steps: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    mistake: str | None = None
    basis: tuple[Citation, ...] = ()
    related: tuple[str, ...] = ()
    elsewhere: str | None = None
    keywords: tuple[str, ...] = ()
    explained: tuple[tuple[str, str], ...] = ()
    place: str | None = None
    document_date: str | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    state: State = "published"

    def content_hash(self) -> str:
        """SHA-256 over everything a reader or the search can see; the same content has the same hash anywhere."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The entry as one line of JSON, keys sorted; `from_json` gives an equal entry back."""
        fields = asdict(self)
        # What came to the format later is left out where it is empty, so that an upgrade changes no hash and no reviewer's mark.
        for name in ("explained", "not_for"):
            if not fields[name]:
                del fields[name]
        for citation in fields["basis"]:
            if citation["paragraph"] is None:
                del citation["paragraph"]
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, default=date.isoformat)

    @classmethod
    def from_json(cls, text: str) -> "Entry":
        """The entry that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("wordings", "not_for", "steps", "materials", "related", "keywords"):
            fields[name] = tuple(fields.get(name, ()))
        fields["basis"] = tuple(Citation(**c) for c in fields["basis"])
        fields["explained"] = tuple((number, why) for number, why in fields.get("explained", ()))
        for name in ("valid_from", "valid_until"):
            fields[name] = date.fromisoformat(fields[name]) if fields[name] else None
        return cls(**fields)

    def searchable_texts(self) -> tuple[str, ...]:
        """The texts a question is compared with: question, wordings, and the question with its keywords and the answer's beginning.

        The last one finds entries of tables that bring no wordings (`indexing/model/RESULTS.md` has what it gives).
        """
        beginning = " ".join([self.question, *self.keywords, self.answer[:BEGINNING]])
        return tuple(dict.fromkeys((self.question, *self.wordings, beginning)))

    def closest(self, found_by: str) -> str:
        """The wording a hit stands for: the text it was found by, or the standard question when that was no wording."""
        return found_by if found_by in self.wordings else self.question

    def full_text(self) -> str:
        """Everything the entry says, in one text: what a question may rightly be about."""
        said = (self.question, *self.wordings, self.answer, self.deadline, *self.steps, *self.materials, self.mistake, *self.keywords)
        return "\n".join(filter(None, said))

    def valid_on(self, day: date) -> bool:
        """Whether the entry's own validity dates include `day`."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_until is None or day <= self.valid_until)


def looking_order(entry: Entry) -> tuple[bool, int, str]:
    """The order for people who look through a leaf: questions before guides, B01-2 before B01-10."""
    number = entry.id.rpartition("-")[2]
    return entry.kind != "faq", int(number) if number.isdecimal() else 0, entry.id
