"""Binaries that would not load on Lambda are named, each with its reason."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.elf import WrongBinary, check_archive
from deploy.target import TARGETS

ARM, INTEL = TARGETS["arm64"], TARGETS["x86_64"]


def elf(machine: int = 183, *, order: bytes = b"\x01", rest: bytes = b"GLIBC_2.17\0") -> bytes:
    """Class 64, the order of bytes, version, padding; a shared object for `machine`."""
    head = b"\x7fELF\x02" + order + b"\x01" + bytes(9) + (3).to_bytes(2, "little")
    return head + machine.to_bytes(2, "little") + rest


def archive(folder: Path, **files: bytes) -> Path:
    path = folder / "made.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


def test_what_fits_is_counted(tmp_path: Path) -> None:
    files = {
        "_brotli.cpython-312-aarch64-linux-gnu.so": elf(),
        "cryptography/_rust.abi3.so": elf(rest=b"GLIBC_2.28\0GLIBC_2.9\0"),
        "some.libs/libssl-1a2b.so.1.1": elf(),
        "package/": b"",
        "package/tool": elf(),
        "package/module.pyc": (3531).to_bytes(2, "little") + b"\r\n",
        "package/module.py": b"",
        "notes.so.txt": b"no library",
    }
    assert check_archive(archive(tmp_path, **files), ARM) == 4


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.so", elf(62), r"a.so: machine 62, expected 183 \(arm64\)"),
        ("bin/tool", elf(62), "bin/tool: machine 62"),
        ("a.so", elf(order=b"\x02"), "a.so: machine -1"),
        ("a.so", b"GROUP ( libm.so.6 )", "a.so: is no ELF file"),
        ("liba.so.3.1", b"", "liba.so.3.1: is no ELF file"),
        ("a.cpython-311-aarch64-linux-gnu.so", elf(), "for Python 311, the runtime is 312"),
        ("a.cpython-312-x86_64-linux-gnu.so", elf(), "named for x86_64-linux-gnu"),
        ("a.cpython-312-aarch64-linux-musl.so", elf(), "named for aarch64-linux-musl"),
        ("a.so", elf(rest=b"GLIBC_2.35"), "needs glibc 2.35, the runtime has 2.34"),
        ("a.pyc", (3495).to_bytes(2, "little"), "bytecode 3495, the runtime reads 3531"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    files = {"good.abi3.so": elf(), name: data}
    with pytest.raises(WrongBinary, match=reason):
        check_archive(archive(tmp_path, **files), ARM)


def test_every_wrong_file_has_its_line(tmp_path: Path) -> None:
    path = archive(tmp_path, **{"a.so": elf(), "b.so": elf(), "c.abi3.so": elf(62)})
    with pytest.raises(WrongBinary) as caught:
        check_archive(path, INTEL)
    assert str(caught.value).splitlines() == [
        "made.zip does not fit Lambda on x86_64:",
        "  a.so: machine 183, expected 62 (x86_64)",
        "  b.so: machine 183, expected 62 (x86_64)",
    ]


def test_an_archive_without_binaries_lost_them(tmp_path: Path) -> None:
    with pytest.raises(WrongBinary, match="no binary at all"):
        check_archive(archive(tmp_path, **{"module.py": b""}), ARM)


def test_the_wheels_of_this_environment_are_refused_for_another_machine(tmp_path: Path) -> None:
    """What a packer that copies them would ship; whatever machine runs this test, one target differs."""
    spec = find_spec("_cffi_backend")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin)
    path = archive(tmp_path, **{source.name: source.read_bytes()})
    refused = 0
    for target in (ARM, INTEL):
        try:
            check_archive(path, target)
        except WrongBinary:
            refused += 1
    assert refused >= 1
