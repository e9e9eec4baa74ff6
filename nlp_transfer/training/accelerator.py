"""The Accelerator of a run: its device, processes, precision and trackers."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration, TorchDynamoPlugin

from nlp_transfer.config import TrainingOptions
from nlp_transfer.errors import OptionError
from nlp_transfer.system import hardware
from nlp_transfer.system.launcher import require_launched
from nlp_transfer.training import fsdp


def make_accelerator(options: TrainingOptions, folder: str | Path = ".") -> Accelerator:
    """The Accelerator of a run: its device and processes come from the launcher, its precision from the options.

    Trackers that write files write them to `logs/` in `folder`. Raises OptionError for a tracker that is not
    installed (Accelerate itself would leave it out silently), for a precision that the device does not support,
    for a launcher that asks for DeepSpeed, Megatron or FSDP 1, and for more processes than there are, or than GPUs.
    """
    require_launched(options.processes)
    fsdp.validate_launcher()
    hardware.claim_device()
    for tracker in options.report_to:
        if tracker not in {str(available) for available in get_available_trackers()}:
            raise OptionError(f"--report_to {tracker}: it is not installed; pip install {tracker}.")
    try:
        with fsdp.hidden_from_accelerate():
            accelerator = Accelerator(
                cpu=hardware.is_cpu_only(),
                mixed_precision=hardware.precision(options.mixed_precision),
                log_with=list(options.report_to) or None,
                project_config=ProjectConfiguration(str(folder), logging_dir=str(Path(folder) / "logs")),
            )
    except (ImportError, ValueError) as error:
        raise OptionError(f"cannot set up the run: {error}") from error
    # All Accelerators of a process share the plugin of the first; without a backend it reads the launcher's settings.
    compiled = options.torch_compile
    accelerator.state.dynamo_plugin = TorchDynamoPlugin(
        backend="inductor" if compiled else None, dynamic=compiled or None
    )
    hardware.use_cores()
    return accelerator
