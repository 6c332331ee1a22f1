"""Checks prose: python scripts/prose.py [FILE OR FOLDER...]

Without arguments: the template's own, and that of a generated project of each type. Markdown is
checked as it is. Of other files, comments, docstrings and messages are extracted, each on its own
line, so a finding has the line of the source. The words are in prose/terms.yml.
"""

import ast
import io
import json
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
TOOLS = TEMPLATE / "build" / "prose"
PROJECTS = TOOLS / "projects"
RULES = ("package.json", "terms.yml", ".textlintrc.json")
OWN = ("*.md", "*.py", "*.toml", "Makefile", ".ci", ".github", "docs", "findings", "hooks")
OWN += ("scripts", "src", "templates", "tests")
SKIPPED = {".git", ".venv", "node_modules", "__pycache__", "models", "mlruns"}
HASH = {".yaml", ".yml", ".toml", ".sh", ".txt", ""}  # Makefile and Dockerfile have no suffix
SLASHES = {".js", ".css"}
WORDS = re.compile(r"[A-Za-z]+[,.]* +[A-Za-z]+")  # without a space it is a name


def main(arguments: list[str]) -> int:
    """Print what textlint finds, and return 1 if that is anything."""
    npm = shutil.which("npm")
    if npm is None:
        print("error: npm: not found; install Node.js 20 or newer", file=sys.stderr)
        return 1
    TOOLS.mkdir(parents=True, exist_ok=True)
    for name in RULES:
        shutil.copy(TEMPLATE / "prose" / name, TOOLS)
    if not (TOOLS / "node_modules" / "textlint").exists():
        install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
        if subprocess.run(install, cwd=TOOLS).returncode:
            print("error: npm install failed; the lines above say why", file=sys.stderr)
            return 1
    texts = TOOLS / "texts"
    shutil.rmtree(texts, ignore_errors=True)
    for place in map(Path, arguments or everything()):
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not SKIPPED.intersection(path.parts):
                write(path, texts)
    command = [npm, "exec", "--", "textlint", "--format", "unix", "texts"]
    done = subprocess.run(command, cwd=TOOLS, capture_output=True, encoding="utf-8")
    print(done.stdout.replace(str(texts), "") + done.stderr, end="")
    return int(done.returncode != 0)


def everything() -> list[Path]:
    """Return the template's own files, and a project of each type, freshly generated."""
    types = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))["project_type"]
    shutil.rmtree(PROJECTS, ignore_errors=True)
    for project_type in types:
        options = ["--no-input", "--default-config", "--output-dir", str(PROJECTS)]
        command = [sys.executable, "-m", "cookiecutter", *options, str(TEMPLATE)]
        subprocess.run([*command, f"project_type={project_type}"], check=True, capture_output=True)
    return [PROJECTS, *(path for pattern in OWN for path in sorted(TEMPLATE.glob(pattern)))]


def write(path: Path, texts: Path) -> None:
    """Write a file's prose into the folder that is checked."""
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    prose, suffix = None, ".txt"
    if path.suffix == ".md":
        prose, suffix = source, ""
    elif path.suffix == ".py":
        prose = of_python(source)
    elif path.suffix in HASH:
        prose = of_comments(source, r"(?:^|\s)#+ (.*)")
    elif path.suffix in SLASHES:
        prose = of_comments(source, r"(?:^|\s)(?://|/\*|\*) (.*)")
    elif path.suffix == ".html":
        prose = re.sub(r"<[^>]*>", " ", source)
    if prose and prose.strip():
        target = texts / f"{path.resolve().relative_to('/')}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(prose, encoding="utf-8", errors="replace")


def of_comments(source: str, pattern: str) -> str:
    """Return the comments of a source, each on its line."""
    found = (re.search(pattern, line) for line in source.splitlines())
    return "\n".join(match[1] if match else "" for match in found)


def of_python(source: str) -> str:
    """Return the comments, docstrings and messages of Python, each on its line."""
    lines = [""] * (source.count("\n") + 2)
    try:
        tree = ast.parse(source)
    except SyntaxError:  # carries Jinja: checked as generated
        return ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] += " " + token.string.lstrip("# ")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value if WORDS.search(node.value) else ""
            for offset, line in enumerate(text.split("\n")):
                place = min(node.lineno - 1 + offset, len(lines) - 1)
                lines[place] += " " + line.strip()
    return "\n".join(line.strip() for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
