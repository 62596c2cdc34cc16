"""Re*Star's tests; the folder says what a test needs. A package, so that tests can share `tests.tiny_model`."""
