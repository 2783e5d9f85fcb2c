"""The Phoenix replay: a published power event of a 256-GPU cluster, run again under Barq, beside what was measured.

The data are Emerald AI's of May 2025 (github.com/ai-emerald/emerald-ai-demo-may-2025, Apache-2.0). They are read from
where the user keeps them; nothing of them is part of this project. `docs/phoenix.md` tells the method.
"""
