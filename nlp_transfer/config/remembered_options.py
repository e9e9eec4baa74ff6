"""The options by which a run has read its rows, for those who read rows for its model later."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nlp_transfer.config.input_options import DataOptions
from nlp_transfer.config.option_fields import option_of
from nlp_transfer.config.parsing import values_in_file


def remembered_options(model_name_or_path: str | Path) -> dict[str, Any]:
    """What the run of a model was told of how its rows are read, by option; nothing where that is no folder of a run.

    The folder in a run that holds the model counts as well. Which options these are is declared in their fields:
    `option(..., remembered=True)`. Raises OptionError for an options.yaml that is damaged.
    """
    path = Path(model_name_or_path).resolve()
    folders = (path, path.parent) if path.is_dir() else ()  # else it is a hub id
    run = next((folder for folder in folders if _is_of_run(folder)), None)
    if run is None:
        return {}
    made = {field.name: option_of(field).remembered for field in dataclasses.fields(DataOptions)}
    values = values_in_file(run / "options.yaml", DataOptions, [name for name in made if made[name]])
    return {name: _made(made[name], value) for name, value in values.items() if value is not False}


def _made(remembered: Any, value: Any) -> Any:
    return remembered(value) if callable(remembered) else value


def _is_of_run(folder: Path) -> bool:
    return (folder / "options.yaml").is_file() and (folder / "transfer.json").is_file()
