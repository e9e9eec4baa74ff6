"""The model: encoder, head and tokenizer, which load, save and predict together."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import transformers
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nlp_transfer.config import PRECISIONS, ModelOptions
from nlp_transfer.data.inputs import TokenInputs
from nlp_transfer.data.long_texts import Lengths
from nlp_transfer.data.row_store import SLICE, counted, slices, stored
from nlp_transfer.decoding.decoder import abstaining, require_threshold
from nlp_transfer.decoding.rejection import REJECTION_FILE, Rejection, decoded
from nlp_transfer.encoders.encoder import Encoder
from nlp_transfer.encoders.pooling.pooled_config import POOLINGS
from nlp_transfer.encoders.precision import precision_for
from nlp_transfer.encoders.pretrained import Checkpoint, config_of, max_positions, quiet_transformers
from nlp_transfer.encoders.vocabulary import require_embeddings
from nlp_transfer.errors import ModelError, OptionError
from nlp_transfer.heads import HEADS, TaskHead
from nlp_transfer.heads.from_transformers import stock_head
from nlp_transfer.heads.reuse import log_dropped_head, reuse_head
from nlp_transfer.models.adapters.adapter import Adapter, base_of, holds_adapter
from nlp_transfer.models.embedding import sentence_vectors
from nlp_transfer.models.inference import infer

log = logging.getLogger(__name__)

DEFAULT_MAX_LENGTH = 256
"""Tokens of a text, special ones included, unless the encoder has fewer positions."""

WINDOW = 4096
"""Texts of a stream that are read ahead and sorted by length together."""

_SPEC = "nlp_transfer"  # the key in config.json that holds the task and the head's options


class TransferModel:
    """A network with its task head and tokenizer.

    >>> model = TransferModel.load("all-MiniLM-L6-v2", TextClassificationHead(["no", "yes"]))  # to be trained
    >>> TransferModel.load("runs/mine/model").predict(["Is it?"])[0].label

    `new_parameters` names the weights that the checkpoint did not have: they are random until trained. `checkpoint` is
    the one that the others were loaded from, `keeps_head` whether its head was reused, and `adapter` the PEFT adapter.
    `rejection` tells texts unlike anything in training, where that was fitted.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        head: TaskHead,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int = DEFAULT_MAX_LENGTH,
        new_parameters: frozenset[str] = frozenset(),
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.network = network
        self.head = head
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.new_parameters = new_parameters
        self.checkpoint = checkpoint
        self.keeps_head = False
        self.adapter: Adapter | None = None
        self.rejection: Rejection | None = None

    def __repr__(self) -> str:
        encoder, labels = self.encoder, len(self.head.labels)
        task = f"{self.head.task}: {labels:,} label{'s' * (labels != 1)}"
        return f"TransferModel({encoder.family}, {encoder.depth} layers of {encoder.width}, {task})"

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        head: TaskHead | None = None,
        *,
        max_length: int | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        keep_head: bool = False,
    ) -> TransferModel:
        """Load an encoder and put `head` on it; without a head, load a trained model with its own.

        A trained model is one that `save` wrote (its folder, or the run's folder around it), or any sequence or token
        classifier of transformers. An adapter is merged into its base if its kind can be. If `head` goes onto a trained
        model, the earlier head is dropped, or with `keep_head` reused as far as it fits, and the log says which. Raises
        ModelError for a checkpoint that cannot be used, and OptionError for a `max_length` beyond the encoder's
        positions or an earlier head that does not fit.
        """
        name = model_folder(name_or_path)
        if head is None:
            if holds_adapter(name):
                model = cls._load_adapted(name, max_length, trust_remote_code)
            else:
                model = cls._load_trained(name, max_length, revision, trust_remote_code)
            if (Path(name) / REJECTION_FILE).is_file():
                model.rejection = Rejection.load(Path(name) / REJECTION_FILE)
            return model
        checkpoint = Checkpoint.find(name, revision=revision, trust_remote_code=trust_remote_code)
        tokenizer = checkpoint.tokenizer(of_words=head.labels_words)
        max_length = _fitting(max_length, max_positions(checkpoint.encoder_config), checkpoint.name, tokenizer)
        head.adapt_to(checkpoint)
        loaded = head.build(checkpoint)
        require_embeddings(loaded.network, tokenizer, checkpoint.name)
        if keep_head:
            loaded = reuse_head(checkpoint, loaded)
        else:
            log_dropped_head(checkpoint, loaded)
        model = cls(loaded.network, head, tokenizer, max_length, loaded.new, checkpoint)
        model.keeps_head = keep_head
        return model

    @classmethod
    def from_options(cls, options: ModelOptions, head: TaskHead | None = None) -> TransferModel:
        """`load` with a recipe's model options.

        >>> model = TransferModel.from_options(ModelOptions(model_name_or_path="bert-base-cased"), head)
        """
        return cls.load(
            options.model_name_or_path,
            head,
            max_length=options.max_length,
            revision=options.model_revision,
            trust_remote_code=options.trust_remote_code,
            keep_head=options.keep_head,
        )

    @classmethod
    def _load_trained(
        cls, name: str, max_length: int | None, revision: str | None, trust_remote_code: bool
    ) -> TransferModel:
        checkpoint = Checkpoint.find(name, revision=revision, trust_remote_code=trust_remote_code)
        spec = getattr(checkpoint.config, _SPEC, None) or stock_head(checkpoint)
        head = _head_of(name, spec)
        tokenizer = checkpoint.tokenizer(of_words=head.labels_words)
        loaded = checkpoint.load(getattr(transformers, head.auto_class), with_head=True)
        if loaded.new:
            raise ModelError(
                f"{name} lacks trained weights of its head: {', '.join(sorted(loaded.new))}; "
                f"load it with a new head: load(name, head=...)."
            )
        require_embeddings(loaded.network, tokenizer, name)
        head.adjust(loaded.network)
        most = max_positions(checkpoint.encoder_config)
        max_length = _fitting(max_length or spec.get("max_length"), most, name, tokenizer)
        return cls(loaded.network, head, tokenizer, max_length, checkpoint=checkpoint)

    @classmethod
    def _load_adapted(cls, name: str, max_length: int | None, trust_remote_code: bool) -> TransferModel:
        spec = getattr(config_of(name), _SPEC, None)
        if not spec:
            raise ModelError(f"{name} holds an adapter whose config.json names no task; open it with peft.")
        base, revision = base_of(name)
        head = _head_of(name, spec)
        checkpoint = Checkpoint.find(base, revision=revision, trust_remote_code=trust_remote_code)
        network = head.build(checkpoint).network
        adapter = Adapter.open(name, network, checkpoint)
        tokenizer = checkpoint.tokenizer(of_words=head.labels_words)
        require_embeddings(network, tokenizer, base)
        most = max_positions(checkpoint.encoder_config)
        model = cls(network, head, tokenizer, _fitting(max_length or spec["max_length"], most, name, tokenizer))
        model.adapter = None if adapter.merge_if_possible() else adapter
        return model

    def rebuild(self) -> None:
        """Load the network again, for a head whose shape has changed; new weights are drawn anew."""
        assert self.checkpoint, "a model of no checkpoint has nothing to load"
        loaded = self.head.build(self.checkpoint)
        self.network, self.new_parameters = loaded.network, loaded.new

    @property
    def encoder(self) -> Encoder:
        """A view on the network's encoder."""
        return Encoder(self.network, self.new_parameters)

    @property
    def bytes(self) -> int:
        """The size of the weights, which is about that of the saved folder."""
        return sum(p.numel() * p.element_size() for p in self.network.parameters())

    @property
    def pad_id(self) -> int:
        """The id of the padding token."""
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0

    def save(self, folder: str | Path) -> None:
        """Write config, safetensors and tokenizer, in the layout that `transformers` itself reads.

        Of a network with an adapter that is not merged, the weights are those of the adapter and of the modules that
        were trained with it, as PEFT reads them.
        """
        if self.adapter and not self.adapter.is_merged:
            self.save_adapter(folder)
        else:
            self._save(folder, self.network.save_pretrained)

    def save_adapter(self, folder: str | Path) -> None:
        """Write the adapter as PEFT does, with the config and the tokenizer of the model."""
        assert self.adapter, "this model has no adapter"
        self._save(folder, self.adapter.save, self.network.config.save_pretrained)

    def _save(self, folder: str | Path, *parts: Callable[[str | Path], Any]) -> None:
        spec = {"task": self.head.task, "options": self.head.options(), "max_length": self.max_length}
        setattr(self.network.config, _SPEC, spec)
        # pipeline(..., truncation=True) then truncates where this model does.
        self.tokenizer.model_max_length = self.max_length
        with quiet_transformers():
            for save in (*parts, self.tokenizer.save_pretrained):
                save(folder)
        mode = (Path(folder) / "config.json").stat().st_mode & 0o777
        if self.rejection:
            self.rejection.save(Path(folder) / REJECTION_FILE)
        for path in Path(folder).glob("*.safetensors"):
            path.chmod(mode)  # safetensors makes files that only their owner may read

    def encode(self, rows: Dataset, what: str | None = None) -> Dataset:
        """Features of rows (`TaskHead.encode`), kept on disk by `stored`; `row` counts from 0 over all rows.

        With `what`, a name of the rows, the log has a line on texts that are too long, if any, and on words lost.
        """
        lengths = Lengths()
        account: Counter[str] = Counter()

        def features() -> Iterator[dict[str, list[Any]]]:
            with counted("tokenizing", len(rows)) as bar:
                for start, columns in zip(range(0, len(rows), SLICE), slices(rows), strict=True):
                    encoded = self.head.encode(columns, self.tokenizer, self.max_length)
                    lengths.add(encoded["input_ids"], encoded["row"], encoded.pop("dropped", ()))
                    account.update(self.head.account(columns, encoded))
                    encoded["row"] = [start + row for row in encoded["row"]]
                    yield encoded
                    bar.update(SLICE)

        encoded_rows = stored(features())
        if what and lengths.long and self.head.long_texts:
            log.info("%s: %s (--long_texts %s).", what, lengths.summary(self.max_length), self.head.long_texts)
        if account and what:
            counts = (f"{count:,} {name}" for name, count in account.items() if count or name.endswith("lost"))
            log.info("%s: %s.", what, ", ".join(counts))
        return encoded_rows

    @overload
    def predict(
        self,
        texts: Sequence[Any],
        batch_size: int = ...,
        precision: str = ...,
        calibrated: bool = ...,
        abstain_below: float | None = ...,
    ) -> list[Any]: ...
    @overload
    def predict(
        self,
        texts: Iterator[Any],
        batch_size: int = ...,
        precision: str = ...,
        calibrated: bool = ...,
        abstain_below: float | None = ...,
    ) -> Iterator[Any]: ...
    def predict(
        self,
        texts: Iterable[Any],
        batch_size: int = 32,
        precision: str = "auto",
        calibrated: bool = True,
        abstain_below: float | None = None,
    ) -> list[Any] | Iterator[Any]:
        """A prediction for each text, in their order, of the head's type: `Prediction`, `TagPrediction`...

        Texts are strings; a model of pairs takes pairs of strings, a NER model lists of words as well. A sequence gives
        a list, any other iterable an iterator that reads ahead no more than a few thousand texts. Texts of similar
        length share a batch. `precision` is `bf16`, `fp16`, `no` (that of the weights, fp32) or `auto`: bf16 where the
        processor supports it natively; the weights are not changed. Unless `calibrated` is False, probabilities are
        calibrated as fitted to the validation rows; that changes no label. Predictions whose `certainty` is less than
        `abstain_below` are marked as `abstained`. Raises OptionError for another precision, and for `abstain_below`
        where predictions have no confidence estimate; DataError for single texts if the model was trained on pairs, or
        the other way round.
        """
        if isinstance(texts, str):
            raise TypeError("predict takes a list of texts, not one text; write predict([text])")
        if precision not in PRECISIONS:
            raise OptionError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision}.")
        if abstain_below is not None:
            self.head.require_confidence()
            require_threshold(abstain_below)
        head = self.head if calibrated else self.head.uncalibrated()
        stream = self._stream(iter(texts), head, batch_size, precision_for(self.encoder.family, precision))
        if abstain_below is not None:
            stream = abstaining(stream, abstain_below)
        return list(stream) if isinstance(texts, Sequence) else stream

    def embed(
        self, texts: Sequence[Any], batch_size: int = 32, precision: str = "auto", progress: str | None = None
    ) -> np.ndarray:
        """A vector for each text, `(texts, width)` in fp32: the encoder's last states, pooled as the head pools them.

        Where the head is that of the encoder's family, `native`, it is their mean. Arguments are those of `predict`;
        `progress` is the label of a bar on a terminal.

        >>> TransferModel.load("all-MiniLM-L6-v2", head).embed(["My card has not arrived."]).shape
        (1, 384)
        """
        if not len(texts):
            return np.zeros((0, self.encoder.width), np.float32)
        features = Dataset.from_dict(self.head.encode(self.head.columns_of(texts), self.tokenizer, self.max_length))
        pooling = getattr(self.head, "pooling", None)
        return sentence_vectors(
            self.encoder.base, TokenInputs(features, self.pad_id), pooling if pooling in POOLINGS else "mean",
            batch_size=batch_size, progress=progress, precision=precision_for(self.encoder.family, precision),
        )  # fmt: skip

    def _stream(self, texts: Iterator[Any], head: TaskHead, batch_size: int, precision: str) -> Iterator[Any]:
        while chunk := list(itertools.islice(texts, WINDOW)):
            rows = self.head.columns_of(chunk)
            features = Dataset.from_dict(self.head.encode(rows, self.tokenizer, self.max_length))
            inputs = TokenInputs(features, self.pad_id)
            states = self.rejection is not None and self.rejection.reads_states
            outputs = infer(
                self.network, self.head, inputs, batch_size=batch_size, precision=precision, with_states=states
            )
            yield from decoded(head, outputs, rows, self.rejection)


def _head_of(name: str, spec: Mapping[str, Any]) -> TaskHead:
    """The head that the config of a saved model names."""
    if spec["task"] not in HEADS:
        raise ModelError(
            f"{name} was trained for the task '{spec['task']}', which is not registered (registered are "
            f"{', '.join(HEADS)}); import the module that registers its head first."
        )
    return HEADS[spec["task"]](**spec["options"])


def model_folder(name_or_path: str | Path) -> str:
    """The folder of the model: `model/` in the folder of a run, else what was named."""
    inner = Path(name_or_path) / "model"
    return str(inner) if (inner / "config.json").is_file() else str(name_or_path)


def _fitting(max_length: int | None, most: int, name: str, tokenizer: PreTrainedTokenizerBase) -> int:
    if max_length is None:
        return min(DEFAULT_MAX_LENGTH, most)
    if max_length > most:
        raise OptionError(
            f"max_length {max_length} is more than the {most} tokens that {name} has positions for; give at most "
            f"{most}."
        )
    least = tokenizer.num_special_tokens_to_add() + 1
    if max_length < least:
        raise OptionError(f"max_length {max_length} leaves no room for text; give at least {least}.")
    return max_length
