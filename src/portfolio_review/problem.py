"""Is it clear who has which problem, and is it more than a standard exercise?"""

import re

from .criteria import MET, NOT_YET, PARTLY, Finding, criterion, judge
from .project import Project
from .reading import part

# Data sets that reviewers have seen a hundred times.
CLICHES = (
    "20 ?newsgroups|adult (income|census)|ag ?news|air ?passengers|ames housing|boston housing"
    "|breast cancer wisconsin|california housing|cats? (vs|and|or) dogs?|churn modelling|cifar"
    "|(credit card|creditcard) ?fraud|diamonds data|dogs? (vs|and|or) cats?|emnist"
    "|fashion ?mnist|imdb( movie)? reviews|iris|mnist|movielens|mtcars|palmer penguins|pima indians"
    "|quora question pairs|sms spam|spam collection|sunspots|telco (customer )?churn|titanic"
    "|twitter sentiment|wine quality|yelp reviews"
)
CLICHE = re.compile(rf"(?<![a-z])({CLICHES})(?![a-z])", re.IGNORECASE)
WORDS = "so|to|for|because|instead of|before|damit|um|für|weil|bevor|statt|pour|afin|para|porque"
PURPOSE = re.compile(rf"\b({WORDS})\b", re.IGNORECASE)


@criterion(
    "problem.statement", "one sentence in the author's words: who uses the service, and for what"
)
def statement(project: Project) -> Finding:
    text = project.statement
    where = f'{project.at("pyproject.toml", "^description")}: "{text}"'
    advice = 'Write "A service that … for/so …" as the `description` in pyproject.toml.'
    if not text.strip():
        return Finding(NOT_YET, ["pyproject.toml: `description` is missing"], advice)
    same = alike(text, project.origin.statement if project.origin else "")
    if same > 0.6:
        return Finding(NOT_YET, [where, f"{same:.0%} of the words are the template's"], advice)
    if len(text.split()) < 8 or not PURPOSE.search(text):
        return Finding(PARTLY, [where, "does not say for whom, or what for"], advice)
    return Finding(MET, [where])


def alike(text: str, other: str) -> float:
    """Return the share of two texts' words that both have, 0 to 1 (Jaccard)."""
    words, others = (set(re.findall(r"\w+", one.lower())) for one in (text, other))
    return len(words & others) / max(1, len(words | others))


@criterion("problem.data", "data other than a standard exercise (MNIST, Titanic, Iris, …)")
def data(project: Project) -> Finding:
    source = str(part(project.params, "data").get("source", ""))
    places = {
        "params.yaml, `data.source`": source,
        "pyproject.toml, `description`": project.statement,
        "README.md, title": project.readme.get("", "").strip().partition("\n")[0],
    }
    faults = [
        f"{place}: {match[0]}"
        for place, text in places.items()
        if (match := CLICHE.search(re.sub(r"[-_]+", " ", text)))
    ]
    if not source:
        faults.append("params.yaml: `data.source` is missing")
    advice = "Use data from a problem that somebody has; docs/your-own-data.md shows how."
    return judge(faults, f"params.yaml, `data.source`: {source}", advice)
