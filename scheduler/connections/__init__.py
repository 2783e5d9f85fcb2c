"""What several sources of the limit share to reach their peers: a connection, its credentials, how messages are read.

No source imports another; what two of them need is here, and knows of no limit.
"""
