"""What a network becomes on a device, and what it costs there. No torch."""

from targets.one_call import KernelCost, kernel_cost

__all__ = ["KernelCost", "kernel_cost"]
