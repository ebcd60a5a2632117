"""Helpers of the lab book *Trustworthy Circuits*: methods, controls, ground truth.

Importing the package loads nothing heavy. Import the module that you need::

    from helpers import zoo
    model = zoo.load("add-d5")

torch's threads wait for each other after every operation. By default they spin meanwhile, which
takes the cores from whatever else runs on the machine, each other included: a lab can take five
times as long. The package therefore asks for threads that sleep. All OpenMP libraries of torch
(GNU's, LLVM's and Intel's) read this variable, once, while torch loads; a value that the user has
set stays. ``python -m helpers bench threads`` measures both.
"""

import os
import sys

__version__ = "0.1.0"

if "torch" not in sys.modules:  # afterwards it would change nothing
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
