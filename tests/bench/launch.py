"""Runs a command: `python launch.py COMMAND…` prints what it cost (wall s, CPU s, peak MiB) and its exit code.

Linux counts what the parent held at the fork into a process's peak memory. The bench itself holds whole fleets, so it
starts what it measures through this, which holds nothing.
"""

import os
import subprocess
import sys
import time

began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
wall_s = time.perf_counter() - began
print(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
