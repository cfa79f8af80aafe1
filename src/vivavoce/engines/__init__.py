"""Engines that listen, think and speak, behind small typed ports."""
