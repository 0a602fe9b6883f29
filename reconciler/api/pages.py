"""The pages of a listing: from the bytes of one to its records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from reconciler.api.wire import Unreadable, envelope, parse_quickly, parse_strictly
from reconciler.runtime import gc_paused

if TYPE_CHECKING:
    from reconciler.api.shapes import Shape

T = TypeVar("T")


class Span(NamedTuple):
    """A page by its number and size."""

    number: int
    size: int

    @property
    def begin(self) -> int:
        """How many records come before it."""
        return self.number * self.size

    @property
    def end(self) -> int:
        """How many there are up to its end."""
        return self.begin + self.size


class Page(NamedTuple, Generic[T]):
    """One page: the total and page size that it states, the ids of its records, and what each of them says."""

    total: int
    per_page: int | None
    ids: list[str]
    values: list[T]

    def reaches_end(self, span: Span) -> bool:
        """Whether no record follows, by its own total."""
        return span.begin + len(self.ids) >= self.total


class PageRead(NamedTuple):
    """A page of a listing was read: its number, its records, and how many the whole listing has."""

    listing: object
    number: int
    records: int
    total: int


class Pages(ABC, Generic[T]):
    """Parses the records of one listing, page by page.

    `sent_at`: when the server sent its first page, by its own clock; a listing that is read again begins anew.
    """

    sent_at: float | None = None

    @abstractmethod
    def record(self, item: Any) -> tuple[str, T]:
        """A record's id and value. If it raises an exception of `_ODD`, its shape explains what is wrong."""

    @staticmethod
    @abstractmethod
    def shape() -> type[Shape]:
        """The schema of a record."""

    def page(self, body: bytes) -> Page[T]:
        """The records of one page.

        Raises:
            Missing: a record lacks an identifying field.
            Unreadable: anything else that does not have the API's format.
        """
        with gc_paused():
            return self._page(body)

    def _page(self, body: bytes) -> Page[T]:
        items, total, per_page = envelope(parse_quickly(body))
        ids: list[str] = []
        values: list[T] = []
        for number, item in enumerate(items):
            try:
                record_id, value = self.record(item)
            except _ODD:
                raise self._explained(item, number) from None
            ids.append(record_id)
            values.append(value)
        return Page(total, per_page, ids, values)

    def one(self, body: bytes) -> T:
        """The record of a response that is a single record.

        Raises:
            Missing, Unreadable: as for `page`.
        """
        item = parse_strictly(body)
        try:
            return self.record(item)[1]
        except _ODD:
            raise self._explained(item, 0) from None

    def _explained(self, item: object, number: int) -> Unreadable:
        from reconciler.api.shapes import explained

        return explained(item, number, self.shape())


_ODD = (AttributeError, KeyError, TypeError, Unreadable)
