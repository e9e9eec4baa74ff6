"""Options of serving trained models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlp_transfer.config.option_fields import PRECISIONS, check_values, option
from nlp_transfer.errors import OptionError


@dataclass
class ServingOptions:
    """Where the server listens, and what it takes on."""

    _argument_group_name: ClassVar[str] = "server"

    host: str = option(
        "127.0.0.1", help="Address to listen on; 0.0.0.0 lets other machines in, which asks for --token_file.",
        most_used=2,
    )  # fmt: skip
    port: int = option(8000, help="Port to listen on; 0 takes a free one.", at_least=0, at_most=65535, most_used=1)
    token_file: str | None = option(
        None, help="File with a token; requests without it (Authorization: Bearer ...) are refused.", most_used=3
    )
    max_batch: int = option(32, help="Texts that are predicted together, of as many requests as it takes.", above=0)
    max_wait_ms: float = option(
        5.0, help="Milliseconds that a text waits for others to share its batch, while nothing else computes.",
        at_least=0, at_most=10_000,
    )  # fmt: skip
    max_queue: int = option(1024, help="Texts that may wait; requests beyond are told to come back (429).", above=0)
    max_texts: int = option(256, help="Texts in one request.", above=0)
    max_text_length: int = option(20_000, help="Characters of a text.", above=0)
    max_body_bytes: int = option(1_000_000, help="Bytes of a request.", above=0)
    read_timeout: float = option(10.0, help="Seconds in which a request must have arrived.", above=0)
    stop_timeout: int = option(30, help="Seconds that requests in flight have to finish after SIGTERM.", at_least=0)
    threads: int | None = option(None, help="Threads of the forward pass.", above=0, default_text="one for each core")
    mixed_precision: str = option(
        "auto",
        choices=PRECISIONS,
        help="no, bf16, fp16; auto takes bf16 where the processor has instructions for it.",
    )
    calibrated: bool = option(
        True, help="Scale probabilities by what was fitted to validation rows; false: those of the network."
    )
    max_length: int | None = option(None, help="Tokens read of a text.", above=0, default_text="as in training")
    trust_remote_code: bool = option(False, help="Run code that comes with the checkpoint.")

    def __post_init__(self) -> None:
        check_values(self)
        if self.max_texts > self.max_queue:
            raise OptionError(
                f"--max_texts {self.max_texts} is more than may wait, --max_queue {self.max_queue}: such a request "
                "could never be taken; give a larger queue, or fewer texts."
            )
