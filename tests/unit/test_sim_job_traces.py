"""Files of jobs in each layout: what becomes a job, what is left out and counted, what is refused and how."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scheduler.errors import TraceError
from scheduler.sim.maps import parse_job_map
from scheduler.sim.traces.formats import read_jobs
from scheduler.sim.traces.records import JobTrace
from scheduler.sim.workload import SimJob

MAP = "arrival=at,duration=took,gpus=gpus"
CONVERTED = "job_id,arrival_s,service_sec,gpu_count\n"
HELIOS = "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
ACME = "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\n"
PHILLY = "vc,app_id,submit_time,service,num_jobs,sleep_time,model_name\n"
PODS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"
    "scheduled_time\n"
)


def read(tmp_path: Path, content: str, asked: str | None = None) -> JobTrace:
    """The file with that content, read by that map."""
    path = tmp_path / "jobs.csv.gz"
    path.write_bytes(gzip.compress(content.encode()))
    return read_jobs(path, parse_job_map(asked if asked is not None else "mend=no"))


def test_converted_traces_count_from_their_own_zero(tmp_path: Path) -> None:
    """The first job may come later; GPUs may be written 8.0."""
    trace = read(tmp_path, CONVERTED + "a#1,16670.0,167731.0,8\nb,24488.0,60.0,2.0\n")
    assert trace.jobs == (
        SimJob(id="a#1", arrives_s=16670.0, gpus=8, work_s=167731.0),
        SimJob(id="b", arrives_s=24488.0, gpus=2, work_s=60.0),
    )
    assert (trace.format, trace.zero_at, trace.notes) == ("Helios or PAI, converted", None, ())


def test_helios_has_dates_and_jobs_without_gpus(tmp_path: Path) -> None:
    """Zero is the first job with a GPU; rows come in any order; the virtual cluster is the project."""
    trace = read(
        tmp_path,
        HELIOS
        + "1,u1,vcA,0,1,1,COMPLETED,2020-06-01 00:00:00,2020-06-01 00:00:00,2020-06-01 00:00:09,9,0\n"
        + "3,u2,vcB,4,16,1,FAILED,2020-06-09 18:42:01,2020-06-09 18:42:01,2020-06-09 18:46:10,249,0\n"
        + "2,u1,vcA,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0\n"
        + "4,u1,vcA,1,1,1,CANCELLED,2020-06-09 18:43:01,,,0,0\n",
        "zone=Asia/Shanghai",
    )
    assert trace.jobs == (
        SimJob(id="2", arrives_s=0.0, gpus=1, work_s=36848.0, project="vcA"),
        SimJob(id="3", arrives_s=60.0, gpus=4, work_s=249.0, project="vcB"),
    )
    assert trace.zero_at == datetime(2020, 6, 9, 10, 41, 1, tzinfo=UTC)
    assert trace.notes == ("jobs without a GPU, left out: 1", "jobs that took no time, left out: 1")


def test_acme_works_from_start_to_end(tmp_path: Path) -> None:
    """Its duration may include the queue; what never started is left out; times name their zone."""
    trace = read(
        tmp_path,
        ACME
        + "a,u5907,1,8,128,Other,FAILED,2023-03-01 00:18:22+08:00,2023-03-01 00:18:54+08:00,"
        + "2023-03-01 00:20:51+08:00,149,32,936.0\n"
        + "b,u5,1,8,128,Other,CANCELLED,2023-03-01 00:19:22+08:00,,2023-03-01 00:20:51+08:00,0,89,0\n"
        + "c,u6,1,0,4,Other,COMPLETED,2023-03-01 00:19:22+08:00,2023-03-01 00:19:22+08:00,"
        + "2023-03-01 00:20:51+08:00,89,0,0\n",
    )
    assert trace.jobs == (SimJob(id="a", arrives_s=0.0, gpus=8, work_s=117.0, project="u5907"),)
    assert trace.zero_at == datetime(2023, 2, 28, 16, 18, 22, tzinfo=UTC)
    assert trace.notes == ("jobs that never started, left out: 1", "jobs without a GPU, left out: 1")


def test_philly_is_put_on_one_clock(tmp_path: Path) -> None:
    """Each virtual cluster counts from 0 and numbers its own jobs; service is for all GPUs together."""
    trace = read(tmp_path, PHILLY + "x,0,0.0,100.0,1,0,R\nx,1,50.0,800.0,8,50,R\ny,0,20.0,60.0,1,0,R\n")
    assert trace.jobs == (
        SimJob(id="x-0", arrives_s=0.0, gpus=1, work_s=100.0, project="x"),
        SimJob(id="y-0", arrives_s=20.0, gpus=1, work_s=60.0, project="y"),
        SimJob(id="x-1", arrives_s=50.0, gpus=8, work_s=100.0, project="x"),
    )


def test_pods_run_from_when_they_were_scheduled(tmp_path: Path) -> None:
    """A class of service is a project and a flex tier; pending pods and those without a GPU are left out."""
    trace = read(
        tmp_path,
        PODS
        + "p0,1,1,1,1000,,LS,Running,0,100,20.0\np1,1,1,1,460,,BE,Failed,5,65,5.0\n"
        + "p2,1,1,0,0,,BE,Failed,6,65,6.0\np3,1,1,1,1000,,BE,Pending,7,65,\n",
    )
    assert trace.jobs == (
        SimJob(id="p0", arrives_s=0.0, gpus=1, work_s=80.0, flex=1, project="LS"),
        SimJob(id="p1", arrives_s=5.0, gpus=1, work_s=60.0, flex=4, project="BE"),
    )
    assert trace.notes == ("jobs without a GPU, left out: 1", "jobs that never started, left out: 1")


@pytest.mark.parametrize(
    "row, words",
    [
        ("p,1,1,1,1,,X,Failed,5,65,5\n", "column 'qos': 'X' is none of LS"),
        ("p,1,1,1,1,,LS,Failed,5,65,70\n", "'65' is before scheduled_time"),
    ],
)
def test_odd_pods_are_refused(tmp_path: Path, row: str, words: str) -> None:
    """An unknown class, an end before the beginning."""
    with pytest.raises(TraceError, match=f"line 2: .*{words}"):
        read(tmp_path, PODS + row)


def test_any_file_is_read_by_a_map(tmp_path: Path) -> None:
    """All that a job may have, in a unit and a spelling of the file's own."""
    trace = read(
        tmp_path,
        "name;queued;until;n;team;prio;tier;guess;due\n"
        "a;9.10.2017 06:00;9.10.2017 08:30;2;red;-5;1;2;3\n"
        "b;9.10.2017 07:00;9.10.2017 07:30;4;;3;4;;\n",
        "arrival=queued,end=until,gpus=n,id=name,project=team,priority=prio,flex=tier,estimate=guess,deadline=due,unit=h",
    )
    assert trace.jobs == (
        SimJob(
            id="a", arrives_s=0.0, gpus=2, work_s=9000.0, priority=-5, flex=1, project="red", estimate_s=7200.0,
            deadline_s=10_800.0,
        ),
        SimJob(id="b", arrives_s=3600.0, gpus=4, work_s=1800.0, priority=3),
    )  # fmt: skip
    assert trace.zero_at == datetime(2017, 10, 9, 6, tzinfo=UTC)


def test_a_map_wins_over_a_known_format(tmp_path: Path) -> None:
    """Even where the file is of one; an id that is not named is the line."""
    trace = read(
        tmp_path, CONVERTED + "x,0,60,1\nx,1,60,1\n", "arrival=arrival_s,duration=service_sec,gpus=gpu_count"
    )
    assert [job.id for job in trace.jobs] == ["line-2", "line-3"]


def test_unix_times_are_dates(tmp_path: Path) -> None:
    """In seconds as in milliseconds."""
    for text in ("1507507200", "1507507200000"):
        trace = read(tmp_path, f"at,took,gpus\n{text},60,1\n", MAP)
        assert trace.zero_at == datetime(2017, 10, 9, tzinfo=UTC)


def test_an_epoch_dates_a_file_that_counts_from_zero(tmp_path: Path) -> None:
    """And is refused where the file has dates of its own."""
    assert read(tmp_path, "at,took,gpus\n5,60,1\n", f"{MAP},epoch=2017-08-07").zero_at == datetime(
        2017, 8, 7, tzinfo=UTC
    )
    with pytest.raises(TraceError, match="it has dates of its own; leave epoch out of the map"):
        read(tmp_path, "at,took,gpus\n2017-10-09,60,1\n", f"{MAP},epoch=2017-08-07")


GOOD = "0,60,1\n10,60,1\n"
BAD_ROWS = [
    ("nan,60,1", "column 'at': 'nan' is no time like those above it"),
    ("-5,60,1", "column 'at': '-5' is no time"),
    (",60,1", "column 'at': '' is no time"),
    ("2017-10-09,60,1", "column 'at': '2017-10-09' is no time like"),
    ("20,nan,1", "column 'took': 'nan' is no number"),
    ("20,inf,1", "column 'took': 'inf' is no number"),
    ("20,1e15,1", r"column 'took': '1e15' is above 1e\+12"),
    ("20,,1", "column 'took': '' is no number"),
    ("20,-60,1", "column 'took': '-60' is below 0"),
    ("20,60,0", "column 'gpus': '0' is below 1"),
    ("20,60,-8", "column 'gpus': '-8' is below 1"),
    ("20,60,0.5", "column 'gpus': '0.5' is below 1"),
    ("20,60,1.5", "column 'gpus': '1.5' is no whole number"),
    ("20,60,eight", "column 'gpus': 'eight' is no number"),
    ("5,60,1", "arrives before the job of the row above; sort the file by arrival"),
]


@pytest.mark.parametrize("row, words", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, row: str, words: str) -> None:
    """File, line, column, value and remedy."""
    with pytest.raises(TraceError, match=rf"jobs\.csv\.gz: line 4: {words}.*mend=yes"):
        read(tmp_path, f"at,took,gpus\n{GOOD}{row}\n", MAP)


@pytest.mark.parametrize("row", [row for row, _ in BAD_ROWS[:-1]])
def test_a_bad_row_can_be_left_out(tmp_path: Path, row: str) -> None:
    """And is counted."""
    trace = read(tmp_path, f"at,took,gpus\n{GOOD}{row}\n", f"{MAP},mend=yes")
    assert len(trace.jobs) == 2
    assert len(trace.notes) == 1
    assert trace.notes[0].endswith("left out: 1")


def test_rows_out_of_order_can_be_put_in_order(tmp_path: Path) -> None:
    """By the same word."""
    trace = read(tmp_path, f"at,took,gpus\n{GOOD}5,60,1\n", f"{MAP},mend=yes")
    assert [job.arrives_s for job in trace.jobs] == [0.0, 5.0, 10.0]


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """With both lines; or only the first is kept."""
    twice = CONVERTED + "a,0,60,1\nb,1,60,1\na,2,60,1\n"
    with pytest.raises(TraceError, match="line 4: the job 'a' is there twice, first in line 2; remove one"):
        read(tmp_path, twice)
    trace = read(tmp_path, twice, "mend=yes")
    assert [job.id for job in trace.jobs] == ["a", "b"]
    assert trace.notes == ("rows with the id of another, left out: 1",)
    with pytest.raises(TraceError, match="line 2: column 'job_id': '' is empty"):
        read(tmp_path, CONVERTED + ",0,60,1\n")


@pytest.mark.parametrize(
    "row, words",
    [
        ("0,60,1,5", "column 'tier': '5' is above 4, the last flex tier"),
        ("0,60,1,-1", "column 'tier': '-1' is below 0"),
    ],
)
def test_a_flex_tier_that_is_none_is_refused(tmp_path: Path, row: str, words: str) -> None:
    """There are 0 to 4."""
    with pytest.raises(TraceError, match=words):
        read(tmp_path, f"at,took,gpus,tier\n{row}\n", f"{MAP},flex=tier")


def test_an_end_before_the_arrival_is_refused(tmp_path: Path) -> None:
    """With both columns."""
    with pytest.raises(TraceError, match="line 2: column 'till': '5' is before at"):
        read(tmp_path, "at,till,gpus\n10,5,1\n", "arrival=at,end=till,gpus=gpus")


@pytest.mark.parametrize(
    "content, asked, words",
    [
        ("a,b\n1,2\n", None, r"its columns a, b are of no known format \(Helios or PAI.*--jobs-map arrival="),
        ("at,gpus\n1,2\n", MAP, "there is no column 'took'; it has at, gpus; correct --jobs-map"),
        ("at,took,gpus\n", MAP, "column 'at': '' is no time"),
        ("at,took,gpus\n9999-12-31,1,1\n", MAP, "line 2: column 'at': '9999-12-31' is no time"),
        ("at,took,gpus\nx,1,1\ny,1,1\n", MAP, "column 'at': 'x' is no time; name the column of times"),
        (CONVERTED, None, r"there are no jobs in it \(no rows\)"),
        (CONVERTED + "a,0,0,1\n", None, r"no jobs in it \(jobs that took no time, left out: 1\)"),
        (CONVERTED + "a,0,1,1,1\n", None, "line 2: 5 values for 4 columns"),
        ("", None, "it is empty"),
        ("PAR1" + "\0" * 20, None, "it is empty|not a CSV|no known format"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str, asked: str | None, words: str) -> None:
    """With what it has and what to do."""
    with pytest.raises(TraceError, match=words):
        read(tmp_path, content, asked)


def test_parquet_is_named(tmp_path: Path) -> None:
    """It is not read, and says how it becomes something that is."""
    (tmp_path / "jobs.parquet").write_bytes(b"PAR1\x15\x04\x15")
    with pytest.raises(TraceError, match=r"Parquet files are not read; save it as CSV"):
        read_jobs(tmp_path / "jobs.parquet", parse_job_map(MAP))
    with pytest.raises(TraceError, match="cannot be read"):
        read_jobs(tmp_path / "none.csv", parse_job_map(MAP))
