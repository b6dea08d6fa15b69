"""Workflows: several tasks composed by chain, group and chord, split into stages."""
