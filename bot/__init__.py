"""The service: one worker's message in, one reply out; tickets; the console."""

import os

# Read by numpy when it is first imported. Its matrices are small here: a second thread spends its time waiting for the
# first, and takes the other core from everybody else.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
