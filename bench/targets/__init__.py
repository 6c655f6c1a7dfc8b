"""The web sites that the benchmarks probe: a process of their own, cheap enough to share the machine."""
