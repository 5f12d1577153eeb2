"""The README's Python examples, run as they are written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor._cli import status
from supervisor._cli.arguments import make_parser
from tests.cli.command import ROOT, daemon, environment, up
from tests.support import PATIENCE

README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
# Those that belong together say which file they are.
FILES = {found[1]: text for text in EXAMPLES if (found := re.match(r"# (\w+\.py)\n", text))}
PROGRAMS = [text for text in EXAMPLES if text not in FILES.values()]


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, program],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_picture_on_top(tmp_path: Path, run_dir: Path) -> None:
    assert list(FILES) == ["app.py", "client.py"]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert "$ regrow run app:tree " in README
    with daemon("app:tree", cwd=tmp_path) as process:
        up(run_dir, 3)
        done = run("client.py", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        process.terminate()
        assert process.wait(PATIENCE) == status.OK


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program(tmp_path: Path, run_dir: Path, number: int) -> None:
    (tmp_path / "program.py").write_text(PROGRAMS[number])
    done = run("program.py", tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_option_is_in_the_readme() -> None:
    commands = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    for name, parser in dict(commands or {}).items():  # type: ignore[call-overload]
        [line] = re.findall(rf"^\$ (regrow {name} .*\[.*(?:\n  .*)*)$", README, re.MULTILINE)
        for action in parser._actions:
            for option in action.option_strings:
                assert option in ("-h", "--help") or option in line, f"{name}: {option}"
