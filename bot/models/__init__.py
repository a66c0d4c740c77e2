"""Tables, one file a noun."""

from bot.models.article import ArticleRow
from bot.models.base import Record, Table, new_id
from bot.models.channel import Attachment, Cursor
from bot.models.message import Message
from bot.models.staff import LoginFailure, Staff, StaffSession
from bot.models.ticket import Ticket, TicketDay
from bot.models.worker import Conversation, LinkCode, Worker

__all__ = [
    "ArticleRow",
    "Attachment",
    "Conversation",
    "Cursor",
    "LinkCode",
    "LoginFailure",
    "Message",
    "Record",
    "Staff",
    "StaffSession",
    "Table",
    "Ticket",
    "TicketDay",
    "Worker",
    "new_id",
]
