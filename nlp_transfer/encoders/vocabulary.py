"""The vocabulary of a tokenizer: whether the network has an embedding for each of its tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from nlp_transfer.errors import ModelError

_SHOWN = 4  # tokens in an error


def require_embeddings(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Raise ModelError if the tokenizer of a checkpoint gives ids beyond the rows of its word embeddings.

    Rows may be more than tokens, and than the config's `vocab_size`: some are padded to a round number.
    """
    rows = network.get_input_embeddings().weight.shape[0]
    beyond = {i: token for token, i in tokenizer.get_vocab().items() if i >= rows}
    for i in tokenizer("a")["input_ids"]:  # its special tokens have ids of their own in tokenizer.json
        if i >= rows:
            beyond.setdefault(i, tokenizer.convert_ids_to_tokens(i) or "?")
    if not beyond:
        return
    shown = ", ".join(f"{token!r} (id {i})" for i, token in sorted(beyond.items())[:_SHOWN])
    more = f" and {len(beyond) - _SHOWN:,} more" if len(beyond) > _SHOWN else ""
    raise ModelError(
        f"{name}: its tokenizer has {len(beyond):,} token{'s' * (len(beyond) > 1)} that the {rows:,} word embeddings "
        f"of its weights do not have: {shown}{more}; put the tokenizer that the weights were trained with beside them, "
        f"or add rows with model.resize_token_embeddings({max(beyond) + 1}) of transformers and save the model again."
    )


def require_word_embeddings(
    network: PreTrainedModel, new: Collection[str], shapes: Mapping[str, tuple[Sequence[int], Sequence[int]]], name: str
) -> None:
    """Raise ModelError if the word embeddings are among the `new` weights, which are random.

    `shapes` are those of weights that do not fit: in the checkpoint, and by its config.
    """
    weight = network.get_input_embeddings().weight
    lost = next((key for key, parameter in network.named_parameters() if parameter is weight and key in new), None)
    if lost is None:
        return
    if lost in shapes:
        there, due = (" x ".join(f"{size:,}" for size in shape) for shape in shapes[lost])
        raise ModelError(
            f"{name}: its config.json (vocab_size) makes word embeddings of {due}, and its weights have {there} "
            f"({lost}); give a folder whose config and weights were saved together."
        )
    raise ModelError(f"{name} lacks the word embeddings ({lost}); give a folder with all weights of the encoder.")


def take_padding_of(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a tokenizer without a padding token the one that the config of its encoder names, if there is one."""
    i = getattr(config, "pad_token_id", None)
    if tokenizer.pad_token is None and i is not None and i >= 0 and (token := tokenizer.convert_ids_to_tokens(i)):
        tokenizer.pad_token = token
