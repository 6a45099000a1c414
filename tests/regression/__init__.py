"""One test for each thing that once went wrong, named by what went wrong."""
