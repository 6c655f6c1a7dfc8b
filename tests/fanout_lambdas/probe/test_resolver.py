"""Names to addresses against a hostile name server: every end is addresses or a sentence, in time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_lambdas.probe.dns_message import (
    AAAA,
    A,
    BadMessage,
    encode_question,
    is_answer,
    read_addresses,
)
from fanout_lambdas.probe.machine_names import MachineNames
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.resolver import Resolver
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason, Result
from fanout_lambdas.shared.guarded_connect import Address, Unresolved
from fanout_lambdas.shared.netguard import AllowList, Guard, parse_url
from tests.nameserver import Query, Script, Server, Zone, name_server, silent
from tests.targets import answer, free_port, replies, serve

V4, V6 = socket.AF_INET, socket.AF_INET6
NAME = "www.example.com"
FAR, FAR6 = "93.184.216.34", "2606:2800:21f:cb07::1"


class Machine(MachineNames):
    """A machine with routes for these families, and an empty hosts file."""

    def __init__(self, *families: socket.AddressFamily) -> None:
        super().__init__(hosts="/dev/null", resolv_conf="/dev/null")
        self._routed = families

    def families(self) -> tuple[socket.AddressFamily, ...]:
        return self._routed


DUAL, ONLY_V4 = Machine(V6, V4), Machine(V4)


async def _timed(work: Awaitable[list[Address]]) -> tuple[list[str] | str, float]:
    began = time.monotonic()
    try:
        found: list[str] | str = [address.ip for address in await work]
    except Unresolved as error:
        found = str(error)
    return found, time.monotonic() - began


def resolve(
    script: Script | Zone,
    *,
    family: str = "any",
    machine: MachineNames = DUAL,
    tcp: bool = True,
    name: str = NAME,
    before: Iterable[NameServer] = (),
) -> tuple[list[str] | str, float, Server]:
    """What came of it, after how many seconds; `before` are servers asked first."""
    with name_server(script, tcp=tcp) as server:
        resolver = Resolver([*before, NameServer.parse(server.place)], machine=machine)
        work = resolver.resolve(parse_url(f"http://{name}/"), family)
        found, took = asyncio.run(_timed(work))
    return found, took, server


def only(kind: str, script: Callable[[Query], Iterable[bytes | float]]) -> Script:
    """The script for questions of one type, silence for the others."""
    return lambda query: script(query) if query.kind == kind else ()


BOTH: Zone = {
    f"{NAME} A": ["93.184.216.34", "93.184.216.35"],
    f"{NAME} AAAA": ["2606:2800:21f:cb07::1", "2606:2800:21f:cb07::2"],
}


def test_families_come_in_turn_and_as_chosen() -> None:
    found, _, server = resolve(BOTH)
    assert [":" in ip for ip in found] == [True, False, True, False]
    assert set(found) == {*BOTH[f"{NAME} A"], *BOTH[f"{NAME} AAAA"]}
    assert sorted(server.asked(NAME)) == ["A", "AAAA"]
    for family, kind in (("4", "A"), ("6", "AAAA")):
        found, _, server = resolve(BOTH, family=family)
        assert set(found) == set(BOTH[f"{NAME} {kind}"])
        assert server.asked(NAME) == [kind]


def test_addresses_carry_port_and_family() -> None:
    with name_server({f"{NAME} A": FAR}) as server:
        resolver = Resolver([NameServer.parse(server.place)], machine=ONLY_V4)
        found = asyncio.run(resolver.resolve(parse_url(f"https://{NAME}:8443/")))
    assert found == [Address(V4, FAR, 8443)]


def test_family_without_a_route_is_asked_for_only_when_needed() -> None:
    found, _, server = resolve(BOTH, machine=ONLY_V4)
    assert all(":" not in ip for ip in found)
    assert server.asked(NAME) == ["A"]
    found, _, server = resolve({f"{NAME} AAAA": FAR6}, machine=ONLY_V4)
    assert found == [FAR6]
    assert server.asked(NAME) == ["A", "AAAA"]


CHAIN = [(NAME, "a.example.net"), ("a.example.net", "b.example.net")]
CIRCLE = [(NAME, "a.example.net"), ("a.example.net", NAME)]
LONG = [(NAME, "n0.example.net")] + [
    (f"n{at}.example.net", f"n{at + 1}.example.net") for at in range(40)
]


def says(**fields: Any) -> Script:
    return lambda query: [query.reply(**fields)]


SENTENCES: dict[str, tuple[Script | Zone, str]] = {
    "nxdomain": ({"other.example.com A": FAR}, f"The name {NAME} does not exist."),
    "no address": ({f"{NAME} MX": "10 mail."}, f"The name {NAME} exists but has no address."),
    "servfail": (
        says(rcode="SERVFAIL"),
        f"The name {NAME} could not be resolved: its name servers fail (SERVFAIL).",
    ),
    "refused": (
        says(rcode="REFUSED"),
        f"The name server refuses to answer for {NAME} (REFUSED).",
    ),
    "not implemented": (
        says(rcode="NOTIMP"),
        f"The name server cannot answer for {NAME} (NOTIMP).",
    ),
    "circle": (
        says(aliases=CIRCLE),
        f"The aliases of {NAME} lead in a circle, or are more than 16.",
    ),
    "endless chain": (
        says(aliases=LONG),
        f"The aliases of {NAME} lead in a circle, or are more than 16.",
    ),
    "alias to nowhere": (
        says(aliases=CHAIN, rcode="NXDOMAIN"),
        f"The name {NAME} is an alias of b.example.net, which does not exist.",
    ),
    "alias without address": (
        says(aliases=CHAIN),
        f"The name {NAME} is an alias of b.example.net, which has no address.",
    ),
    "strange alias": (
        says(aliases=[(NAME, r"a\000\"b.example.net")], rcode="NXDOMAIN"),
        rf"The name {NAME} is an alias of a\000\034b.example.net, which does not exist.",
    ),
}


@pytest.mark.parametrize(("script", "sentence"), SENTENCES.values(), ids=SENTENCES.keys())
def test_every_refusal_is_a_sentence_of_its_own(script: Script | Zone, sentence: str) -> None:
    found, took, _ = resolve(script)
    assert found == sentence
    assert took < 3  # nothing is waited for


def test_an_alias_is_followed_to_its_address() -> None:
    found, _, _ = resolve(only("A", lambda query: [query.reply(FAR, aliases=CHAIN)]), family="4")
    assert found == [FAR]


def test_addresses_of_other_names_are_not_taken() -> None:
    """An answer may carry whatever its sender likes; only the chain from the question counts."""

    def script(query: Query) -> Iterable[bytes]:
        wire = bytearray(query.reply(FAR))
        return [bytes(wire).replace(b"\xc0\x0c\x00\x01", b"\xc0\x10\x00\x01", 1)]

    found, _, _ = resolve(script, family="4")
    assert found == f"The name {NAME} exists but has no IPv4 address."


# --- time


def test_a_missing_answer_for_one_family_costs_little() -> None:
    found, took, _ = resolve(only("A", lambda query: [query.reply(FAR)]))
    assert (found, took < 1) == ([FAR], True)
    found, took, _ = resolve(only("AAAA", lambda query: [query.reply(FAR6)]))
    assert (found, took < 2) == ([FAR6], True)


def test_a_slow_ipv4_answer_is_waited_for_and_a_slow_ipv6_one_is_not() -> None:
    def late(kind: str) -> Script:
        return lambda query: [
            *([0.2] if query.kind == kind else []),
            query.reply(FAR if query.kind == "A" else FAR6),
        ]

    assert resolve(late("A"))[0] == [FAR6, FAR]
    assert resolve(late("AAAA"))[0] == [FAR]


def test_a_failing_family_does_not_spoil_the_other() -> None:
    def script(query: Query) -> Iterable[bytes]:
        return [query.reply(FAR) if query.kind == "A" else query.reply(rcode="SERVFAIL")]

    assert resolve(script)[0] == [FAR]


def test_a_lost_question_is_asked_again() -> None:
    seen: list[Query] = []

    def script(query: Query) -> Iterable[bytes]:
        seen.append(query)
        return [query.reply(FAR)] if len(seen) > 1 else []

    found, took, _ = resolve(script, family="4")
    assert found == [FAR]
    assert 0.3 < took < 3


def test_a_slow_answer_counts_after_the_question_was_asked_again() -> None:
    found, _, server = resolve(lambda query: [0.6, query.reply(FAR)], family="4")
    assert found == [FAR]
    assert len(server.queries) == 2


@pytest.mark.parametrize(
    "first",
    [silent, says(rcode="SERVFAIL"), says(rcode="REFUSED"), lambda query: [b"\0" * 40]],
    ids=["silent", "servfail", "refused", "garbage"],
)
def test_the_second_server_helps_out(first: Script) -> None:
    with name_server(first) as broken:
        found, took, _ = resolve(
            {f"{NAME} A": FAR}, family="4", before=[NameServer.parse(broken.place)]
        )
    assert found == [FAR]
    assert took < 3


def test_a_server_that_is_not_there_is_left_at_once() -> None:
    nobody = NameServer("127.0.0.1", free_port())
    found, took, _ = resolve({f"{NAME} A": FAR}, family="4", before=[nobody])
    assert found == [FAR]
    assert took < 0.4 + 1
    alone = Resolver([nobody], machine=DUAL)
    found, took = asyncio.run(_timed(alone.resolve(parse_url(f"http://{NAME}/"))))
    assert found == f"The name servers gave no answer for {NAME}."
    assert took < 0.4


def test_a_thousand_names_on_a_hung_server_delay_nobody() -> None:
    async def run(hung: Server, quick: Server) -> tuple[float, int]:
        slow = Resolver([NameServer.parse(hung.place)], machine=ONLY_V4)
        waiting = [
            asyncio.create_task(slow.resolve(parse_url(f"http://n{at}.example.com/")))
            for at in range(1_000)
        ]
        while len(hung.queries) < 1_000:
            await asyncio.sleep(0.01)
        resolver = Resolver([NameServer.parse(quick.place)], machine=ONLY_V4)
        began = time.monotonic()
        for _ in range(20):
            await resolver.resolve(parse_url(f"http://{NAME}/"))
        took = time.monotonic() - began
        for task in waiting:
            task.cancel()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        return took, sum(isinstance(end, asyncio.CancelledError) for end in ends)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))
    try:
        with name_server(silent) as hung, name_server({f"{NAME} A": FAR}) as quick:
            took, cancelled = asyncio.run(run(hung, quick))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert took < 2
    assert cancelled == 1_000


def test_a_cancelled_lookup_leaves_nothing_behind() -> None:
    async def run(server: Server) -> list[int]:
        resolver = Resolver([NameServer.parse(server.place)], machine=DUAL)
        opened = []
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await resolver.resolve(parse_url(f"http://{NAME}/"))
            opened.append(len(list(Path("/proc/self/fd").iterdir())))
        return opened

    before = len(list(Path("/proc/self/fd").iterdir()))
    with name_server(silent) as server:
        first, *others = asyncio.run(run(server))
    assert others == [first, first]  # the epoll of the loop alone stays
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before  # and goes with it


def test_a_machine_without_free_descriptors_blames_no_name_server() -> None:
    async def run(server: Server) -> None:
        resolver = Resolver([NameServer.parse(server.place)], machine=DUAL)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        taken: list[int] = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            with pytest.raises(OSError, match="Too many open files"):
                await resolver.resolve(parse_url(f"http://{NAME}/"))
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with name_server(BOTH) as server:
        asyncio.run(run(server))


# --- forged, cut and broken answers


def edited(at: int, *values: int) -> Callable[[bytes], bytes]:
    return lambda wire: wire[:at] + bytes(values) + wire[at + len(values) :]


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "wrong id": lambda wire: bytes((wire[0] ^ 1,)) + wire[1:],
    "question, no answer": edited(2, 1),
    "another operation": edited(2, 0x91),
    "no question": edited(4, 0, 0),
    "two questions": edited(4, 0, 2),
    "another name": edited(13, ord("x")),
    "another type": lambda wire: wire.replace(b"\x03com\0\0\x01", b"\x03com\0\0\x10", 1),
    "empty": lambda wire: b"\0",
    "header alone": lambda wire: wire[:12],
    "garbage": lambda wire: bytes(range(200)),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_forged_answers_are_passed_over(forge: Callable[[bytes], bytes]) -> None:
    def script(query: Query) -> Iterable[bytes]:
        return [forge(query.reply("198.51.100.66")), query.reply(FAR), query.reply("8.8.8.8")]

    assert resolve(script, family="4")[0] == [FAR]


def test_answers_from_another_address_do_not_arrive() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

        def script(query: Query) -> Iterable[bytes | float]:
            stranger.sendto(query.reply("198.51.100.66"), query.sender)
            return [0.05, query.reply(FAR)]

        assert resolve(script, family="4")[0] == [FAR]


def test_a_cut_answer_is_asked_for_over_tcp() -> None:
    whole = many(200)

    def script(query: Query) -> Iterable[bytes]:
        return [query.reply(*whole) if query.over_tcp else query.reply(FAR, truncated=True)]

    found, _, server = resolve(script, family="4")
    assert set(found) == set(whole)
    assert [query.over_tcp for query in server.queries] == [False, True]


@pytest.mark.parametrize(
    "over_tcp",
    [
        lambda query: [],
        lambda query: [b""],
        lambda query: [b"\0" * 30],
        lambda query: [query.reply(truncated=True)],
        None,
    ],
    ids=["closed", "empty", "garbage", "cut again", "no tcp"],
)
def test_a_cut_answer_without_tcp_says_so(over_tcp: Script | None) -> None:
    def script(query: Query) -> Iterable[bytes | float]:
        if query.over_tcp and over_tcp is not None:
            return over_tcp(query)
        return [query.reply(FAR, truncated=True)]

    found, took, _ = resolve(script, family="4", tcp=over_tcp is not None)
    assert found == (
        f"The name server's answer for {NAME} is cut short, and the whole one does not come over TCP."
    )
    assert took < 3


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "pointer to itself": lambda wire: wire.replace(b"\xc0\x0c\0\x01", b"\xc0\x21\0\x01", 1),
    "pointer forwards": lambda wire: wire.replace(b"\xc0\x0c\0\x01", b"\xc0\xff\0\x01", 1),
    "reserved label": lambda wire: wire.replace(b"\xc0\x0c\0\x01", b"\x80\x0c\0\x01", 1),
    "cut off": lambda wire: wire[:-2],
    "long address": lambda wire: wire.replace(b"\0\x04\x5d", b"\0\x05\x5d", 1) + b"\0",
    "records that are not there": edited(6, 0xFF, 0xFF),
}


@pytest.mark.parametrize("harm", BROKEN.values(), ids=BROKEN.keys())
def test_broken_answers_end_with_a_sentence(harm: Callable[[bytes], bytes]) -> None:
    def script(query: Query) -> Iterable[bytes]:
        return [harm(query.reply(FAR))]

    found, took, _ = resolve(script, family="4")
    assert isinstance(found, str)
    assert found.startswith(f"The name server's answer for {NAME} cannot be read: ")
    assert took < 3


def many(count: int) -> list[str]:
    return [f"93.{at // 65_536}.{at // 256 % 256}.{at % 256}" for at in range(1, count + 1)]


def test_a_large_answer_is_read_in_bounds() -> None:
    found, _, _ = resolve(lambda query: [query.reply(*many(900))], family="4")
    assert len(found) == 256


@pytest.mark.parametrize("truncated", [False, True])
def test_a_huge_answer_is_not_read(truncated: bool) -> None:
    def script(query: Query) -> Iterable[bytes]:
        whole = query.over_tcp or not truncated
        return [query.reply(*many(3_500)) if whole else query.reply(truncated=True)]

    found, took, _ = resolve(script, family="4")
    assert found == f"The name server's answer for {NAME} is larger than 16 kiB."
    assert took < 3


@given(data=st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_a_bad_message(data: bytes) -> None:
    question = encode_question(NAME, A, 7)
    assert not is_answer(data, question) or data[:2] == question[:2]
    for prefix in (question[:2] + b"\x81\x80\0\1\0\3\0\0\0\0" + question[12:], b""):
        wire = prefix + data
        if is_answer(wire, question):
            try:
                answer = read_addresses(wire, question)
            except BadMessage:
                continue
            assert all(address.count(".") == 3 for address in answer.addresses)


@given(at=st.integers(0, 200), value=st.integers(0, 255), kind=st.sampled_from([A, AAAA]))
def test_any_changed_byte_is_read_or_refused(at: int, value: int, kind: int) -> None:
    question = encode_question(NAME, kind, 7)
    query = Query(NAME, "A" if kind == A else "AAAA", question)
    wire = bytearray(query.reply(*([FAR] if kind == A else [FAR6]), aliases=CHAIN))
    wire[at % len(wire)] = value
    if is_answer(bytes(wire), question):
        with contextlib.suppress(BadMessage):
            read_addresses(bytes(wire), question)


# --- from the name to the connection


def engine_probe(
    server: Server, guard: Guard, url: str, *, times: int = 1, **fields: Any
) -> list[Result]:
    async def run() -> list[Result]:
        engine = ProbeEngine(
            guard=guard, user_agent="Uptime/1.0", name_servers=[NameServer.parse(server.place)]
        )
        probe = Probe.from_json({"check_id": 1, "slot": 5, "url": url, **fields})
        try:
            return [await engine.probe(probe) for _ in range(times)]
        finally:
            engine.close()

    return asyncio.run(run())


def probe_named(script: Script | Zone, *, times: int = 1) -> tuple[list[Result], Server, int]:
    """Probes of a web server on 127.0.0.1, whose one port is open, by its name."""
    with serve(replies(answer())) as target, name_server(script) as server:
        guard = Guard(AllowList.parse(f"127.0.0.1/32:{target.port}"))
        url = target.url(host=NAME)
        results = engine_probe(server, guard, url, times=times, family="4")
        return results, server, len(target.requests)


def test_a_name_is_resolved_connected_and_timed() -> None:
    (result,), server, requests = probe_named({f"{NAME} A": "127.0.0.1"})
    assert (result.outcome, result.remote_address, requests) == (Outcome.UP, "127.0.0.1", 1)
    assert 0 < (result.phases.dns_us or 0) < result.total_us
    assert server.asked(NAME) == ["A"]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"]])
def test_private_and_mixed_answers_are_blocked(addresses: list[str]) -> None:
    kind = "AAAA" if ":" in addresses[0] else "A"

    def script(query: Query) -> Iterable[bytes]:
        return [query.reply(*addresses) if query.kind == kind else query.reply()]

    with name_server(script) as server:
        (result,) = engine_probe(server, Guard(), f"http://{NAME}/")
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.BLOCKED)
    assert f"{NAME} resolves to a forbidden target" in result.message
    assert result.phases.connect_us is None


def test_rebinding_finds_the_address_checked_each_time() -> None:
    """The name moves to a closed address after each question: one probe asks once, and connects
    to what was checked."""
    asked: list[Query] = []

    def script(query: Query) -> Iterable[bytes]:
        asked.append(query)
        return [query.reply("127.0.0.1" if len(asked) % 2 else "127.0.0.2")]

    results, server, requests = probe_named(script, times=6)
    assert [result.reason for result in results] == [Reason.NONE, Reason.BLOCKED] * 3
    assert (requests, len(server.queries)) == (3, 6)


def test_an_unresolved_name_is_down_for_dns() -> None:
    (result,), _, _ = probe_named({"other.example.com A": "127.0.0.1"})
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.DNS)
    assert result.message == f"The name {NAME} does not exist."
    assert result.phases.connect_us is None


def test_a_hung_name_server_ends_with_the_probes_timeout() -> None:
    with name_server(silent) as server:
        (result,) = engine_probe(server, Guard(), f"http://{NAME}/", timeout_ms=1_000)
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.TIMEOUT)
    assert result.message == "Timed out after 1 s while resolving the name."
    assert 1_000_000 <= result.total_us < 3_000_000


# --- the machine's own files


def test_hosts_and_servers_are_the_machines_own(tmp_path: Path) -> None:
    hosts, resolv = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text(
        "127.0.0.1 localhost\n::1 localhost # ours\n10.1.2.3\tDb.example.com db\nx y\n"
    )
    resolv.write_text("search example.net\nnameserver 10.0.0.1\nnameserver x\nnameserver ::1\n")
    machine = MachineNames(str(hosts), str(resolv))
    assert machine.addresses("localhost") == ("127.0.0.1", "::1")
    assert machine.addresses("db.example.com") == ("10.1.2.3",)
    assert machine.servers() == (NameServer("10.0.0.1"), NameServer("::1"))
    resolver = Resolver(machine=machine)
    found = asyncio.run(resolver.resolve(parse_url("http://db.example.com/")))
    assert [address.ip for address in found] == ["10.1.2.3"]
    with pytest.raises(Unresolved, match=r"db\.example\.com has no IPv6 address"):
        asyncio.run(resolver.resolve(parse_url("http://db.example.com/"), "6"))


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 a.example.com\n")
    machine = MachineNames(str(hosts), str(tmp_path / "none"))
    assert machine.addresses("a.example.com") == ("10.0.0.1",)
    assert machine.servers() == (NameServer("127.0.0.1"),)
    hosts.write_text("10.0.0.22 a.example.com\n")
    monkeypatch.setattr("fanout_lambdas.probe.machine_names.time.monotonic", lambda: 1e9)
    assert machine.addresses("a.example.com") == ("10.0.0.22",)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.2", NameServer("10.0.0.2", 53)),
        (" 10.0.0.2:5353", NameServer("10.0.0.2", 5353)),
        ("::1", NameServer("::1", 53)),
        ("[2001:db8::1]:54", NameServer("2001:db8::1", 54)),
    ],
)
def test_name_servers_are_read(text: str, server: NameServer) -> None:
    assert NameServer.parse(text) == server
    assert NameServer.parse(str(server)) == server


@pytest.mark.parametrize(
    "text", ["", "dns.example.com", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2:99999", "[::1]53", "1.2.3"]
)
def test_wrong_name_servers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        NameServer.parse(text)
