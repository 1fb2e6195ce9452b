"""Tables, plots and the page made of a run's result."""
