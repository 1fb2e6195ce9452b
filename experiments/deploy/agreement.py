"""Do all runtimes answer alike? Thirty random networks of each of five originals, on 1,000 test images each.

    python experiments/deploy/agreement.py [NETWORK ...] [--count 30] [--images 1000] [--steps 100]

Resumable: candidates that are trained and rows that are written are not made again.
"""

import argparse
import time
from pathlib import Path

import candidates
import numpy as np
import pandas as pd

from nas.inputs import Inputs
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from nas.verify import litert, prove
from nas.verify.litert import LiteRT
from nas.verify.proof import Samples, proof
from nas.verify.runner import LITERT, ONNX, TFLM, C
from targets.lower import lower

COLUMNS = {TFLM: "tflm", C: "c", ONNX: "onnxruntime"}
TABLE = Path("results/deploy-agreement.csv")


def row(network: str, job: str, home: Path, found: Inputs, count: int) -> dict[str, object]:
    """One candidate's figures, beside LiteRT's reference kernels."""
    model = litert.exported((home / f"{job}.tflite").read_bytes(), (home / f"{job}.onnx").read_bytes())
    x, y = found.data.x_test[:count], found.data.y_test[:count]
    runners = [runner for runner in prove.runners() if not runner.missing()]
    done = proof(job, model, Samples(found.data.task, x, y, x), runners)
    figures: dict[str, object] = {"network": network, "candidate": job, "size_bytes": len(model.tflite)}
    for answers in done.answers:
        if answers.runtime == LITERT:
            figures |= {"images": done.images, "values": done.values, "litert_accuracy": answers.accuracy}
            continue
        name = COLUMNS[answers.runtime]
        figures |= {f"{name}_{key}": getattr(answers, key) for key in ("agreement", "differing", "worst_lsb")}
    by_name = {runner.name: runner for runner in runners}
    images = model.input.quantized(x)
    reference = by_name[LITERT].answers(model, images).astype(np.int16)
    builtin = np.abs(LiteRT(reference=False).answers(model, images) - reference)
    figures |= {"builtin_differing": int((builtin > 0).sum()), "builtin_worst_lsb": int(builtin.max())}
    return figures | {"broken": "; ".join(done.broken)}


def writing_seconds() -> float:
    """Of one core, median of 20: calibration and rounding done, both files of MobileNetV1 x0.25."""
    _, _, found = next(candidates.made("mobilenet_v1", 1, Path("results/deploy")))
    graph = found.space.apply(found.space.uniform(0.25))
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in graph.weight_shapes.items()}
    program = lower(graph)
    quantized = quantize(program, weights, calibrate(program, graph, weights, found.data.x_train[:64]))
    seconds = []
    for _ in range(20):
        start = time.process_time()
        qdq_onnx(program, quantized).SerializeToString()
        tflite_bytes(program, quantized)
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=candidates.NETWORKS)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=candidates.STEPS, help="of training each candidate")
    args = parser.parse_args()
    rows = []
    if TABLE.exists():
        rows = pd.read_csv(TABLE, keep_default_na=False, dtype={"candidate": str}).to_dict("records")
    known = {(row["network"], row["candidate"], row["steps"]) for row in rows}
    for network in args.networks:
        for job, home, found in candidates.made(network, args.count, Path("results/deploy"), args.steps):
            if (network, job, args.steps) not in known:
                rows.append({"steps": args.steps, **row(network, job, home, found, args.images)})
                pd.DataFrame(rows).to_csv(TABLE, index=False)
                print(network, job, rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table["all_agree"] = table["onnxruntime_agreement"].astype(float)
    print(table.groupby(["network", "steps"]).agg(
        candidates=("candidate", "size"), least_agreement=("all_agree", "min"), mean_agreement=("all_agree", "mean"),
        c_from_litert=("c_worst_lsb", "max"), c_values=("c_differing", "sum"), tflm_values=("tflm_differing", "sum"),
        values=("values", "sum"), broken=("broken", lambda column: (column != "").sum()),
    ).to_string())  # fmt: skip
    print(f"writing both files of MobileNetV1 x0.25: {1e3 * writing_seconds():.1f} ms of one core, median of 20")


if __name__ == "__main__":
    main()
