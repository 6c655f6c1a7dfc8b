"""The probe on the command line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout_lambdas.probe.__main__ import main
from fanout_lambdas.probe.waterfall import waterfall
from fanout_lambdas.shared.contracts import (
    Assertion,
    Certificate,
    Hop,
    Outcome,
    Phases,
    Reason,
    Result,
)
from tests.nameserver import name_server
from tests.targets import Target, answer, authority, free_port, replies, serve


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with serve(replies(answer())) as target:
        yield target


COMMAND = (sys.executable, "-m", "fanout_lambdas.probe")


def call(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a call in this very process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as exit:
            code = int(exit.code or 0)
    return code, out.getvalue(), err.getvalue()


def run(*arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=False)


def test_one_url(target: Target) -> None:
    done = run("--allow", f"127.0.0.1/32:{target.port}", target.url())
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["outcome"], result["http_status"]) == ("up", 200)


def test_nothing_is_open_unless_allowed(target: Target) -> None:
    code, out, _ = call(target.url())
    assert code == 0
    assert json.loads(out)["reason"] == "blocked"


def test_lines_are_answered_in_order(target: Target) -> None:
    probes = [
        {"check_id": 1, "slot": 5, "url": target.url()},
        {"check_id": "named", "url": target.url(), "keyword": ["missing"]},
        {"check_id": 3, "url": target.url(), "regexp": ["x"]},
        {"check_id": 4},
    ]
    lines = "".join(json.dumps(probe) + "\n" for probe in probes) + "\nnonsense\n"
    done = run("--allow", "127.0.0.1", "-", lines=lines)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [each["check_id"] for each in answers] == [1, "named", 3, 4, None]
    assert [each.get("reason") for each in answers[:2]] == ["none", "keyword"]
    assert answers[0]["slot"] == 5
    assert [each["error"]["field"] for each in answers[2:]] == ["regexp", "url", ""]
    assert set(answers[2]) == {"check_id", "error"}


def test_own_authority(target: Target) -> None:
    with serve(replies(answer()), context=authority().context("127.0.0.1")) as secure:
        _, out, _ = call("--allow", "127.0.0.1", "--ca", authority().ca_file, secure.url())
    assert json.loads(out)["outcome"] == "up"


# --- URLs


def test_several_urls_are_answered_in_order(target: Target) -> None:
    port = free_port()
    urls = (target.url(), f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{target.port}")
    code, out, _ = call("--allow", "127.0.0.1", *urls)
    results = [json.loads(line) for line in out.splitlines()]
    assert (code, [each["outcome"] for each in results]) == (0, ["up", "down", "up"])
    shown = at_terminal("--allow", "127.0.0.1", *urls).splitlines()
    assert [line for line in shown if "://" in line] == list(urls)


@pytest.mark.parametrize("url", ["ftp://example.com/", "heartbeat://example.com", "://example.com"])
def test_a_foreign_scheme_is_a_wrong_call(url: str, target: Target) -> None:
    code, out, err = call("--allow", "127.0.0.1", target.url(), url)
    assert (code, out) == (2, "")
    assert f"'{url}' must begin with http://, https://, tcp://, tls:// or dns://" in err


def test_a_resolver_that_is_no_address_is_told_the_form() -> None:
    code, _, err = call("--resolver", "999.1.1.1", "example.com")
    assert code == 2
    assert "'999.1.1.1' is neither an address like 10.0.0.2 or [::1]:53 nor a name" in err
    assert call("--resolver", "x" * 70 + ".test", "example.com")[0] == 2


def test_a_name_by_the_given_resolver_and_https_without_a_scheme() -> None:
    context = authority().context("www.example.com")
    with (
        serve(replies(answer()), context=context) as secure,
        name_server({"www.example.com A": "127.0.0.1"}) as names,
    ):
        _, out, _ = call(
            *("--allow", f"127.0.0.1/32:{secure.port}"),
            *("--ca", authority().ca_file, "--resolver", names.place),
            f"www.example.com:{secure.port}/",
        )
    result = json.loads(out)
    assert (result["outcome"], result["message"]) == ("up", "")
    assert result["phases"]["dns_us"] > 0
    assert names.asked("www.example.com")


def test_the_kind_follows_from_the_scheme(target: Target) -> None:
    context = authority().context("127.0.0.1", days=20)
    with (
        serve(replies(answer()), context=context) as secure,
        name_server({"www.example.com A": "93.184.216.34"}) as names,
    ):
        common = ("--allow", "127.0.0.1", "--ca", authority().ca_file, "--resolver", names.place)
        tcp = call(*common, f"tcp://127.0.0.1:{target.port}")
        tls = call(*common, f"tls://127.0.0.1:{secure.port}")
        dns = call(*common, "dns://www.example.com")
    results = [json.loads(out) for _, out, _ in (tcp, tls, dns)]
    assert [result["outcome"] for result in results] == ["up"] * 3
    assert results[1]["certificate"]["issuer"]
    assert results[2]["assertions"][0]["got"] == "93.184.216.34"


def test_no_url_at_all_is_one_answer_too() -> None:
    code, out, _ = call("http://example.com/" + "x" * 3_000)
    assert (code, json.loads(out)["error"]["field"]) == (1, "url")


def at_terminal(*arguments: str) -> str:
    """What a terminal shows on standard error."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=theirs, check=False)
    finally:
        os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal:
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := terminal.read(4_096):
                shown += part
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_a_waterfall(target: Target) -> None:
    shown = at_terminal("--allow", "127.0.0.1", target.url())
    assert "up" in shown.splitlines()[0]
    assert ", status 200, " in shown.splitlines()[0]
    rows = [line.split() for line in shown.splitlines() if "█" in line]
    assert [row[0] for row in rows] == ["dns", "connect", "send", "wait", "receive"]
    assert all(row[2] == "ms" for row in rows)
    assert "expected_status: expected 200-299, got 200" in shown
    assert "address      127.0.0.1" in shown


def test_a_block_at_a_terminal_says_how_to_open(target: Target) -> None:
    shown = at_terminal(target.url())
    assert "down (blocked)" in shown
    assert "Not allowed (loopback): 127.0.0.1 is not a public address (loopback)." in shown
    assert "--allow ADDRESS" in shown


def test_a_waterfall_is_safe_for_terminals_and_keeps_to_its_width() -> None:
    result = Result(
        check_id=1,
        slot=5,
        outcome=Outcome.DOWN,
        reason=Reason.KEYWORD,
        message="The keyword \x1b[31m" + "word " * 40 + "is missing.",
        http_status=200,
        total_us=1_234_567,
        phases=Phases(dns_us=0, connect_us=1, wait_us=1_000_000, receive_us=200_000),
        hops=(Hop(url="https://example.com/" + "x" * 200, http_status=301),),
        certificate=Certificate(not_after=1_800_000_000, issuer="\x9bX", subject="example.com"),
        assertions=(Assertion(kind="keyword", expected="a\nb", got="x" * 300, ok=False),),
    )
    for width in (10, 40, 80, 500):
        shown = waterfall(result, width=width)
        lines = shown.split("\n")
        assert max(map(len, lines)) <= min(max(width, 40), 100)
        assert all(line.isprintable() for line in lines)
    assert lines[0] == "down (keyword), status 200, 1,234.6 ms"
    assert "  301 redirect https://example.com/xxx" in shown
    assert "valid until 2027-01-15" in shown
    bars = [line[22:] for line in lines if "█" in line]
    assert [bar.count("█") > 10 for bar in bars] == [False, False, True, True]
    assert bars[3].startswith(" " * bars[2].count("█"))


# --- lines


def test_empty_input_is_no_probe_and_no_error() -> None:
    done = run("-", lines="\n \n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_standard_input_is_read_without_a_dash(target: Target) -> None:
    line = json.dumps({"url": target.url()})  # and without a line end
    done = run("--allow", "127.0.0.1", lines=line)
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "up")


def test_a_line_too_long_is_one_error_and_the_next_is_read(target: Target) -> None:
    good = json.dumps({"check_id": 2, "url": target.url()})
    long = ("x" * (1024 * 1024 + 1), "x" * 1_100_000, "x" * 5_000_000)
    done = run("--allow", "127.0.0.1", "-", lines="\n".join((good, *long, good, long[0])))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [each["check_id"] for each in answers] == [2, None, None, None, 2, None]
    assert answers[1]["error"]["message"] == "The line is longer than 1,048,576 bytes."


BAD_LINES = (b"\xff\xfe", b"[]", b"null", b'{"url": 5}', b'{"url":"a","url":"b"}', b"[" * 100_000)


def test_every_bad_line_is_an_error_document() -> None:
    lines = b"\n".join(BAD_LINES)
    done = subprocess.run([*COMMAND, "-"], input=lines, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(documents) == len(BAD_LINES)
    for document in documents:
        assert set(document) == {"check_id", "error"}
        assert set(document["error"]) == {"field", "rule", "message"}


def test_many_lines_stay_in_order(target: Target) -> None:
    lines = "".join(json.dumps({"check_id": at, "url": target.url()}) + "\n" for at in range(300))
    done = run("--allow", "127.0.0.1", "-", lines=lines)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["check_id"] for each in answers] == list(range(300))
    assert {each["outcome"] for each in answers} == {"up"}


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_an_answer_does_not_wait_for_the_next_line(target: Target) -> None:
    with started("--allow", "127.0.0.1", "-") as process:
        assert process.stdin
        assert process.stdout
        for at in range(3):
            process.stdin.write(json.dumps({"check_id": at, "url": target.url()}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["check_id"] == at
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_reader_that_goes_away_ends_it_quietly(target: Target) -> None:
    with started("--allow", "127.0.0.1", "-") as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(json.dumps({"url": target.url()}).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        # The input stays open: the end must not wait for it.
        process.stdin.write(json.dumps({"url": target.url()}).encode() + b"\n")
        process.stdin.flush()
        assert process.wait(10) == 1
        assert process.stderr.read() == b""


@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_ends_it_at_once(busy: bool) -> None:
    def hang(peer: socket.socket, request: bytes) -> None:
        peer.recv(1)

    with serve(hang) as hung, started("--allow", "127.0.0.1", "-") as process:
        assert process.stdin
        assert process.stderr
        line = {"check_id": 1, "url": hung.url()} if busy else {}
        process.stdin.write(json.dumps(line).encode() + b"\n")
        process.stdin.flush()
        if busy:
            while not hung.requests:
                time.sleep(0.01)
        else:
            assert process.stdout
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        assert process.stderr.read() == b""


def test_an_input_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    closed = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        done = subprocess.run([*COMMAND, "-"], stdin=closed, capture_output=True, check=False)
    finally:
        os.close(closed)
    assert done.returncode == 2
    assert b"standard input cannot be read: Bad file descriptor" in done.stderr
    assert b"Traceback" not in done.stderr


# --- the call


def test_help_has_examples_and_exit_codes() -> None:
    code, out, _ = call("--help")
    assert code == 0
    for word in ("examples:", "exit codes:", "--resolver HOST:PORT", "dns://", "interrupted"):
        assert word in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--allow", "here", "-"),
        ("--allow", "10.0.0.0/33"),
        ("--ca", "/no/file", "-"),
        ("--ca", __file__, "-"),
        ("--resolver", "nowhere.invalid"),
        ("--resolver", "127.0.0.1:99999"),
        ("-x",),
        ("http://a.example.com", "-"),
    ],
)
def test_wrong_calls_say_what_is_wrong(arguments: tuple[str, ...]) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert "error: " in err
