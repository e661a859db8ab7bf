"""Rows that are alike, coded in blocks: a linear transform, integers, tables by scale."""
