"""The framing by itself: however the bytes are cut the answer is the same, and garbage is never more
than a sentence; beside h11 wherever that parser is willing to read an answer at all."""

from __future__ import annotations

import contextlib

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_lambdas.probe.framing import (
    MAX_HEAD_BYTES,
    BadAnswer,
    Cut,
    Head,
    HeadReader,
    TooLong,
    body_of,
    request_head,
)


def read(parts: list[bytes], method: str = "GET") -> tuple[Head, bytes]:
    """What the framing makes of an answer that comes in these parts and then ends."""
    reader, left = HeadReader(), list(parts)
    head = None
    while head is None or head.http_status < 200:
        if head is None and not left:
            raise Cut
        head = reader.feed(left.pop(0) if head is None else b"")
    body = body_of(head, method)
    taken, rest = b"", [reader.rest, *left]
    while not body.done and rest:
        taken += body.feed(rest.pop(0))
    if not body.done:
        body.close()
    return head, taken


def read_by_h11(data: bytes, method: str) -> tuple[int, bytes]:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, taken = 0, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            taken += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, taken
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("ended")


def chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nA: b\r\n\r\n"
    )


BODIES = st.binary(max_size=300)
NAMES = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True).filter(
    lambda name: name.lower() not in (b"content-length", b"transfer-encoding")
)
VALUES = st.from_regex(rb"([!-~][ -~]{0,30}[!-~])?", fullmatch=True)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, str, int, list[tuple[bytes, bytes]], bytes]:
    """A right answer in any framing: its bytes, method, status, own headers and body."""
    body, status = draw(BODIES), draw(st.sampled_from([200, 201, 204, 304, 404, 500, 999]))
    method = draw(st.sampled_from(["GET", "HEAD", "POST"]))
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    lines = [b"%s: %s" % pair for pair in headers]
    wire = body
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        wire = chunks(body, draw(st.integers(1, 50)))
    hints = b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n" * draw(st.integers(0, 2))
    head = b"\r\n".join([b"HTTP/1.1 %d Word" % status, *lines])
    without = method == "HEAD" or status in (204, 304)
    data = hints + head + b"\r\n\r\n" + (b"" if without else wire)
    return data, method, status, headers, b"" if without else body


@given(answers(), st.lists(st.integers(1, 80), max_size=60))
def test_an_answer_is_the_same_however_it_is_cut(
    answer: tuple[bytes, str, int, list[tuple[bytes, bytes]], bytes], sizes: list[int]
) -> None:
    data, method, status, headers, body = answer
    parts = []
    rest = data
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]
    head, taken = read([part for part in (*parts, rest) if part], method)
    assert (head.http_status, taken) == (status, body)
    assert head.headers[: len(headers)] == [(name.lower(), value) for name, value in headers]
    assert read_by_h11(data, method) == (status, body)


@given(answers(), st.data())
def test_an_answer_that_breaks_off_is_never_taken_for_whole(
    answer: tuple[bytes, str, int, list[tuple[bytes, bytes]], bytes], choice: st.DataObject
) -> None:
    data, method, _, _, _ = answer
    cut = data[: choice.draw(st.integers(1, len(data)))]
    try:
        expected = read_by_h11(cut, method)
    except h11.RemoteProtocolError:
        with pytest.raises(Cut):
            read([cut], method)
    else:
        head, taken = read([cut], method)
        assert (head.http_status, taken) == expected


SCRAPS = st.sampled_from(
    (
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 100 C", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b" "),
        *(b"\t", b":", b",", b";", b"5", b"0", b"-1", b"ffffffffffffffff", b"hello", b"\xff"),
        *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X-A: b", b"gzip"),
    )
)


@given(st.booleans(), st.lists(st.one_of(SCRAPS, st.binary(max_size=8)), min_size=1, max_size=30))
def test_garbage_ends_as_an_answer_or_a_sentence(begins_well: bool, scraps: list[bytes]) -> None:
    data = (b"HTTP/1.1 200 OK\r\n" if begins_well else b"") + b"".join(scraps)
    try:
        head, taken = read([data])
    except BadAnswer as error:
        sentence = str(error)
    else:
        sentence = ""
        assert 100 <= head.http_status <= 999
        assert all(b"\r" not in text + name and b"\n" not in text for name, text in head.headers)
        with contextlib.suppress(h11.RemoteProtocolError):  # it is stricter
            assert read_by_h11(data, "GET") == (head.http_status, taken)
    assert sentence.isprintable()
    assert sentence.endswith(".") or not sentence


@pytest.mark.parametrize("part", [b"b" * 4_096, b"\r\n b", b"X-A: b\r\n"])
def test_a_head_without_end_is_given_up_at_its_limit(part: bytes) -> None:
    reader = HeadReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nX-A: b")
    for _ in range((MAX_HEAD_BYTES - 100) // len(part)):
        assert reader.feed(part) is None
    with pytest.raises(TooLong):
        reader.feed(part * (200 // len(part) + 1))


def test_pieces_are_counted() -> None:
    lines = b"HTTP/1.1 200 OK\r\n" + b"A:b\r\n" * 6_000 + b"\r\n"
    with pytest.raises(BadAnswer, match="more than 5,000 header lines"):
        HeadReader().feed(lines)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(BadAnswer, match="more than 65,536 chunks"):
        read([head, *[b"1\r\nx\r\n" * 1_000] * 70])


@pytest.mark.parametrize("broken", [b"a\r\nEvil: 1", b"a\nEvil: 1", b"a\rEvil: 1"])
def test_a_request_cannot_be_split(broken: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        request_head("GET", b"/", [(b"X-A", broken)], b"")
    with pytest.raises(ValueError, match="line break"):
        request_head("GET", b"/" + broken, [], b"")


def test_a_request_as_it_goes_out() -> None:
    data = request_head("POST", b"/a?b", [(b"Host", b"h"), (b"Content-Length", b"2")], b"hi")
    assert data == b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
