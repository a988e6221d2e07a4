"""
One page of a run: `RUN/report.html`, to be opened without a network. Torch-free, written from the run's files alone.

```python
from trl_r1.report import write_report

write_report("runs/playground")
```
"""

from .page import write_report
from .watch import serve


__all__ = ["serve", "write_report"]
