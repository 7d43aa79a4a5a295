"""Who runs jobs: this machine, one subprocess a job, or a Ray cluster with devices as custom resources.

A job is a command. Its folder in the store is named after the digest of everything its result depends on, and appears
by one rename when the job has finished: a folder that exists is finished, and nothing else is.
"""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from ..devices.transports.child import follow
from ..errors import BadInput, EdgewrightError
from ..files import write_json
from .jobs import PART, RECORD, Done, Executor, Job, finished

WATCH = Path(__file__).parent.parent / "devices" / "agent" / "watch.py"
_WORDS = 2000  # of a failed job's last words


def local(jobs: Sequence[Job], store: Path, at_once: int) -> Iterator[Done]:
    """Run `jobs` here, `at_once` at a time, each as a subprocess that dies with us. Yield each as it ends.

    A job that was interrupted finds what it left in its working folder, and resumes as its command can. So are all
    that are running where we are interrupted ourselves.
    """
    running: list[subprocess.Popen] = []
    with ThreadPoolExecutor(at_once) as pool:
        try:
            yield from _as_they_end([pool.submit(_run_here, job, store, running.append) for job in jobs])
        finally:
            for process in running:  # all have ended, or nobody waits for them any more
                if process.stdin is not None:
                    process.stdin.close()  # at which `watch` ends, and what it watches with it


def ray(jobs: Sequence[Job], store: Path, at_once: int) -> Iterator[Done]:
    """Run the same commands on a Ray cluster ($RAY_ADDRESS, or one started here); results come back as bytes.

    Every device is a custom resource `device:NAME` of the nodes that reach it, so that two jobs never share one.
    Raises: EdgewrightError without the extra; BadInput for devices that no node offers.
    """
    try:
        cluster = importlib.import_module("ray")
    except ImportError as error:
        raise EdgewrightError(
            "--executor ray: Ray is not installed; pip install ray (the extra edgewright[ray] is that alone)"
        ) from error
    wanted = {_resource(job.device) for job in jobs}
    address = os.environ.get("RAY_ADDRESS")
    own = {} if address else {"num_cpus": at_once, "resources": dict.fromkeys(wanted, 1)}
    cluster.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False, **own)
    try:
        missing = sorted(wanted - set(cluster.cluster_resources()))
        if missing:
            raise BadInput(f"--executor ray: no node offers {', '.join(missing)}; start one with --resources")
        remote = cluster.remote(run_anywhere)
        waiting = {
            remote.options(num_cpus=1, resources={_resource(job.device): 1}, max_retries=2).remote(job): job
            for job in jobs
        }
        while waiting:
            (reference,), _ = cluster.wait(list(waiting), num_returns=1)
            job = waiting.pop(reference)
            done, files = cluster.get(reference)
            yield _stored(job, store, done, files)
    finally:
        cluster.shutdown()


EXECUTORS: dict[str, Executor] = {"local": local, "ray": ray}


def run_anywhere(job: Job) -> tuple[Done, dict[str, bytes]]:
    """Run `job` in a temporary folder, and return how it ended and the files it keeps."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        done = _run(job, Path(folder))
        return done, kept(job, Path(folder)) if done.status == "ok" else {}


def kept(job: Job, folder: Path) -> dict[str, bytes]:
    """Return the files that are a job's result, by their place in its folder."""
    paths = sorted(path for pattern in job.keeps for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _run_here(job: Job, store: Path, started: Callable[[subprocess.Popen], None]) -> Done:
    work = store / f".work-{job.key}"
    work.mkdir(parents=True, exist_ok=True)
    done = _run(job, work, started)
    if done.status != "ok":
        return done
    stored = _stored(job, store, done, kept(job, work))
    shutil.rmtree(work)
    return stored


def _run(job: Job, folder: Path, started: Callable[[subprocess.Popen], None] = lambda process: None) -> Done:
    """Run the command below `watch`, which kills it, children and all, if we die."""
    places = {"{out}": str(folder), "{python}": sys.executable}
    command = [places.get(part, part) for part in job.command]
    begun = time.monotonic()
    ended = follow(
        [sys.executable, str(WATCH), str(job.limit_s), *command], lambda line: None, limit_s=job.limit_s + 60,
        hold_stdin=True, started=started,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    words, _, code = ended.stderr.rpartition("\nedgewright-exit ")
    if ended.timed_out or code.strip() == "-14":
        return Done(key=job.key, status="timeout", reason=f"no result within {job.limit_s:g} s", seconds=seconds)
    missing = [pattern for pattern in job.keeps if not any(path.is_file() for path in folder.glob(pattern))]
    if not code.strip().lstrip("-").isdigit() or int(code) not in job.ok_codes or missing:
        said = words.strip().splitlines()
        reason = f"exit code {code.strip() or ended.code}: {said[-1] if said else 'no message'}"
        return Done(key=job.key, status="failed", reason=reason[:_WORDS], seconds=seconds)
    return Done(key=job.key, status="ok", seconds=seconds)


def _stored(job: Job, store: Path, done: Done, files: Mapping[str, bytes]) -> Done:
    """Put a finished job into the store, whole or not at all; the first to finish it wins."""
    if done.status != "ok":
        return done
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=PART) as folder:
        part = Path(folder) / job.key
        for name, content in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(content)
        write_json(part / RECORD, {"key": job.key, "name": job.name, "seconds": done.seconds})
        if not finished(store, job.key):
            os.replace(part, store / job.key)
    return done


def _as_they_end(futures: Sequence["Future[Done]"]) -> Iterator[Done]:
    waiting = set(futures)
    try:
        while waiting:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)
    finally:
        for future in waiting:
            future.cancel()


def _resource(device: str) -> str:
    return f"device:{device}"
