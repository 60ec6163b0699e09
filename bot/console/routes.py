"""Every route of the console and the roles that reach it; deny by default, because nothing else is served."""

from bot.console import audit, directory, door, enterprises, entries, groups, needs, sheets, staff, statistics, today

SECTIONS = (door, today, needs, sheets, groups, entries, enterprises, directory, statistics, staff, audit)
ROUTES = tuple(route for section in SECTIONS for route in section.ROUTES)
