"""A sweep of small jobs in a process of its own, which a test may kill.  python sweep_driver.py FOLDER JOBS EXECUTOR"""

import json
import sys
from pathlib import Path

from edgewright.pipeline.executors import EXECUTORS
from edgewright.pipeline.jobs import Job, run_jobs

WORK = """
import json, os, sys, time
key, log, out = sys.argv[1:]
with open(log, "a") as file: file.write(key + "\\n")
time.sleep(0.15)
number = int(key.split("-")[1])
found = [{"artifact": "f", "status": "ok", "value": number / 100, "latency_us": {"p50": time.time()}}]
document = {"model": key, "data": "d", "artifacts": [{"name": "f", "sha256": "%064d" % number}], "measurements": found}
with open(os.path.join(out, "results.json"), "w") as file: json.dump(document, file)
sys.exit(number % 2)
"""


def jobs(log: Path, count: int) -> list[Job]:
    return [
        Job(key=f"job-{number}", name=f"job {number}", keeps=("results.json",), ok_codes=(0, 1), limit_s=30,
            device=f"board-{number % 2}", command=("{python}", "-c", WORK, f"job-{number}", str(log), "{out}"))
        for number in range(count)
    ]  # fmt: skip


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(run_jobs(jobs(folder / "log", int(sys.argv[2])), folder, EXECUTORS[sys.argv[3]], 2)["jobs"]))
