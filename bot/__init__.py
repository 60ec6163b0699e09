"""Talks to people: a message comes in and is answered, offered choices, or logged as a need."""
