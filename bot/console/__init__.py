"""The staff's web pages, on the court's own network only."""

from bot.console.routes import Console

__all__ = ["Console"]
