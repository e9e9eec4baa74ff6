"""How a sentence encoder was trained to pool its tokens, from the files beside its weights or from its name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from nlp_transfer.encoders.pooling.pooled_config import POOLINGS

_KNOWN = {
    "mean": (
        r"all-(minilm|mpnet|distilroberta|roberta)-.*", r"multi-qa-.*(mean|dot|cos)-.*", r"gte-(small|base|large)",
        r"paraphrase-(multilingual-)?(minilm|mpnet|albert|distilroberta|tinybert)-.*", r"nomic-embed-text-v.*",
        r"(multilingual-)?e5-(small|base|large)(-.*)?", r"jina-embeddings-v2-.*",
    ),
    "cls": (
        r"bge-(micro|small|base|large|m3).*", r"mxbai-embed-.*", r"(snowflake-)?arctic-embed-.*", r"gte-.*-v1\.5",
        r"gte-multilingual-base", r"gte-modernbert-base", r"multi-qa-mpnet-base-dot-v1", r"granite-embedding-.*",
        r"uae-large-v1", r"(unsup|sup)-simcse-.*",
    ),
}  # fmt: skip
"""Patterns of the last part of names, in small letters, of sentence encoders whose folders may not say it."""


def sentence_pooling(name: str, source: str, revision: str | None = None) -> str | None:
    """`mean`, `cls` or `max` where the checkpoint is a sentence encoder that pools so; None for any other encoder.

    Its files say it in the layout of sentence-transformers (modules.json, 1_Pooling/config.json), in `source`, a folder
    or a hub id. Where there is none of them, a `name` that is known does.
    """
    read = _reader(source, revision)
    modules = read("modules.json")
    if isinstance(modules, list):
        paths = [part.get("path", "") for part in modules if str(part.get("type", "")).endswith("Pooling")]
        return _mode_of(read(f"{paths[0]}/config.json")) if paths else None
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()
    fitting = [mode for mode, patterns in _KNOWN.items() if any(re.fullmatch(p, last) for p in patterns)]
    return fitting[-1] if fitting else None


def _mode_of(config: Any) -> str | None:
    """The one mode of a pooling config, of the form before or after sentence-transformers 5.2; None for others."""
    if not isinstance(config, dict):
        return None
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [key.split("_")[2] for key, on in config.items() if key.startswith("pooling_mode_") and on]
        if config.get("pooling_mode_mean_sqrt_len_tokens"):
            return None
    modes = [modes] if isinstance(modes, str) else list(modes)
    return modes[0] if len(modes) == 1 and modes[0] in POOLINGS else None


def _reader(source: str, revision: str | None) -> Callable[[str], Any]:
    def read(name: str) -> Any:
        try:
            found = Path(source) / name if Path(source).is_dir() else cached_file(
                source, name, revision=revision, _raise_exceptions_for_gated_repo=False,
                _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False,
            )  # fmt: skip
            return json.loads(Path(found).read_text(encoding="utf-8")) if found else None
        except (OSError, ValueError):
            return None

    return read
