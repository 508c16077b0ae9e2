"""What a Dockerfile says and does, as BuildKit has it; :mod:`overlaylab.image.build` builds.

================  ================================================================
``reading``       lines, instructions, options, here-documents
``words``         quotes, escapes and variables
``patterns``      ``*.txt``, .dockerignore, ``${name#pattern}``
``stage``         an image that is being built
``config``        instructions that change its config alone, and what its history says
``context``       where files come from: links inside of it, what is left out
``copying``       files into an image
``files``         COPY and ADD
``fetching``      ADD of a URL
``users``         whom an image knows
``mounts``        ``RUN --mount``
``running``       RUN
``base``          an image to start from
================  ================================================================
"""
