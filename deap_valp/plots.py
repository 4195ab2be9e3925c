"""Plots: numbers first, then drawing."""
