"""The dialogue: aiogram routers, the same for every channel.

A handler takes a message, asks, and closes its turn. It never sends anything itself: `Turn.close` writes replies into the
outbox together with everything they report.
"""

from aiogram import Dispatcher, Router

from bot.conversation import admin, ask, feedback, guide, my_needs, profile, staff


def build_dispatcher(**parts: object) -> Dispatcher:
    """A dispatcher with all routers, in the order in which they are tried; `parts` reach handlers by parameter name."""
    dispatcher = Dispatcher(disable_fsm=True)
    dispatcher.workflow_data.update(parts)
    routers: list[Router] = [
        staff.router(),
        admin.router(),
        guide.router(),
        profile.router(),
        my_needs.router(),
        feedback.router(),
        ask.router(),
    ]
    dispatcher.include_routers(*routers)
    return dispatcher
