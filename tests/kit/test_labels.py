"""Classes have one spelling each, and names; what looks doubtful is said."""

import pytest
import yaml

from portfolio_kit import labels
from portfolio_kit.config import Section
from portfolio_kit.errors import UserError


class Data(Section):
    label_names: labels.Names | None = None


def names(text):
    """Return names as params.yaml gives them."""
    return Data.model_validate({"label_names": yaml.safe_load(text)}).label_names


@pytest.mark.parametrize(
    "spelling",
    [
        "Café au lait",
        "Cafe\u0301 au lait",
        " Café\tau lait\n",
        "Café\xa0au\u2003lait",
        "\ufeffCafé au\u200b lait",
        "Ca\xadfé au lait",
    ],
    ids=["composed", "decomposed", "tab", "wide blanks", "no width", "soft hyphen"],
)
def test_spellings_that_look_alike_are_one_label(spelling):
    assert labels.named([spelling], None, must_occur=False) == ["Café au lait"]


@pytest.mark.parametrize("label", ["Zürich", "नेपाली", "می‌خواهم", "👩‍🚒", "ﬁre", "İstanbul"])
def test_names_stay_as_they_are(label):
    assert labels.named([label], None, must_occur=False) == [label]


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["nan", "eng", "deu"], []),
        (["Infinity", "4e5", "1_2", "a"], []),
        (["1_2", "1_3"], []),
        (["nan", "1", "2"], ["nan", "1", "2"]),
        (["4e5", "Infinity"], ["4e5", "Infinity"]),
        (["0", "+1.", "-.5", "٣", "spam"], ["0", "+1.", "-.5", "٣"]),
        ([0, 1.5, True, "spam"], [0, 1.5, True]),
        ([float("inf"), "spam"], [float("inf")]),
        ([None, float("nan"), ["0"], {"0": 1}], []),
    ],
    ids=str,
)
def test_numbers_are_no_names_and_a_name_may_look_like_one(values, numbers):
    found = labels.are_numbers(values, None)
    assert [value for value, is_number in zip(values, found, strict=True) if is_number] == numbers


@pytest.mark.parametrize(
    ("given", "values", "expected"),
    [
        ("{0: neg, 1: pos}", ["0", "1", "0"], ["neg", "pos", "neg"]),
        ("{0: neg, 1: pos}", [0, 1.0, None], ["neg", "pos", None]),
        ("{true: spam, false: ham}", [True, False], ["spam", "ham"]),
        ("{true: spam, false: ham}", ["True", "False"], ["spam", "ham"]),
        ("{'007': Bond}", ["007", " 007"], ["Bond", "Bond"]),
        ("{Spam: spam}", ["Spam", "spam", "ham"], ["spam", "spam", "ham"]),
        ("{404: '404'}", ["404", "ok"], ["404", "ok"]),
        ("{1: ' one  of  a\u0300 '}", [1], ["one of à"]),
    ],
    ids=["text", "numbers", "booleans", "words", "zeros", "join", "a number for a name", "tidy"],
)
def test_labels_get_the_names_that_are_given(given, values, expected):
    found = labels.named(values, names(given), must_occur=True)
    assert found == expected
    assert not any(labels.are_numbers(found, names(given)))


@pytest.mark.parametrize("given", ["{0: no}", "{0: ''}", "{null: none}", "{[1]: x}", "[a, b]"])
def test_names_that_yaml_misreads_are_rejected(given):
    with pytest.raises((ValueError, yaml.YAMLError)):
        names(given)


def test_a_name_for_no_label_is_rejected_where_all_labels_have_to_occur():
    values = ["yes", "no", None]
    assert labels.named(values, names("{yes: x}"), must_occur=False) == values
    with pytest.raises(UserError) as error:
        labels.named(values, names("{yes: x}"), must_occur=True)
    assert str(error.value) == (
        "data.label_names: no label is 'True'; labels are 'yes', 'no' "
        "(write yes, no and numbers with zeros in front in quotes)"
    )


def test_the_fix_gives_the_labels_of_the_file():
    fix = "not a name; name each in params.yaml: data.label_names: "
    assert labels.no_name([1, 0, 1]) == f'a number, {fix}{{"1": NAME, "0": NAME}}'
    assert labels.no_name([True]) == f'a boolean, {fix}{{"True": NAME}}'
    shown = '{"1": NAME, "2": NAME, "3": NAME, ...}'
    assert labels.no_name(["1", "2", "3", "4"]) == f"a number, {fix}{shown}"


@pytest.mark.parametrize(
    ("values", "given", "said"),
    [
        (["a", "b", "a"], None, []),
        (
            ["Café", "Cafe\u0301", "log in", "log  in", "log\xa0in"],
            None,
            [
                "labels that differ only in blanks or Unicode form were joined: "
                "1 row into 'Café', 2 rows into 'log in'"
            ],
        ),
        (
            ["NA", "NA", "spam"],
            None,
            [
                "'NA' looks like a missing value, and is a class of 2 rows; "
                "remove them if they have no label"
            ],
        ),
        (["NA", "none", "null"], {"NA": "Namibia", "none": "none", "null": "zero"}, []),
        (
            ["spam", "Spam", "spam"],
            None,
            [
                "'Spam' (1 row) and 'spam' (2 rows) differ only in case or width, but stay "
                'separate; data.label_names: {"Spam": "spam"} joins them'
            ],
        ),
        (["Ｓpam", "spam"], {"Ｓpam": "spam"}, []),
    ],
    ids=["good", "joined", "missing", "named", "case", "joined by name"],
)
def test_doubtful_labels_are_said(values, given, said, capsys):
    labels.report(values, given, "x.csv")
    assert capsys.readouterr().out.splitlines() == [f"note: x.csv: {one}" for one in said]
