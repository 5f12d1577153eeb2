"""The process of a supervisor: carries out what the machine in ``_core`` decides."""
