"""A SYNTHETIC run for the tests of tables, pictures and report: numbers made up by formula, nothing was trained."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nas.objectives import Limits
from nas.result import ArchiveRow, Audit, Original, Point, RunResult, Verdict
from nas.wording import binding_sentence
from targets.cost import CallBill, Cost

KB = 1024


def cost(size_kb: float) -> Cost:
    """A made-up bill that grows with the size."""
    return Cost(
        size_bytes=int(size_kb * KB),
        weights_bytes=int(0.8 * size_kb * KB),
        flash_bytes=int((size_kb + 61.5) * KB),
        ram_bytes=int((9 + 0.12 * size_kb) * KB),
        macs=int(21_000 * size_kb),
        params=int(0.78 * size_kb * KB),
        latency_ms=1.9 * size_kb**0.7,
        energy_uj=None,
        runtime="tflm",
        target="nrf52840",
    )


def point(name: str, size_kb: float, drop: float, *, front: bool, ladder: bool = False) -> Point:
    """A finished network whose 95 % bound lies 0.42 points above its drop, against a limit of 2 points."""
    bound = drop + 0.42
    verdict: Verdict = "proven" if bound <= 2 else "likely" if drop <= 2 else "not"
    return Point(
        id=name,
        values={"width:stem": 8, "width:block3": 24, "depth:block7": 0, "kernel:stem": 3},
        input_shape=(1, 28, 28),
        cost=cost(size_kb),
        steps=2400,
        search_drop=drop - 0.1,
        val_accuracy=93.6 - drop,
        val_drop=drop,
        val_drop_upper95=bound,
        verdict=verdict,
        test_accuracy=93.1 - drop,
        test_drop=drop + 0.12,
        onnx=f"models/{name}/model.onnx",
        tflite=f"models/{name}/model.tflite",
        on_front=front,
        within_limits=size_kb <= 256 and drop <= 2,
        is_ladder=ladder,
    )


def bill() -> tuple[CallBill, ...]:
    """Fourteen pairs of depthwise and pointwise convolutions, like a narrow MobileNetV1."""
    calls = []
    side, channels = 14, 8
    for i in range(14):
        if i in (3, 5, 11):
            side, channels = max(1, side // 2), channels * 2
        for kind, weights, macs in (
            ("dw", channels * 13, side * side * channels * 9),
            ("conv", channels * channels + 4 * channels, side * side * channels * channels),
        ):
            calls.append(
                CallBill(
                    op=f"/features/{i}/{kind}/Relu_output_0",
                    kind=kind,
                    shape=(side, side, channels),
                    macs=macs,
                    cycles=4.0 * macs,
                    ms=4 * macs / 64_000,
                    weights_bytes=weights,
                    scratch_bytes=18 * channels,
                    live_bytes=2 * side * side * channels + 18 * channels,
                )
            )
    return tuple(calls)


def archive() -> tuple[ArchiveRow, ...]:
    """120 evaluations on three rungs, the later the better; every tenth too large, one failed."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(120):
        rung, steps = (0, 0) if i % 3 == 0 else (1, 25) if i % 3 == 1 else (2, 100)
        size_kb = float(2 ** rng.uniform(5.2, 8.4))
        drop = (160 / size_kb) ** 1.3 * (1.0, 2.4, 9.0)[2 - rung] * float(np.exp(rng.normal(0, 0.25)))
        status = "failed" if i == 50 else "infeasible" if i % 10 == 9 else "ok"
        scored = status == "ok"
        rows.append(
            ArchiveRow(
                id=f"{i:012x}",
                rung=rung,
                steps=steps,
                cost=None if status == "failed" else cost(size_kb),
                accuracy=93.6 - min(drop, 80) if scored else None,
                drop=min(drop, 80) if scored else None,
                kl=drop / 30 if scored else None,
                status=status,
                is_ladder=i < 6,
            )
        )
    return tuple(rows)


def synthetic_result(**changes: Any) -> RunResult:
    """The whole run; `changes` replace fields."""
    points = (
        point("4f0c1d2e3a", 52.4, 3.31, front=False),
        point("81b2aa90c4", 70.9, 2.22, front=False),
        point("c77d01fe25", 88.1, 1.74, front=True),
        point("0a9be3f7d1", 112.6, 1.21, front=True),
        point("5d31c8e9b0", 163.3, 0.74, front=True),
        point("e2a17f604c", 228.8, 0.48, front=True, ladder=True),
        point("9c4d5e6f70", 80.5, 2.61, front=False, ladder=True),
        point("1f2e3d4c5b", 131.0, 1.32, front=False, ladder=True),
        point("77aa88bb99", 121.9, 1.95, front=False),
    )
    limits = Limits(size_bytes=256 * KB, drop=2.0, ram_bytes=256 * KB, flash_bytes=1024 * KB)
    chosen = points[3]
    result = RunResult(
        original=Original(
            name="SYNTHETIC.onnx",
            file_bytes=12_894_208,
            params=3_217_226,
            macs=45_700_000,
            accuracy={"train": 99.2, "search_val": 93.5, "final_val": 93.6, "test": 93.1},
            int8_accuracy={"final_val": 93.4, "test": 92.9},
            cost=dataclasses.replace(cost(3247.0), macs=45_700_000, params=3_217_226, latency_ms=2410.0),
        ),
        data_name="SYNTHETIC images",
        task="classification",
        metric="top-1",
        outputs="10 classes",
        splits={"train": 50_000, "search_val": 5_000, "final_val": 5_000, "test": 10_000},
        target="nrf52840",
        runtime="tflm",
        limits=limits,
        points=points,
        chosen=chosen.id,
        archive=archive(),
        bill=bill(),
        hypervolume=2.31,
        binding=binding_sentence(chosen.cost, limits, chosen.val_drop_upper95),
        seconds={"total": 612.0, "search": 560.0, "train": 934.0, "quantize": 18.0, "overhead": 60.0},
        overhead_share=0.098,
        plan={"unit": "seconds", "total": 1200.0, "workers": 2, "rungs": [25, 100], "finishes": 4},
        strategy="nsga2",
        seed=0,
        version="0.1.0",
        latency_band_percent=30.0,
        audit=Audit(7, 0.61, 0.25, 2.31, 1.9, 0.12, 0.71, 9, 0.08),
        notes=("SYNTHETIC: every number in this run was made up by formula to test the report.",),
    )
    return dataclasses.replace(result, **changes)
