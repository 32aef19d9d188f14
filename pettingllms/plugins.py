"""Plug-ins of an experiment: files and modules with environments and agents of one's own, put in force."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType, TracebackType
from typing import Any, NoReturn

from pettingllms.errors import Interrupted, PettingLLMsError, RefusedError, in_one_line
from pettingllms.registry import Registration, Registry

_PACKAGE = Path(__file__).resolve().parent
LOADING_SECONDS = 300
"""How long loading one plug-in may take; what it imports may be large, and far away."""
_loaded: dict[str, ModuleType | PluginFault] = {}
"""What became of each file, by a digest of its path and content."""


@dataclass(frozen=True, slots=True)
class PluginFault:
    """Why a plug-in is not in force. `file`, `line`: where that is to be mended, as far as it is known."""

    plugin: str
    message: str
    help: str
    file: str | None = None
    line: int = 1


def is_file(plugin: str) -> bool:
    """Whether an entry of `plugins` names a file; all others name modules."""
    return plugin.endswith(".py") or "/" in plugin or "\\" in plugin


def use(plugins: Sequence[str]) -> list[PluginFault]:
    """Put these plug-ins in force, and no others; returns why some of them could not be.

    Each is loaded once in a process; a file that has changed is loaded anew. What they print goes to standard
    error. File names are absolute, or relative to the current folder.
    """
    faults: list[PluginFault] = []
    modules: dict[str, ModuleType] = {}
    for plugin in dict.fromkeys(plugins):
        found = _file(plugin) if is_file(plugin) else _module(plugin)
        if isinstance(found, PluginFault):
            faults.append(found)
        else:
            modules[plugin] = found
    for registry in Registry.extensible:
        registry.plugged = {}
        by: dict[str, str] = {}
        for plugin, module in modules.items():
            for made in _brought(registry, module):
                if registry.plugged.setdefault(made.name, made.value) is not made.value:
                    other = Path(by[made.name]).name
                    message = f"the {registry.kind} {made.name!r} is registered by {other}, too"
                    faults.append(PluginFault(plugin, message, "choose another name", made.file, made.line))
                by.setdefault(made.name, plugin)
    return faults


def require(plugins: Sequence[str]) -> None:
    """Put these plug-ins in force, and no others. Raises RefusedError for the first that cannot be."""
    for fault in use(plugins):
        where = f"{fault.file}:{fault.line}: " if fault.file else ""
        raise RefusedError(f"{where}the plug-in {fault.plugin}: {fault.message}", help=fault.help)


def digests(plugins: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the file of each of these plug-ins, which are in force; without those that have no file."""
    found: dict[str, str] = {}
    for plugin in plugins:
        file = plugin if is_file(plugin) else getattr(sys.modules.get(plugin), "__file__", None)
        with contextlib.suppress(OSError, ValueError):
            if file is not None:
                found[plugin] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return found


def loaded_files() -> set[Path]:
    """The files of all modules that are neither Python's, nor installed, nor of this package.

    What a plug-in in force depends on is among them.
    """
    libraries = {Path(folder).resolve() for folder in (sys.prefix, sys.base_prefix)}
    names = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    files = {Path(name).resolve() for name in names if isinstance(name, str)}
    return {one for one in files if not any(map(one.is_relative_to, (*libraries, _PACKAGE)))}


def _brought(registry: Registry[Any], module: ModuleType) -> list[Registration]:
    """What a plug-in brings: what it registers itself, and what modules do that it imports by name."""
    names = {module.__name__}
    for value in vars(module).values():
        if isinstance(value, ModuleType):
            names.add(value.__name__)
        elif isinstance(value, type | FunctionType):
            names.add(value.__module__)
    below = tuple(f"{name}." for name in names)
    return [made for made in registry.registrations if made.module in names or made.module.startswith(below)]


def _file(plugin: str) -> ModuleType | PluginFault:
    path = Path(plugin).absolute()
    try:
        source = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        help_text = "a relative name starts at the folder of the experiment file that holds it"
        return PluginFault(plugin, f"it cannot be read: {reason}", help_text)
    digest = hashlib.blake2b(
        b"\0".join([str(path).encode("utf-8", "surrogateescape"), source]), digest_size=8
    )
    key = digest.hexdigest()
    if key not in _loaded:
        module = ModuleType(f"pettingllms_plugin_{path.stem}_{key}")
        module.__file__ = str(path)
        # Types that are written as text are looked up there while a class is made.
        sys.modules[module.__name__] = module
        try:
            with _loading():
                exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))
            _loaded[key] = module
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException as error:
            del sys.modules[module.__name__]
            _loaded[key] = _fault(plugin, error, str(path))
    return _loaded[key]


def _module(plugin: str) -> ModuleType | PluginFault:
    try:
        with _loading():
            return importlib.import_module(plugin)
    except (Interrupted, KeyboardInterrupt):
        raise
    except BaseException as error:
        found = _fault(plugin, error)
        missing = isinstance(error, ModuleNotFoundError) and f"{plugin}.".startswith(f"{error.name}.")
        if missing or not all(part.isidentifier() for part in plugin.split(".")):
            message = f"there is no module {plugin!r} that Python finds"
            return PluginFault(plugin, message, "install it, or name a file by a path that ends in .py")
        return found


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """What is registered meanwhile belongs to plug-ins; what is printed does not go into results.

    Neither does a plug-in end this process without a word, nor does it keep it for good.
    """
    Registry.loading = True
    end, process = os._exit, os.getpid()

    def noted(status: int) -> NoReturn:
        # A plug-in may have kept it, and processes that it forks end by it.
        if Registry.loading and os.getpid() == process:
            raise SystemExit(status)
        end(status)

    os._exit = noted
    try:
        with contextlib.redirect_stdout(sys.stderr), _limited():
            yield
    finally:
        os._exit = end
        Registry.loading = False


class _TooLongError(BaseException):
    """Nothing that handles errors of an import catches it."""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """At most `LOADING_SECONDS`, where a signal can tell: in the main thread, and not under Windows."""
    alone = threading.current_thread() is threading.main_thread()
    if not (alone and hasattr(signal, "setitimer")) or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def tell(*_: object) -> NoReturn:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, tell)
    try:
        signal.setitimer(signal.ITIMER_REAL, LOADING_SECONDS)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _fault(plugin: str, error: BaseException, file: str | None = None) -> PluginFault:
    """What `error`, which loading `plugin` raised, says, and the last line of the plug-in that led to it.

    `file`: where the plug-in is; of a module, the first file that the error came through.
    """
    places = list(_places(error.__traceback__))
    if isinstance(error, SyntaxError) and error.filename is not None:
        places.append((error.filename, error.lineno or 1))
    file, line = file or (places[0][0] if places else None), 1
    for name, number in places:
        line = number if name == file else line
    own = isinstance(error, PettingLLMsError)
    message = str(error) if own else in_one_line(error)
    if isinstance(error, _TooLongError):
        message = f"loading it takes more than {LOADING_SECONDS} seconds"
    elif isinstance(error, SystemExit):
        message = f"it ends the process while it is loaded ({in_one_line(error)})"
    if not own and places and places[-1][0] != file:
        message += f" ({Path(places[-1][0]).name}:{places[-1][1]})"
    help_text = error.help if isinstance(error, PettingLLMsError) else None
    return PluginFault(
        plugin, message, help_text or "mend the plug-in; `python FILE` shows the whole traceback", file, line
    )


def _places(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    """File and line of each frame, outermost first, without those of importing."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        machinery = file.startswith("<") or Path(file) in (Path(__file__), Path(importlib.__file__))
        if not machinery:
            yield file, trace.tb_lineno
        trace = trace.tb_next
