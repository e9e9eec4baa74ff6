"""What does a saved model say to these token ids? A script for a process of its own, which imports nothing of ours.

It reads JSON on stdin and writes JSON, as `verification.py` tells it. A network of ours (a head that transformers does
not have) needs its class, and `ours` is then where to find it.
"""

import importlib
import json
import sys
from typing import Any


def reopened(folder: str, auto_class: str, trust_remote_code: bool, base: dict[str, str | None] | None) -> Any:
    """The network, as transformers opens it, or PEFT on `base` where the folder holds an adapter."""
    import transformers

    auto = getattr(transformers, auto_class)
    told = {"trust_remote_code": trust_remote_code}
    if base is None:
        return auto.from_pretrained(folder, **told)
    from peft import PeftModel

    source, revision = base["source"], base["revision"]
    config = transformers.AutoConfig.from_pretrained(folder, **told)
    if config.model_type == "nlp_transfer_pooled":
        pooled = importlib.import_module("nlp_transfer.encoders.pooling.pooled_network").PooledClassifier
        network = pooled(config, transformers.AutoModel.from_pretrained(source, revision=revision, **told))
    else:
        network = auto.from_pretrained(source, revision=revision, config=config, **told)
    return PeftModel.from_pretrained(network, folder)


def answers(asked: dict[str, Any]) -> list[Any]:
    """Logits of each of the `inputs`, which are read alone."""
    if asked["ours"]:
        sys.path.insert(0, asked["ours"])
        importlib.import_module("nlp_transfer")  # registers its networks
    import torch

    network = reopened(asked["folder"], asked["auto_class"], asked["trust_remote_code"], asked["base"]).float().eval()
    with torch.inference_mode():
        batches = ({k: torch.tensor([v]) for k, v in inputs.items()} for inputs in asked["inputs"])
        return [network(**batch).logits[0].tolist() for batch in batches]


if __name__ == "__main__":
    print(json.dumps(answers(json.load(sys.stdin))))
