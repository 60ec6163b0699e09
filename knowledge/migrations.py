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


@steps()
def m005_whole_ledger(db: sqlite_utils.Database) -> None:
    """The whole record of a need, enterprises, directory, groups, who was told, and what staff do besides.

    The new columns of `needs` are a projection of `need_history` (`ledger rebuild` makes them again).
    """
    _tables(
        db,
        """
        ALTER TABLE need_history ADD COLUMN details TEXT;
        ALTER TABLE needs ADD COLUMN registered_on TEXT;
        ALTER TABLE needs ADD COLUMN urgency TEXT NOT NULL DEFAULT '一般';
        ALTER TABLE needs ADD COLUMN division TEXT;
        ALTER TABLE needs ADD COLUMN handler INTEGER REFERENCES staff (id);
        ALTER TABLE needs ADD COLUMN recused TEXT;
        ALTER TABLE needs ADD COLUMN copies TEXT;
        ALTER TABLE needs ADD COLUMN partners TEXT;
        ALTER TABLE needs ADD COLUMN litigation TEXT;
        ALTER TABLE needs ADD COLUMN street TEXT;
        ALTER TABLE needs ADD COLUMN industry TEXT;
        ALTER TABLE needs ADD COLUMN ent_type TEXT;
        ALTER TABLE needs ADD COLUMN ent_size TEXT;
        ALTER TABLE needs ADD COLUMN other_topics TEXT;
        ALTER TABLE needs ADD COLUMN people INTEGER;
        ALTER TABLE needs ADD COLUMN amount INTEGER;
        ALTER TABLE needs ADD COLUMN fast_track INTEGER;
        ALTER TABLE needs ADD COLUMN visibility TEXT NOT NULL DEFAULT '院内';
        ALTER TABLE needs ADD COLUMN sensitive TEXT;
        ALTER TABLE needs ADD COLUMN flags TEXT;
        ALTER TABLE needs ADD COLUMN outcome TEXT;
        ALTER TABLE needs ADD COLUMN reply_mode TEXT;
        ALTER TABLE needs ADD COLUMN satisfaction TEXT;
        ALTER TABLE needs ADD COLUMN solved INTEGER;
        ALTER TABLE needs ADD COLUMN visited_on TEXT;
        ALTER TABLE needs ADD COLUMN replied_on TEXT;
        ALTER TABLE needs ADD COLUMN closed_on TEXT;
        ALTER TABLE needs ADD COLUMN paused_since TEXT;
        ALTER TABLE needs ADD COLUMN due_on TEXT;
        ALTER TABLE needs ADD COLUMN duty TEXT;
        ALTER TABLE needs ADD COLUMN duty_on TEXT;
        ALTER TABLE needs ADD COLUMN lead_no TEXT REFERENCES needs (no);
        ALTER TABLE needs ADD COLUMN summary_id INTEGER REFERENCES texts (id);
        ALTER TABLE needs ADD COLUMN remark_id INTEGER REFERENCES texts (id);
        ALTER TABLE needs ADD COLUMN case_no_id INTEGER REFERENCES texts (id);
        ALTER TABLE needs ADD COLUMN visitors_id INTEGER REFERENCES texts (id);
        CREATE INDEX needs_duty ON needs (duty_on) WHERE duty_on IS NOT NULL;
        CREATE INDEX needs_lead ON needs (lead_no) WHERE lead_no IS NOT NULL;
        CREATE INDEX needs_handler ON needs (handler, state);
        CREATE INDEX need_history_action ON need_history (action, at);
        CREATE TABLE enterprises (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            uscc TEXT UNIQUE,
            ent_type TEXT, ent_size TEXT, street TEXT, industry TEXT, chain TEXT,
            created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
        ALTER TABLE persons ADD COLUMN enterprise_id INTEGER REFERENCES enterprises (id);
        ALTER TABLE persons ADD COLUMN verified_at TEXT;
        ALTER TABLE persons ADD COLUMN verified_by INTEGER REFERENCES staff (id);
        CREATE INDEX persons_enterprise ON persons (enterprise_id) WHERE enterprise_id IS NOT NULL;
        CREATE TABLE directory (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            code TEXT, person TEXT, phone TEXT, team TEXT, note TEXT,
            valid_from TEXT NOT NULL,
            valid_until TEXT,
            added_by INTEGER REFERENCES staff (id));
        CREATE INDEX directory_kind ON directory (kind, name, valid_from);
        CREATE TABLE need_links (
            id INTEGER PRIMARY KEY,
            lead_no TEXT NOT NULL REFERENCES needs (no),
            member_no TEXT NOT NULL REFERENCES needs (no),
            linked_at TEXT NOT NULL,
            linked_by TEXT NOT NULL,
            undone_at TEXT,
            undone_by TEXT);
        CREATE UNIQUE INDEX need_links_member ON need_links (member_no) WHERE undone_at IS NULL;
        CREATE INDEX need_links_lead ON need_links (lead_no);
        CREATE TABLE needs_unlike (
            first_no TEXT NOT NULL REFERENCES needs (no),
            second_no TEXT NOT NULL REFERENCES needs (no),
            said_at TEXT NOT NULL,
            said_by TEXT NOT NULL,
            PRIMARY KEY (first_no, second_no));
        CREATE TABLE tellings (
            id INTEGER PRIMARY KEY,
            answer TEXT NOT NULL,
            recipient TEXT NOT NULL,
            need_no TEXT NOT NULL REFERENCES needs (no),
            entry_id TEXT,
            person_id INTEGER REFERENCES persons (id),
            outbox_id INTEGER REFERENCES outbox (id),
            told_at TEXT NOT NULL,
            UNIQUE (answer, recipient));
        CREATE INDEX tellings_need ON tellings (need_no);
        CREATE TABLE entry_sources (
            entry_id TEXT NOT NULL,
            need_no TEXT NOT NULL REFERENCES needs (no),
            linked_at TEXT NOT NULL,
            linked_by TEXT NOT NULL,
            PRIMARY KEY (entry_id, need_no));
        CREATE INDEX entry_sources_need ON entry_sources (need_no);
        CREATE TABLE entry_events (
            id INTEGER PRIMARY KEY,
            entry_id TEXT NOT NULL,
            hash TEXT NOT NULL,
            at TEXT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            note TEXT);
        CREATE INDEX entry_events_entry ON entry_events (entry_id, id);
        DROP INDEX askings_need;
        CREATE INDEX askings_need ON askings (need_no, person_id);
        CREATE INDEX askings_day ON askings (asked_at, band, feedback, need_no);
        CREATE INDEX askings_entry ON askings (entry_id, asked_at) WHERE entry_id IS NOT NULL;
        CREATE TABLE alerts (
            need_no TEXT NOT NULL REFERENCES needs (no),
            duty TEXT NOT NULL,
            duty_on TEXT NOT NULL,
            level TEXT NOT NULL,
            raised_at TEXT NOT NULL,
            PRIMARY KEY (need_no, duty, duty_on, level));
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            subject TEXT NOT NULL DEFAULT '',
            note TEXT NOT NULL DEFAULT '');
        CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
        CREATE TRIGGER audit_never_shrinks BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
        CREATE TABLE views (
            id INTEGER PRIMARY KEY,
            staff_id INTEGER NOT NULL REFERENCES staff (id),
            name TEXT NOT NULL,
            query TEXT NOT NULL,
            UNIQUE (staff_id, name));
        CREATE TABLE imported_rows (
            fingerprint TEXT PRIMARY KEY,
            need_no TEXT NOT NULL REFERENCES needs (no),
            imported_at TEXT NOT NULL);
        ALTER TABLE staff ADD COLUMN division TEXT;
        ALTER TABLE staff ADD COLUMN password_hash TEXT;
        ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
        ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT ''
        """,
    )


@steps()
def m006_columns_of_old_needs(db: sqlite_utils.Database) -> None:
    """What the history of needs from before says of the new columns; what was stored before is left to `ledger verify`."""
    from knowledge.ledger import history
    from knowledge.ledger.record import CACHED, PROJECTED

    stored_before = ("state", "source", "topic", "text_id", "received_at")
    history.rebuild(db, None, [name for name in PROJECTED if name not in (*stored_before, *CACHED)])
