"""A linked firmware: its sections, symbols and what is loaded where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import TargetError

INSTALL = 'pip install "fitfront[emulate]"'


@dataclass(frozen=True)
class Firmware:
    """An ELF file of a 32-bit core.

    Attributes:
        path: the file.
        compiler: who linked it.
        sections: bytes by name, those that take memory.
        symbols: addresses by name, bit 0 of functions off.
        loaded: where bytes come to lie before anything runs.
    """

    path: Path
    compiler: str
    sections: dict[str, int]
    symbols: dict[str, int]
    loaded: tuple[tuple[int, bytes], ...]

    @property
    def flash_bytes(self) -> int:
        """Code, constants and initial values, the measuring harness left out."""
        return sum(self.sections.get(name, 0) for name in (".text", ".data"))

    @property
    def ram_bytes(self) -> int:
        """Static RAM; the stack is not in it."""
        return sum(self.sections.get(name, 0) for name in (".data", ".bss"))

    def code(self, address: int, size: int) -> bytes:
        """Bytes of flash."""
        for start, content in self.loaded:
            if start <= address and address + size <= start + len(content):
                return content[address - start : address - start + size]
        return b""


def read(path: Path, compiler: str) -> Firmware:
    """Reads an ELF file.

    Raises:
        TargetError: pyelftools is not installed.
    """
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise TargetError(f"linked firmware is read by pyelftools, which is not installed: {INSTALL}") from None
    with path.open("rb") as file:
        elf = ELFFile(file)
        sections = {s.name: s["sh_size"] for s in elf.iter_sections() if s["sh_flags"] & 2}
        table = elf.get_section_by_name(".symtab")
        symbols = {s.name: s["st_value"] & ~1 if s["st_info"]["type"] == "STT_FUNC" else s["st_value"]
                   for s in table.iter_symbols() if s.name}  # fmt: skip
        loaded = tuple((s["p_paddr"], s.data()) for s in elf.iter_segments() if s["p_type"] == "PT_LOAD")
    return Firmware(path, compiler, sections, symbols, tuple(part for part in loaded if part[1]))
