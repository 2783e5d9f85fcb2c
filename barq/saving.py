"""When a job commits, and how all its ranks do so together; and where it continues from when it starts."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barq import checkpoint
from barq.checkpoint import CheckpointError, Commit, DamagedCheckpoint, StagedCommit
from barq.job_environment import JobEnvironment
from barq.ranks import PeerFailed, PeerGone, Ranks, all_or_none
from barq.shards import Savable, Stateful, read_shard, read_state, write_shard
from barq.strict_json import MAX_TEXT

AGAIN_S: Final = 60.0
"""A commit that could not be made is not tried again by this job's own rhythm before that."""

log: Final = logging.getLogger("barq.job")


class WorldChanged(CheckpointError):
    """The commit was saved by another number of ranks than this attempt has, and its shards do not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Commit once `interval_s` seconds or `every_steps` steps have passed since the last; None = never.

    The first one comes after `first_s` seconds: jobs that start together must not all write together ever after.
    """

    interval_s: float | None
    every_steps: int | None
    first_s: float | None = None  #: None = after `interval_s`, as all others

    def is_due(self, *, since_s: float, since_steps: int, is_first: bool = False) -> bool:
        """Tell whether it is time for a commit; without a new step it never is."""
        interval_s = self.first_s if is_first and self.first_s is not None else self.interval_s
        by_time = interval_s is not None and since_s >= interval_s
        by_steps = self.every_steps is not None and since_steps >= self.every_steps
        return since_steps > 0 and (by_time or by_steps)


class Saver:
    """Commits the state of one job; `name`, `step` and `save_s` (seconds) are those of its newest commit.

    `trouble` says why the last try failed, None if it did not.
    """

    def __init__(
        self,
        environment: JobEnvironment,
        ranks: Ranks,
        state: Stateful | Savable,
        rhythm: Rhythm,
        keep: int,
        *,
        elastic: bool = False,
    ) -> None:
        self.name: str | None = None
        self.step = 0
        self.save_s: float | None = None
        self.trouble: str | None = None
        self._environment = environment
        self._ranks = ranks
        self._state = state
        self._rhythm = rhythm
        self._keep = keep
        self._elastic = elastic  #: every rank holds the same state: that of any rank will do for any other
        self._since_s = time.monotonic()
        self._not_before_s = float("-inf")  #: on that clock, the next periodic commit
        self._is_first = True  #: the commit that comes next, of those that this attempt makes

    def is_due(self, step: int) -> bool:
        """Tell whether the first rank finds it time for a periodic commit at `step`; the others never do."""
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return False
        since_s = now_s - self._since_s
        is_due = self._rhythm.is_due(since_s=since_s, since_steps=step - self.step, is_first=self._is_first)
        return self._ranks.rank == 0 and is_due

    def restore(self) -> int:
        """Load the commit to continue from on all ranks and return its step, 0 if there is none.

        Raises CheckpointError if its shards do not fit this job, PeerFailed if another rank failed.
        """
        chosen = all_or_none(self._ranks, self._choose)
        step, is_wanted, world = self._ranks.largest(chosen)
        if step < 0:
            log.info("starting from the beginning: no commit in %s", self._environment.checkpoint_dir)
            return 0
        path = self._path(step)
        if is_wanted and self._environment.resume_from is not None:
            path = self._environment.resume_from
        all_or_none(self._ranks, lambda: self._load(path, world))
        self._remember(step)
        log.info("continuing from step %d, commit %s", step, path)
        self._clear_rubbish()
        return step

    def save(self, step: int) -> None:
        """Commit the state of all ranks at `step`; it is verified and durable once this returns.

        Raises CheckpointError or OSError, and PeerFailed if another rank failed.
        """
        started_s = time.monotonic()
        environment, ranks = self._environment, self._ranks
        staging = checkpoint.staging_path(environment.checkpoint_dir, step, environment.attempt)
        try:
            staged = all_or_none(ranks, lambda: self._begin(step))
            all_or_none(ranks, lambda: write_shard(staging, ranks.rank, self._state))
            all_or_none(ranks, lambda: self._commit(staged))
        except Exception:
            if ranks.rank == 0:  # half a commit is of use to nobody, and the disk may be full of it
                shutil.rmtree(staging, ignore_errors=True)
            raise
        self._remember(step)
        self._is_first = False
        self.save_s = time.monotonic() - started_s

    def save_in_passing(self, step: int) -> bool:
        """Save as `save` does and return True; or say why that could not be, for the job to go on without.

        Whoever ends here would lose for certain what another try may keep. Raises PeerGone, and what is no trouble of
        a disk: that is for whoever wrote the job.
        """
        try:
            self.save(step)
        except PeerGone:
            raise
        except (OSError, PeerFailed) as error:
            self._not_before_s = time.monotonic() + AGAIN_S
            why = getattr(error, "strerror", None) or str(error)
            self.trouble = f"step {step} could not be committed: {why}"[:MAX_TEXT]
            message = "%s; training goes on without it"
            log.error(message, self.trouble)  # noqa: TRY400 - once a minute, and the reason says it
            return False
        return True

    def prune(self) -> None:
        """Let go of commits that newer verified ones have made needless."""
        self._prune()

    def _begin(self, step: int) -> StagedCommit | None:
        if self._ranks.rank > 0:
            return None
        return checkpoint.begin(self._environment.checkpoint_dir, step, self._environment.attempt)

    def _commit(self, staged: StagedCommit | None) -> None:
        if staged is not None:
            environment = self._environment
            staged.commit(world=self._ranks.world, job=environment.job_id, attempt=environment.attempt)

    def _load(self, path: Path, world: int) -> None:
        """A rank that the commit has nothing of takes the first one's state, and keeps its own random generators."""
        rank = self._ranks.rank
        if rank < world:
            read_shard(path, rank, self._state)
        else:
            read_state(path, 0, self._state)

    def _remember(self, step: int) -> None:
        self.name = checkpoint.commit_name(step)
        self.step, self.trouble = step, None
        self._since_s = time.monotonic()

    def _path(self, step: int) -> Path:
        return self._environment.checkpoint_dir / checkpoint.commit_name(step)

    def _choose(self) -> tuple[int, int, int]:
        """Return the step to continue from (-1 = none), whether BARQ_RESUME_FROM named it, and its ranks; by rank 0."""
        if self._ranks.rank > 0:
            return -1, 0, 0
        wanted = self._wanted()
        commit = wanted or self._newest()
        if commit is None:
            return -1, 0, 0
        if commit.manifest.world != self._ranks.world and not self._elastic:
            message = (
                f"{commit.path}: saved by {commit.manifest.world} ranks, but this attempt has "
                f"{self._ranks.world}; start it with as many ranks as before, "
                "or say Job.from_environment(elastic=True) if its state is the same on every rank"
            )
            raise WorldChanged(message)
        return commit.step, int(wanted is not None), commit.manifest.world

    def _wanted(self) -> Commit | None:
        path = self._environment.resume_from
        if path is None:
            return None
        try:
            return Commit(path=path, manifest=checkpoint.verify(path))
        except DamagedCheckpoint as damage:
            log.warning("not continuing from the commit that was asked for: %s", damage)
            if path.parent.resolve() == self._environment.checkpoint_dir.resolve():
                self._say(checkpoint.quarantine(self._environment.checkpoint_dir, damage))
            return None

    def _newest(self) -> Commit | None:
        commit, quarantined = checkpoint.newest_verified(self._environment.checkpoint_dir)
        self._say(quarantined)
        return commit

    def _say(self, quarantined: list[checkpoint.Quarantined]) -> None:
        for item in quarantined:
            log.warning("quarantined %s: %s; it is now %s", item.name, item.why, item.path)

    def _clear_rubbish(self) -> None:
        self._prune(attempt=self._environment.attempt)

    def _prune(self, attempt: str | None = None) -> None:
        """By the first rank alone, so that it must not fail: the others would wait for it."""
        if self._ranks.rank > 0:
            return
        try:
            checkpoint.prune(self._environment.checkpoint_dir, self._keep, attempt=attempt)
        except OSError as error:  # such as files that somebody still has open, over NFS
            log.warning("old commits are left where they are: %s", error)
