"""GitOps for fleets of embedded devices on Losant.

Importing the package loads nothing but this file: neither httpx nor yaml.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
