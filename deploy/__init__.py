"""What goes to AWS: the artefact of the fan-out, the package of the web application, and their checks."""
