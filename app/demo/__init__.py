"""The main job on real input: the flights of a real storm, made-up passengers, real processes.

Nothing imports it but the command line.
"""
