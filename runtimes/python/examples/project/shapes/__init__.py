"""Shapes that know their area."""
