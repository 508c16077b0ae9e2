"""What made a layer, out of the words that builders put into an image's history."""

import pytest

from overlaylab.instruction import readable


@pytest.mark.parametrize(
    ("created_by", "words"),
    [
        ("RUN /bin/sh -c make # buildkit", "RUN make"),
        ("/bin/sh -c make  \t all", "RUN make all"),
        ('/bin/sh -c #(nop)  CMD ["bash"]', 'CMD ["bash"]'),
        ("/bin/sh -c #(nop) COPY dir:" + "a" * 64 + " in / ", "COPY dir:aaaaaaaaaaaa… in /"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("RUN |2 A=1 B=x y /bin/sh -c make # buildkit", "RUN make"),
        ("|2 A=b c D=e /bin/sh -c make", "RUN make"),
        ("|1 A=/bin/sh -c x /bin/sh -c make", "RUN x /bin/sh -c make"),
        ("RUN |1 V=/bin/x /bin/sh -c make\tall # buildkit", "RUN make all"),
        (
            "RUN |1 A=1 /bin/bash -o pipefail -c make # buildkit",
            "RUN /bin/bash -o pipefail -c make",
        ),
        ("RUN |0 /bin/sh -c make # buildkit", "RUN make"),
        ("RUN /bin/bash -c make # buildkit", "RUN /bin/bash -c make"),
        ("|99999 A=1 make", "|99999 A=1 make"),
        ("# debian.sh --arch 'amd64' out/", "# debian.sh --arch 'amd64' out/"),
        ("sleep 1000", "sleep 1000"),
        ("buildah", "buildah"),
        ("?", "?"),
        ("", ""),
    ],
)
def test_an_instruction_as_people_wrote_it(created_by: str, words: str):
    assert readable(created_by) == words
