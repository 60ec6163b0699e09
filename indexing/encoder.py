"""Text to vectors: texts that mean the same point the same way, so a question meets an entry that shares no word with it.

The shipped model is a table of word vectors; a text is the mean of its words. model2vec reads it with numpy alone, in
a fraction of a second and a fraction of a millisecond per question. Any other sentence-transformers model can take its
place: torch then lives in a process of its own, where it can neither slow the bot's start nor take the bot down with it.
The fingerprint is a hash over the files that decide the vectors; an index remembers it and refuses another model's.
"""

import hashlib
import os
import signal
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexing.words import clean, tokenizer
from knowledge.errors import IndexUnusable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SHIPPED = Path(__file__).parent / "model"
BATCH = 1024
"""Texts handed to another process at a time."""

_OR_SHIPPED = "或清空 EMBEDDING_MODEL 改用自带模型"

# What decides a vector. A model card, a licence or a picture may change without making an index worthless.
_DECIDING = ("modules.json", "*config*.json", "tokenizer*", "vocab*", "merges.txt", "special_tokens*", "*.safetensors", "*.bin", "*.model")


class Encoder(Protocol):
    """Turns texts into vectors; the same text gives the same vector as long as `fingerprint` is the same.

    `name` is what the settings call it, `fingerprint` a hex SHA-256 over the model's files, `dimension` the length of a vector.
    """

    name: str
    fingerprint: str
    dimension: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row per text, shape (len(texts), dimension), unit length; zeros where a text has no known word."""

    def close(self) -> None:
        """Let go of what the model holds (a process, for most); the encoder cannot be used afterwards. May be repeated."""


def load_encoder(name: str | None = None) -> Encoder:
    """The shipped model for None or an empty name, else the sentence-transformers model of that name or folder.

    Raises IndexUnusable, with the fix, when the extra `models` is not installed, or when the folder or the name does not
    lead to a model on this machine. Nothing is ever downloaded.
    """
    return ForeignEncoder(name.strip()) if name and name.strip() else shipped_encoder()


@cache
def shipped_encoder() -> "ShippedEncoder":
    """The shipped model, held once however many ask for it."""
    return ShippedEncoder()


def fingerprint_of(folder: Path) -> str:
    """Hex SHA-256 over the names and contents of the files in a model's folder that decide its vectors."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if any(fnmatch(p.name, pattern) for pattern in _DECIDING)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


class ShippedEncoder:
    """The model in `indexing/model`, read without torch."""

    def __init__(self) -> None:
        from model2vec import StaticModel
        from safetensors.numpy import load_file

        # Built from its parts: `StaticModel.from_pretrained` imports the hub's client first, which takes longer than all this.
        weights = load_file(SHIPPED / "0_StaticEmbedding" / "model.safetensors")["embedding.weight"].astype(np.float32)
        self._model = StaticModel(weights, tokenizer(), normalize=True, max_length=None)
        self.name = "shipped"
        self.dimension: int = weights.shape[1]
        self.fingerprint = fingerprint_of(SHIPPED)

    @property
    def words(self) -> NDArray[np.float32]:
        """The table of word vectors, one row per token of `words.tokenizer`; not to be written to."""
        table: NDArray[np.float32] = self._model.embedding
        return table

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        vectors: NDArray[np.float32] = self._model.encode([clean(text) for text in texts], use_multiprocessing=False)
        return vectors

    def close(self) -> None:
        """See `Encoder.close`; there is nothing to let go of."""


class ForeignEncoder:
    """Any sentence-transformers model, in one process of its own, asked over a pipe; one question at a time."""

    def __init__(self, name: str) -> None:
        _check_can_load(name)
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name), name=f"encoder {name}", daemon=True)
        self._process.start()
        # With our copy open, the end of the process would not end the pipe and we would wait for ever.
        theirs.close()
        self._turn = Lock()
        self.name = name
        try:
            self.dimension, self.fingerprint = self._receive()
        except IndexUnusable:
            self.close()
            raise

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Encoder.encode`. Raises IndexUnusable when the model's process has ended or the model refuses."""
        cleaned = [clean(text) for text in texts]
        parts = [self._ask(cleaned[start : start + BATCH]) for start in range(0, len(cleaned), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimension), np.float32)

    def close(self) -> None:
        """See `Encoder.close`."""
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()

    def _ask(self, texts: list[str]) -> NDArray[np.float32]:
        with self._turn:
            try:
                self._pipe.send(texts)
            except OSError as error:
                raise IndexUnusable(self._ended()) from error
            vectors: NDArray[np.float32] = self._receive()
            return vectors

    def _receive(self) -> Any:
        try:
            done, content = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise IndexUnusable(self._ended()) from error
        if not done:
            raise IndexUnusable(f"向量模型 {self.name} 无法使用：{content}")
        return content

    def _ended(self) -> str:
        return f"向量模型 {self.name} 的进程已经结束（可能内存不足）；请重新启动程序，{_OR_SHIPPED}"


def _check_can_load(name: str) -> None:
    if find_spec("sentence_transformers") is None:
        raise IndexUnusable(f"使用向量模型 {name} 需要附加组件 models：请运行 pip install '.[models]'，{_OR_SHIPPED}")
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "modules.json").exists() and not (folder / "config.json").exists():
            raise IndexUnusable(f"文件夹 {name} 里没有 sentence-transformers 模型（缺 modules.json）；请检查 EMBEDDING_MODEL")
    elif folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise IndexUnusable(f"找不到模型文件夹 {name}；请检查 EMBEDDING_MODEL，{_OR_SHIPPED}")


def _serve(pipe: Connection, name: str) -> None:
    """The other process: (True, (dimension, fingerprint)) once, then texts in, (True, vectors) out, until the pipe closes."""
    # Ctrl-C reaches the whole group; the pipe's end, not the signal, ends this process, after the request in hand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    try:
        model, folder = _load_foreign(name)
        dimension = _encode_foreign(model, ["问"]).shape[1]
        pipe.send((True, (dimension, fingerprint_of(folder))))
    except Exception as error:
        pipe.send((False, f"{_reason(error)}；请把模型文件夹下载到本机，在 EMBEDDING_MODEL 填写路径，{_OR_SHIPPED}"))
        return
    while True:
        try:
            texts = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send((True, _encode_foreign(model, texts)))
        except Exception as error:
            pipe.send((False, _reason(error)))


def _load_foreign(name: str) -> tuple["SentenceTransformer", Path]:
    from huggingface_hub import snapshot_download
    from sentence_transformers import SentenceTransformer

    folder = Path(name).expanduser()
    if not folder.is_dir():
        # sentence-transformers puts its own organisation before a name without one.
        folder = Path(snapshot_download(name if "/" in name else f"sentence-transformers/{name}", local_files_only=True))
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True), folder


def _encode_foreign(model: "SentenceTransformer", texts: list[str]) -> NDArray[np.float32]:
    vectors = np.nan_to_num(np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False), np.float32))
    # A transformer has an opinion about nothing at all; an empty question must not resemble anything.
    vectors[[not text for text in texts]] = 0
    return vectors


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
