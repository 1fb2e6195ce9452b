"""Writers of finished networks: every one fills the same `Program` with the same integers."""
