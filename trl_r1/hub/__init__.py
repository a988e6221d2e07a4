"""
The models and data sets of a run, on the Hub, with cards that tell where they come from. Torch-free; no network at
import.

```bash
trl-r1 push RUN                                   # by the recipe's `hub:` section
trl-r1 push RUN --follow                          # what ends while the run goes on, as it ends
trl-r1 push RUN --stage r1 --repo my-org/my-r1    # one stage, under a name of its own
```

In a recipe:

```yaml
hub:
  namespace: my-org        # default: the user of the token
  prefix: r1-              # default: the recipe's name and a dash; a repository is called NAMESPACE/PREFIX + STAGE
  private: true            # the default; `false` publishes
  stages: [r1, reasoning-data]          # default: every stage that leaves a model or data
  repos: {r1: my-org/DeepSeek-R1-mine}  # full names for single stages
  license: apache-2.0      # goes to the cards; without it, a data set has the licenses of the data it was made from
```
"""

from .follow import follow_run
from .push import Pushed, push_run
from .section import HubSection, check_hub_section


__all__ = ["HubSection", "Pushed", "check_hub_section", "follow_run", "push_run"]
