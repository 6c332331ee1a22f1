"""Rewrites imports in Python source: a module has moved, and its users follow."""

import ast
from collections.abc import Iterator, Mapping

Edit = tuple[int, int, str]  # the bytes from start to end become this text


def imported(source: str, here: str = "") -> set[str]:
    """Return the dotted names that Python source imports, each name of `from` imports among them.

    `here` is the dotted name of the module itself, for relative imports. Raises SyntaxError.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = _full_name(node, here)
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def rewrite(source: str, moved: Mapping[str, str], here: str = "", absolute: bool = False) -> str:
    """Return Python source that uses modules at their new places, all else as it was.

    `moved` has the new dotted name of each module by its old one. `here` is the dotted name of the
    source's own module, for relative imports; `absolute` makes those that stay absolute. Strings
    that begin with a module's old name follow, too. Raises SyntaxError.
    """
    content = source.encode()
    lines = [0]
    for line in content.split(b"\n"):
        lines.append(lines[-1] + len(line) + 1)
    tree = ast.parse(source)
    inner = (ast.walk(one) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr))
    in_f_strings = {id(one) for nodes in inner for one in nodes}  # Python 3.11 misplaces these
    edits: list[Edit] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr | ast.stmt) or id(node) in in_f_strings:
            continue
        start = lines[node.lineno - 1] + node.col_offset
        end = lines[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)
        before = content[start:end].decode()
        after = _replaced(node, before, moved, here, absolute)
        if after != before:
            indent = " " * node.col_offset
            edits.append((start, end, after.replace("\n", f"\n{indent}")))
    for start, end, text in sorted(edits, reverse=True):
        content = content[:start] + text.encode() + content[end:]
    return content.decode()


def _replaced(node: ast.AST, text: str, moved: Mapping[str, str], here: str, absolute: bool) -> str:
    """Return what an import, a string or a dotted name becomes; the text itself if it stays."""
    if isinstance(node, ast.ImportFrom):
        return _from_import(node, text, moved, here, absolute)
    if isinstance(node, ast.Import):
        names = [(moved.get(alias.name, alias.name), alias.asname) for alias in node.names]
        if names == [(alias.name, alias.asname) for alias in node.names]:
            return text
        written = (f"{name} as {known}" if known else name for name, known in names)
        return f"import {', '.join(written)}"
    if isinstance(node, ast.Attribute):
        return moved.get(text, text)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        for old, new in moved.items():
            if node.value == old or node.value.startswith(f"{old}."):
                return text.replace(old, new, 1)
    return text


def _from_import(
    node: ast.ImportFrom, text: str, moved: Mapping[str, str], here: str, absolute: bool
) -> str:
    full, written = _full_name(node, here), "." * node.level + (node.module or "")
    stays = full if absolute else written
    found: dict[str, list[str]] = {}
    for alias in node.names:
        target, name = moved.get(full, stays), alias.name
        if f"{full}.{alias.name}" in moved:
            target, _, name = moved[f"{full}.{alias.name}"].rpartition(".")
        known = alias.asname or (alias.name if name != alias.name else None)
        found.setdefault(target, []).append(f"{name} as {known}" if known else name)
    if list(found) == [written]:
        return text
    if len(found) == 1 and next(iter(found.values())) == [*_as_written(node)]:
        return text.replace(written, next(iter(found)), 1)  # comments and line breaks stay
    return "\n".join(f"from {target} import {', '.join(names)}" for target, names in found.items())


def _as_written(node: ast.ImportFrom) -> Iterator[str]:
    for alias in node.names:
        yield f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _full_name(node: ast.ImportFrom, here: str) -> str:
    """Return the dotted name of the module that a `from` import reads."""
    package = here.split(".")[: -node.level] if node.level else []
    return ".".join([*package, *([node.module] if node.module else [])])
