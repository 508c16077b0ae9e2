"""Inputs that nobody would write, for all that reads strangers' files.

Why a loop of our own: atheris, which is kept up and has wheels for Python 3.11 to 3.14, has them
for x86-64 alone and wants a Clang elsewhere; its libFuzzer ends the process at the first failure,
and a seed does not make it do the same again. Hypothesis is not led by coverage, and its examples
are no corpus that can be read, kept in git and taken apart into headers. What is left to write
is small: a mutation, a question which lines an input reached, and a judgement.
"""
