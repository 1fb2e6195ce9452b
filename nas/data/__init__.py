"""What a run learns from and is judged on: read, checked, split, augmented."""
