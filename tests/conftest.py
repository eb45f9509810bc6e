"""Lets every Python test import the harness of tests/system."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "system"))
