"""Who may import whom: the contracts of pyproject.toml, and what they cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_contracts_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ports_imports_the_standard_library_only() -> None:
    foreign = {
        f"{file.name}: {name}"
        for file in (ROOT / "ports").glob("*.py")
        for name in _imported(ast.parse(file.read_text()))
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "ports"}
    }
    assert not foreign


def test_the_runtime_loads_no_store() -> None:
    code = (
        "import sys, supervisor._cli; "
        "print(*{name.partition('.')[0] for name in sys.modules} & {'stores', 'ports'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def _imported(tree: ast.Module) -> set[str]:
    """The modules that are imported when the program runs: not those for type checkers only."""
    found: set[str] = set()
    for node in _at_run_time(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return found


def _at_run_time(node: ast.AST) -> list[ast.AST]:
    below = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        below = list(node.orelse)
    return [node, *(found for child in below for found in _at_run_time(child))]
