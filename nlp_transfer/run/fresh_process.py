"""Logits of a saved model for token ids: a script for a process of its own, without nlp_transfer.

`verify_run.py` sends a request as JSON on stdin and reads logits as JSON from stdout. A `PooledClassifier`, which
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


def logits_of(request: dict[str, Any]) -> list[Any]:
    """Logits of each of the `inputs`, in a batch of its own."""
    if request["ours"]:
        sys.path.insert(0, request["ours"])
        importlib.import_module("nlp_transfer")  # registers its networks
    import torch

    arguments = [request[name] for name in ("folder", "auto_class", "trust_remote_code", "base")]
    network = load_network(*arguments).float().eval()
    with torch.inference_mode():
        batches = ({k: torch.tensor([v]) for k, v in inputs.items()} for inputs in request["inputs"])
        return [network(**batch).logits[0].tolist() for batch in batches]


def import_all() -> None:
    """Import what opens a model, before there is a request: it takes seconds."""
    import torch  # noqa: F401
    import transformers

    _ = transformers.AutoModelForSequenceClassification


if __name__ == "__main__":
    import_all()
    if request := sys.stdin.read():  # nothing, if the run has ended before it saved a model
        print(json.dumps(logits_of(json.loads(request))))
