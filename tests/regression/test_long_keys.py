"""A dict's value was released while its key was written: of a key that takes so long that others have their turn."""

import os
import subprocess
import sys
from pathlib import Path

import forzium

PROGRAM = """
import sys
import threading
import forzium.json

sys.setswitchinterval(1e-4)
key = "k" * (48 << 20)
data = {key: [[0.5] * 20]}
done = threading.Event()

def replace():
    number = 0
    while not done.is_set():
        number += 1
        data[key] = [[number + 0.5] * 20] * 3
        [bytearray(64) for _ in range(200)]

thread = threading.Thread(target=replace)
thread.start()
try:
    for _ in range(15):
        row = forzium.json.dumps(data)[len(key) + 4 :].strip(b"[]}").split(b",")[0]
        assert row.endswith(b".5"), row
finally:
    done.set()
    thread.join()
"""


def test_a_value_outlives_the_writing_of_its_key_though_another_thread_replaces_it():
    under_test = {**os.environ, "PYTHONPATH": str(Path(forzium.__file__).resolve().parents[1])}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=under_test, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
