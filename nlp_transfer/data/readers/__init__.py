"""The readers of rows, a module for each form of file, and what each form is read by."""

from nlp_transfer.data.readers.brat import annotated_folder
from nlp_transfer.data.readers.columnar import arrow_table, frame_table, hub_table, is_saved, parquet_table, saved_table
from nlp_transfer.data.readers.conll import conll_table, words_table
from nlp_transfer.data.readers.delimited import csv_table
from nlp_transfer.data.readers.delimited_words import delimited_words, holds_conll, holds_table
from nlp_transfer.data.readers.docbin import docbin_table
from nlp_transfer.data.readers.excel import excel_table
from nlp_transfer.data.readers.json_records import json_table, jsonl_table
from nlp_transfer.data.readers.reader_registry import FOLDER, open_table, register_reader, require_file
from nlp_transfer.data.readers.records import BadRow, Record, Table
from nlp_transfer.data.readers.text_folders import labelled_folder, text_folder
from nlp_transfer.data.readers.text_lines import lines_table, text_lines

_CONLL = (".conll", ".conllu", ".bio", ".iob", ".iob2", ".txt", ".tsv")
_OF_WORDS = ("delimiter", "conll_columns")
_OF_TABLES = ("delimiter", "quoting", "no_header")

register_reader(*_CONLL, read=conll_table, uses=["tags"], options=_OF_WORDS)
register_reader(*_CONLL, read=words_table, uses=["words"], options=_OF_WORDS)
register_reader(".csv", ".tsv", read=csv_table, uses=["labels", "prediction"], options=_OF_TABLES)
register_reader(".xlsx", ".xlsm", read=excel_table, options=["no_header"])
register_reader(".jsonl", ".ndjson", read=jsonl_table)
register_reader(".json", read=json_table)
register_reader(".parquet", read=parquet_table)
register_reader(".arrow", ".feather", read=arrow_table)
register_reader(".spacy", read=docbin_table, uses=["tags", "prediction"])
register_reader(".txt", read=lines_table, uses=["prediction"])
register_reader(".csv", read=delimited_words, uses=["tags", "words"], options=(*_OF_TABLES, "conll_columns"))
register_reader(".csv", read=conll_table, uses=["tags"], options=_OF_WORDS, recognises=holds_conll)
register_reader(".csv", read=words_table, uses=["words"], options=_OF_WORDS, recognises=holds_conll)
register_reader(
    ".tsv",
    ".txt",
    read=delimited_words,
    uses=["tags", "words"],
    options=(*_OF_TABLES, "conll_columns"),
    recognises=holds_table,
)
register_reader(FOLDER, read=labelled_folder, uses=["labels"])
register_reader(FOLDER, read=annotated_folder, uses=["tags"])
register_reader(FOLDER, read=text_folder, uses=["prediction"])
register_reader(FOLDER, read=saved_table, recognises=is_saved)

__all__ = [
    "FOLDER", "BadRow", "Record", "Table", "frame_table", "hub_table", "is_saved", "open_table", "register_reader",
    "require_file", "saved_table", "text_lines",
]  # fmt: skip
