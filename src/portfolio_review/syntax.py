"""What a stranger's Python code calls, from its syntax tree."""

import ast
from collections.abc import Iterator


def parsed(text: str) -> ast.Module | None:
    """Return the syntax tree, or None for text that is not Python."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call and the full name of what is called, whatever it was imported as."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            root, dot, rest = dotted(node.func).partition(".")
            yield node, imported.get(root, root) + dot + rest


def dotted(node: ast.expr) -> str:
    """Return the names in an expression, without recursion: it may be deeper than Python allows."""
    names = []
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
        node = node.func if isinstance(node, ast.Call) else node.value
    names.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(names))
