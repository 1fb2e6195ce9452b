"""A run's chosen model beside the quickstart's original, both as C on an emulated Cortex-M4: a table.

    optimize --budget 60s --out RUN
    python experiments/deploy/beside_original.py RUN/models/ID [--target nrf52840]

Flash, RAM and cycles are the linked firmware's; milliseconds and energy are the bill's, in the ratio of those cycles to
the billed ones.
Needs arm-none-eabi-gcc and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import firmware

from nas import quickstart
from nas.deploy.bill import program_of
from nas.deploy.layers import network_of
from nas.deploy.model import prove, tflite_of
from nas.deploy.tflite_reader import read
from search_spaces.from_onnx import load_model
from targets.core import call_costs
from targets.device import Device, load_device
from targets.energy import energy_uj
from targets.latency import latency_ms


def row(name: str, file: Path, device: Device) -> str:
    """Measured figures with the bill's distance from them, and whether flash and RAM hold the firmware."""
    found, content = prove(file, core="m4", count=3), file.read_bytes()
    bill = found.bill
    assert bill is not None
    assert found.cycles is not None
    assert found.same == found.images
    assert bill.cycles is not None
    costs = call_costs(program_of(network_of(read(content))), device.kernel_core)
    taken_ms = (latency_ms(costs, device, "c") or 0.0) * found.cycles / bill.cycles
    cells = [f"{len(content):,}"]
    for what in ("flash_bytes", "ram_bytes", "cycles"):
        measured, billed = getattr(found, what), getattr(bill, what)
        cells.append(f"{measured:,} ({100 * (billed / measured - 1):+.1f} %)")
    fits = found.flash_bytes <= (device.flash_bytes or 0) and found.ram_bytes <= (device.ram_bytes or 0)
    cells += [f"{taken_ms:.1f} ms", f"{energy_uj(taken_ms, device) or 0:,.0f} uJ", "yes" if fits else "no"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--target", default="nrf52840")
    args = parser.parse_args()
    device = load_device(args.target)
    print(f"{device.name}: {device.flash_bytes:,} bytes of flash, {device.ram_bytes:,} of RAM; in brackets the bill")
    print("| network | .tflite | flash of the ELF | static RAM | cycles | latency | energy | fits |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "original.tflite"
        file.write_bytes(firmware.tflite_of(*load_model(quickstart.model_path())[:2]))
        print(row("original", file, device))
    print(row("chosen", tflite_of(args.model), device))


if __name__ == "__main__":
    main()
