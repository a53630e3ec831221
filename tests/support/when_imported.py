"""Changes a module as soon as a program imports it: so a fault comes into a program that knows nothing of faults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

Change = Callable[[ModuleType], None]


@dataclass(eq=False)
class ChangingLoader(Loader):
    """Loads a module as another loader does, then changes it."""

    loader: Loader
    change: Change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        self.change(module)


@dataclass(eq=False)
class Finder(MetaPathFinder):
    """Finds one module where Python finds it, in folders and zip files, and has it changed."""

    name: str
    change: Change

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec is not None and spec.loader is not None:
            spec.loader = ChangingLoader(spec.loader, self.change)
        return spec


def when_imported(name: str, change: Change) -> None:
    """Call `change` with the module of that name, once it is imported and before anything of it is used."""
    assert name not in sys.modules, f"{name} is imported already"
    sys.meta_path.insert(0, Finder(name, change))
