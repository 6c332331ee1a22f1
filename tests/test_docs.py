"""What a generated project says about itself: links lead somewhere, documents have their form."""

import ast
import re

import pytest
from conftest import CHOICES

TYPES, TARGETS = CHOICES["project_type"], CHOICES["deployment_target"]
SECTIONS = {
    "README.md": [
        *("Results", "Why this problem", "Data", "Methodology", "Trade-offs", "Limits"),
        *("What to improve", "Read and run", "Licence"),
    ],
    "docs/reference.md": [
        *(
            "The service",
            "Other data",
            "Monitoring",
            "Training runs",
            "Deployment",
            "Dependencies",
            "Commands",
        ),
        "Folders",
    ],
}
README_LINES = 150
LAYERS = ["data", "training", "evaluation", "serving", "monitoring"]


@pytest.fixture(scope="module")
def generated(bake_in, tmp_path_factory):
    """Return a function that generates a project of a type and a target, each once."""
    projects = {}

    def generated(project_type, target="google-cloud-run"):
        answers = {"project_type": project_type, "deployment_target": target}
        key = (project_type, target)
        projects[key] = projects.get(key) or bake_in(tmp_path_factory.mktemp("docs"), **answers)
        return projects[key]

    return generated


@pytest.fixture(params=TYPES)
def project(request, generated):
    return generated(request.param)


def prose(markdown):
    """Return a document without its blocks of code."""
    return re.sub(r"^( *)```.*?^\1```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def links(markdown):
    """Return the targets of a document's links and pictures."""
    return re.findall(r"\]\(([^()\s]+)\)", prose(markdown))


def anchors(markdown):
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(folder, file):
    """Return the relative links of a document that lead nowhere; a run writes `reports/`."""
    dead = []
    for link in links(file.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (file.parent / path).resolve() if path else file
        inside = target.is_relative_to(folder) and target.relative_to(folder)
        if inside and inside.parts[:1] == ("reports",):
            continue
        if not (inside is not False and target.exists()) or (
            anchor and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            dead.append(link)
    return dead


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# A `b`, and c\n\n```\n# no heading\n```\n")
    file = tmp_path / "docs" / "a.md"
    good = ["../README.md", "../README.md#a-b-and-c", "..", "#title", "https://example.org/x.md"]
    good += ["../reports/metrics.json", "a.md#title"]
    dead = ["b.md", "../README.md#no-heading", "#titles", "../../README.md", "reports/x.png"]
    shown = [f"[`x`]({link})\n![y]({link})" for link in good + dead]
    file.write_text("# Title\n\n" + "\n".join(shown) + "\n```\n[z](nowhere.md)\n```\n")
    assert dead_links(tmp_path.resolve(), file) == [link for link in dead for _ in range(2)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("project_type", TYPES)
def test_every_relative_link_leads_somewhere(project_type, target, generated):
    project = generated(project_type, target)
    folder = project.path.resolve()
    documents = [folder / name for name in sorted(project.files()) if name.endswith(".md")]
    assert folder / "docs/decisions/0001-one-exported-file.md" in documents
    dead = [
        (file.relative_to(folder).as_posix(), link)
        for file in documents
        for link in dead_links(folder, file)
    ]
    assert dead == []


@pytest.mark.parametrize("target", TARGETS)
def test_the_readme_shows_first_what_a_visitor_wants_to_know(target, generated):
    readme = generated(TYPES[0], target).read("README.md")
    title, problem, headline, live, commands, request = (
        block for block in re.split(r"\n\n+", readme.partition("\n## ")[0]) if block
    )
    assert title.startswith("# ")
    assert problem.startswith("> ")
    assert re.fullmatch(
        r"<!-- headline:start -->\nNot measured yet: .+\n<!-- headline:end -->", headline
    )
    assert live.startswith("**Live demo:** not deployed yet")
    assert ("make deploy" in live) == (target not in ("kubernetes", "none"))
    assert re.findall(r"^make ([a-z ]*[a-z])", commands, re.MULTILINE) == [
        "setup pipeline",
        "serve",
    ]
    assert re.fullmatch(r"<!-- request:start -->\n.+\n<!-- request:end -->\n", request)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_document_has_its_sections_in_order(name, project):
    assert re.findall(r"^## (.+)$", project.read(name), re.MULTILINE) == SECTIONS[name]


def test_the_readme_is_short_and_states_limits(project):
    readme = project.read("README.md")
    assert len(readme.splitlines()) < README_LINES
    limits = readme.partition("## Limits\n")[2].partition("\n## ")[0]
    assert len(re.findall(r"^- ", limits, re.MULTILINE)) >= 3


def test_the_readme_leads_to_every_document(project):
    folder = project.path.resolve()
    reached, waiting = set(), [folder / "README.md"]
    while waiting:
        file = waiting.pop()
        if file in reached or file.suffix != ".md" or not file.is_file():
            continue
        reached.add(file)
        targets = (link.partition("#")[0] for link in links(file.read_text(encoding="utf-8")))
        waiting += [(file.parent / target).resolve() for target in targets]
    names = {file.relative_to(folder).as_posix() for file in reached}
    documents = {
        name for name in project.files() if re.fullmatch(r"(docs/[^/]+|.+/README)\.md", name)
    }
    assert sorted(documents - names) == []
    assert "docs/decisions" in links(project.read("README.md"))


def test_the_walkthrough_leads_through_every_folder_of_the_code(project):
    linked = links(project.read("docs/walkthrough.md"))
    source = f"src/{project.package}"
    modules = {name for name in project.files() if re.match(rf"{source}/.+\.py$", name)}
    folders = {name.rpartition("/")[0] for name in modules}
    assert len(folders) >= 5
    for folder in folders:
        own = [name for name in modules if name.rpartition("/")[0] == folder]
        assert any(f"../{name}" in linked for name in own), f"{folder} is left out"


def imported(module, code):
    """Yield the modules of the same package that a module imports, each as a list of names."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.level:
            parent = module[: len(module) - node.level]
            named = node.module.split(".") if node.module else []
            yield from ([*parent, *named, alias.name] for alias in node.names)


def test_relative_imports_are_resolved():
    code = "from . import a\nfrom ..data.prepare import b\nfrom portfolio_kit import c\n"
    assert list(imported(["serving", "api"], code)) == [["serving", "a"], ["data", "prepare", "b"]]


def test_layers_point_one_way(project):
    source, seen = f"src/{project.package}/", set()
    for name in sorted(project.files()):
        module = name.removeprefix(source).removesuffix(".py").split("/")
        if not (name.startswith(source) and name.endswith(".py")) or module[0] == "project":
            continue  # project.py hands all layers to the kit
        allowed = LAYERS[: LAYERS.index(module[0]) + 1] if len(module) > 1 else []
        used = {names[0] for names in imported(module, project.read(name))}
        assert used & set(LAYERS) <= set(allowed), name
        seen |= used
    assert {"data", "evaluation", "params"} <= seen


def test_every_question_says_where_its_answer_is_found(project):
    text = project.read("docs/interview.md")
    assert len(re.findall(r"^## ", text, re.MULTILINE)) >= 5
    parts = re.split(r"^(?:(?=## )|(?:\d+\.|-) )", text, flags=re.MULTILINE)[1:]
    questions = [part for part in parts if not part.startswith("## ")]
    assert 20 <= len(questions) <= 30
    for question in questions:
        assert [link for link in links(question) if ":" not in link], question


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("project_type", TYPES)
def test_every_decision_says_why_what_else_and_how_to_change_it(project_type, target, generated):
    project = generated(project_type, target)
    names = sorted(name for name in project.files() if name.startswith("docs/decisions/"))
    numbers = [re.fullmatch(r"docs/decisions/(\d{4})-[a-z0-9-]+\.md", name)[1] for name in names]
    assert len(set(numbers)) == len(numbers)
    assert [number for number in numbers if number < "0010"] == [f"000{n}" for n in range(1, 6)]
    assert [number for number in numbers if number >= "0020"] == ["0020"] * (target != "none")
    for name in names:
        text = project.read(name)
        headings = re.findall(r"^#+ .+$", text, re.MULTILINE)
        assert re.fullmatch(r"# \w.+", headings[0])
        sections = ["Context", "Decision", "Alternatives", "How to change it"]
        assert headings[1:] == [f"## {section}" for section in sections]
        assert 20 <= len(text.splitlines()) <= 45, name
