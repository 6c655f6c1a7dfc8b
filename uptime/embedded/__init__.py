"""The whole product in one foreground process: an embedded PostgreSQL, the web server, the workers and a demo target."""
