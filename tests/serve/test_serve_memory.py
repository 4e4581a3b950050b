"""What the service does with memory, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, weakref
from hashloom.serve import memory
class Model: pass
def loaded():
    made = Model(); made.itself = made
    return made
def frozen():
    return gc.get_freeze_count() > 1000
gc.disable()
memory.settle()
said = [frozen()]
memory.own()
model = loaded(); gone = weakref.ref(model)
memory.settle()
said.append(frozen())
del model
gc.collect()
said.append(gone() is not None)
memory.settle()
said += [gone() is None, frozen()]
print(said)
"""


def test_a_service_keeps_its_model_from_the_collector_and_leaves_no_garbage_of_the_one_before() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, True, True, True, True]"
