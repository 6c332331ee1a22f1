"""The documentation site: built without a warning, complete, and true of today's template."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from conftest import CHOICES, PROMPTS, SKELETON, TEMPLATE, environment
from test_tutorials import apply, blocks

DOCS = TEMPLATE / "docs"
README = TEMPLATE / "README.md"
PROJECT_TYPES = CHOICES["project_type"]
LARGEST_IMAGE, ALL_IMAGES = 150_000, 1_000_000  # bytes
# The contract's keys of reports/metrics.json.
METRICS = {
    "text-classification": ["accuracy", "macro_f1", "ece"],
    "forecasting": ["mape", "wape", "mase", "rmse", "mean_pinball", "coverage_80", "coverage_95"],
    "document-similarity": [
        *("ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100", "index_recall_at_10")
    ],
}


class Page(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.places, self.texts = [], [], {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.places |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("link", "script", "img", "iframe", "source"):
            self.loads += [values[name] for name in ("src", "href") if values.get(name)]

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=TEMPLATE,
        env=environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Return each page of the built site by path; the page for what is not found has no place."""
    return {path: Page(path) for path in site.resolve().rglob("*.html") if path.name != "404.html"}


@pytest.fixture(scope="module")
def reference(pages):
    """Return a function that gives the text of a page of the reference."""
    texts = {
        path.relative_to(path.parents[1]).as_posix(): page.text for path, page in pages.items()
    }
    return lambda name: texts[f"{'' if '/' in name else 'reference/'}{name}.html"]


@pytest.fixture(scope="module")
def projects(bake_in, tmp_path_factory):
    """Return a project of each type."""
    return {
        kind: bake_in(tmp_path_factory.mktemp(kind), project_type=kind) for kind in PROJECT_TYPES
    }


def test_each_reader_each_type_and_each_guide_has_a_page(site):
    for path in DOCS.rglob("*.md"):
        assert (site / path.relative_to(DOCS)).with_suffix(".html").is_file()
    assert len(list((site / "for-you").iterdir())) == 4
    assert {path.stem for path in (site / "tutorials").iterdir()} == set(PROJECT_TYPES)
    assert not (site / "hooks.py").exists()


def test_nothing_is_fetched_from_elsewhere(site, pages):
    loaded = [address for page in pages.values() for address in page.loads]
    assert len(loaded) > len(pages)
    assert not [address for address in loaded if urlsplit(address).netloc]
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\W*(https?:)?//", style.read_text(encoding="utf-8"))


def test_every_link_leads_to_a_page_and_a_place_in_it(pages):
    followed = 0
    for path, page in pages.items():
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.name}: {address}"
            if target in pages:
                assert unquote(parts.fragment) in pages[target].places, f"{path.name}: {address}"
            followed += 1
    assert followed > 500


def test_pictures_are_small_used_and_described():
    texts = [path.read_text(encoding="utf-8") for path in (*DOCS.rglob("*.md"), README)]
    shown = [found for text in texts for found in re.findall(r"!\[(.*?)\]\((.*?)\)", text)]
    assert all(len(description) > 10 for description, _ in shown)
    sizes = {path.name: path.stat().st_size for path in (DOCS / "images").iterdir()}
    assert {Path(address).name for _, address in shown} == set(sizes)
    assert max(sizes.values()) < LARGEST_IMAGE
    assert sum(sizes.values()) < ALL_IMAGES


def test_the_reference_has_every_prompt_and_every_answer_on_offer(reference, projects):
    text = reference("prompts")
    for name in PROMPTS:
        assert name in text
    for choices in CHOICES.values():
        assert all(choice in text for choice in choices)
    for project in projects.values():
        assert project.path.name in text
        assert project.package in text


@pytest.mark.parametrize("kind", PROJECT_TYPES)
def test_the_reference_has_every_parameter(kind, reference, projects):
    def keys(values, prefix=""):
        for name, value in values.items():
            is_section = isinstance(value, dict) and not any("." in one for one in value)
            if is_section:  # not a hash for each of some files
                yield from keys(value, f"{prefix}{name}.")
            else:
                yield prefix + name

    text = reference(f"parameters/{kind}")
    for key in keys(yaml.safe_load(projects[kind].read("params.yaml"))):
        assert f" {key} " in text, key


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("text-classification", "train.epochs 4 integer, at least 1, at most 1000"),
        ("text-classification", "train.dropout 0.1 number, at least 0, below 1"),
        ("text-classification", "train.precision auto auto, fp32, bf16"),
        ("text-classification", "train.threads null integer, at least 1, at most 256, or null"),
        ("forecasting", "data.gaps error error, fill, mask"),
        ("forecasting", "season_lengths [24, 168] list, at least 1 of them, at most 4 of them"),
        ("forecasting", "data.past_columns"),
        ("document-similarity", "serve.retrieval null dense, bm25, hybrid, or null"),
        ("document-similarity", "index.exact_below 20000 integer, at least 0, at most"),
        ("document-similarity", "passages: with fewer, each search compares with all of them"),
    ],
)
def test_the_reference_has_bounds_and_what_the_comments_say(kind, row, reference):
    assert row in reference(f"parameters/{kind}")


def test_the_reference_has_the_metrics_with_their_formulas(reference):
    text = reference("metrics")
    for names in METRICS.values():
        assert set(names) <= set(re.findall(r"\w+", text))
    assert "F1 = 2 TP / (2 TP + FP + FN)" in text
    assert "sum |y - y_hat| / sum |y|" in text


def test_the_reference_has_the_commands_that_make_lists(reference, projects):
    text = reference("commands")
    for project in (*projects.values(), TEMPLATE):
        listed = subprocess.run(
            ["make", "help"],
            cwd=getattr(project, "path", project),
            env=environment(),
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for target, what in re.findall(r"^  make (\S+) +(.*)$", listed, re.MULTILINE):
            assert f" {target} {' '.join(what.split())[:20]}" in text


@pytest.mark.parametrize("kind", PROJECT_TYPES)
def test_the_reference_has_every_route(kind, reference, projects):
    project = projects[kind]
    code = "".join(
        project.read(name)
        for name in project.files()
        if re.fullmatch(r"(src|kit)/.+/(api|app)\.py", name)
    )
    declared = re.findall(r'@(?:router|app)\.(\w+)\(\s*"(.*?)"', code)
    assert len(declared) >= 7
    for method, path in declared:
        if not path.startswith("/static"):
            assert f"{method.upper()} {path.replace(':path', '')}" in reference("routes")


def test_the_reference_defines_what_bodies_name(reference):
    text = reference("routes")
    names = set(re.findall(r"\b(?:MAX|DEFAULT)_[A-Z]+|\bLARGEST\b", text))
    types = {"HistoryRow", "FutureRow", "Number", "Document", "NewId", "Id", "Text", "Step"}
    assert len(names) >= 3
    for name in names | types:
        assert re.search(rf"\b{name} = |\bclass {name}\(", text), name


@pytest.mark.parametrize("kind", PROJECT_TYPES)
def test_the_patches_of_a_tutorial_fit_what_is_generated(kind, projects):
    patches = [content for language, content in blocks(kind) if language == "diff"]
    assert patches
    for patch in patches:
        apply(patch, projects[kind], "--check")


def test_each_file_that_a_page_names_is_there(projects):
    text = "".join(path.read_text(encoding="utf-8") for path in (*DOCS.rglob("*.md"), README))
    named = set(re.findall(r"`([a-z_]+/[a-z0-9_/.-]+\.[a-z]+)`", text))
    made = ("reports/", "models/", "kit/ejected.json")  # by a run, or by ejecting a module
    named -= {name for name in named if name.startswith(made)}
    named -= {name for name in named if f"+++ b/{name}" in text}  # the reader adds it
    assert len(named) > 30
    homes = [TEMPLATE, SKELETON]
    for project in projects.values():
        homes += [project.path, project.path / "src" / project.package]
    assert not [name for name in named if not any((home / name).is_file() for home in homes)]


def test_the_guide_names_every_file_that_all_project_types_have(site):
    guide = Page(site / "how-to" / "add-a-project-type.html").text
    source = "src/{{cookiecutter.package_name}}/"
    overlays = [
        {path.relative_to(folder).as_posix().removeprefix(source) for path in folder.rglob("*.*")}
        for folder in (SKELETON / "overlays" / "project_type").iterdir()
    ]
    common = set.intersection(*overlays)
    assert {"predictor.py", "dvc.yaml", "docs/interview.md"} <= common
    by_folder = re.compile(r"tests/test_|serving/static/|.*__pycache__")
    common = {name for name in common if not by_folder.match(name)}
    assert sorted(name for name in common if name not in guide) == []


def test_the_readme_leads_somewhere(projects):
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text)
    relative = [link for link in links if not urlsplit(link).scheme]
    assert len(relative) > 20
    assert [link for link in relative if not (TEMPLATE / link).is_file()] == []
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(PROMPTS)
    for command in ("make demo", "make test", "make test-fast", "make docs"):
        assert re.search(rf"^(`?){command}\b", text, re.MULTILINE)


@pytest.mark.parametrize("page", [README, DOCS / "index.md"], ids=lambda page: page.name)
def test_results_are_those_of_the_gallery(page):
    gallery = (DOCS / "gallery.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[?`([a-z-]+)`(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    results = {kind: re.findall(r"\d+\.\d+", row) for kind, row in rows if kind in PROJECT_TYPES}
    assert list(results) == PROJECT_TYPES
    for numbers in results.values():
        assert len(numbers) == 2
        assert all(re.search(rf"\b{number}\b", gallery) for number in numbers)
