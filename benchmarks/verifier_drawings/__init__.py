"""Drawings to test the verifier of ``shapes`` with: right ones in many styles, and ones with a single known fault.

Nothing here imports the verifier, the baseline or the task; a scene is the JSON that a prompt carries.
"""
