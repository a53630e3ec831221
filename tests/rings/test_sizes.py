"""The measures of the code that keep it easy to read; `python tests/rings/test_sizes.py` prints them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

PACKAGE = Path(__file__).resolve().parents[2] / "lib" / "spladelake"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> dict[Path, ast.Module]:
    return {path.relative_to(PACKAGE): ast.parse(path.read_bytes()) for path in sorted(PACKAGE.rglob("*.py"))}


def lines(path: Path) -> int:
    return len((PACKAGE / path).read_text(encoding="utf-8").splitlines())


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of a function from `def` to its end, its docstring left out."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    assert first.end_lineno is not None
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if documented else 0)


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Functions of a module, and methods of its public classes, that others may call by name."""
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = {ast.unparse(base) for base in node.bases}
            inherited = bases - {"NamedTuple", "Protocol", "Generic[Model]", "Generic[Value]"}
            yield from (
                item for item in node.body
                if isinstance(item, Function) and not item.name.startswith("_") and not inherited
                and not any("property" in ast.unparse(mark) for mark in item.decorator_list)
            )  # fmt: skip


LENGTHS = sorted(length(function) for tree in modules().values() for function in functions(tree))


def test_a_folder_has_at_most_25_files() -> None:
    assert [folder for folder, files in Counter(path.parent for path in modules()).items() if files > 25] == []


def test_a_module_has_at_most_300_lines() -> None:
    assert [f"{path}: {lines(path)}" for path in modules() if lines(path) > 300] == []


def test_functions_are_short() -> None:
    assert median(LENGTHS) <= 8
    assert quantiles(LENGTHS, n=10)[-1] <= 25
    assert LENGTHS[-1] <= 60


def test_public_functions_have_docstrings() -> None:
    bare = [
        f"{p}: {f.name}" for p, tree in modules().items() for f in public_functions(tree) if not ast.get_docstring(f)
    ]
    assert bare == []


def repeated(kinds: type[ast.AST] | tuple[type[ast.AST], ...]) -> set[str]:
    """Public names that several modules define. Delta is asked in two ways of one interface, which count once."""
    names = (
        node.name
        for path, tree in modules().items()
        for node in tree.body
        if path.parent.name != "delta"
        and isinstance(node, kinds)
        and isinstance(node, Function | ast.ClassDef)
        and not node.name.startswith("_")
    )
    return {name for name, count in Counter(names).items() if count > 1}


def test_a_name_means_one_thing() -> None:
    assert repeated(ast.ClassDef) == set()
    assert repeated(Function) == set()  # type: ignore[arg-type]


if __name__ == "__main__":
    sizes = Counter(path.parent for path in modules())
    print(f"modules: {len(modules())}, at most {max(map(lines, modules()))} lines")
    print(f"folders: at most {max(sizes.values())} files")
    print(f"functions: median {median(LENGTHS)}, p90 {quantiles(LENGTHS, n=10)[-1]:.0f}, longest {LENGTHS[-1]}")
