"""What a network becomes on a device, and what it costs there. No torch."""
