"""What the documentation says is there, is there."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))

_FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")


def defined(file: Path) -> set[str]:
    """The classes and functions of a module of tests, as pytest calls them."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef))
            }
    return found


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_page_names_are_there(page: str) -> None:
    named = _TEST.findall((ROOT / page).read_text())
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).exists() or test not in defined(ROOT / file)
    ]
    assert not missing
    if page == "docs/otp.md":
        assert len(named) > 100


def test_the_examples_of_how_to_test(tmp_path: Path) -> None:
    files = dict(_FILE.findall((ROOT / "docs/testing.md").read_text()))
    assert list(files) == ["conftest.py", "test_decisions.py", "test_processes.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "6 passed" in done.stdout, done.stdout + done.stderr


def test_the_alarm(run_dir: Path, tmp_path: Path) -> None:
    [(name, text)] = _FILE.findall((ROOT / "docs/logs.md").read_text())
    (tmp_path / name).write_text(text)
    program = tmp_path / "app.py"
    program.write_text(
        """
import sys
import pager
from supervisor import Child, Supervisor

inner = Supervisor([Child(lambda: 1 / 0, id="task")], id="inner", restart="temporary")
sys.exit(Supervisor([inner, Child(lambda: 1 / 0, id="last", restart="transient")]).run())
"""
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    alarms = [line.partition(" error")[0] for line in done.stdout.splitlines()]
    assert sorted(alarms) == ["wake somebody: inner/task", "wake somebody: last"]
