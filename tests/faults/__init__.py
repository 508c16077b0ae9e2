"""The campaign of faults: ``python -m tests.faults``; its short form is in ../test_faults.py."""
