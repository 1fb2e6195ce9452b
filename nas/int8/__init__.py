"""From float weights to the one int8 meaning and its files."""
