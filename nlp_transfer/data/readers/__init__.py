"""The forms of file that hold rows, one module each; here are the names that others read them by."""

from nlp_transfer.data.readers.brat import annotated_folder
from nlp_transfer.data.readers.columnar import arrow_table, frame_table, hub_table, is_saved, parquet_table, saved_table
from nlp_transfer.data.readers.delimited import csv_table, delimiter_named
from nlp_transfer.data.readers.docbin import docbin_table
from nlp_transfer.data.readers.json_records import json_table, jsonl_table
from nlp_transfer.data.readers.records import FOLDER, BadRow, Record, Table, open_table, require_file
from nlp_transfer.data.readers.text_folders import labelled_folder, text_folder
from nlp_transfer.data.readers.text_lines import is_blank, lines_table, text_lines

__all__ = [
    "FOLDER", "BadRow", "Record", "Table", "annotated_folder", "arrow_table", "csv_table", "delimiter_named",
    "docbin_table", "frame_table", "hub_table", "is_blank", "is_saved", "json_table", "jsonl_table", "labelled_folder",
    "lines_table", "open_table", "parquet_table", "require_file", "saved_table", "text_folder", "text_lines",
]  # fmt: skip
