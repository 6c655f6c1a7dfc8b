"""The whole product in one foreground process: PostgreSQL, web server, workers and a demo target."""
