"""The staff's web pages, on the court's own network only."""

from bot.console.routes import ROUTES
from bot.console.serving import Console

__all__ = ["ROUTES", "Console"]
