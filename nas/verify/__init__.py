"""Proof that a run's files are those it made, and that every runtime answers as was scored."""
