"""The bundled quickstart: all 70,000 Fashion-MNIST images and a MobileNetV1 x1.0 trained on 50,000 of them.

The split is fixed: of the 60,000 training images each class gives 5,000 to `train`, 500 to `search_val` and 500 to
`final_val`; the original saw `train` only. The 10,000 test images stay as they are.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np

from search_spaces.errors import DataError

HERE = Path(__file__).parent
MODEL_PATH = HERE / "mobilenet_v1.onnx"
SPLIT_SEED = 20170825  # the day Fashion-MNIST was published; any constant would do

SHA256 = {
    "mobilenet_v1.onnx": "4701fc9328c4aa3318129cc6b07adc3558fe213d1a4bcfe5c4dff92533a88a6e",
    "fashion-mnist/t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "fashion-mnist/t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    "fashion-mnist/train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "fashion-mnist/train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
}


def _checked(name: str) -> bytes:
    """A bundled file's bytes.

    Raises:
        DataError: the file is missing or is not the one that was bundled.
    """
    path = HERE / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; restore it from the repository") from None
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise DataError(f"{path} must have SHA-256 {SHA256[name]}, got {found}; restore it from the repository")
    return content


def model_path() -> Path:
    """The original's ONNX file, its SHA-256 checked.

    Raises:
        DataError: it is missing or has changed.
    """
    _checked(MODEL_PATH.name)
    return MODEL_PATH


def _read_idx(name: str) -> np.ndarray:
    """One IDX file as an array of uint8: a 4-byte magic number whose last byte is the rank, the sizes, the bytes."""
    raw = gzip.decompress(_checked(name))
    rank = raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", rank, 4))
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def arrays() -> dict[str, np.ndarray]:
    """The quickstart's splits: `x_<split>` uint8 N x 1 x 28 x 28 and `y_<split>` int64 N.

    Splits are `train` (50,000), `search_val` (5,000), `final_val` (5,000) and `test` (10,000), every class balanced.
    """
    images = _read_idx("fashion-mnist/train-images-idx3-ubyte.gz")[:, None]
    labels = _read_idx("fashion-mnist/train-labels-idx1-ubyte.gz").astype(np.int64)
    rng = np.random.default_rng(SPLIT_SEED)
    by_class = [rng.permutation(np.flatnonzero(labels == c)) for c in range(10)]
    chosen = {
        "train": np.sort(np.concatenate([rows[:5000] for rows in by_class])),
        "search_val": np.sort(np.concatenate([rows[5000:5500] for rows in by_class])),
        "final_val": np.sort(np.concatenate([rows[5500:] for rows in by_class])),
    }
    found = {f"x_{split}": images[rows] for split, rows in chosen.items()}
    found |= {f"y_{split}": labels[rows] for split, rows in chosen.items()}
    found["x_test"] = _read_idx("fashion-mnist/t10k-images-idx3-ubyte.gz")[:, None]
    found["y_test"] = _read_idx("fashion-mnist/t10k-labels-idx1-ubyte.gz").astype(np.int64)
    return found
