"""What can be typed: one function a command. They wire and decide nothing."""
