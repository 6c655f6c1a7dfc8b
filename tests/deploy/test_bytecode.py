"""Bytecode takes the place of sources: it loads, tells where it came from, and is the same each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.bytecode import interpreter, replace_sources
from deploy.target import PYTHON

HERE = Path(sys.executable)
SOURCE = """
NAMES = {"one", "two", "three", "four"}

def fail():
    raise ValueError("as asked")
"""


def package(folder: Path) -> Path:
    (folder / "room").mkdir(parents=True)
    (folder / "room" / "__init__.py").write_text("")
    (folder / "room" / "module.py").write_text(SOURCE)
    (folder / "room" / "data.txt").write_text("kept")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_modules_load_without_their_sources(tmp_path: Path) -> None:
    replace_sources(package(tmp_path), HERE)
    assert set(files(tmp_path)) == {"room/__init__.pyc", "room/module.pyc", "room/data.txt"}
    program = "import sys; sys.path.insert(0, sys.argv[1]); import room.module as m; m.fail()"
    done = subprocess.run(
        [HERE, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    assert 'File "/var/task/room/module.py", line 5, in fail' in done.stderr
    assert done.stderr.endswith("ValueError: as asked\n")


def test_two_folders_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        replace_sources(package(tmp_path / name), HERE)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_what_is_no_python_is_named(tmp_path: Path) -> None:
    (package(tmp_path) / "room" / "old.py").write_text("print 'hello'\n")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        replace_sources(tmp_path, HERE)
    assert "room/old.py" in caught.value.stdout


def test_the_interpreter_is_of_the_runtime_s_version() -> None:
    python = interpreter()
    if python is None:
        pytest.skip("no such Python on this machine")
    program = "import sys; print(*sys.version_info[:2])"
    said = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(part) for part in PYTHON]
