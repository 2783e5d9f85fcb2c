"""OpenADR 3 as far as a limit of power needs it: what events say (pure), and a client of a VTN.

Written against the published shapes of OpenADR 3.1; the source of the limit is `scheduler/signals/openadr3.py`.
"""
