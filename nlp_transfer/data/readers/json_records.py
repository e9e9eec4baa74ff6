"""Rows of JSON and JSON lines files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.text_lines import is_blank, text_lines
from nlp_transfer.errors import DataError


def jsonl_table(path: Path) -> Table:
    """One JSON object a line."""

    def records() -> Iterator[Record | BadRow]:
        for number, line in text_lines(path):
            if is_blank(line):
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                yield BadRow(number, f"broken JSON ({error.msg}, character {error.colno})", number)
            except (ValueError, RecursionError) as error:
                yield BadRow(number, f"broken JSON ({error})", number)
            else:
                yield _object(number, value)

    return _table_of_objects(records(), unit="line")


def json_table(path: Path) -> Table:
    """A list of JSON objects, bare or as the one list of objects in an object; or, whatever its name, JSON lines."""
    text = "".join(line for _, line in text_lines(path))
    if is_blank(text):
        raise DataError(f"{path} is empty; give a file with rows in it.")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return jsonl_table(path)
        place = f"{path}, line {error.lineno}"
        raise DataError(f"{place}: broken JSON ({error.msg}, character {error.colno}); mend that line.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is broken JSON ({error}); write it as a list of objects, one a row.") from None
    rows = enumerate(_list_of_objects(path, value), start=1)
    return _table_of_objects(itertools.starmap(_object, rows), unit="row")


def _list_of_objects(path: Path, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    fields = value if isinstance(value, dict) else {}
    if isinstance(fields.get("data"), dict) and isinstance(fields.get("annotations"), list):
        return [fields]  # one task of Label Studio, as its target storages hold them
    lists = [k for k, v in fields.items() if isinstance(v, list) and (not v or any(map(_is_row, v)))]
    if len(lists) == 1:
        return fields[lists[0]]
    content = f"{len(lists)} lists of objects ({', '.join(lists)})" if lists else "no list of objects"
    raise DataError(f"{path} holds {content}; write its rows as one list of objects, or one object a line in a .jsonl.")


def _object(number: int, value: Any) -> Record | BadRow:
    if isinstance(value, dict):
        return Record(number, value)
    if _is_row(value):
        return Record(number, {"text": value[0], **value[1]})
    return BadRow(number, "JSON that is not an object {...}", number)


def _is_row(value: Any) -> bool:
    """Whether it is an object, or what spaCy 2 trained on: `[text, {"entities": [...]}]`."""
    is_pair = isinstance(value, list) and len(value) == 2
    return isinstance(value, dict) or (is_pair and isinstance(value[0], str) and isinstance(value[1], dict))


def _table_of_objects(records: Iterator[Record | BadRow], unit: str) -> Table:
    # The first rows name the columns: any one of them may lack a field.
    head = list(itertools.islice(records, 100))
    columns = dict.fromkeys(name for row in head if isinstance(row, Record) for name in row.values)
    return Table(tuple(columns), lambda wanted: itertools.chain(head, records), unit, columns_are_all=False)
