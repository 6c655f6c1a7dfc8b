"""The probe engine (hop 3): one process-wide engine, one result for every probe, no exceptions."""
