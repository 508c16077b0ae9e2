"""A lesson as a learner gets it: no outputs yet, and what answers a question is folded.

The notebooks of the course keep their outputs, for whoever reads them without running them. The
widgets of a prediction unfold what is tagged ``answer`` when an answer is chosen.
"""

from __future__ import annotations

import json
import re

_FOLDED = """<details class="answer-{name}"><summary>{summary}</summary>

{prose}

</details>"""


def handout(content: bytes) -> bytes:
    """The notebook `content`, to be worked through.

    Args:
        content: a notebook of the course, as JSON.
    """
    notebook = json.loads(content)
    asked, summary = "", ""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            if found := re.match(r"%%predict (\S+)", source):
                asked, summary = found[1].replace(".", "-"), "What happened, and why"
        elif "answer" in cell["metadata"].get("tags", ()):
            folded = _FOLDED.format(name=asked, summary=summary, prose=source)
            cell["source"] = folded.splitlines(keepends=True)
            summary = "More about it"
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()
