"""Every error of the product, and the sentence a person reads when it happens.

YuanqitongError
├── BadInput            what the person gave cannot be used         exit code 2
│   ├── Unreadable      a file, row or option that cannot be read
│   ├── NotFound        a number, id or name that does not exist
│   ├── NotAllowed      this person may not do this
│   └── Conflict        it has changed or is in use meanwhile
├── StorageFailed       the database could not write it down         exit code 1
├── IndexUnusable       no index, a damaged one, or another model's  exit code 2
└── PromiseBroken       a check of our own promises found a break    exit code 1

The message is Chinese: what is wrong and what to do next. It never holds personal data, so it may be logged.
Edges (a chat handler, a web page, the command line) turn it into a reply; nothing below `bot/` formats for a person.
"""


class YuanqitongError(Exception):
    """Anything we raise on purpose; `str(error)` may be shown to the person as it is."""

    exit_code = 1


class BadInput(YuanqitongError):
    """What the person gave cannot be used; nothing has changed."""

    exit_code = 2


class Unreadable(BadInput):
    """A file, row or option cannot be read; the message names it and the reason."""


class NotFound(BadInput):
    """A number, id or name that does not exist here."""


class NotAllowed(BadInput):
    """This person may not do this."""


class Conflict(BadInput):
    """It has changed meanwhile, or somebody else is using it."""


class StorageFailed(YuanqitongError):
    """The database could not write it down (disk full, locked); nothing has changed."""


class IndexUnusable(YuanqitongError):
    """There is no index, it is damaged, or another model made it; the message names the command that mends it."""

    exit_code = 2


class PromiseBroken(YuanqitongError):
    """One of our own checks (ledger chain, reconcile) found a break."""
