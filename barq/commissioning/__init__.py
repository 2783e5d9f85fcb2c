"""Commissioning: the site is led through steps, one device group at a time, and what the meter shows is written down.

The scheduler leads all the while. Nothing here orders a device: each step is a limit set by hand that leaves room for
exactly that step, below every other limit, and a job of Barq's own on one node. So no guard, margin, lease or rule of
the loop is passed by, and whatever else happens the site is within its limit as ever. Each of these limits ends by
itself soon after its step, so that a walk which is killed leaves nothing behind; the job has a time limit.

    facts       what the site file says, and which limit leaves room for which step
    watching    readings of meter and devices; what ends the walk: others' jobs, a limit that fell, a stop
    walk        the steps in their order
    response    readings around one step -> dead time, ramp, settling, level
    fitting     levels -> overhead and base
    fragment    the file `measured.yaml`
    load        the job
"""
