"""What people did besides moving needs: signed in, exported, imported, verified a contact, changed staff or the directory.

Steps of a need are in its own history; this is the rest. Rows are only ever added, and the auditor reads both.
"""

from datetime import datetime

from knowledge.clock import stamp
from knowledge.database import Db
from knowledge.privacy import mask


def note_audit(db: Db, at: datetime, actor: str, action: str, subject: str = "", note: str = "") -> None:
    """Add one row. `actor` is `staff:<id>`, `cli` or `bot`; `note` is the reason typed, or what changed; numbers are masked."""
    db.execute(
        "INSERT INTO audit (at, actor, action, subject, note) VALUES (?, ?, ?, ?, ?)",
        [stamp(at), actor, action, mask(subject)[:200], mask(note)[:2000]],
    )
