"""Set-up of the processes of a training, which start on the driver's machine or in tasks of Spark."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# The driver shows the only progress bar. The tokenizer's threads would compete with torch's.
QUIET = {"TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"}

SECONDS_TO_LOOK = 0.5


def environment_of_processes() -> dict[str, str]:
    """Return environment variables that let child processes import the packages of this process."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **QUIET}


class Sent:
    """A function that TorchDistributor pickles and sends to its processes; on executors, a task starts them.

    A task has the files of --py-files on its sys.path, but the processes that it starts do not. TorchDistributor has no
    hook for that, so unpickling this object in the task sets the environment for them. The processes end with the
    process that started them.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        end_with_parent()
        return self.function(*arguments)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        os.environ.update(environment_of_processes())


def end_with_parent() -> None:
    """End this process within a second after its parent ends.

    torchrun starts its processes in their own sessions. If the job and torchrun are killed, the processes would keep
    training and mix their checkpoints with those of the resumed run.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_TO_LOOK)
        os._exit(1)

    threading.Thread(target=watch, name="end_with_parent", daemon=True).start()
