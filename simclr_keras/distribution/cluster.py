"""Finds the workers that train together, from TF_CONFIG or the variables of a Slurm step."""

import json
import os
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from ..errors import InputError

StrategyName = Literal["auto", "one", "mirrored", "multi-worker", "tpu"]
LocalStrategyName = Literal["auto", "one", "mirrored", "tpu"]  # of a single process
_SLURM_FIRST_PORT = 20000  # plus a number from the job ID, so that jobs on one node differ


class Cluster(NamedTuple):
    """The processes of one run, in the order of their parts of the global batch."""

    addresses: tuple[str, ...]  # host:port, the chief first
    index: int  # type: ignore[assignment]  # this process; not tuple's method


def find_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that this process was started in.

    `TF_CONFIG` takes precedence over the variables that `srun` sets (one task per worker, tasks
    placed in blocks, which is Slurm's default).

    Args:
        environment: Environment variables. Defaults to this process's.

    Returns:
        The cluster, which may have a single worker; `None` if there is none.

    Raises:
        InputError: If `TF_CONFIG` is not in the format that TensorFlow documents, or has tasks
            that do not train.
    """
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if int(environment.get("SLURM_STEP_NUM_TASKS", 0)) > 1:
        return _from_slurm(environment)
    return None


def tf_config(cluster: Cluster) -> str:
    """The `TF_CONFIG` that describes the cluster."""
    return json.dumps(
        {
            "cluster": {"worker": list(cluster.addresses)},
            "task": {"type": "worker", "index": cluster.index},
        }
    )


def _from_tf_config(text: str) -> Cluster | None:
    try:
        config = json.loads(text)
        jobs = config.get("cluster", {})
        addresses = (*jobs.get("chief", ()), *jobs.get("worker", ()))
        if not addresses:
            return None
        kind, index = config["task"]["type"], int(config["task"]["index"])
        if kind == "worker":
            index += len(jobs.get("chief", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "TF_CONFIG must be JSON such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            f'"task": {{"type": "worker", "index": 0}}}}. Received: TF_CONFIG={text}'
        ) from error
    if kind not in ("chief", "worker") or set(jobs) - {"chief", "worker"}:
        raise InputError(
            "Pretraining supports the tasks chief and worker only; leave others out of TF_CONFIG. "
            f"Received: TF_CONFIG={text}"
        )
    if not 0 <= index < len(addresses):
        raise InputError(
            f"TF_CONFIG has {len(addresses)} workers, but the index of this one is out of range. "
            f"Received: TF_CONFIG={text}"
        )
    return Cluster(addresses, index)


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    # TensorFlow's SlurmClusterResolver fails on nodes without GPUs and sorts host names as
    # text, so that node10 would come before node2 and ranks would get the wrong addresses.
    try:
        hosts = _expand_hosts(environment["SLURM_STEP_NODELIST"])
        tasks = _expand_counts(environment["SLURM_STEP_TASKS_PER_NODE"])
        index = int(environment["SLURM_PROCID"])
        job = int(environment.get("SLURM_JOB_ID", 0))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"The variables of this Slurm step cannot be read ({error}). Start the workers with "
            "srun, or set TF_CONFIG for each."
        ) from error
    port = _SLURM_FIRST_PORT + 10 * (job % 1000)
    addresses = tuple(
        f"{host}:{port + task}" for host, count in zip(hosts, tasks) for task in range(count)
    )
    if len(addresses) != int(environment["SLURM_STEP_NUM_TASKS"]):
        raise InputError(
            f"Slurm reports {environment['SLURM_STEP_NUM_TASKS']} tasks but lists "
            f"{len(addresses)}. Set TF_CONFIG for each worker instead. Received: "
            f"SLURM_STEP_TASKS_PER_NODE={environment['SLURM_STEP_TASKS_PER_NODE']}"
        )
    return Cluster(addresses, index)


def _expand_hosts(text: str) -> list[str]:
    """`n[08-10,12],login` -> n08, n09, n10, n12, login."""
    hosts = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        match = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", part)
        if not match:
            hosts.append(part)
            continue
        prefix, ranges, suffix = match.groups()
        for piece in ranges.split(","):
            first, _, last = piece.partition("-")
            for number in range(int(first), int(last or first) + 1):
                hosts.append(f"{prefix}{number:0{len(first)}}{suffix}")
    return hosts


def _expand_counts(text: str) -> list[int]:
    """`2(x3),1` -> 2, 2, 2, 1."""
    counts = []
    for count, repeats in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(count)] * int(repeats or 1)
    return counts
