"""Distillation: the loop over batches, and the compiled pass below it."""
