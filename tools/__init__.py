"""What the project needs around itself. One command a file: ``python -m tools.<command>``."""
