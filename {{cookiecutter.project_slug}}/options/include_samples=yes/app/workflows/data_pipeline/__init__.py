"""The import of a test report: extract, validate, transform, load, one module per stage."""
