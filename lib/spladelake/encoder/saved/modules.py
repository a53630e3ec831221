"""Read the modules of a model: modules.json, and the Router, which has one list of modules for each kind of text."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spladelake.encoder.saved.values import check_known, mapping, read_if_there, refused
from spladelake.errors import UsageError
from spladelake.names import listed

Kind = Literal["query", "document"]

ROUTERS = ("Router", "Asym")
PACKAGE = "sentence_transformers."
PARAMETERS = ("default_route", "allow_empty_key", "route_mappings")


@dataclass(frozen=True)
class Module:
    """A module: the name of its class, and its sub-folder in the model folder."""

    name: str
    path: str


@dataclass(frozen=True)
class SavedRoute:
    """The modules for texts of one kind, in order."""

    modules: tuple[Module, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(module.name for module in self.modules)


def saved_routes(folder: Path) -> dict[Kind, SavedRoute]:
    """Return the modules of queries and of documents, from a folder with modules.json.

    Raises UsageError if a file cannot be read, or if a Router has no route for queries or documents.
    """
    chain = module_list(folder)
    routes: dict[Kind, SavedRoute] = {}
    for kind in ("query", "document"):
        modules: list[Module] = []
        for module in chain:
            modules += _routed(folder, module.path, kind) if module.name in ROUTERS else [module]
        routes[kind] = SavedRoute(tuple(modules))
    return routes


def module_list(folder: Path) -> tuple[Module, ...]:
    """Return the entries of modules.json. No class is imported. Raises UsageError if an entry is not valid."""
    path = folder / "modules.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        chain = tuple((str(entry["type"]), str(entry["path"])) for entry in entries)
        names = [entry.get("name") for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            str(path),
            f"the file cannot be read ({_fault(error)})",
            "wanted a list of modules, each with a type and a path",
            "Copy the file again from its source.",
        ) from error
    if len(set(map(str, names))) != len(names):
        raise UsageError(
            str(path),
            f"the names of the modules are {', '.join(map(json.dumps, names))}",
            "wanted a different name for each module",
            "Copy the file again from its source.",
        )
    return tuple(Module(_class(path, reference), _inside(path, place)) for reference, place in chain)


def _fault(error: Exception) -> str:
    """Return the cause of an error while modules.json is read, without the words of Python."""
    if isinstance(error, KeyError):
        return f"an entry has no {error.args[0]!r}"
    if isinstance(error, ValueError | RecursionError):
        return str(error)
    return "it is not a list of objects"


def _routed(folder: Path, sub_folder: str, kind: Kind) -> list[Module]:
    """Return the modules of a Router for one kind of text. Its config is router_config.json, formerly config.json."""
    path = folder / sub_folder / "router_config.json"
    config = read_if_there(path)
    if not config:
        path = folder / sub_folder / "config.json"
        config = read_if_there(path)
    types, structure = mapping(path, config, "types"), mapping(path, config, "structure")
    parameters = mapping(path, config, "parameters")
    check_known(path, parameters, PARAMETERS)
    default = parameters.get("default_route")
    if default is not None and default not in structure:
        raise refused(
            path,
            "default_route",
            default,
            f"wanted a route of the Router: {listed(sorted(structure))}",
            "Name one of these routes.",
        )
    route = _route(path, _mappings(path, mapping(path, parameters, "route_mappings"), structure), structure, kind)
    modules = []
    for name in structure[route]:
        if name not in types:
            found = f'"structure" has the module {name}, but "types" does not'
            raise UsageError(str(path), found, 'wanted every module in "types"', "Copy the file again from its source.")
        modules.append(Module(_class(path, types[name]), _inside(path, f"{sub_folder}/{name}".strip("/"))))
    return modules


def _mappings(
    path: Path, written: Mapping[str, str], structure: Mapping[str, Any]
) -> dict[tuple[str | None, object], str]:
    """Return routes by (task, modality), which are saved as text.

    An unreadable key is left out, as in sentence-transformers. Raises UsageError if a route is unknown.
    """
    read = {}
    for key, route in written.items():
        try:
            task, modality = ast.literal_eval(key)
        except (ValueError, SyntaxError, TypeError):
            continue
        if route not in structure:
            raise refused(
                path,
                "route_mappings",
                dict(written),
                f"wanted only routes of the Router: {listed(sorted(structure), 'and')}",
                "Name only these routes in route_mappings.",
            )
        read[(task, modality)] = route
    return read


def _route(
    path: Path, mappings: Mapping[tuple[str | None, object], str], structure: Mapping[str, Any], kind: Kind
) -> str:
    """Return the name of the route of texts of a kind, in sentence-transformers' order of precedence."""
    for key in ((kind, "text"), (kind, None), (None, "text"), (None, None)):
        if key in mappings:
            return mappings[key]
    for name in (kind, "text"):
        if name in structure:
            return name
    texts = "queries" if kind == "query" else "documents"
    raise UsageError(
        str(path),
        f"the Router has no route for {texts} (its routes: {', '.join(structure) or 'none'})",
        f'wanted a route with the name "{kind}" or "text"',
        f'Add to "route_mappings" of this file which route encodes {texts}, or use another model.',
    )


def _class(path: Path, reference: object) -> str:
    """Return the class name of a module: the last part of its dotted reference. The class is never imported.

    Raises UsageError if the class does not belong to sentence-transformers.
    """
    if not str(reference).startswith(PACKAGE):
        raise UsageError(
            str(path),
            f"a module has the type {reference!r}, which is not part of sentence-transformers",
            f"wanted classes of {PACKAGE[:-1]}",
            "Use a checkpoint without code of its own.",
        )
    return str(reference).rsplit(".", 1)[-1]


def _inside(path: Path, sub_folder: str) -> str:
    """Return a sub-folder. Raises UsageError if its path leads out of the model folder."""
    if Path(sub_folder).is_absolute() or ".." in Path(sub_folder).parts:
        raise UsageError(
            str(path),
            f"a module has the path {sub_folder!r}",
            "wanted a path inside the model folder",
            "Move the module into the model folder, and correct its path.",
        )
    return sub_folder
