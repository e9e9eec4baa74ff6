"""Logits of a saved model for token ids, and the entities that a pipeline finds: a script without nlp_transfer.

`verify_run.py` sends a request as JSON on stdin and reads the answers as JSON from stdout. A `PooledClassifier`, which
transformers does not have, needs this package: `ours` in the request is then the folder to import it from.
"""

import importlib
import inspect
import json
import sys
from typing import Any


def load_network(folder: str, auto_class: str, trust_remote_code: bool, base: dict[str, str | None] | None) -> Any:
    """The network, loaded by transformers, or by PEFT onto `base` if the folder holds an adapter."""
    import transformers

    auto = getattr(transformers, auto_class)
    trust = {"trust_remote_code": trust_remote_code}
    if base is None:
        return auto.from_pretrained(folder, **trust)
    from peft import PeftModel

    source, revision = base["source"], base["revision"]
    config = transformers.AutoConfig.from_pretrained(folder, **trust)
    if config.model_type == "nlp_transfer_pooled":
        pooled = importlib.import_module("nlp_transfer.encoders.pooling.pooled_network").PooledClassifier
        network = pooled(config, transformers.AutoModel.from_pretrained(source, revision=revision, **trust))
    else:
        network = auto.from_pretrained(source, revision=revision, config=config, **trust)
    take_past_key_values(network.base_model)
    return PeftModel.from_pretrained(network, folder)


def take_past_key_values(encoder: Any) -> None:
    """Let an encoder take keys and values by the name that PEFT looks for: transformers 5.24 has renamed it."""
    parameters, forward = inspect.signature(encoder.forward).parameters, encoder.forward
    if "cache" not in parameters or "past_key_values" in parameters:
        return

    def renamed(*arguments: Any, past_key_values: Any = None, **options: Any) -> Any:
        return forward(*arguments, cache=past_key_values, **options)

    encoder.forward = renamed


def pipeline_of(request: dict[str, Any]) -> Any:
    """The pipeline, made as the model card says; None where that fails."""
    import transformers

    folder, trust = request["folder"], {"trust_remote_code": request["trust_remote_code"]}
    settings = {"aggregation_strategy": request["pipeline"]["strategy"], "device": "cpu", **trust}
    try:
        if request["base"] is None:
            return transformers.pipeline("token-classification", model=folder, **settings)
        network = load_network(folder, request["auto_class"], request["trust_remote_code"], request["base"])
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **trust)
        return transformers.pipeline("token-classification", model=network, tokenizer=tokenizer, **settings)
    except Exception:  # whether the network opens at all is seen below; a run is not lost for a pipeline
        return None


def entities_of(pipe: Any, text: str | list[str], takes_words: bool) -> list[Any] | None:
    """Type, start and end of the entities in a text, or in a list of words; None where the pipeline fails."""
    try:
        spans = pipe(text, is_split_into_words=True)[0] if takes_words else pipe(text)
        return [[span["entity_group"], int(span["start"]), int(span["end"])] for span in spans]
    except Exception:  # a text that the pipeline cannot read is one in which it differs, and no run is lost for it
        return None


def answers_to(request: dict[str, Any]) -> dict[str, Any]:
    """`logits` of each of the `inputs`, in a batch of its own, and `entities`, where a pipeline is asked for them."""
    if request["ours"]:
        sys.path.insert(0, request["ours"])
        importlib.import_module("nlp_transfer")  # registers its networks
    import torch

    asked = request["pipeline"]
    pipe = pipeline_of(request) if asked else None
    arguments = [request[name] for name in ("folder", "auto_class", "trust_remote_code", "base")]
    network = (pipe.model if pipe else load_network(*arguments)).float().eval()
    with torch.inference_mode():
        batches = ({k: torch.tensor([v]) for k, v in inputs.items()} for inputs in request["inputs"])
        logits = [network(**batch).logits[0].tolist() for batch in batches]
    entities = [entities_of(pipe, text, asked["takes_words"]) for text in asked["inputs"]] if asked else None
    return {"logits": logits, "entities": entities}


def import_all() -> None:
    """Import what opens a model, before there is a request: it takes seconds.

    What a pipeline needs is half of it what every network needs as well.
    """
    import torch  # noqa: F401
    import transformers

    _ = transformers.AutoModelForSequenceClassification, transformers.pipeline


if __name__ == "__main__":
    import_all()
    if request := sys.stdin.read():  # nothing, if the run has ended before it saved a model
        print(json.dumps(answers_to(json.loads(request))))
