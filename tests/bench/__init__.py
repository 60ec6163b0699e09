"""The figures README gives: how fast the bot searches, starts, follows a change and answers a crowd, and what memory it takes.

    python -m tests.bench [--data ../shared/data] [--quick] [--json FILE]

`search` runs in a process pinned to one core; `starting` times the command line as people start it; `crowd` sends many
messages through the real bot. Everything happens in data folders of its own, which are deleted afterwards.
"""
