"""From a finished `.tflite` file to firmware: C sources, the host's answers, an emulated Cortex-M's."""
