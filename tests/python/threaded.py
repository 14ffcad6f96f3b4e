"""A module that can't be forked: it has a thread as soon as it is imported."""

import threading
import time

import fixture

threading.Thread(target=lambda: time.sleep(600), daemon=True).start()

knows = fixture.knows
