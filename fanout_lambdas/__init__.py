"""The fan-out: dispatcher, triggerer, worker and the probe engine; deployable alone (hops 1-4)."""
