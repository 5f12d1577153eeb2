"""``regrow run``: a tree in the foreground."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from argparse import Namespace
from types import ModuleType, TracebackType

from supervisor._cli.status import BAD_USAGE, GAVE_UP, NODE_RUNNING, NOT_STARTED, OK
from supervisor._errors import NodeRunning, SpecError, StartError, SupervisorError
from supervisor._node import Node
from supervisor._supervisor import Supervisor

__all__ = ["UsageError", "load_tree", "run"]

logger = logging.getLogger("supervisor")

_FORMAT = "%(asctime)s %(levelname)-7s %(process)d %(message)s"


class UsageError(Exception):
    """What was written on the command line names no tree; the message is for its author."""


def run(arguments: Namespace) -> int:
    """Run the tree that is named, until it ends; return the exit status."""
    logging.basicConfig(
        stream=sys.stderr, level=arguments.log_level.upper(), format=_FORMAT, force=True
    )
    try:
        return _run(load_tree(arguments.tree), arguments)
    except (UsageError, SpecError) as error:
        return _fail(BAD_USAGE, str(error))
    except NodeRunning as error:
        return _fail(NODE_RUNNING, str(error))
    except StartError as error:
        return _fail(NOT_STARTED, str(error))
    except SupervisorError as error:
        return _fail(NOT_STARTED, f"the tree did not start: {error}")


def _run(spec: Supervisor, arguments: Namespace) -> int:
    place = Node.named(arguments.node, arguments.run_dir)
    logger.info("node %r starts %s in %s", place.name, arguments.tree, place.folder)
    status = spec.run(arguments.node, run_dir=arguments.run_dir)
    if status == OK:
        logger.info("node %r has stopped in order", place.name)
        return OK
    if status == GAVE_UP:
        logger.error("node %r has given up", place.name)
    else:
        logger.error("node %r was killed: a second signal came while it stopped", place.name)
    return status


def _fail(status: int, message: str) -> int:
    print(f"regrow: {message}", file=sys.stderr)
    return status


def load_tree(text: str) -> Supervisor:
    """The tree that ``MODULE:TREE`` names.

    Raises:
        UsageError: it names none, or its module, or the function that it names, raised.
    """
    module_name, colon, path = text.partition(":")
    if not (module_name and colon and path):
        raise UsageError(f"{text!r} is not of the form MODULE:TREE, as in app:tree")
    value = _attribute(_import(module_name), path)
    if isinstance(value, Supervisor):
        return value
    if not callable(value):
        raise UsageError(
            f"{text} is a {type(value).__name__}: {value!r:.200}, not a Supervisor or a function "
            "that returns one"
        )
    try:
        made = value()
    except Exception as error:
        raise UsageError(f"{text} raised\n\n{_traceback(error)}") from error
    if not isinstance(made, Supervisor):
        raise UsageError(f"{text} returned {made!r:.200}, which is not a Supervisor")
    return made


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        # As `python -m` does: a tree is run from the folder that it is written in.
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise UsageError(f"there is no module {missing!r} in {here} or on sys.path") from None
        raise UsageError(f"module {name!r} raised\n\n{_traceback(error)}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"module {name!r} raised\n\n{_traceback(error)}") from error


def _attribute(module: ModuleType, path: str) -> object:
    value: object = module
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            public = [known for known in vars(module) if not known.startswith("_")]
            trees = [known for known in public if isinstance(vars(module)[known], Supervisor)]
            hint = f"; its supervisors: {', '.join(trees)}" if trees else ""
            raise UsageError(
                f"module {module.__name__!r} has no attribute {path!r}{hint}"
            ) from None
    return value


def _traceback(error: BaseException) -> str:
    """The traceback, without the frames that lead to the user's own code."""
    frame = error.__traceback__
    while frame is not None and _is_ours(frame):
        frame = frame.tb_next
    # None is left of a SyntaxError, which says by itself where it is.
    return "".join(traceback.format_exception(type(error), error, frame)).rstrip()


def _is_ours(frame: TracebackType) -> bool:
    file = frame.tb_frame.f_code.co_filename
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")
