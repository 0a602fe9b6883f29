"""Every row of the tables in `rows/`, one test each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from reconciler.simulator import Server
from tests.conformance.account import LIVE, Account, NotThere, open_account
from tests.conformance.rows import CASTS, Items, Row, rows
from tests.field_tables import action_of, check_answer

ROWS = list(rows())


@pytest.fixture(scope="module")
def standing() -> Iterator[Account]:
    """For rows that change nothing."""
    with open_account(LIVE) as opened:
        yield opened


@pytest.fixture
def account(request: pytest.FixtureRequest, row: Row) -> Iterator[Account]:
    """Where a row is asked. Rows that change something get a world of their own."""
    if LIVE or (row.ask.startswith("GET ") and not row.first):
        yield request.getfixturevalue("standing")
        return
    with open_account(None) as opened:
        yield opened


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(account: Account, row: Row) -> None:
    if account.server is None:
        _skip_unless_live(row)
    else:
        for step in account.fill(row.first, row.kind):
            _prepare(account, account.server, step)
    try:
        row = Row.model_validate(account.fill(row.model_dump(exclude_unset=True, exclude={"first"}), row.kind))
    except NotThere as missing:
        if account.server is not None:
            raise
        pytest.skip(f"the application has no {missing}")
    before = account.state() if row.moved is not None and account.server else {}

    answer = _ask(account, row)

    _check_status(row, answer)
    _check_shape(account, answer)
    if row.refused:
        return
    body = answer.json()
    assert _part(body, row.gives), f"{row.gives} is not in {body}"
    assert not [key for key in row.lacks if key in body]
    if row.items is not None:
        _check_items(row.items, body)
    if row.moved is not None and account.server:
        _check_moved(row, before, account.state())


def _skip_unless_live(row: Row) -> None:
    if row.live is None:
        pytest.skip("this row needs the simulator")
    if row.live == "write" and (LIVE is None or not LIVE.may_write):
        pytest.skip("this row writes, and RECONCILER_LIVE_WRITES is not 1")


def _prepare(account: Account, server: Server, step: Mapping[str, Any]) -> None:
    if "ask" in step:
        _ask(account, Row.model_validate({"id": "first", **step}))
        return
    ((command, arguments),) = step.items()
    match arguments:
        case dict():
            account.send("POST", f"^/_simulator/{command}", headers={}, json=arguments).raise_for_status()
        case list():
            getattr(server.control, command)(*arguments)
        case _:
            getattr(server.control, command)(arguments)


def _ask(account: Account, row: Row) -> httpx.Response:
    method, _, path = row.ask.partition(" ")
    body: dict[str, Any] = {"json": row.body} if row.sends_body else {}
    if row.text is not None:
        body = {"content": row.text}
    if row.sends_body and row.body is None:
        body = {"content": "null"}
    headers = dict(row.headers)
    if "content" in body:
        headers.setdefault("Content-Type", "application/json")
    return account.send(method, path, query=row.query, headers=headers, **body)


def _check_status(row: Row, answer: httpx.Response) -> None:
    if not row.refused:
        assert answer.is_success, answer.text
        is_write = LIVE is not None and row.status == 201  # 202 since API 1.30.1, says the vendor's client
        assert answer.status_code in ((201, 202) if is_write else (row.status or answer.status_code,))
        return
    status, type_, message = row.refused.split(" ", 2)
    said = answer.json()
    assert (answer.status_code, said.get("type", said.get("code"))) == (int(status), type_), answer.text
    if LIVE is None:  # the words of a live 404 vary
        assert said["message"] == message or (message.endswith("…") and said["message"].startswith(message[:-1]))


def _check_shape(account: Account, answer: httpx.Response) -> None:
    action = action_of(answer.request.method, answer.request.url.raw_path.decode())
    if action is None and answer.is_success:
        return  # the definition at the root
    name = action.name if action else ""
    check_answer(name, answer.status_code, answer.json(), strict=account.server is not None)


def _check_items(wanted: Items, body: Mapping[str, Any]) -> None:
    items = body["items"]
    if wanted.names is not None:
        assert [_name(item) for item in items] == wanted.names
    if wanted.total is not None:
        assert body["totalCount"] == wanted.total
    if wanted.each or wanted.lack:
        assert items, "nothing is listed"
    for item in items:
        assert _part(item, wanted.each), f"{wanted.each} is not in {item}"
        assert not [key for key in wanted.lack if key in item]
    if wanted.sorted:
        name, _, direction = wanted.sorted.partition(" ")
        keys = [(item[name] or "", item["id"]) for item in items]
        assert LIVE or len({key for key, _ in keys}) > 1, "nothing to sort"
        assert keys == sorted(keys, reverse=direction == "desc")


def _name(item: Mapping[str, Any]) -> str:
    return str(next(item[key] for key in ("deviceName", "version", "name") if key in item))


def _check_moved(row: Row, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    cast, named = CASTS[row.kind], row.moved or {}
    moved = {key: after.get(key, "gone") for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    wanted = {" ".join(cast.get(part, part) for part in key.split(" ")): value for key, value in named.items()}
    assert moved == wanted


def _part(body: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is in a body, also inside its objects."""
    if wanted is None:
        return True
    if isinstance(wanted, dict):
        return isinstance(body, dict) and all(
            key in body and (body[key] is None if value is None else _part(body[key], value))
            for key, value in wanted.items()
        )
    return bool(body == wanted)


def test_ids_tell_rows_apart() -> None:
    ids = [row.id for row in ROWS]

    assert len(ids) == len(set(ids)) >= 120
