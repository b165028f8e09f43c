"""Callbacks: `fallline.watch` for the loops of training frameworks, one file each; a framework is imported with its file and never before.

A callback begins to watch when its framework has model and optimizer in place, changes no bit of the training, and has `findings` when
the training has ended, also where it ended with an error. What is more than worth knowing goes to the log "fallline" as a warning, once.
"""

from __future__ import annotations
