"""Passwords of staff: what makes one, how it is kept, and how often it may be guessed.

Only Argon2 hashes are kept. Making or checking one takes as long and as much memory as it is meant to, so both belong in a
thread, never on the database's or the event loop's. A name that does not exist costs the same as a wrong password.
"""

import secrets
import unicodedata
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from knowledge.errors import BadInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 10, 128
GUESSES = 5
"""Wrong passwords for one name before it has to wait."""
WAIT = timedelta(minutes=15)
MOST_NAMES = 10_000


def check_password(password: str, name: str) -> None:
    """Whether this may become the password of the person called `name`. Raises BadInput saying what is wrong with it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(f"密码要 {SHORTEST} 到 {LONGEST} 个字符，您填的是 {len(password)} 个。可以用一句容易记的话。")
    if len(set(password)) == 1:
        raise BadInput("密码不能全是同一个字符。可以用一句容易记的话。")
    if _plain(password).strip().casefold() == _plain(name).strip().casefold():
        raise BadInput("密码不能就是姓名。可以用一句容易记的话。")


def hash_password(password: str) -> str:
    """What is kept of a password. Slow: call it in a thread."""
    return _hasher().hash(_plain(password))


def is_password(kept: str | None, password: str) -> bool:
    """Whether this is the password `kept` was made from; None, for somebody without one, takes as long and is False. Slow."""
    from argon2.exceptions import InvalidHashError, VerificationError

    # Made before it is known whether it will be needed, so that the first unknown name takes no longer either.
    nobodys = _nobodys()
    try:
        _hasher().verify(kept or nobodys, _plain(password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether a hash was made with other parameters than are used now."""
    return _hasher().check_needs_rehash(kept)


class Guesses:
    """Wrong passwords by name, real or not. Kept in memory: a restart forgets them, and a one-time link never counts."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[int, datetime]] = {}

    def allows(self, name: str, at: datetime) -> bool:
        """Whether one more may be tried for this name; counts it before its outcome is known, so that many at once are no way around.

        After `GUESSES` tries nothing is allowed until `WAIT` after the last of them.
        """
        self._counted = {key: found for key, found in self._counted.items() if at - found[1] < WAIT}
        key = _plain(name).strip().casefold()
        count = self._counted.get(key, (0, at))[0]
        if count >= GUESSES or (key not in self._counted and len(self._counted) >= MOST_NAMES):
            return False
        self._counted[key] = count + 1, at
        return True

    def forget(self, name: str) -> None:
        """The password was right."""
        self._counted.pop(_plain(name).strip().casefold(), None)


def _plain(text: str) -> str:
    """The same letters the same way, whichever keyboard typed them."""
    return unicodedata.normalize("NFC", text)


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _nobodys() -> str:
    """The hash of a password nobody knows."""
    return _hasher().hash(secrets.token_urlsafe())
