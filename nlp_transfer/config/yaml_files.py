"""YAML files of options, in which every value is text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nlp_transfer.errors import OptionError


class _PlainLoader(yaml.SafeLoader):
    """Reads null as None and every other value as its text, as a flag would: `no` is the label "no", 007 no number."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (yaml's own way)
        first: [(tag, form) for tag, form in resolvers if tag == "tag:yaml.org,2002:null"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if repeated := [name for place, name in enumerate(names) if name in names[:place]]:
            raise yaml.MarkedYAMLError(problem=f"'{repeated[0]}' stands there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, name: str) -> dict[Any, Any]:
    """What a file holds, by name; `name` is that of the file in messages. Raises OptionError."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)  # a SafeLoader
    except OSError as error:
        raise OptionError(f"cannot read {name}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError(f"{name} is not YAML: {error}") from error
    if not isinstance(values, dict | None):
        raise OptionError(f"{name} must hold lines such as 'learning_rate: 5e-5'.")
    return values or {}
