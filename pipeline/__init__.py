"""The only place besides the command line that knows every stage."""
