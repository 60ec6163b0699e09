"""Every route of the console and the roles that reach it; deny by default, because nothing else is served."""

from bot.console import door, entries, needs, today

ROUTES = (*door.ROUTES, *today.ROUTES, *needs.ROUTES, *entries.ROUTES)
