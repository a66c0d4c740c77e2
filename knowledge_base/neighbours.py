"""Which wordings stand close: twins across topics, and wordings that seem to be filed under the wrong topic."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import ceil, log, sqrt

from knowledge_base.questions import bigrams


def near_pairs(wordings: Sequence[str], least: float) -> Iterator[tuple[int, int, float]]:
    """Index pairs, earlier first, whose character bigrams overlap by `least` (Jaccard) or more.

    Two sets this alike must share one of their rarest bigrams, so only those are looked up: thousands take a second.
    """
    sets = [frozenset(bigrams(wording)) for wording in wordings]
    frequency = Counter(gram for grams in sets for gram in grams)
    holders: dict[str, list[int]] = defaultdict(list)
    for index, grams in enumerate(sets):
        rarest = sorted(grams, key=lambda gram: (frequency[gram], gram))
        prefix = rarest[: len(rarest) - ceil(least * len(rarest)) + 1]
        for other in sorted({other for gram in prefix for other in holders[gram]}):
            shared = len(grams & sets[other])
            alike = shared / (len(grams) + len(sets[other]) - shared)
            if alike >= least:
                yield other, index, alike
        for gram in prefix:
            holders[gram].append(index)


def strangers(wordings: Sequence[str], topics: Sequence[str], least: float = 0.2) -> Iterator[tuple[int, str]]:
    """(index, topic) of each wording none of whose five nearest is of its own topic, most being of that other one.

    Nearness is the cosine of rarity-weighted bigrams; when the fifth is not even `least` near, nothing is said.
    """
    sets = [frozenset(bigrams(wording)) for wording in wordings]
    frequency = Counter(gram for grams in sets for gram in grams)
    weight = {gram: log(1 + len(sets) / count) ** 2 for gram, count in frequency.items()}
    length = [sqrt(sum(weight[gram] for gram in grams)) for grams in sets]
    holders: dict[str, list[int]] = defaultdict(list)
    for index, grams in enumerate(sets):
        for gram in grams:
            holders[gram].append(index)
    for index, grams in enumerate(sets):
        shared: dict[int, float] = defaultdict(float)
        for gram in grams:
            for other in holders[gram]:
                shared[other] += weight[gram]
        shared.pop(index, None)
        nearest = heapq.nlargest(5, ((dot / length[index] / length[other], other) for other, dot in shared.items()))
        around = Counter(topics[other] for _, other in nearest)
        if len(nearest) == 5 and nearest[-1][0] > least and topics[index] not in around:
            topic, count = around.most_common(1)[0]
            if count >= 3:
                yield index, topic
