"""Candidates as torch networks, and what they inherit from the original."""
