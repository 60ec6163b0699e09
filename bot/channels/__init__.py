"""The seam to the outside: each channel turns its own messages into aiogram updates and delivers what the outbox holds."""
