"""An encoder in a child process: a text that ends the child does not end the task."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from spladelake.errors import SpladelakeError

if TYPE_CHECKING:
    from spladelake.encoder import EncodedBatch
    from spladelake.encoder.saved.modules import Kind
    from spladelake.spark.encode.encoder_cache import WorkerSpec
    from spladelake.spark.encode.models import Share


class CrashError(SpladelakeError):
    """The child process that encoded some texts ended."""

    def __init__(self, exit_code: int | None) -> None:
        how = f"signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
        super().__init__("the encoder's process", f"the process that encoded the text ended with {how}", "", "")


class IsolatedEncoder:
    """The encoder of a spec in a child process, which is started again after it ends.

    A context manager. If this process ends in any way, the pipe closes and the child ends too.
    """

    def __init__(self, spec: WorkerSpec, share: Share) -> None:
        self._spec, self._share = spec, share
        self._child: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> IsolatedEncoder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None and self._pipe is not None:
            self._pipe.close()
            self._child.kill()
            self._child.join()
        self._child = self._pipe = None

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """As `SpladeEncoder.encode`. Raises CrashError if the child ends, and any error that the encoder raises."""
        pipe = self._pipe or self._start()
        try:
            pipe.send((list(texts), kind))
            answer: EncodedBatch | BaseException = pipe.recv()
        except (EOFError, OSError):
            assert self._child is not None
            self._child.join()
            code = self._child.exitcode
            self.__exit__()
            raise CrashError(code) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _start(self) -> Connection:
        # spawn: a fork of a process that has run torch may hold locks that no thread releases.
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._child = context.Process(target=_serve, args=(other, self._spec, self._share), daemon=True)
        self._child.start()
        other.close()
        return self._pipe


def _serve(pipe: Connection, spec: WorkerSpec, share: Share) -> None:
    """Answer each batch of texts with vectors or an error, until the other end of the pipe closes."""
    from spladelake.spark.encode.encoder_cache import encoders

    while True:
        try:
            texts, kind = pipe.recv()
        except EOFError:
            return
        try:
            encoder, _ = encoders.get(spec, share)
            pipe.send(encoder.encode(texts, kind=kind))
        except Exception as error:
            pipe.send(error)
