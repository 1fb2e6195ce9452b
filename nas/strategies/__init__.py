"""What to try next: ask and tell. A strategy holds no I/O, no workers and no clock."""

from __future__ import annotations
