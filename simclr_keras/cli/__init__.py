"""The command line: flags to settings, results to text; each command calls one function."""
