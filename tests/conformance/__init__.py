"""The same application on the installed fastapi and on forzium, compared."""
