"""What may happen to texts of any kind, to see whether `monitor` notices."""

import re
from pydoc_data.topics import topics
from random import Random

SENTENCE = re.compile(r"(?<=[.!?])\s+")


def another_subject(texts: list[str], random: Random) -> list[str]:
    """Replace half of the texts by sentences of Python's reference."""
    sentences = [
        " ".join(sentence.split())
        for topic in topics.values()
        for sentence in SENTENCE.split(topic)
        if 40 < len(sentence) < 300
    ]
    return [random.choice(sentences) if random.random() < 0.5 else text for text in texts]


def two_in_one(texts: list[str], random: Random) -> list[str]:
    """Put another text behind each."""
    return [f"{text} {random.choice(texts)}" for text in texts]
