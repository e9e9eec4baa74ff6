"""From texts to token ids, and from logits to predictions, with NumPy alone: what heads and exported networks share."""

from nlp_transfer.decoding.decoder import DECODERS, Decoder, decoder_from
from nlp_transfer.decoding.tag_decoder import TagDecoder
from nlp_transfer.decoding.text_decoders import LabelDecoder, LabelSetDecoder, NumberDecoder, ScaleDecoder

__all__ = [
    "DECODERS",
    "Decoder",
    "LabelDecoder",
    "LabelSetDecoder",
    "NumberDecoder",
    "ScaleDecoder",
    "TagDecoder",
    "decoder_from",
]
