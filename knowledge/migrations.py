"""The schema, as numbered steps. A step that has run is never edited; a change is another step.

What a person can have erased (identity, contact, free text) stands apart from what must stay for ever
(numbers, categories, dates, states): texts live in `texts` and people in `persons`, and the history chain holds
only salted digests of texts, so that erasing one leaves the chain whole.
"""

import sqlite_utils
from sqlite_utils import Migrations

steps = Migrations("yuanqitong")


def migrate(db: sqlite_utils.Database) -> None:
    """Bring `db` to the newest schema; each missing step is one transaction."""
    steps.apply(db)


def _tables(db: sqlite_utils.Database, statements: str) -> None:
    # A statement ends with a semicolon at the end of a line; the one inside a trigger is followed by END.
    for statement in statements.split(";\n"):
        db.execute(statement)


@steps()
def m001_messages(db: sqlite_utils.Database) -> None:
    """What came in, what must go out, and who is asking."""
    _tables(
        db,
        """
        CREATE TABLE inbox (
            id INTEGER PRIMARY KEY,
            channel TEXT NOT NULL,
            update_key TEXT NOT NULL,
            chat_id INTEGER NOT NULL,
            payload TEXT,
            address TEXT,
            received_at TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            outcome TEXT,
            done_at TEXT,
            UNIQUE (channel, update_key));
        CREATE INDEX inbox_open ON inbox (id) WHERE done_at IS NULL;
        CREATE INDEX inbox_chat ON inbox (channel, chat_id, id);
        CREATE INDEX inbox_day ON inbox (received_at);
        CREATE TABLE outbox (
            id INTEGER PRIMARY KEY,
            channel TEXT NOT NULL,
            chat_id INTEGER NOT NULL,
            inbox_id INTEGER REFERENCES inbox (id),
            need_no TEXT,
            text TEXT,
            buttons TEXT,
            file TEXT,
            edits INTEGER,
            state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
            created_at TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            error TEXT,
            message_id INTEGER,
            delivered_at TEXT);
        CREATE INDEX outbox_waiting ON outbox (channel, chat_id, id) WHERE state = 'waiting';
        CREATE INDEX outbox_chat ON outbox (channel, chat_id, id);
        CREATE INDEX outbox_need ON outbox (need_no);
        CREATE TABLE persons (
            id INTEGER PRIMARY KEY,
            company TEXT, uscc TEXT, street TEXT, industry TEXT, contact TEXT, phone TEXT,
            consented_at TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
        CREATE TABLE askers (
            id INTEGER PRIMARY KEY,
            channel TEXT NOT NULL,
            chat_id INTEGER NOT NULL,
            person_id INTEGER NOT NULL REFERENCES persons (id),
            conversation TEXT NOT NULL DEFAULT '{}',
            greeted INTEGER NOT NULL DEFAULT 0,
            created_at TEXT NOT NULL,
            UNIQUE (channel, chat_id));
        CREATE INDEX askers_person ON askers (person_id);
        CREATE TABLE link_codes (
            code_hash TEXT PRIMARY KEY,
            person_id INTEGER NOT NULL REFERENCES persons (id),
            expires_at TEXT NOT NULL)
        """,
    )


@steps()
def m002_ledger(db: sqlite_utils.Database) -> None:
    """Questions and what became of them; needs and their chained history."""
    _tables(
        db,
        """
        CREATE TABLE texts (
            id INTEGER PRIMARY KEY,
            salt TEXT NOT NULL,
            body TEXT,
            erased_at TEXT);
        CREATE TABLE needs (
            no TEXT PRIMARY KEY,
            year INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            state TEXT NOT NULL,
            source TEXT NOT NULL,
            topic TEXT,
            text_id INTEGER NOT NULL REFERENCES texts (id),
            received_at TEXT NOT NULL,
            UNIQUE (year, seq));
        CREATE INDEX needs_state ON needs (state, received_at);
        CREATE TABLE askings (
            id INTEGER PRIMARY KEY,
            inbox_id INTEGER UNIQUE REFERENCES inbox (id),
            asker_id INTEGER REFERENCES askers (id),
            person_id INTEGER REFERENCES persons (id),
            text_id INTEGER NOT NULL REFERENCES texts (id),
            asked_at TEXT NOT NULL,
            band TEXT NOT NULL,
            entry_id TEXT,
            entry_hash TEXT,
            confidence REAL,
            candidates TEXT,
            reasons TEXT,
            need_no TEXT REFERENCES needs (no),
            feedback TEXT);
        CREATE INDEX askings_asker ON askings (asker_id, id);
        CREATE INDEX askings_person ON askings (person_id, id);
        CREATE INDEX askings_need ON askings (need_no);
        CREATE TABLE need_history (
            id INTEGER PRIMARY KEY,
            need_no TEXT NOT NULL REFERENCES needs (no),
            at TEXT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            from_state TEXT,
            to_state TEXT NOT NULL,
            text_id INTEGER REFERENCES texts (id),
            digest TEXT,
            previous TEXT NOT NULL,
            link TEXT NOT NULL);
        CREATE INDEX need_history_need ON need_history (need_no, id);
        CREATE TRIGGER need_history_never_changes BEFORE UPDATE ON need_history
            BEGIN SELECT RAISE(ABORT, 'need_history is append-only'); END;
        CREATE TRIGGER need_history_never_shrinks BEFORE DELETE ON need_history
            BEGIN SELECT RAISE(ABORT, 'need_history is append-only'); END;
        CREATE TRIGGER needs_never_deleted BEFORE DELETE ON needs
            BEGIN SELECT RAISE(ABORT, 'a need is never deleted'); END
        """,
    )


@steps()
def m003_staff(db: sqlite_utils.Database) -> None:
    """Court staff, their one-time links, chats and sessions; only hashes of secrets are kept."""
    _tables(
        db,
        """
        CREATE TABLE staff (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            roles TEXT NOT NULL,
            active INTEGER NOT NULL DEFAULT 1,
            created_at TEXT NOT NULL);
        CREATE TABLE staff_links (
            token_hash TEXT PRIMARY KEY,
            staff_id INTEGER NOT NULL REFERENCES staff (id),
            expires_at TEXT NOT NULL,
            used_at TEXT);
        CREATE TABLE staff_chats (
            channel TEXT NOT NULL,
            chat_id INTEGER NOT NULL,
            staff_id INTEGER NOT NULL REFERENCES staff (id),
            PRIMARY KEY (channel, chat_id));
        CREATE TABLE sessions (
            token_hash TEXT PRIMARY KEY,
            staff_id INTEGER NOT NULL REFERENCES staff (id),
            csrf TEXT NOT NULL,
            created_at TEXT NOT NULL,
            expires_at TEXT NOT NULL)
        """,
    )


@steps()
def m004_library(db: sqlite_utils.Database) -> None:
    """Entries, every version of them, and what was decided to be remembered."""
    _tables(
        db,
        """
        CREATE TABLE entries (
            id TEXT PRIMARY KEY,
            origin TEXT NOT NULL,
            hash TEXT NOT NULL,
            body TEXT NOT NULL,
            state TEXT NOT NULL,
            reviewed_by TEXT,
            reviewed_at TEXT,
            updated_at TEXT NOT NULL);
        CREATE INDEX entries_origin ON entries (origin, state);
        CREATE TABLE entry_versions (
            entry_id TEXT NOT NULL,
            hash TEXT NOT NULL,
            body TEXT NOT NULL,
            first_seen_at TEXT NOT NULL,
            PRIMARY KEY (entry_id, hash));
        CREATE TABLE memory (
            key TEXT PRIMARY KEY,
            value TEXT NOT NULL)
        """,
    )
