"""What the processes of a training need of the one that starts them, beside the driver or in a task of Spark."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# One bar is shown, by the driver; and the tokenizer's threads would only be in the way of torch's.
QUIET = {"TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"}

SECONDS_TO_LOOK = 0.5


def environment_of_processes() -> dict[str, str]:
    """Variables that give processes started from here the packages that are here, wherever they came from."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **QUIET}


class Sent:
    """A function as TorchDistributor sends it to the processes that it starts, on executors by way of a task.

    A task finds what --py-files ships on its own sys.path, and its processes would not: TorchDistributor leaves no
    place to say so but here, where the task unpickles the function. They end with the process that started them.
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
    """Have this process end within a second after the one that started it.

    torchrun gives its processes sessions of their own. Where it is killed with the job they would train on, and write
    their checkpoints among those of the run that goes on from them.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_TO_LOOK)
        os._exit(1)

    threading.Thread(target=watch, name="end_with_parent", daemon=True).start()
