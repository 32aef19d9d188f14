"""Swept values to grid cells; pure."""
